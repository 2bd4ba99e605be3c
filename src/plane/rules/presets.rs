//! The roles that a new cluster has. Their names and marks are Teleport's; what they allow is
//! cut down to the kinds that are known here.

use super::{Tx, role};
use crate::wire::message::{types, wrappers};

/// Marks a role as one that the server made.
const RESOURCE_TYPE: &str = "teleport.internal/resource-type";

/// What `editor` may change.
const EDITED: &[&str] = &[
    "bot",
    "kube_cluster",
    "remote_cluster",
    "role",
    "token",
    "trusted_cluster",
    "user",
    "workload_cluster",
];

/// What `auditor` may look at.
const AUDITED: &[&str] = &["event", "session", "session_tracker"];

/// Makes `access`, `auditor` and `editor`.
pub(super) fn create(tx: &mut Tx<'_>) {
    let all = || {
        let values = wrappers::StringValues { values: words(&["*"]) };
        Some(wrappers::LabelValues { values: [("*".to_owned(), values)].into() })
    };
    let access = types::RoleConditions {
        logins: words(&["{{internal.logins}}"]),
        node_labels: all(),
        app_labels: all(),
        kubernetes_labels: all(),
        database_labels: all(),
        kube_groups: words(&["{{internal.kubernetes_groups}}"]),
        kube_users: words(&["{{internal.kubernetes_users}}"]),
        ..Default::default()
    };
    install(tx, "access", "Access cluster resources", access);
    let audit = rules(AUDITED, &["list", "read"]);
    install(tx, "auditor", "Review cluster events and replay sessions", audit);
    let edit = rules(EDITED, &["list", "create", "read", "update", "delete"]);
    install(tx, "editor", "Edit cluster configuration", edit);
}

fn rules(resources: &[&str], verbs: &[&str]) -> types::RoleConditions {
    let rule =
        types::Rule { resources: words(resources), verbs: words(verbs), ..Default::default() };
    types::RoleConditions { rules: vec![rule], ..Default::default() }
}

fn install(tx: &mut Tx<'_>, name: &str, description: &str, allow: types::RoleConditions) {
    let role = types::RoleV6 {
        version: "v7".to_owned(),
        metadata: Some(types::Metadata {
            name: name.to_owned(),
            description: description.to_owned(),
            labels: [(RESOURCE_TYPE.to_owned(), "preset".to_owned())].into(),
            ..Default::default()
        }),
        spec: Some(types::RoleSpecV6 { allow: Some(allow), ..Default::default() }),
        ..Default::default()
    };
    role::install(tx, role);
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
