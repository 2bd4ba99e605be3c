//! `user`: a person who logs in with a password and a second factor.
//!
//! Who logs in through an identity provider gets a user of the same kind; its origin shows as
//! `sso` and it is left alone, as is the user behind a bot. Identities, status and credentials
//! are the server's, and an update keeps them.

mod check;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness, ResourceId, Value};

const USER_MESSAGE: &str = "types.UserV2";

/// The row.
pub(super) static USER: Kind = Kind {
    name: KindName::new("user"),
    words: &["user", "users"],
    versions: &["v2"],
    message: USER_MESSAGE,
    phase: Phase::Resources,
    writes: Writes::Conditional,
    keeps_labels: true,
    follow: Follow::Watch("user"),
    rpc: Rpc {
        list: List {
            path: "/teleport.users.v1.UsersService/ListUsers",
            request: "teleport.users.v1.ListUsersRequest",
            answer: "teleport.users.v1.ListUsersResponse",
            items: "users",
            page: Some(Page { left_out: Some(left_out), ..Page::BY_TOKEN }),
        },
        old_list: None,
        get: Call {
            path: "/teleport.users.v1.UsersService/GetUser",
            request: "teleport.users.v1.GetUserRequest",
            field: Some("name"),
            answer: "teleport.users.v1.GetUserResponse",
        },
        create: Some(Call {
            path: "/teleport.users.v1.UsersService/CreateUser",
            request: "teleport.users.v1.CreateUserRequest",
            field: Some("user"),
            answer: "teleport.users.v1.CreateUserResponse",
        }),
        update: Some(Call {
            path: "/teleport.users.v1.UsersService/UpdateUser",
            request: "teleport.users.v1.UpdateUserRequest",
            field: Some("user"),
            answer: "teleport.users.v1.UpdateUserResponse",
        }),
        delete: Some(Call {
            path: "/teleport.users.v1.UsersService/DeleteUser",
            request: "teleport.users.v1.DeleteUserRequest",
            field: Some("name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &[],
    check: check::check,
    normalize,
    references: Some(references),
    refers_to: &[super::role::ROLE.name],
    readiness: |_| Readiness::Ready,
    presets: &[],
    values: Vec::new,
    keeper,
    secret_name: |_| false,
    sight: Visibility::Free,
    labelled: None,
};

/// The server forces the version, whatever was sent, and lets a user that has an expiry only in
/// `spec` expire then: reads show it in `metadata`, too. Where both are given, each stays as it
/// is, and that of `metadata` counts.
fn normalize(user: &mut Value) {
    super::set_version(user, "v2");
    let expires = user.get("spec").and_then(|spec| spec.get("expires")).cloned();
    let (Some(expires), Value::Map(user)) = (expires, user) else { return };
    if let Value::Map(metadata) = user.entry("metadata".into()).or_insert_with(Value::map) {
        metadata.entry("expires".into()).or_insert(expires);
    }
}

/// The roles. The server refuses a user with one that is not there.
fn references(user: &Value) -> Vec<ResourceId> {
    let roles = user.get("spec").and_then(|spec| spec.get("roles"));
    let Some(Value::List(roles)) = roles else { return Vec::new() };
    let names: std::collections::BTreeSet<&str> = roles.iter().filter_map(Value::as_str).collect();
    names.into_iter().map(|name| ResourceId::parent(super::role::ROLE.name, name)).collect()
}

/// Bots, the system, and whoever came through a connector.
fn keeper(user: &Value) -> Option<&'static str> {
    let created_by = user.get("spec").and_then(|spec| spec.get("created_by"));
    let connector = created_by.and_then(|created_by| created_by.get("connector"));
    let is_set = |connector: &Value| {
        let text = |key| connector.get(key).and_then(Value::as_str).unwrap_or_default();
        !text("id").is_empty() || !text("type").is_empty()
    };
    super::internal_keeper(user).or_else(|| connector.is_some_and(is_set).then_some(super::SSO))
}

/// Who stands between two pages: 18.0.0 ends a page with the name of the next user and a `0`,
/// and goes on after that name, so that this one user is on neither page (recorded, and so on a
/// running server). Asked for a user that is not there, or is on a page, nothing is lost.
fn left_out(next: &str) -> Option<&str> {
    next.strip_suffix('0').filter(|name| !name.is_empty())
}
