//! Rules of a trusted cluster beyond its field list.

use std::collections::BTreeSet;

use super::pattern;
use crate::kind::check::{at, error, filled, items, metadata, warning};
use crate::kind::codes;
use crate::model::{Findings, Node};

/// Checks one trusted cluster.
pub(super) fn check(cluster: &Node, findings: &mut Findings<'_>) {
    metadata(cluster, findings);
    if let Some(expires) = filled(cluster, &["metadata", "expires"]) {
        warning(
            findings,
            codes::TRUST_EXPIRES,
            expires,
            "only the resource expires, the authorities and the tunnel stay",
            "remove `expires`, and the manifest when the trust shall end",
        );
    }
    let spec = at(cluster, &["spec"]).unwrap_or(cluster);
    if filled(spec, &["web_proxy_addr"]).is_none() {
        let message = "`web_proxy_addr` is missing";
        let hint = "give the root's proxy, `root.example.com:443`";
        error(findings, codes::PROXY_ADDRESS, spec, message, hint);
    }
    if filled(spec, &["token"]).is_none() {
        let message = "there is no `token` to join the root with";
        let hint = "make one on the root: `tctl tokens add --type=trusted_cluster`";
        warning(findings, codes::JOIN_TOKEN, spec, message, hint);
    }
    roles(spec, findings);
}

fn roles(spec: &Node, findings: &mut Findings<'_>) {
    match (filled(spec, &["roles"]), filled(spec, &["role_map"])) {
        (Some(roles), Some(_)) => {
            let message = "`roles` and `role_map` are both set";
            error(findings, codes::ROLES_AND_MAP, roles, message, "keep `role_map`");
        }
        (None, None) => {
            let hint = "map roles of the root to local ones: `role_map: [{remote: access, local: \
                        [visitor]}]`";
            error(findings, codes::ROLE_MAP_NONE, spec, "`role_map` is missing", hint);
        }
        (None, map @ Some(_)) => role_map(items(map), findings),
        (Some(_), None) => {}
    }
}

fn role_map(entries: &[Node], findings: &mut Findings<'_>) {
    let mut seen = BTreeSet::new();
    for entry in entries {
        match filled(entry, &["remote"]) {
            None => {
                let message = "the entry names no `remote` role";
                let hint = "a role of the root, or a pattern: `remote: 'cluster-*'`";
                error(findings, codes::ROLE_MAP_ENTRY, entry, message, hint);
            }
            Some(remote) => {
                let text = remote.text().unwrap_or_default();
                if !seen.insert(text) {
                    let message = format!("`{text}` is mapped more than once");
                    error(findings, codes::ROLE_MAP_TWICE, remote, message, "join the entries");
                }
                expression(remote, text, findings);
            }
        }
        if filled(entry, &["local"]).is_none() {
            let message = "the entry names no `local` role";
            error(findings, codes::ROLE_MAP_ENTRY, entry, message, "`local: [visitor]`");
        }
        for local in items(at(entry, &["local"])) {
            let (message, hint) = match local.text().unwrap_or_default() {
                "" => ("a local role is empty", "name a role of this cluster"),
                "*" => ("`*` is not a valid local role", "name each role, or use `$1`"),
                _ => continue,
            };
            error(findings, codes::ROLE_MAP_LOCAL, local, message, hint);
        }
    }
}

fn expression(remote: &Node, text: &str, findings: &mut Findings<'_>) {
    if text.starts_with('^') && text.ends_with('$') {
        if let Err(problem) = pattern::check(text) {
            let message = format!("the expression `{text}` cannot be read: {problem}");
            let hint = "the syntax is RE2's, without look-around";
            error(findings, codes::ROLE_MAP_REGEX, remote, message, hint);
        }
    } else if text.starts_with('^') || text.ends_with('$') || text.contains(".*") {
        let message = format!("`{text}` is taken literally, with `*` for any text");
        let hint = "a regular expression begins with `^` and ends with `$`";
        warning(findings, codes::ROLE_MAP_LITERAL, remote, message, hint);
    }
}
