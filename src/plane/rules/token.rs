//! `token`: its calls. What a join method demands is in `token_rules`.

use prost::Message as _;

use super::metadata::{self, quoted};
use super::{
    Events, Expiry, NAMESPACE, Rules, Tx, decode, empty, page, read, token_rules, user_token, write,
};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::proto::event::Resource;
use crate::wire::message::{proto, types, wrappers};

const KIND: &str = "token";
const VERSION: &str = "v2";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/GetToken", get),
        read("/proto.AuthService/GetTokens", list),
        read("/proto.AuthService/ListProvisionTokens", list_page),
        write("/proto.AuthService/CreateTokenV2", create),
        write("/proto.AuthService/UpsertTokenV2", upsert),
        write("/proto.AuthService/DeleteToken", delete),
    ],
    events: Some(Events {
        version: VERSION,
        put: |item| load(item).ok().map(Resource::ProvisionToken),
    }),
    expire: None,
};

fn load(item: &Item) -> Result<types::ProvisionTokenV2, Status> {
    let mut token: types::ProvisionTokenV2 = decode(&item.value)?;
    token.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(token)
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::ResourceRequest = decode(body)?;
    tx.allow(KIND, "read")?;
    if request.name.is_empty() {
        return Err(Status::invalid("missing parameter token"));
    }
    let item = tx.cached(KIND, &request.name).ok_or_else(|| {
        Status::not_found(format!("\"token\" {} does not exist", quoted(&request.name)))
    })?;
    Ok(load(item)?.encode_to_vec())
}

/// All tokens at once, those of users too.
fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let tokens = tx.store.list(View::Cache, KIND, "", tx.now).map(|(_, item)| load(item));
    let of_users = tx.store.list(View::Cache, user_token::KIND, "", tx.now);
    let of_users = of_users.map(|(_, item)| user_token::load(item).map(of_user));
    let provision_tokens = tokens.chain(of_users).collect::<Result<_, _>>()?;
    Ok(types::ProvisionTokenV2List { provision_tokens }.encode_to_vec())
}

/// How a user's token looks among the others.
fn of_user(token: types::UserTokenV3) -> types::ProvisionTokenV2 {
    let metadata = token.metadata.unwrap_or_default();
    types::ProvisionTokenV2 {
        kind: KIND.to_owned(),
        version: VERSION.to_owned(),
        metadata: Some(types::Metadata {
            name: metadata.name,
            namespace: NAMESPACE.to_owned(),
            expires: metadata.expires,
            ..Default::default()
        }),
        spec: Some(types::ProvisionTokenSpecV2 {
            roles: vec!["Signup".to_owned()],
            join_method: KIND.to_owned(),
            suggested_labels: Some(wrappers::LabelValues::default()),
            suggested_agent_matcher_labels: Some(wrappers::LabelValues::default()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Newer than 18.0.0; the sizes are those of the other paged lists.
fn list_page(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::ListProvisionTokensRequest = decode(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let items = tx.store.list(View::Cache, KIND, &request.start_key, tx.now);
    let wanted = items.filter_map(|(name, item)| {
        let token = load(item).ok()?;
        let spec = token.spec.as_ref()?;
        let roles = &request.filter_roles;
        let shown = (roles.is_empty() || roles.iter().any(|role| spec.roles.contains(role)))
            && (request.filter_bot_name.is_empty() || spec.bot_name == request.filter_bot_name);
        shown.then(|| (name.to_owned(), token))
    });
    let (tokens, next_key) = page::cut(wanted, page::size(request.limit));
    Ok(proto::ListProvisionTokensResponse { tokens, next_key }.encode_to_vec())
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::CreateTokenV2Request = decode(body)?;
    tx.allow(KIND, "create")?;
    let sent = request.token.map(|proto::create_token_v2_request::Token::V2(token)| token);
    let token = prepare(tx, sent)?;
    if tx.stored(KIND, &name_of(&token)).is_some() {
        // The real text is the database's own; the name is not repeated, for it may be a secret.
        return Err(Status::exists("a token of that name already exists"));
    }
    put(tx, &token);
    Ok(empty())
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::UpsertTokenV2Request = decode(body)?;
    tx.allow_all(KIND, &["create", "update"])?;
    let sent = request.token.map(|proto::upsert_token_v2_request::Token::V2(token)| token);
    let token = prepare(tx, sent)?;
    put(tx, &token);
    Ok(empty())
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::ResourceRequest = decode(body)?;
    tx.allow(KIND, "delete")?;
    let name = request.name.as_str();
    if name.is_empty() {
        return Err(Status::invalid("missing parameter token"));
    }
    for kind in [user_token::KIND, KIND] {
        if tx.stored(kind, name).is_some() {
            tx.remove(kind, name);
            return Ok(empty());
        }
    }
    Err(Status::not_found(format!("provisioning token({}) not found", masked(name))))
}

/// Three quarters of the name hidden.
fn masked(name: &str) -> String {
    let hidden = name.chars().count() * 3 / 4;
    let mask = std::iter::repeat_n('*', hidden);
    mask.chain(name.chars().skip(hidden)).collect()
}

/// Checks a sent token and sets the defaults.
fn prepare(
    tx: &Tx<'_>,
    token: Option<types::ProvisionTokenV2>,
) -> Result<types::ProvisionTokenV2, Status> {
    let mut token = token.ok_or_else(|| Status::invalid("token not provided in request"))?;
    KIND.clone_into(&mut token.kind);
    VERSION.clone_into(&mut token.version);
    let metadata = token.metadata.get_or_insert_default();
    metadata.revision.clear();
    let spec = token.spec.get_or_insert_default();
    if !tx.settings.enterprise {
        token_rules::check_edition(spec)?;
    }
    metadata::check(metadata)?;
    token_rules::check(spec)?;
    metadata::check_backend_key(&format!("/tokens/{}", metadata.name), &metadata.name)?;
    spec.suggested_labels.get_or_insert_default();
    spec.suggested_agent_matcher_labels.get_or_insert_default();
    Ok(token)
}

fn name_of(token: &types::ProvisionTokenV2) -> String {
    token.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default()
}

fn put(tx: &mut Tx<'_>, token: &types::ProvisionTokenV2) {
    let expires = token.metadata.as_ref().and_then(|metadata| metadata.expires.as_ref());
    let expiry = Expiry::of(expires);
    tx.put(KIND, &name_of(token), token, expiry);
}
