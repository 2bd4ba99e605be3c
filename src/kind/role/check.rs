//! Rules of a role beyond its field list.

mod grants;
mod kubernetes;

use crate::kind::check::{at, entries, error, filled, items, metadata, warning};
use crate::kind::{codes, token};
use crate::model::{Findings, Node};

/// Checks one role.
pub(super) fn check(role: &Node, findings: &mut Findings<'_>) {
    metadata(role, findings);
    system_name(role, findings);
    let version = version(role);
    options(role, version, findings);
    for part in ["allow", "deny"] {
        let Some(conditions) = at(role, &["spec", part]) else { continue };
        rules(conditions, findings);
        kubernetes::resources(part, conditions, version, findings);
        grants::conditions(part, conditions, findings);
    }
    for (name, labels) in entries(at(role, &["spec", "allow"])) {
        if name.text().is_some_and(|name| SELECTORS.contains(&name)) {
            wildcard_key(labels, findings);
        }
    }
    wildcards(role, findings);
    denied(role, findings);
}

/// The number in `version`; the newest for what the reader has refused already.
fn version(role: &Node) -> u8 {
    let text = at(role, &["version"]).and_then(Node::text).unwrap_or_default();
    text.strip_prefix('v').and_then(|number| number.parse().ok()).unwrap_or(8)
}

fn system_name(role: &Node, findings: &mut Findings<'_>) {
    if let Some(name) = at(role, &["metadata", "name"])
        && let Some(text) = name.text()
        && token::is_system_role(text)
    {
        let message = format!("`{text}` is a role of Teleport's own services");
        error(findings, codes::SYSTEM_ROLE, name, message, "choose another name");
    }
}

fn options(role: &Node, version: u8, findings: &mut Findings<'_>) {
    let Some(options) = at(role, &["spec", "options"]) else { return };
    for event in items(at(options, &["enhanced_recording"])) {
        let text = event.text().unwrap_or_default();
        if !matches!(text, "command" | "disk" | "network") {
            let message = format!("enhanced recording does not know `{text}`");
            error(findings, codes::RECORDING, event, message, "use `command`, `disk`, `network`");
        }
    }
    if let Some(lock) = filled(options, &["lock"])
        && let Some(text) = lock.text()
        && !matches!(text, "strict" | "best_effort")
    {
        let message = format!("`{text}` is not a valid lock mode");
        error(findings, codes::LOCK, lock, message, "use `strict` or `best_effort`");
    }
    if let (Some(_), Some(newer)) =
        (at(options, &["port_forwarding"]), at(options, &["ssh_port_forwarding"]))
    {
        error(
            findings,
            codes::PORT_FORWARDING,
            newer,
            "`ssh_port_forwarding` and `port_forwarding` are both set",
            "keep `ssh_port_forwarding`, the newer one",
        );
    }
    if let Some(idp) = at(options, &["idp"]).filter(|_| version >= 8) {
        error(
            findings,
            codes::IDP,
            idp,
            format!("role version v{version} has no option `idp`"),
            "remove it, or use version v7",
        );
    }
}

fn rules(conditions: &Node, findings: &mut Findings<'_>) {
    for rule in items(at(conditions, &["rules"])) {
        if filled(rule, &["resources"]).is_none() {
            let hint = "name kinds, `[kube_cluster]`, or all, `['*']`";
            error(findings, codes::RULE_RESOURCES, rule, "the rule names no resources", hint);
        }
        if filled(rule, &["verbs"]).is_none() {
            let hint = "name verbs, `[list, read]`, or all, `['*']`";
            error(findings, codes::RULE_VERBS, rule, "the rule names no verbs", hint);
        }
    }
}

/// Lists of an allow rule in which `*` would give everything.
const WITHOUT_WILDCARD: &[&str] =
    &["logins", "aws_role_arns", "azure_identities", "gcp_service_accounts", "db_roles"];

fn wildcards(role: &Node, findings: &mut Findings<'_>) {
    for list in WITHOUT_WILDCARD {
        for item in items(at(role, &["spec", "allow", list])) {
            if item.text() == Some("*") {
                let message = format!("`*` is not allowed in `{list}`");
                error(findings, codes::WILDCARD, item, message, "name each one");
            }
        }
    }
}

/// Labels of an allow rule in which the server looks at the key `*`. In the other ones, and in
/// every deny rule, 18.0.0 takes `'*': x` for what it says: any label of the value `x`.
const SELECTORS: &[&str] = &[
    "node_labels",
    "app_labels",
    "kubernetes_labels",
    "db_labels",
    "windows_desktop_labels",
    "group_labels",
    "workload_identity_labels",
];

/// `*: *` means everything; any other value beside the key `*` is refused.
pub(super) fn wildcard_key(labels: &Node, findings: &mut Findings<'_>) {
    for (key, value) in entries(Some(labels)) {
        if key.text() != Some("*") {
            continue;
        }
        let values = items(Some(value));
        let only = match values {
            [] => value.text(),
            [only] => only.text(),
            [..] => None,
        };
        if only != Some("*") {
            error(
                findings,
                codes::WILDCARD_KEY,
                value,
                "the label key `*` goes with the value `*` only",
                "write `'*': '*'` for everything, or name a key",
            );
        }
    }
}

fn denied(role: &Node, findings: &mut Findings<'_>) {
    let Some(deny) = at(role, &["spec", "deny"]) else { return };
    if let Some(condition) = filled(deny, &["impersonate", "where"]) {
        let message = "`where` cannot be used in a deny rule's `impersonate`";
        error(findings, codes::DENY_WHERE, condition, message, "deny users and roles by name");
    }
    for (name, labels) in entries(Some(deny)) {
        if !name.text().is_some_and(|name| name.ends_with("_labels")) {
            continue;
        }
        for (key, _) in entries(Some(labels)) {
            if key.text().is_some_and(|key| key.starts_with("dynamic/")) {
                warning(
                    findings,
                    codes::DENY_DYNAMIC,
                    key,
                    "a label under `dynamic/` can change and slip out of the deny rule",
                    "deny by a static label; tctl refuses this one",
                );
            }
        }
    }
}
