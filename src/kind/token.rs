//! `token`: how agents and bots join.
//!
//! Writes answer with nothing and know no revision: the last writer wins, we read again just
//! before, and a window stays open.
//!
//! With the join method `token` the name is the secret: whoever knows it joins. Ids of such
//! tokens have its fingerprint in its place; calls take the name from the resource. A document
//! with an error in it is not certainly of another method and counts as unknown, so that its name
//! is never told, stored or planned.

mod check;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness, Value};

const TOKEN_MESSAGE: &str = "types.ProvisionTokenV2";

/// The join method by which the name alone lets in.
const BY_NAME: &str = "token";

/// The join method of a token with `allow` rules that names none.
const BY_INSTANCE: &str = "ec2";

/// The row.
pub(super) static TOKEN: Kind = Kind {
    name: KindName::with_secret_names("token"),
    words: &["token", "tokens"],
    versions: &["v2"],
    message: TOKEN_MESSAGE,
    phase: Phase::Resources,
    writes: Writes::LastWriterWins,
    keeps_labels: true,
    follow: Follow::Watch("provision_token"),
    rpc: Rpc {
        list: List {
            path: "/proto.AuthService/ListProvisionTokens",
            request: "proto.ListProvisionTokensRequest",
            answer: "proto.ListProvisionTokensResponse",
            items: "tokens",
            page: Some(Page::BY_KEY),
        },
        old_list: Some(List {
            path: "/proto.AuthService/GetTokens",
            request: super::EMPTY,
            answer: "types.ProvisionTokenV2List",
            items: "provision_tokens",
            page: None,
        }),
        get: Call {
            path: "/proto.AuthService/GetToken",
            request: "types.ResourceRequest",
            field: Some("name"),
            answer: TOKEN_MESSAGE,
        },
        create: Some(Call {
            path: "/proto.AuthService/CreateTokenV2",
            request: "proto.CreateTokenV2Request",
            field: Some("v2"),
            answer: super::EMPTY,
        }),
        update: Some(Call {
            path: "/proto.AuthService/UpsertTokenV2",
            request: "proto.UpsertTokenV2Request",
            field: Some("v2"),
            answer: super::EMPTY,
        }),
        delete: Some(Call {
            path: "/proto.AuthService/DeleteToken",
            request: "types.ResourceRequest",
            field: Some("name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &[],
    check: check::check,
    normalize,
    // The bot of `bot_name` need not exist.
    references: None,
    refers_to: &[],
    readiness: |_| Readiness::Ready,
    presets: &[],
    values: check::values,
    keeper: |_| None,
    secret_name: |token| join_method(token) == BY_NAME,
    sight: Visibility::Free,
    labelled: None,
};

/// The join method, as the server fills it in.
fn join_method(token: &Value) -> &str {
    let spec = token.get("spec");
    let field = |name| spec.and_then(|spec| spec.get(name));
    let has_rules = matches!(field("allow"), Some(Value::List(rules)) if !rules.is_empty());
    match field("join_method").and_then(Value::as_str) {
        Some(method) if !method.is_empty() => method,
        Some(_) | None if has_rules => BY_INSTANCE,
        Some(_) | None => BY_NAME,
    }
}

/// What the server fills in: version, spelling of roles, and defaults of the join methods.
fn normalize(token: &mut Value) {
    super::set_version(token, "v2");
    let method = join_method(token).to_owned();
    let Value::Map(token) = token else { return };
    let Some(Value::Map(spec)) = token.get_mut("spec") else { return };
    if let Some(Value::List(roles)) = spec.get_mut("roles") {
        for role in roles.iter_mut() {
            if let Some(shown) = role.as_str().and_then(system_role) {
                *role = Value::String(shown.into());
            }
        }
        roles.sort();
    }
    for Filled { method: of, block, field, value } in DEFAULTS {
        if *of == method {
            let inside = if block.is_empty() { Some(&mut *spec) } else { inner(spec, block) };
            if let Some(fields) = inside {
                fields.entry((*field).into()).or_insert_with(value);
            }
        }
    }
    spec.insert("join_method".into(), Value::String(method));
}

type Fields = std::collections::BTreeMap<String, Value>;

/// Steps into a block, making what is not there.
fn inner<'a>(spec: &'a mut Fields, path: &str) -> Option<&'a mut Fields> {
    path.split('.').try_fold(spec, |fields, name| {
        match fields.entry(name.into()).or_insert_with(Value::map) {
            Value::Map(inner) => Some(inner),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::List(_) => {
                None
            }
        }
    })
}

/// One field that the server fills in.
struct Filled {
    /// For tokens of this join method.
    method: &'static str,
    /// Path of the block below `spec`; empty: `spec` itself.
    block: &'static str,
    field: &'static str,
    value: fn() -> Value,
}

/// Teleport's own `CheckAndSetDefaults` of a token, 18.0.0.
const DEFAULTS: &[Filled] = &[
    Filled { method: "ec2", block: "", field: "aws_iid_ttl", value: || text("5m0s") },
    Filled {
        method: "kubernetes",
        block: "kubernetes",
        field: "type",
        value: || text("in_cluster"),
    },
    Filled { method: "gitlab", block: "gitlab", field: "domain", value: || text("gitlab.com") },
    Filled {
        method: "bound_keypair",
        block: "bound_keypair.recovery",
        field: "limit",
        value: || Value::Int(1),
    },
];

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// Teleport's spelling of a system role; `None` for what is none.
fn system_role(written: &str) -> Option<&'static str> {
    let written = written.trim().to_lowercase();
    let found = SYSTEM_ROLES.iter().find(|(words, _)| words.contains(&written.as_str()));
    found.map(|(_, shown)| *shown)
}

/// Whether this is the name of a system role: certificates of Teleport's own services carry it,
/// and no other role may.
pub(super) fn is_system_role(name: &str) -> bool {
    SYSTEM_ROLES.iter().any(|(_, shown)| *shown == name)
}

/// Words for each system role, and how Teleport spells it.
const SYSTEM_ROLES: &[(&[&str], &str)] = &[
    (&["auth"], "Auth"),
    (&["node"], "Node"),
    (&["proxy"], "Proxy"),
    (&["admin"], "Admin"),
    (&["provisiontoken"], "ProvisionToken"),
    (&["trusted_cluster", "trustedcluster"], "Trusted_cluster"),
    (&["signup"], "Signup"),
    (&["nop"], "Nop"),
    (&["remoteproxy", "remote_proxy"], "RemoteProxy"),
    (&["kube"], "Kube"),
    (&["app"], "App"),
    (&["db"], "Db"),
    (&["windowsdesktop", "windows_desktop"], "WindowsDesktop"),
    (&["bot"], "Bot"),
    (&["instance"], "Instance"),
    (&["discovery"], "Discovery"),
    (&["okta"], "Okta"),
    (&["mdm"], "MDM"),
    (&["accessgraphplugin"], "AccessGraphPlugin"),
];
