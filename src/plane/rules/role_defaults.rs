//! What the server fills into a role before it stores it.

use super::NAMESPACE;
use crate::wire::message::{types, wrappers};

/// 30 hours in nanoseconds: the longest life of a certificate.
const MAX_SESSION_TTL: i64 = 30 * 60 * 60 * 1_000_000_000;

/// Versions that are kept; any other becomes [`NEWEST`].
const VERSIONS: &[&str] = &["v3", "v4", "v5", "v6", "v7", "v8"];

const NEWEST: &str = "v8";

/// Sets kind, version, options and conditions as the server does.
pub(super) fn set(role: &mut types::RoleV6) {
    "role".clone_into(&mut role.kind);
    if !VERSIONS.contains(&role.version.as_str()) {
        NEWEST.clone_into(&mut role.version);
    }
    let metadata = role.metadata.get_or_insert_default();
    if metadata.namespace.is_empty() {
        NAMESPACE.clone_into(&mut metadata.namespace);
    }
    let version = role.version.as_str();
    let spec = role.spec.get_or_insert_default();
    options(spec.options.get_or_insert_default(), version);
    let allow = spec.allow.get_or_insert_default();
    if version == "v3" {
        allow_everything(allow);
    }
    conditions(allow);
    kubernetes(allow, version);
    let deny = spec.deny.get_or_insert_default();
    conditions(deny);
    verbs(deny, version);
}

/// Drops the fields that [`super::SERVER_VERSION`] does not have: they are unknown to it, and it
/// stores what it knows.
pub(super) fn drop_newer(role: &mut types::RoleV6) {
    let Some(spec) = &mut role.spec else { return };
    for conditions in [&mut spec.allow, &mut spec.deny].into_iter().flatten() {
        conditions.mcp = None;
        conditions.linux_desktop_logins.clear();
        conditions.linux_desktop_labels = None;
        conditions.linux_desktop_labels_expression.clear();
        if let Some(reason) = conditions.request.as_mut().and_then(|it| it.reason.as_mut()) {
            reason.prompt.clear();
        }
    }
}

fn options(options: &mut types::RoleOptions, version: &str) {
    let value = |value| types::BoolValue { value };
    if options.certificate_format.is_empty() {
        "standard".clone_into(&mut options.certificate_format);
    }
    if options.max_session_ttl <= 0 {
        options.max_session_ttl = MAX_SESSION_TTL;
    }
    if options.bpf.is_empty() {
        options.bpf = vec!["command".to_owned(), "network".to_owned()];
    }
    // As a whole: one that says something of desktops only stays without a mode.
    options.record_session.get_or_insert_with(|| types::RecordSession {
        desktop: Some(value(true)),
        default: "best_effort".to_owned(),
        ..Default::default()
    });
    options.desktop_clipboard.get_or_insert(value(true));
    options.desktop_directory_sharing.get_or_insert(value(true));
    options.ssh_file_copy.get_or_insert(value(true));
    options.create_desktop_user.get_or_insert(value(false));
    options.create_database_user.get_or_insert(value(false));
    // Never absent on the wire.
    options.mfa_verification_interval.get_or_insert_default();
    if version != NEWEST {
        let saml = options.idp.get_or_insert_default().saml.get_or_insert_default();
        saml.enabled.get_or_insert(value(true));
    }
}

/// What a role of version 3 allows when it does not say: everything.
fn allow_everything(allow: &mut types::RoleConditions) {
    if !allow.logins.is_empty() {
        all_if_none(&mut allow.node_labels);
    }
    all_if_none(&mut allow.app_labels);
    all_if_none(&mut allow.kubernetes_labels);
    all_if_none(&mut allow.database_labels);
}

fn all_if_none(labels: &mut Option<wrappers::LabelValues>) {
    let labels = labels.get_or_insert_default();
    if labels.values.is_empty() {
        let all = wrappers::StringValues { values: vec!["*".to_owned()] };
        labels.values.insert("*".to_owned(), all);
    }
}

fn conditions(conditions: &mut types::RoleConditions) {
    if conditions.namespaces.is_empty() {
        conditions.namespaces = vec![NAMESPACE.to_owned()];
    }
    // Never absent on the wire.
    conditions.node_labels.get_or_insert_default();
    conditions.app_labels.get_or_insert_default();
    conditions.cluster_labels.get_or_insert_default();
    conditions.kubernetes_labels.get_or_insert_default();
    conditions.database_labels.get_or_insert_default();
    conditions.windows_desktop_labels.get_or_insert_default();
    conditions.database_service_labels.get_or_insert_default();
    conditions.group_labels.get_or_insert_default();
    conditions.workload_identity_labels.get_or_insert_default();
    for permission in &mut conditions.database_permissions {
        permission.r#match.get_or_insert_default();
    }
    if let Some(request) = &mut conditions.request {
        request.annotations.get_or_insert_default();
    }
}

fn kubernetes(allow: &mut types::RoleConditions, version: &str) {
    let labels = allow.kubernetes_labels.as_ref().is_some_and(|labels| !labels.values.is_empty());
    let matchers = labels || !allow.kubernetes_labels_expression.is_empty();
    if matchers && allow.kubernetes_resources.is_empty() {
        allow.kubernetes_resources = default_resource(version).into_iter().collect();
    }
    verbs(allow, version);
}

fn default_resource(version: &str) -> Option<types::KubernetesResource> {
    let (kind, api_group) = match version {
        "v3" | "v4" | "v5" => ("pod", ""),
        "v6" => return None,
        "v7" => ("*", ""),
        _ => ("*", "*"),
    };
    Some(types::KubernetesResource {
        kind: kind.to_owned(),
        namespace: "*".to_owned(),
        name: "*".to_owned(),
        verbs: vec!["*".to_owned()],
        api_group: api_group.to_owned(),
    })
}

/// Before version 7 a resource without verbs has all.
fn verbs(conditions: &mut types::RoleConditions, version: &str) {
    if !["v3", "v4", "v5", "v6"].contains(&version) {
        return;
    }
    for resource in &mut conditions.kubernetes_resources {
        if resource.verbs.is_empty() {
            resource.verbs = vec!["*".to_owned()];
        }
    }
}
