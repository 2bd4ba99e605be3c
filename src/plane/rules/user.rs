//! `user`: its calls. Passwords and devices cannot be set here, so nobody has any.

use prost::Message as _;

use super::metadata::{self, quoted};
use super::{Events, Expiry, Rules, Tx, decode, empty, go_zero, page, read, role, write};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::proto::event::Resource;
use crate::wire::message::teleport::users::v1 as users;
use crate::wire::message::types;

pub(super) const KIND: &str = "user";
const VERSION: &str = "v2";

/// The text of a conditional write that came too late.
pub(super) const REVISION_MOVED: &str = "resource revision does not match, it may have been \
                                         concurrently created|modified|deleted; please work from \
                                         the latest state, or use --force to overwrite";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/teleport.users.v1.UsersService/GetUser", get),
        read("/teleport.users.v1.UsersService/ListUsers", list),
        write("/teleport.users.v1.UsersService/CreateUser", create),
        write("/teleport.users.v1.UsersService/UpdateUser", update),
        write("/teleport.users.v1.UsersService/UpsertUser", upsert),
        write("/teleport.users.v1.UsersService/DeleteUser", delete),
        read("/proto.AuthService/GetCurrentUser", current_unserved),
    ],
    events: Some(Events { version: VERSION, put: |item| load(item).ok().map(Resource::User) }),
    expire: None,
};

/// The stored user with its revision.
pub(super) fn load(item: &Item) -> Result<types::UserV2, Status> {
    let mut user: types::UserV2 = decode(&item.value)?;
    let of_spec = user.spec.as_ref().and_then(|spec| spec.expires);
    let metadata = user.metadata.get_or_insert_default();
    metadata.revision.clone_from(&item.revision);
    // The backend's own expiry shows there, wherever it came from.
    if Expiry::of(metadata.expires.as_ref()) == Expiry::NEVER
        && Expiry::of(of_spec.as_ref()) != Expiry::NEVER
    {
        metadata.expires = of_spec;
    }
    Ok(user)
}

/// What reads answer for a user that is not there.
pub(super) fn missing(name: &str) -> Status {
    Status::not_found(format!("\"user\" {} does not exist", quoted(name)))
}

/// What the backend answers for a user that is not there.
pub(super) fn not_found(name: &str) -> Status {
    Status::not_found(format!("user {} not found", quoted(name)))
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: users::GetUserRequest = decode(body)?;
    if request.name.is_empty() && request.current_user {
        let item = tx.cached(KIND, &tx.caller.name);
        let user = load(item.ok_or_else(|| missing(&tx.caller.name))?)?;
        return Ok(users::GetUserResponse { user: Some(user) }.encode_to_vec());
    }
    if request.with_secrets {
        return Err(secrets_denied());
    }
    let own = request.name == tx.caller.name;
    if !own && tx.allow(KIND, "create").is_err() {
        tx.allow(KIND, "read")?;
    }
    if request.name.is_empty() {
        return Err(Status::invalid("missing parameter username"));
    }
    let item = tx.cached(KIND, &request.name).ok_or_else(|| missing(&request.name))?;
    Ok(users::GetUserResponse { user: Some(load(item)?) }.encode_to_vec())
}

fn secrets_denied() -> Status {
    Status::denied("this request can be only executed by an admin")
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: users::ListUsersRequest = decode(body)?;
    if request.with_secrets {
        return Err(secrets_denied());
    }
    tx.allow_all(KIND, &["read", "list"])?;
    let keywords = request.filter.unwrap_or_default().search_keywords;
    let found = |user: &types::UserV2| {
        user.metadata.as_ref().is_some_and(|metadata| metadata::search(metadata, &keywords))
    };
    let (users, next_page_token) = page_of(tx, &request.page_token, request.page_size, found);
    Ok(users::ListUsersResponse { users, next_page_token }.encode_to_vec())
}

/// A page of users, and the token of the next.
///
/// The token is the name of the first user that did not fit, with a `0` behind it, as the real
/// server makes it. The next page begins after that name, so this user is never listed.
pub(super) fn page_of(
    tx: &Tx<'_>,
    start: &str,
    wanted: i32,
    shown: impl Fn(&types::UserV2) -> bool,
) -> (Vec<types::UserV2>, String) {
    let items = tx.store.list(View::Cache, KIND, start, tx.now);
    let wanted_users = items.filter_map(|(name, item)| {
        let user = load(item).ok()?;
        shown(&user).then(|| (name.to_owned(), user))
    });
    let (users, mut next) = page::cut(wanted_users, page::size(wanted));
    if !next.is_empty() {
        next.push('0');
    }
    (users, next)
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: users::CreateUserRequest = decode(body)?;
    tx.allow(KIND, "create")?;
    let (mut user, _sent) = prepare(request.user)?;
    check_roles(tx, &user)?;
    let created = created_by(&mut user);
    if unset(created) {
        *created = by(tx, Some(tx.now.wall));
    }
    let user = insert(tx, user)?;
    Ok(users::CreateUserResponse { user: Some(user) }.encode_to_vec())
}

/// Refuses a name that cannot be part of a key.
pub(super) fn check_key(user: &types::UserV2) -> Result<(), Status> {
    let name = name_of(user);
    metadata::check_backend_key(&format!("/web/users/{name}/params"), &name)
}

/// Stores a new user, who has neither password nor device.
pub(super) fn insert(tx: &mut Tx<'_>, mut user: types::UserV2) -> Result<types::UserV2, Status> {
    check_key(&user)?;
    let name = name_of(&user);
    if tx.stored(KIND, &name).is_some() {
        return Err(Status::exists(format!("user {} already registered", quoted(&name))));
    }
    user.status.get_or_insert_default().set_password_state(types::PasswordState::Unset);
    Ok(put(tx, user))
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: users::UpdateUserRequest = decode(body)?;
    tx.allow(KIND, "update")?;
    let (mut user, sent) = prepare(request.user)?;
    check_roles(tx, &user)?;
    let name = name_of(&user);
    if let Some(before) = tx.cached(KIND, &name) {
        let before = load(before)?.spec.unwrap_or_default().created_by.unwrap_or_default();
        *created_by(&mut user) = before;
    }
    if tx.stored(KIND, &name).is_none_or(|item| item.revision != sent) {
        return Err(Status::precondition(REVISION_MOVED));
    }
    Ok(users::UpdateUserResponse { user: Some(put(tx, user)) }.encode_to_vec())
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: users::UpsertUserRequest = decode(body)?;
    tx.allow_all(KIND, &["update", "create"])?;
    let (mut user, _sent) = prepare(request.user)?;
    check_roles(tx, &user)?;
    let created = created_by(&mut user);
    if unset(created) {
        // Unlike a creation, an upsert does not note the time.
        *created = by(tx, None);
    }
    check_key(&user)?;
    Ok(users::UpsertUserResponse { user: Some(put(tx, user)) }.encode_to_vec())
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: users::DeleteUserRequest = decode(body)?;
    tx.allow(KIND, "delete")?;
    if request.name.is_empty() {
        return Err(Status::invalid("missing parameter username"));
    }
    let own_role = format!("user:{}", request.name);
    if tx.stored(role::KIND, &own_role).is_some() {
        tx.remove(role::KIND, &own_role);
    }
    if tx.stored(KIND, &request.name).is_none() {
        return Err(not_found(&request.name));
    }
    tx.remove(KIND, &request.name);
    Ok(empty())
}

/// Version 18 knows the method and does not serve it.
fn current_unserved(_tx: &mut Tx<'_>, _body: &[u8]) -> Result<Vec<u8>, Status> {
    Err(Status::unimplemented("method GetCurrentUser not implemented"))
}

/// Checks a sent user and sets the defaults: the user, and the revision that was sent.
fn prepare(user: Option<types::UserV2>) -> Result<(types::UserV2, String), Status> {
    let mut user = user.ok_or_else(|| Status::invalid("missing parameter user"))?;
    let metadata = user.metadata.get_or_insert_default();
    metadata::check(metadata)?;
    let sent = std::mem::take(&mut metadata.revision);
    let spec = user.spec.get_or_insert_default();
    for identity in &spec.oidc_identities {
        for (field, value) in
            [("ConnectorID", &identity.connector_id), ("Username", &identity.username)]
        {
            if value.is_empty() {
                return Err(Status::invalid(format!("{field}: missing value")));
            }
        }
    }
    complete(&mut user);
    Ok((user, sent))
}

/// Sets what is never absent on the wire, and drops what is never kept.
pub(super) fn complete(user: &mut types::UserV2) {
    KIND.clone_into(&mut user.kind);
    VERSION.clone_into(&mut user.version);
    user.status.get_or_insert_default();
    let spec = user.spec.get_or_insert_default();
    spec.local_auth = None;
    spec.traits.get_or_insert_default();
    let login = spec.status.get_or_insert_default();
    login.locked_time.get_or_insert_with(go_zero);
    login.lock_expires.get_or_insert_with(go_zero);
    spec.expires.get_or_insert_with(go_zero);
    let created = spec.created_by.get_or_insert_default();
    created.time.get_or_insert_with(go_zero);
    created.user.get_or_insert_default();
}

fn check_roles(tx: &Tx<'_>, user: &types::UserV2) -> Result<(), Status> {
    let roles = user.spec.iter().flat_map(|spec| &spec.roles);
    for name in roles {
        if !role::exists(tx, name) {
            return Err(Status::not_found(format!("role {name} is not found")));
        }
    }
    Ok(())
}

fn created_by(user: &mut types::UserV2) -> &mut types::CreatedBy {
    user.spec.get_or_insert_default().created_by.get_or_insert_default()
}

fn unset(created: &types::CreatedBy) -> bool {
    created.connector.is_none() && created.user.as_ref().is_none_or(|user| user.name.is_empty())
}

/// The mark of the caller's hand.
pub(super) fn by(tx: &Tx<'_>, at: Option<crate::model::Timestamp>) -> types::CreatedBy {
    types::CreatedBy {
        connector: None,
        time: Some(at.map_or_else(go_zero, super::timestamp)),
        user: Some(types::UserRef { name: tx.caller.name.clone() }),
    }
}

pub(super) fn name_of(user: &types::UserV2) -> String {
    user.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default()
}

/// Stores the user and gives it its new revision.
pub(super) fn put(tx: &mut Tx<'_>, mut user: types::UserV2) -> types::UserV2 {
    complete(&mut user);
    user.status.get_or_insert_default().set_mfa_weakest_device(types::MfaDeviceKind::Unset);
    let metadata = user.metadata.get_or_insert_default();
    metadata.revision.clear();
    let name = metadata.name.clone();
    let own = Expiry::of(metadata.expires.as_ref());
    let of_spec = user.spec.as_ref().and_then(|spec| spec.expires.as_ref());
    let expiry = if own == Expiry::NEVER { Expiry::of(of_spec) } else { own };
    let revision = tx.put(KIND, &name, &user, expiry);
    user.metadata.get_or_insert_default().revision = revision;
    user
}
