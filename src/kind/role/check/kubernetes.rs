//! Rules of `kubernetes_resources`, which differ by role version.

use crate::kind::check::{at, error, filled, items, warning};
use crate::kind::codes;
use crate::model::{Findings, Node};

/// Every kind, namespace, name, verb or API group.
const ALL: &str = "*";

/// Kinds that version 7 knows, beside `*`, by the group that each belongs to. Earlier versions
/// know `pod` only; version 8 takes any, in the plural.
const KINDS_OF_7: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "pod",
            "secret",
            "configmap",
            "namespace",
            "service",
            "serviceaccount",
            "kube_node",
            "persistentvolume",
            "persistentvolumeclaim",
        ],
    ),
    ("apps", &["deployment", "replicaset", "statefulset", "daemonset"]),
    (
        "rbac.authorization.k8s.io",
        &["clusterrole", "kube_role", "clusterrolebinding", "rolebinding"],
    ),
    ("batch", &["cronjob", "job"]),
    ("certificates.k8s.io", &["certificatesigningrequest"]),
    ("networking.k8s.io", &["ingress"]),
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

/// Kinds of Kubernetes' core group, in the plural, which has no name; and whether each lives in
/// a namespace.
const CORE_KINDS: &[(&str, bool)] = &[
    ("bindings", true),
    ("componentstatuses", false),
    ("configmaps", true),
    ("endpoints", true),
    ("events", true),
    ("limitranges", true),
    ("namespaces", false),
    ("nodes", false),
    ("persistentvolumeclaims", true),
    ("persistentvolumes", false),
    ("pods", true),
    ("podtemplates", true),
    ("replicationcontrollers", true),
    ("resourcequotas", true),
    ("secrets", true),
    ("serviceaccounts", true),
    ("services", true),
];

/// Kinds of other groups that the server knows to live in namespaces, as `kind.group`. Of a kind
/// that it does not know it demands no namespace.
const NAMESPACED: &[&str] = &[
    "controllerrevisions.apps",
    "cronjobs.batch",
    "csistoragecapacities.storage.k8s.io",
    "daemonsets.apps",
    "deployments.apps",
    "endpointslices.discovery.k8s.io",
    "events.events.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "ingresses.networking.k8s.io",
    "jobs.batch",
    "leases.coordination.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "replicasets.apps",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "statefulsets.apps",
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

/// Checks the Kubernetes resources of an allow or deny part, and those that access requests are
/// limited to.
pub(super) fn resources(part: &str, conditions: &Node, version: u8, findings: &mut Findings<'_>) {
    let resources = items(at(conditions, &["kubernetes_resources"]));
    let left_out = part == "allow" && version >= 8 && is_default(conditions, resources);
    for resource in resources {
        if version >= 8 && !left_out {
            kind_of_8(resource, findings);
        } else if version < 8 {
            kind_before_8(resource, version, findings);
        }
        verbs(resource, version, findings);
        if filled(resource, &["name"]).is_none() {
            let message = "the Kubernetes resource has no `name`";
            error(findings, codes::KUBE_PLACE, resource, message, "all of them: `name: '*'`");
        }
    }
    for resource in items(at(conditions, &["request", "kubernetes_resources"])) {
        requested(resource, version, findings);
    }
}

/// Whether these are what the server fills in where Kubernetes labels stand alone: then they are
/// not sent, so that it may stand there without its group, too.
fn is_default(conditions: &Node, resources: &[Node]) -> bool {
    let labelled = ["kubernetes_labels", "kubernetes_labels_expression"]
        .iter()
        .any(|name| filled(conditions, &[name]).is_some());
    let [only] = resources else { return false };
    let is_all = |name| text(only, name) == ALL;
    let group = text(only, "api_group");
    let verbs = items(at(only, &["verbs"]));
    labelled
        && is_all("kind")
        && is_all("namespace")
        && is_all("name")
        && (group.is_empty() || group == ALL)
        && matches!(verbs, [verb] if verb.text() == Some(ALL))
}

/// The text of a field; nothing if it is unset.
fn text<'a>(resource: &'a Node<'a>, name: &str) -> &'a str {
    at(resource, &[name]).and_then(Node::text).unwrap_or_default()
}

/// The group of a kind of version 7.
fn group_of_7(kind: &str) -> Option<&'static str> {
    let found = KINDS_OF_7.iter().find(|(_, kinds)| kinds.contains(&kind));
    found.map(|(group, _)| *group)
}

fn unknown_kind(resource: &Node, kind: &str, version: u8, hint: &str, findings: &mut Findings<'_>) {
    let node = filled(resource, &["kind"]).unwrap_or(resource);
    let message = if kind.is_empty() {
        "the Kubernetes resource has no `kind`".to_owned()
    } else {
        format!("role version v{version} does not know the Kubernetes kind `{kind}`")
    };
    error(findings, codes::KUBE_KIND, node, message, hint);
}

fn no_namespace(resource: &Node, kind: &str, findings: &mut Findings<'_>) {
    let message = format!("`{kind}` lives in a namespace, and none is named");
    error(findings, codes::KUBE_PLACE, resource, message, "all of them: `namespace: '*'`");
}

fn kind_before_8(resource: &Node, version: u8, findings: &mut Findings<'_>) {
    let kind = text(resource, "kind");
    if version < 7 && kind != "pod" {
        let hint = "before version v7 the only kind is `pod`; use v7 or later";
        unknown_kind(resource, kind, version, hint, findings);
    } else if kind != ALL && group_of_7(kind).is_none() {
        let hint = "version v7 knows a fixed list of kinds in the singular; use v8 for others";
        unknown_kind(resource, kind, version, hint, findings);
    } else if !CLUSTER_WIDE.contains(&kind) && filled(resource, &["namespace"]).is_none() {
        no_namespace(resource, kind, findings);
    }
    if let Some(group) = filled(resource, &["api_group"]) {
        let message = format!("role version v{version} has no `api_group`");
        error(findings, codes::KUBE_GROUP, group, message, "remove it, or use version v8");
    }
}

fn kind_of_8(resource: &Node, findings: &mut Findings<'_>) {
    let (kind, group) = (text(resource, "kind"), text(resource, "api_group"));
    let node = filled(resource, &["kind"]).unwrap_or(resource);
    if kind.is_empty() {
        let hint = "name the kind in the plural, `pods`, or all, `'*'`";
        return unknown_kind(resource, kind, 8, hint, findings);
    }
    if let Some(of_7) = group_of_7(kind) {
        let message = format!("version v8 names kinds in the plural, not `{kind}`");
        let hint = "for example `pods`";
        if group == ALL || group == of_7 {
            return error(findings, codes::KUBE_KIND, node, message, hint);
        }
        // A group that is not the kind's own may have a kind of that very name.
        if !group.is_empty() {
            return warning(findings, codes::KUBE_KIND, node, message, hint);
        }
    }
    let core = CORE_KINDS.iter().find(|(name, _)| *name == kind);
    if group.is_empty() && core.is_none() {
        let (message, hint) = if kind == ALL {
            ("the kind `*` needs an `api_group`".to_owned(), "all of them: `api_group: '*'`")
        } else {
            let message = format!("`{kind}` is not in the core group and needs an `api_group`");
            (message, "for example `api_group: apps`")
        };
        return error(findings, codes::KUBE_GROUP, resource, message, hint);
    }
    let namespaced = match core {
        Some((_, namespaced)) if group.is_empty() => *namespaced,
        Some(_) | None => NAMESPACED.contains(&format!("{kind}.{group}").as_str()),
    };
    if namespaced && filled(resource, &["namespace"]).is_none() {
        no_namespace(resource, kind, findings);
    }
}

fn verbs(resource: &Node, version: u8, findings: &mut Findings<'_>) {
    let verbs = items(at(resource, &["verbs"]));
    for verb in verbs {
        let text = verb.text().unwrap_or_default();
        // What a template gives is known with the user's traits only.
        if !VERBS.contains(&text) && !text.contains("{{") {
            let message = format!("`{text}` is not a valid verb for a Kubernetes resource");
            error(findings, codes::KUBE_VERBS, verb, message, "for example `get`, `list`, `exec`");
        } else if text == ALL && verbs.len() > 1 {
            let message = "the verb `*` stands alone";
            error(findings, codes::KUBE_VERBS, verb, message, "remove the other verbs");
        } else if text != ALL && version < 7 {
            let message = format!("before version v7 the only verb is `*`, not `{text}`");
            error(findings, codes::KUBE_VERBS, verb, message, "use version v7 or later");
        }
    }
}

/// What an access request can be limited to: kinds of version 7, in every version.
fn requested(resource: &Node, version: u8, findings: &mut Findings<'_>) {
    let kind = text(resource, "kind");
    let node = filled(resource, &["kind"]).unwrap_or(resource);
    if version < 7 && kind != "pod" {
        let hint = "before version v7 the only kind is `pod`; use v7 or later";
        unknown_kind(resource, kind, version, hint, findings);
    } else if kind == ALL || group_of_7(kind).is_some() {
        // Every server takes these.
    } else if version < 8 || kind.is_empty() {
        let hint = "requests know a fixed list of kinds in the singular, and `*`";
        unknown_kind(resource, kind, version, hint, findings);
    } else {
        // Servers after 18.0.0 learn the plural here, with a group.
        let message = format!("not every server takes the kind `{kind}` in access requests");
        let hint = "Teleport 18.0.0 takes the kinds of role version v7 here, for example `pod`";
        warning(findings, codes::KUBE_KIND, node, message, hint);
    }
}
