//! Rules of `kubernetes_resources`, which differ by role version.

use crate::kind::check::{at, error, filled, items, warning};
use crate::kind::codes;
use crate::model::{Findings, Node};

/// Kinds that version 7 knows, beside `*`. Earlier versions know `pod` only; version 8 takes
/// any, in the plural.
const KINDS_OF_7: &[&str] = &[
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

/// Kinds of version 7 that live outside namespaces.
const CLUSTER_WIDE: &[&str] = &[
    "namespace",
    "kube_node",
    "persistentvolume",
    "clusterrole",
    "clusterrolebinding",
    "certificatesigningrequest",
];

/// Kinds of Kubernetes' core group, in the plural, which has no name.
const CORE_KINDS: &[&str] = &[
    "bindings",
    "componentstatuses",
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

/// What may be done to a Kubernetes resource.
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

/// Checks the Kubernetes resources of an allow or deny part.
pub(super) fn resources(conditions: &Node, version: u8, findings: &mut Findings<'_>) {
    for resource in items(at(conditions, &["kubernetes_resources"])) {
        kind(resource, version, findings);
        verbs(resource, version, findings);
        group(resource, version, findings);
        if filled(resource, &["name"]).is_none() {
            let message = "the Kubernetes resource has no `name`";
            error(findings, codes::KUBE_PLACE, resource, message, "all of them: `name: '*'`");
        }
    }
}

fn kind(resource: &Node, version: u8, findings: &mut Findings<'_>) {
    let node = filled(resource, &["kind"]);
    let kind = node.and_then(Node::text).unwrap_or_default();
    let node = node.unwrap_or(resource);
    let (known, hint) = match version {
        ..=6 => (kind == "pod", "before version v7 the only kind is `pod`; use v7 or later"),
        7 => (
            KINDS_OF_7.contains(&kind),
            "version v7 knows a fixed list of kinds in the singular; use v8 for others",
        ),
        _ => (!kind.is_empty(), "name the kind in the plural, `pods`, or all, `'*'`"),
    };
    if !known {
        let message = format!("role version v{version} does not know the Kubernetes kind `{kind}`");
        error(findings, codes::KUBE_KIND, node, message, hint);
    } else if version >= 8 && kind != "*" && KINDS_OF_7.contains(&kind) {
        let message = format!("version v{version} names kinds in the plural, not `{kind}`");
        warning(findings, codes::KUBE_KIND, node, message, "for example `pods`");
    }
    if version <= 7
        && known
        && !CLUSTER_WIDE.contains(&kind)
        && filled(resource, &["namespace"]).is_none()
    {
        let message = format!("`{kind}` lives in a namespace, and none is named");
        error(findings, codes::KUBE_PLACE, resource, message, "all of them: `namespace: '*'`");
    }
}

fn verbs(resource: &Node, version: u8, findings: &mut Findings<'_>) {
    let verbs = items(at(resource, &["verbs"]));
    for verb in verbs {
        let text = verb.text().unwrap_or_default();
        if !VERBS.contains(&text) {
            let message = format!("`{text}` is no verb of a Kubernetes resource");
            error(findings, codes::KUBE_VERBS, verb, message, "for example `get`, `list`, `exec`");
        } else if text == "*" && verbs.len() > 1 {
            let message = "the verb `*` stands alone";
            error(findings, codes::KUBE_VERBS, verb, message, "remove the other verbs");
        } else if text != "*" && version < 7 {
            let message = format!("before version v7 there is no verb but `*`, not `{text}`");
            error(findings, codes::KUBE_VERBS, verb, message, "use version v7 or later");
        }
    }
}

fn group(resource: &Node, version: u8, findings: &mut Findings<'_>) {
    let kind = at(resource, &["kind"]).and_then(Node::text).unwrap_or_default();
    match filled(resource, &["api_group"]) {
        Some(group) if version < 8 => {
            let message = format!("role version v{version} has no `api_group`");
            error(findings, codes::KUBE_GROUP, group, message, "remove it, or use version v8");
        }
        // Kinds of version 7, the wildcard among them, are reported above or need none.
        None if version >= 8
            && !kind.is_empty()
            && !KINDS_OF_7.contains(&kind)
            && !CORE_KINDS.contains(&kind) =>
        {
            let message = format!("`{kind}` is not in the core group and needs an `api_group`");
            error(findings, codes::KUBE_GROUP, resource, message, "for example `api_group: apps`");
        }
        Some(_) | None => {}
    }
}
