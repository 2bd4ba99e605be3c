//! `role`: what a user may do.
//!
//! The server fills in defaults that depend on the version of the role before it stores it, so
//! what it returns is more than what was sent; `normalize` does the same to both sides.

mod check;
mod defaults;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness};

const ROLE_MESSAGE: &str = "types.RoleV6";

/// The row.
pub(super) static ROLE: Kind = Kind {
    name: KindName::new("role"),
    words: &["role", "roles"],
    versions: VERSIONS,
    message: ROLE_MESSAGE,
    phase: Phase::Access,
    writes: Writes::Conditional,
    keeps_labels: true,
    follow: Follow::Watch("role"),
    rpc: Rpc {
        list: List {
            path: "/proto.AuthService/ListRoles",
            request: "proto.ListRolesRequest",
            answer: "proto.ListRolesResponse",
            items: "roles",
            page: Some(Page::BY_KEY),
        },
        old_list: None,
        get: Call {
            path: "/proto.AuthService/GetRole",
            request: "proto.GetRoleRequest",
            field: Some("name"),
            answer: ROLE_MESSAGE,
        },
        create: Some(Call {
            path: "/proto.AuthService/CreateRole",
            request: "proto.CreateRoleRequest",
            field: Some("role"),
            answer: ROLE_MESSAGE,
        }),
        update: Some(Call {
            path: "/proto.AuthService/UpdateRole",
            request: "proto.UpdateRoleRequest",
            field: Some("role"),
            answer: ROLE_MESSAGE,
        }),
        delete: Some(Call {
            path: "/proto.AuthService/DeleteRole",
            request: "proto.DeleteRoleRequest",
            field: Some("name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &[],
    check: check::check,
    normalize: defaults::normalize,
    // Roles that others may request or impersonate need not exist.
    references: None,
    refers_to: &[],
    readiness: |_| Readiness::Ready,
    presets: PRESETS,
    values: Vec::new,
    keeper: super::internal_keeper,
    secret_name: |_| false,
    sight: Visibility::Free,
    labelled: None,
};

/// Newest first. The server takes anything else for the newest, without a word; tctl refuses
/// it, and so do we.
const VERSIONS: &[&str] = &["v8", "v7", "v6", "v5", "v4", "v3"];

/// Roles that Teleport 18 makes when a cluster starts, and makes again when they are gone.
const PRESETS: &[&str] = &[
    "access",
    "access-plugin",
    "auditor",
    "device-admin",
    "device-enroll",
    "editor",
    "group-access",
    "list-access-request-resources",
    "mcp-user",
    "requester",
    "require-trusted-device",
    "reviewer",
    "terraform-provider",
    "wildcard-workload-identity-issuer",
];
