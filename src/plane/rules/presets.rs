//! The roles that a new cluster has, as a running 18.0.0 has them.

use super::{Tx, role};
use crate::wire::message::{types, wrappers};

/// Marks a role as one that the server made.
const RESOURCE_TYPE: &str = "teleport.internal/resource-type";

const READ: &[&str] = &["list", "read"];
const EDIT: &[&str] = &["list", "create", "read", "update", "delete"];

/// What `editor` may change, in order; the verbs beyond [`EDIT`], or others.
const EDITED: &[(&str, &[&str])] = &[
    ("user", EDIT),
    ("role", EDIT),
    ("bot", EDIT),
    ("crown_jewel", EDIT),
    ("db_object_import_rule", EDIT),
    ("oidc", EDIT),
    ("saml", EDIT),
    ("github", EDIT),
    ("oidc_request", EDIT),
    ("saml_request", EDIT),
    ("github_request", EDIT),
    ("cluster_audit_config", EDIT),
    ("cluster_auth_preference", EDIT),
    ("auth_connector", EDIT),
    ("cluster_name", EDIT),
    ("cluster_networking_config", EDIT),
    ("session_recording_config", EDIT),
    ("external_audit_storage", EDIT),
    ("ui_config", EDIT),
    ("trusted_cluster", EDIT),
    ("remote_cluster", EDIT),
    ("token", EDIT),
    ("connection_diagnostic", EDIT),
    ("db", EDIT),
    ("database_certificate", EDIT),
    ("installer", EDIT),
    ("device", &["list", "create", "read", "update", "delete", "create_enroll_token", "enroll"]),
    ("db_service", READ),
    ("instance", READ),
    ("login_rule", EDIT),
    ("saml_idp_service_provider", EDIT),
    ("user_group", EDIT),
    ("plugin", EDIT),
    ("okta_import_rule", EDIT),
    ("okta_assignment", EDIT),
    ("lock", EDIT),
    ("integration", EDIT_AND_USE),
    ("billing", EDIT),
    ("cluster_alert", EDIT),
    ("access_list", EDIT),
    ("node", EDIT),
    ("discovery_config", EDIT),
    ("security_report", EDIT_AND_USE),
    ("audit_query", EDIT_AND_USE),
    ("access_graph", EDIT),
    ("server_info", EDIT),
    ("access_monitoring_rule", EDIT),
    ("app_server", EDIT),
    ("vnet_config", EDIT),
    ("bot_instance", EDIT),
    ("access_graph_settings", EDIT),
    ("spiffe_federation", EDIT),
    ("notification", EDIT),
    ("static_host_user", EDIT),
    ("user_task", EDIT),
    ("aws_identity_center", EDIT),
    ("contact", EDIT),
    ("workload_identity", EDIT),
    ("autoupdate_version", EDIT),
    ("autoupdate_config", EDIT),
    ("autoupdate_agent_rollout", READ),
    ("git_server", EDIT),
    ("workload_identity_x509_revocation", EDIT),
    ("health_check_config", EDIT),
    ("sigstore_policy", EDIT),
    ("workload_identity_x509_issuer_override", EDIT),
    ("workload_identity_x509_issuer_override_csr", EDIT),
];

const EDIT_AND_USE: &[&str] = &["list", "create", "read", "update", "delete", "use"];
const READ_AND_USE: &[&str] = &["list", "read", "use"];

/// What `auditor` may look at.
const AUDITED: &[(&str, &[&str])] = &[
    ("session", READ),
    ("event", READ),
    ("session_tracker", READ),
    ("cluster_alert", READ),
    ("instance", READ),
    ("security_report", READ_AND_USE),
    ("audit_query", READ_AND_USE),
    ("bot_instance", READ),
    ("notification", READ),
];

/// Makes `access`, `auditor` and `editor`.
pub(super) fn create(tx: &mut Tx<'_>) {
    install(tx, "access", "Access cluster resources", options(true, true), access());
    install(
        tx,
        "auditor",
        "Review cluster events and replay sessions",
        options(false, false),
        types::RoleConditions { rules: rules(AUDITED), ..Default::default() },
    );
    install(
        tx,
        "editor",
        "Edit cluster configuration",
        options(true, false),
        types::RoleConditions { rules: rules(EDITED), ..Default::default() },
    );
}

fn access() -> types::RoleConditions {
    let all = || {
        let values = wrappers::StringValues { values: words(&["*"]) };
        Some(wrappers::LabelValues { values: [("*".to_owned(), values)].into() })
    };
    let mut rules = rules(&[
        ("event", READ),
        ("session", &["read", "list"]),
        ("instance", READ),
        ("cluster_maintenance_config", READ),
    ]);
    for rule in rules.iter_mut().filter(|rule| rule.resources == ["session"]) {
        "contains(session.participants, user.metadata.name)".clone_into(&mut rule.r#where);
    }
    types::RoleConditions {
        logins: words(&["{{internal.logins}}"]),
        node_labels: all(),
        app_labels: all(),
        kubernetes_labels: all(),
        windows_desktop_labels: all(),
        database_labels: all(),
        database_service_labels: all(),
        database_names: words(&["{{internal.db_names}}"]),
        database_users: words(&["{{internal.db_users}}"]),
        database_roles: words(&["{{internal.db_roles}}"]),
        kube_groups: words(&["{{internal.kubernetes_groups}}"]),
        kube_users: words(&["{{internal.kubernetes_users}}"]),
        windows_desktop_logins: words(&["{{internal.windows_logins}}"]),
        aws_role_ar_ns: words(&["{{internal.aws_role_arns}}"]),
        azure_identities: words(&["{{internal.azure_identities}}"]),
        gcp_service_accounts: words(&["{{internal.gcp_service_accounts}}"]),
        git_hub_permissions: vec![types::GitHubPermission {
            organizations: words(&["{{internal.github_orgs}}"]),
        }],
        rules,
        ..Default::default()
    }
}

/// With forwarding for people who work, without for those who look; desktops recorded or not.
fn options(forwarding: bool, desktop: bool) -> types::RoleOptions {
    let value = |value| Some(types::BoolValue { value });
    let ssh = types::SshPortForwarding {
        local: Some(types::SshLocalPortForwarding { enabled: value(true) }),
        remote: Some(types::SshRemotePortForwarding { enabled: value(true) }),
    };
    types::RoleOptions {
        forward_agent: forwarding,
        ssh_port_forwarding: forwarding.then_some(ssh),
        record_session: Some(types::RecordSession {
            desktop: value(desktop),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn rules(table: &[(&str, &[&str])]) -> Vec<types::Rule> {
    let rule = |(resource, verbs): &(&str, &[&str])| types::Rule {
        resources: words(&[*resource]),
        verbs: words(verbs),
        ..Default::default()
    };
    table.iter().map(rule).collect()
}

fn install(
    tx: &mut Tx<'_>,
    name: &str,
    description: &str,
    options: types::RoleOptions,
    allow: types::RoleConditions,
) {
    let role = types::RoleV6 {
        version: "v7".to_owned(),
        metadata: Some(types::Metadata {
            name: name.to_owned(),
            description: description.to_owned(),
            labels: [(RESOURCE_TYPE.to_owned(), "preset".to_owned())].into(),
            ..Default::default()
        }),
        spec: Some(types::RoleSpecV6 {
            options: Some(options),
            allow: Some(allow),
            ..Default::default()
        }),
        ..Default::default()
    };
    role::install(tx, role);
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
