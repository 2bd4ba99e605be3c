//! What the server refuses in a role's Kubernetes resources, which differ by role version.
//!
//! The order of the looks is the server's: it decides which text is given.

use super::metadata::quoted;
use crate::plane::status::Status;
use crate::wire::message::types;

const WILDCARD: &str = "*";

/// Kinds that version 7 knows by a singular of Teleport's own, with the API group of each.
const KINDS_OF_7: &[(&str, &str)] = &[
    ("pod", ""),
    ("secret", ""),
    ("configmap", ""),
    ("namespace", ""),
    ("service", ""),
    ("serviceaccount", ""),
    ("kube_node", ""),
    ("persistentvolume", ""),
    ("persistentvolumeclaim", ""),
    ("deployment", "apps"),
    ("replicaset", "apps"),
    ("statefulset", "apps"),
    ("daemonset", "apps"),
    ("clusterrole", "rbac.authorization.k8s.io"),
    ("kube_role", "rbac.authorization.k8s.io"),
    ("clusterrolebinding", "rbac.authorization.k8s.io"),
    ("rolebinding", "rbac.authorization.k8s.io"),
    ("cronjob", "batch"),
    ("job", "batch"),
    ("certificatesigningrequest", "certificates.k8s.io"),
    ("ingress", "networking.k8s.io"),
];

/// Those among them that belong to no namespace.
const CLUSTER_WIDE_KINDS: &[&str] = &[
    "namespace",
    "kube_node",
    "persistentvolume",
    "clusterrole",
    "clusterrolebinding",
    "certificatesigningrequest",
];

/// Kinds of the core group in version 8 that belong to no namespace.
const CORE_CLUSTER_WIDE: &[&str] =
    &["componentstatuses", "namespaces", "nodes", "persistentvolumes"];

/// Kinds of version 8 that are known to live in a namespace: by group, the core one first.
const NAMESPACED: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "bindings",
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "podtemplates",
            "replicationcontrollers",
            "resourcequotas",
            "secrets",
            "serviceaccounts",
            "services",
        ],
    ),
    ("apps", &["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("authorization.k8s.io", &["localsubjectaccessreviews"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("coordination.k8s.io", &["leases"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("events.k8s.io", &["events"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
    ("rbac.authorization.k8s.io", &["rolebindings", "roles"]),
    ("storage.k8s.io", &["csistoragecapacities"]),
];

/// What may be done, beside what a template (`{{…}}`) says.
const VERBS: &[&str] = &[
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

fn invalid(text: String) -> Result<(), Status> {
    Err(Status::invalid(text))
}

/// Refuses resources that the role's version does not take.
pub(super) fn check(resources: &[types::KubernetesResource], version: &str) -> Result<(), Status> {
    for resource in resources {
        check_verbs(&resource.verbs)?;
        match version {
            "v8" => check_8(resource)?,
            "v7" => check_7(resource, version)?,
            _ => {
                check_before_7(resource, version)?;
                check_7(resource, version)?;
            }
        }
        if resource.name.is_empty() {
            return Err(Status::invalid("KubernetesResource must include Name"));
        }
    }
    Ok(())
}

/// Refuses what an access request cannot be limited to.
pub(super) fn check_request(
    resources: &[types::RequestKubernetesResource],
    version: &str,
) -> Result<(), Status> {
    for types::RequestKubernetesResource { kind, .. } in resources {
        if kind != WILDCARD && group_of_7(kind).is_none() {
            return invalid(format!("request.kubernetes_resource {}", unsupported(kind)));
        }
        if !["v7", "v8"].contains(&version) && kind != "pod" {
            return invalid(format!(
                "request.kubernetes_resources kind {} is not supported in role version {}. \
                 Upgrade the role version to \"v8\"",
                quoted(kind),
                quoted(version)
            ));
        }
    }
    Ok(())
}

fn check_verbs(verbs: &[String]) -> Result<(), Status> {
    for verb in verbs {
        if !VERBS.contains(&verb.as_str()) && !verb.contains("{{") {
            return invalid(format!(
                "KubernetesResource verb {} is invalid or unsupported; Supported: [{}]",
                quoted(verb),
                VERBS.join(" ")
            ));
        }
        if verb == WILDCARD && verbs.len() > 1 {
            return invalid(
                "KubernetesResource verb \"*\" cannot be used with other verbs".to_owned(),
            );
        }
    }
    Ok(())
}

fn check_before_7(resource: &types::KubernetesResource, version: &str) -> Result<(), Status> {
    if resource.kind != "pod" {
        return invalid(format!(
            "KubernetesResource kind {} is not supported in role version {}. Upgrade the role \
             version to \"v8\"",
            quoted(&resource.kind),
            quoted(version)
        ));
    }
    if resource.verbs != [WILDCARD] {
        return invalid(format!(
            "Role version {} only supports \"*\" verb. Upgrade the role version to \"v8\"",
            quoted(version)
        ));
    }
    Ok(())
}

fn check_7(resource: &types::KubernetesResource, version: &str) -> Result<(), Status> {
    let kind = resource.kind.as_str();
    if !resource.api_group.is_empty() {
        return invalid(format!(
            "API Group {} is not supported in role version {}. Upgrade the role version to \"v8\"",
            quoted(&resource.api_group),
            quoted(version)
        ));
    }
    if kind != WILDCARD && group_of_7(kind).is_none() {
        return invalid(format!("KubernetesResource {}", unsupported(kind)));
    }
    if resource.namespace.is_empty() && !CLUSTER_WIDE_KINDS.contains(&kind) {
        return invalid(format!("KubernetesResource kind {} must include Namespace", quoted(kind)));
    }
    Ok(())
}

fn check_8(resource: &types::KubernetesResource) -> Result<(), Status> {
    let (kind, group) = (resource.kind.as_str(), resource.api_group.as_str());
    if kind.is_empty() {
        return invalid(
            "KubernetesResource kind \"\" is required in role version \"v8\"".to_owned(),
        );
    }
    if group_of_7(kind).is_some_and(|of_7| group == WILDCARD || group == of_7) {
        return invalid(format!(
            "KubernetesResource kind {} is invalid. Please use plural name for role version \"v8\"",
            quoted(kind)
        ));
    }
    let namespaced = is_namespaced(group, kind);
    if group.is_empty() && !namespaced && !CORE_CLUSTER_WIDE.contains(&kind) {
        return invalid(format!(
            "KubernetesResource api_group is required for resource {} in role version \"v8\"",
            quoted(kind)
        ));
    }
    if resource.namespace.is_empty() && namespaced {
        return invalid(format!("KubernetesResource {} must include Namespace", quoted(kind)));
    }
    Ok(())
}

fn group_of_7(kind: &str) -> Option<&'static str> {
    KINDS_OF_7.iter().find(|(known, _)| *known == kind).map(|(_, group)| *group)
}

fn is_namespaced(group: &str, kind: &str) -> bool {
    NAMESPACED.iter().any(|(known, kinds)| *known == group && kinds.contains(&kind))
}

fn unsupported(kind: &str) -> String {
    let known: Vec<&str> = KINDS_OF_7.iter().map(|(known, _)| *known).collect();
    format!("kind {} is invalid or unsupported; Supported: [* {}]", quoted(kind), known.join(" "))
}
