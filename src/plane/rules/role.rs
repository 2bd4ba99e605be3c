//! `role`: its calls. Validation is in `role_rules`, defaults are in `role_defaults`.

use prost::Message as _;

use super::metadata::{self, quoted};
use super::{
    Events, Expiry, Rules, Tx, decode, empty, page, read, role_defaults, role_grants, role_rules,
    token_rules, user, write,
};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::proto::event::Resource;
use crate::wire::message::{programs, proto, types};

pub(super) const KIND: &str = "role";

/// The open edition once made this role and still keeps it.
const OLD_ADMIN: &str = "admin";

/// Roles in a page when the caller does not say.
const PAGE_DEFAULT: usize = 100;

/// The largest page of roles that may be asked for.
const PAGE_MAX: usize = 16_000;

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/GetRole", get),
        read("/proto.AuthService/ListRoles", list),
        read("/proto.AuthService/GetRoles", list_all),
        write("/proto.AuthService/CreateRole", create),
        write("/proto.AuthService/UpdateRole", update),
        write("/proto.AuthService/UpsertRole", upsert_silently),
        write("/proto.AuthService/UpsertRoleV2", upsert),
        write("/proto.AuthService/DeleteRole", delete),
    ],
    events: Some(Events { version: "v8", put: |item| load(item).ok().map(Resource::Role) }),
    expire: None,
};

pub(super) fn load(item: &Item) -> Result<types::RoleV6, Status> {
    let mut role: types::RoleV6 = decode(&item.value)?;
    role.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(role)
}

/// Whether a role of that name is known to reads.
pub(super) fn exists(tx: &Tx<'_>, name: &str) -> bool {
    tx.cached(KIND, name).is_some()
}

/// What the roles of these names say; a role that is gone says nothing.
pub(super) fn specs(tx: &Tx<'_>, names: &[String]) -> Vec<types::RoleSpecV6> {
    names.iter().filter_map(|name| load(tx.stored(KIND, name)?).ok()?.spec).collect()
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::GetRoleRequest = decode(body)?;
    // Everybody may read the roles that they have.
    if !tx.caller.roles.contains(&request.name) {
        tx.allow(KIND, "read")?;
    }
    let item = tx.cached(KIND, &request.name);
    let item =
        item.ok_or_else(|| Status::not_found(format!("role {} is not found", request.name)))?;
    Ok(load(item)?.encode_to_vec())
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::ListRolesRequest = decode(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let size = match usize::try_from(request.limit) {
        Ok(0) | Err(_) => PAGE_DEFAULT,
        Ok(size) if size > PAGE_MAX => {
            return Err(Status::invalid(format!("page size of {size} is too large")));
        }
        Ok(size) => size,
    };
    let filter = request.filter.unwrap_or_default();
    let items = tx.store.list(View::Cache, KIND, &request.start_key, tx.now);
    let wanted = items.filter_map(|(name, item)| {
        let role = load(item).ok()?;
        let metadata = role.metadata.as_ref()?;
        let of_type = metadata.labels.get("teleport.internal/resource-type");
        let system = of_type.is_some_and(|it| it == "system");
        let shown = !(filter.skip_system_roles && system)
            && metadata::search(metadata, &filter.search_keywords);
        shown.then(|| (name.to_owned(), role))
    });
    let (roles, next_key) = page::cut(wanted, size);
    Ok(proto::ListRolesResponse { roles, next_key }.encode_to_vec())
}

/// The deprecated form: all at once.
fn list_all(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let items = tx.store.list(View::Cache, KIND, "", tx.now);
    let roles = items.map(|(_, item)| load(item)).collect::<Result<_, _>>()?;
    Ok(programs::GetRolesResponse { roles }.encode_to_vec())
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::CreateRoleRequest = decode(body)?;
    tx.allow(KIND, "create")?;
    let (_, role, _sent) = prepare(tx, request.role)?;
    Ok(insert(tx, role)?.encode_to_vec())
}

/// Stores a role whose name is free.
pub(super) fn insert(tx: &mut Tx<'_>, role: types::RoleV6) -> Result<types::RoleV6, Status> {
    let name = role.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
    if tx.stored(KIND, name).is_some() {
        return Err(Status::exists(format!("role {} already exists", quoted(name))));
    }
    Ok(install(tx, role))
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::UpdateRoleRequest = decode(body)?;
    tx.allow(KIND, "update")?;
    let (name, role, sent) = prepare(tx, request.role)?;
    if tx.stored(KIND, &name).is_none_or(|item| item.revision != sent) {
        return Err(Status::precondition(user::REVISION_MOVED));
    }
    Ok(install(tx, role).encode_to_vec())
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::UpsertRoleRequest = decode(body)?;
    let named = request.role.as_ref().and_then(|role| role.metadata.as_ref());
    let known = named.is_some_and(|metadata| exists(tx, &metadata.name));
    tx.allow(KIND, if known { "update" } else { "create" })?;
    let (_, role, _sent) = prepare(tx, request.role)?;
    Ok(install(tx, role).encode_to_vec())
}

/// The deprecated form, whose answer is empty.
fn upsert_silently(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    upsert(tx, body).map(|_answer| empty())
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::DeleteRoleRequest = decode(body)?;
    tx.allow(KIND, "delete")?;
    if request.name == OLD_ADMIN && !tx.settings.enterprise {
        return Err(Status::denied(format!("can not delete system role {}", quoted(OLD_ADMIN))));
    }
    if in_use(tx, &request.name) {
        return Err(Status::unknown(
            "failed to delete a role that is still in use by a user, check the system server \
             logs for more details",
        ));
    }
    if tx.stored(KIND, &request.name).is_none() {
        return Err(Status::not_found(format!("role {} is not found", quoted(&request.name))));
    }
    tx.remove(KIND, &request.name);
    Ok(empty())
}

/// Whether some user has the role.
fn in_use(tx: &Tx<'_>, role: &str) -> bool {
    tx.store.list(View::Backend, "user", "", tx.now).any(|(_, item)| {
        let spec = decode::<types::UserV2>(&item.value).ok().and_then(|user| user.spec);
        spec.is_some_and(|spec| spec.roles.iter().any(|it| it == role))
    })
}

/// Checks a sent role and sets the defaults: its name, itself, and the revision that was sent.
fn prepare(
    tx: &Tx<'_>,
    role: Option<types::RoleV6>,
) -> Result<(String, types::RoleV6, String), Status> {
    // 18.0.0 panics on a request without a role; an oracle had better answer.
    let mut role = role.ok_or_else(|| Status::invalid("missing parameter role"))?;
    role_rules::check_forwarding(&role)?;
    let metadata = role.metadata.get_or_insert_default();
    metadata::check(metadata)?;
    let sent = std::mem::take(&mut metadata.revision);
    let name = metadata.name.clone();
    role_defaults::drop_newer(&mut role);
    role_defaults::set(&mut role);
    role_rules::check(&role)?;
    if !tx.settings.enterprise {
        role_rules::check_edition(&role)?;
    }
    role_grants::check_requests(role.spec.get_or_insert_default())?;
    if !tx.settings.enterprise {
        role_rules::check_hardware_keys(&role)?;
    }
    role_grants::check_reasons(role.spec.get_or_insert_default())?;
    role_rules::check_idp(&role)?;
    if token_rules::is_system_role(&name) {
        return Err(Status::invalid(format!("reserved role: {name}")));
    }
    metadata::check_backend_key(&format!("/roles/{name}/params"), &name)?;
    Ok((name, role, sent))
}

/// Stores a role without any check and gives it its new revision.
pub(super) fn install(tx: &mut Tx<'_>, mut role: types::RoleV6) -> types::RoleV6 {
    role_defaults::set(&mut role);
    let metadata = role.metadata.get_or_insert_default();
    metadata.revision.clear();
    let name = metadata.name.clone();
    let expiry = Expiry::of(metadata.expires.as_ref());
    let revision = tx.put(KIND, &name, &role, expiry);
    role.metadata.get_or_insert_default().revision = revision;
    role
}
