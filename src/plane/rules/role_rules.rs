//! What the server refuses in a role, after defaults.

use super::metadata::quoted;
use super::role_grants;
use crate::plane::status::Status;
use crate::wire::message::types;

/// Kinds of Kubernetes resources that versions up to 7 know.
const KUBERNETES_KINDS: &[&str] = &[
    "*",
    "pod",
    "secret",
    "configmap",
    "namespace",
    "service",
    "serviceaccount",
    "kube_node",
    "persistentvolume",
    "persistentvolumeclaim",
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "clusterrole",
    "kube_role",
    "clusterrolebinding",
    "rolebinding",
    "cronjob",
    "job",
    "certificatesigningrequest",
    "ingress",
];

/// Those among them that belong to no namespace.
const CLUSTER_WIDE_KINDS: &[&str] = &[
    "kube_node",
    "persistentvolume",
    "clusterrole",
    "clusterrolebinding",
    "certificatesigningrequest",
    "namespace",
];

/// Kinds of the core group in version 8, which need no group.
const CORE_KINDS: &[&str] = &[
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "serviceaccounts",
    "services",
];

const KUBERNETES_VERBS: &[&str] = &[
    "*",
    "get",
    "create",
    "update",
    "patch",
    "delete",
    "list",
    "watch",
    "deletecollection",
    "exec",
    "portforward",
];

/// Refuses what no edition accepts.
pub(super) fn check(role: &types::RoleV6) -> Result<(), Status> {
    let Some(spec) = &role.spec else { return Ok(()) };
    let version = role.version.as_str();
    if let Some(options) = &spec.options {
        check_options(options, version)?;
    }
    for (side, conditions) in [("allow", &spec.allow), ("deny", &spec.deny)] {
        if let Some(conditions) = conditions {
            check_conditions(side, conditions, version)?;
        }
    }
    if let Some(allow) = &spec.allow {
        check_wildcards(allow)?;
    }
    role_grants::check(spec)?;
    let deny = spec.deny.as_ref().and_then(|deny| deny.impersonate.as_ref());
    if deny.is_some_and(|impersonate| !impersonate.r#where.is_empty()) {
        return Err(Status::invalid("'where' is not supported in deny.impersonate conditions"));
    }
    Ok(())
}

/// Refuses what only the enterprise edition accepts.
pub(super) fn check_edition(role: &types::RoleV6) -> Result<(), Status> {
    let spec = role.spec.clone().unwrap_or_default();
    let options = spec.options.unwrap_or_default();
    let allow = spec.allow.unwrap_or_default();
    let only = |what: &str| {
        Err(Status::denied(format!("role {what} is only available in enterprise subscriptions")))
    };
    if options.pin_source_ip {
        return only("option pin_source_ip");
    }
    if options.max_sessions > 0 {
        return only("option max_sessions");
    }
    if ["always", "reason"].contains(&options.request_access.as_str()) {
        return only(&format!("option request_access: {}", options.request_access));
    }
    let request = allow.request.unwrap_or_default();
    if !request.thresholds.is_empty() {
        return only("field allow.request.thresholds");
    }
    let review = allow.review_requests.unwrap_or_default();
    if review != types::AccessReviewConditions::default() {
        return only("field allow.review_requests");
    }
    if !request.search_as_roles.is_empty() {
        return only("field allow.search_as_roles");
    }
    Ok(())
}

/// Refuses hardware keys, which are looked at after the rest.
pub(super) fn check_hardware_keys(role: &types::RoleV6) -> Result<(), Status> {
    let options = role.spec.as_ref().and_then(|spec| spec.options.as_ref());
    match options.map_or(types::RequireMfaType::Off, types::RoleOptions::require_mfa_type) {
        types::RequireMfaType::Off | types::RequireMfaType::Session => Ok(()),
        types::RequireMfaType::SessionAndHardwareKey
        | types::RequireMfaType::HardwareKeyTouch
        | types::RequireMfaType::HardwareKeyPin
        | types::RequireMfaType::HardwareKeyTouchAndPin => {
            Err(Status::denied("Hardware Key support is only available with an enterprise license"))
        }
    }
}

fn check_options(options: &types::RoleOptions, version: &str) -> Result<(), Status> {
    let invalid = |option: &str, value: &str| {
        Err(Status::invalid(format!("invalid value for role option {option}: {value}")))
    };
    for recording in &options.bpf {
        if !["command", "disk", "network"].contains(&recording.as_str()) {
            return invalid("enhanced_recording", recording);
        }
    }
    if !["", "strict", "best_effort"].contains(&options.lock.as_str()) {
        return invalid("lock", &options.lock);
    }
    if options.port_forwarding.is_some() && options.ssh_port_forwarding.is_some() {
        return Err(Status::invalid(
            "options define both 'port_forwarding' and 'ssh_port_forwarding', only one can be set",
        ));
    }
    if version == "v8" && options.idp.is_some() {
        return Err(Status::invalid("role option idp is not supported in role version \"v8\""));
    }
    Ok(())
}

fn check_conditions(
    side: &str,
    conditions: &types::RoleConditions,
    version: &str,
) -> Result<(), Status> {
    for (index, namespace) in conditions.namespaces.iter().enumerate() {
        if !["default", "*"].contains(&namespace.as_str()) {
            return Err(Status::invalid(format!(
                "{side}: namespaces[{index}]: namespace {} invalid, custom namespaces are \
                 deprecated; the namespace field should be omitted or set to \"default\"",
                quoted(namespace)
            )));
        }
    }
    for (index, rule) in conditions.rules.iter().enumerate() {
        let missing = if rule.resources.is_empty() {
            "resources to match"
        } else if rule.verbs.is_empty() {
            "verbs"
        } else {
            continue;
        };
        return Err(Status::invalid(format!(
            "failed to process '{side}' rule {index}: missing {missing}"
        )));
    }
    conditions.kubernetes_resources.iter().try_for_each(|it| check_kubernetes(it, version))
}

fn check_wildcards(allow: &types::RoleConditions) -> Result<(), Status> {
    let lists = [
        (" matcher", "logins", &allow.logins),
        (" matcher", "aws_role_arns", &allow.aws_role_ar_ns),
        (" matcher", "allow.azure_identities", &allow.azure_identities),
        (" matcher", "allow.gcp_service_accounts", &allow.gcp_service_accounts),
        ("", "allow.database_roles", &allow.database_roles),
    ];
    for (what, field, list) in lists {
        if list.iter().any(|it| it == "*") {
            return Err(Status::invalid(format!("wildcard{what} is not allowed in {field}")));
        }
    }
    Ok(())
}

fn check_kubernetes(resource: &types::KubernetesResource, version: &str) -> Result<(), Status> {
    let invalid = |text: String| Err(Status::invalid(format!("KubernetesResource {text}")));
    for verb in &resource.verbs {
        if !KUBERNETES_VERBS.contains(&verb.as_str()) && !verb.contains("{{") {
            return invalid(format!(
                "verb {} is invalid or unsupported; Supported: [{}]",
                quoted(verb),
                KUBERNETES_VERBS.join(" ")
            ));
        }
        if verb == "*" && resource.verbs.len() > 1 {
            return invalid("verb \"*\" cannot be used with other verbs".to_owned());
        }
    }
    let kind = resource.kind.as_str();
    if version == "v8" {
        check_kubernetes_v8(resource)?;
    } else {
        if !KUBERNETES_KINDS.contains(&kind) {
            return invalid(format!(
                "kind {} is invalid or unsupported; Supported: [{}]",
                quoted(kind),
                KUBERNETES_KINDS.join(" ")
            ));
        }
        if version != "v7" && kind != "pod" {
            return invalid(format!(
                "kind {} is not supported in role version {}. Upgrade the role version to \"v8\"",
                quoted(kind),
                quoted(version)
            ));
        }
        if !resource.api_group.is_empty() {
            return invalid(format!(
                "api_group {} is not supported in role version {}. Upgrade the role version to \
                 \"v8\"",
                quoted(&resource.api_group),
                quoted(version)
            ));
        }
        if resource.namespace.is_empty() && !CLUSTER_WIDE_KINDS.contains(&kind) {
            return invalid("must include Namespace".to_owned());
        }
    }
    if resource.name.is_empty() {
        return invalid("must include Name".to_owned());
    }
    Ok(())
}

fn check_kubernetes_v8(resource: &types::KubernetesResource) -> Result<(), Status> {
    let kind = resource.kind.as_str();
    if kind.is_empty() {
        return Err(Status::invalid("KubernetesResource kind is required in role version \"v8\""));
    }
    let singular = kind != "*" && KUBERNETES_KINDS.contains(&kind);
    if singular && ["", "*"].contains(&resource.api_group.as_str()) {
        return Err(Status::invalid(format!(
            "KubernetesResource kind {} is invalid. Please use plural name for Kubernetes \
             resources in role version \"v8\"",
            quoted(kind)
        )));
    }
    if resource.api_group.is_empty() && !CORE_KINDS.contains(&kind) {
        return Err(Status::invalid(format!(
            "KubernetesResource api_group is required for resource {} in role version \"v8\"",
            quoted(kind)
        )));
    }
    Ok(())
}
