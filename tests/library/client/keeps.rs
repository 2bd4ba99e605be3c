//! What is valid is kept: whatever a manifest may say, a plan after it was applied is empty.
//!
//! One manifest for every field of every kind, with the values that mean something of their own.

use std::sync::Arc;

use reconciler::adapter::memory::Memory;
use reconciler::engine::{Outcome, ResourceStatus, Status};

use super::{calls, client, plane, since};
use crate::agent::{Agent, once, quick};

/// Options of a role, one manifest each.
const OPTIONS: &[&str] = &[
    "{}",
    "forward_agent: yes",
    "forward_agent: false",
    "max_session_ttl: 1h30m",
    "max_session_ttl: 0s",
    "max_session_ttl: -1h",
    "max_session_ttl: 30h",
    "port_forwarding: true",
    "port_forwarding: no",
    "cert_format: standard",
    "cert_format: oldssh",
    "client_idle_timeout: 5m",
    "client_idle_timeout: 0s",
    "disconnect_expired_cert: 'yes'",
    "enhanced_recording: [network, command, disk]",
    "enhanced_recording: []",
    "permit_x11_forwarding: true",
    "max_connections: 5",
    "max_sessions: 3",
    "lock: strict",
    "lock: ''",
    "record_session: {default: strict}",
    "record_session: {desktop: false}",
    "record_session: {ssh: best_effort}",
    "record_session: {default: ''}",
    "desktop_clipboard: false",
    "cert_extensions: [{type: ssh, mode: extension, name: a@b, value: c}]",
    "max_kubernetes_connections: 3",
    "desktop_directory_sharing: false",
    "create_host_user: true",
    "pin_source_ip: true",
    "ssh_file_copy: false",
    "require_session_mfa: true",
    "require_session_mfa: 'no'",
    "require_session_mfa: hardware_key_touch",
    "device_trust_mode: optional",
    "device_trust_mode: ''",
    "idp: {saml: {enabled: false}}",
    "idp: {}",
    "create_desktop_user: true",
    "create_db_user: true",
    "create_host_user_mode: insecure-drop",
    "create_host_user_mode: 'off'",
    "create_db_user_mode: best_effort_drop",
    "mfa_verification_interval: 1h",
    "create_host_user_default_shell: /bin/sh",
    "ssh_port_forwarding: {local: {enabled: true}}",
    "ssh_port_forwarding: {remote: {enabled: false}}",
    "ssh_port_forwarding: {}",
    "request_access: always",
    "request_access: ''",
    "request_prompt: why",
];

/// Conditions of a role, each once in `allow` and once in `deny`.
const CONDITIONS: &[&str] = &[
    "{}",
    "logins: [b, a]",
    "logins: []",
    "node_labels: {'*': '*'}",
    "node_labels: {a: [c, b]}",
    "node_labels: {}",
    "rules: [{resources: [b, a], verbs: [read, list]}]",
    "rules: [{resources: ['*'], verbs: ['*'], where: 'equals(user.metadata.name, \"x\")', actions: ['log(\"info\",\"x\")']}]",
    "kubernetes_groups: [b, a]",
    "kubernetes_users: [b, a]",
    "app_labels: {a: b}",
    "cluster_labels: {a: b}",
    "kubernetes_labels: {a: [b]}",
    "db_labels: {a: b}",
    "db_names: [b, a]",
    "db_users: [x]",
    "db_roles: [b, a]",
    "db_service_labels: {a: b}",
    "db_permissions: [{permissions: [SELECT], match: {a: b}}]",
    "impersonate: {users: [a], roles: [b]}",
    "aws_role_arns: ['arn:aws:iam::123456789012:role/b', 'arn:aws:iam::123456789012:role/a']",
    "windows_desktop_logins: [b, a]",
    "windows_desktop_labels: {a: b}",
    "host_groups: [b, a]",
    "host_sudoers: [b, a]",
    "kubernetes_resources: [{kind: pod, namespace: '*', name: '*', verbs: [list, get]}]",
    "kubernetes_resources: [{kind: namespace, name: x}]",
    "gcp_service_accounts: [a@p.iam.gserviceaccount.com]",
    "group_labels: {a: b}",
    "desktop_groups: [b, a]",
    "node_labels_expression: 'labels[\"a\"] == \"b\"'",
    "app_labels_expression: 'labels[\"a\"] == \"b\"'",
    "kubernetes_labels_expression: 'labels[\"a\"] == \"b\"'",
    "db_labels_expression: 'labels[\"a\"] == \"b\"'",
    "workload_identity_labels: {a: b}",
    "workload_identity_labels_expression: 'labels[\"a\"] == \"b\"'",
    "spiffe: [{path: /a, dns_sans: [x.y], ip_sans: [10.0.0.0/8]}]",
    "github_permissions: [{orgs: [a]}]",
    "account_assignments: [{permission_set: a, account: b}]",
    "request: {roles: [b, a]}",
    "request: {annotations: {a: [b]}}",
    "request: {max_duration: 1h}",
    "request: {}",
    "review_requests: {roles: [b, a]}",
    "join_sessions: [{name: x, roles: ['*'], kinds: [ssh], modes: [peer, observer]}]",
    "require_session_join: [{name: x, filter: 'contains(user.roles, \"x\")', kinds: [ssh], count: 1, modes: [peer], on_leave: terminate}]",
];

/// Conditions that the server takes in `allow` alone.
const ALLOWED: &[&str] = &["request: {reason: {mode: optional}}"];

/// Metadata, and spec of a role of every version.
const VERSIONS: &[&str] = &[
    "metadata: {name: NAME}\nspec: {}",
    "metadata: {name: NAME, expires: '2031-01-02T03:04:05Z'}\nspec: {}",
    "metadata: {name: NAME, description: d, labels: {b: x, a: z}}\nspec: {deny: {logins: [root]}}",
    "metadata: {name: NAME}\nspec: {allow: {kubernetes_groups: [g], kubernetes_labels: {a: b}}}",
    "metadata: {name: NAME}\nspec: {allow: {app_labels: {a: b}}, options: {max_session_ttl: 8h}}",
];

const USERS: &[&str] = &[
    "spec: {}",
    "spec: {roles: [editor, access]}",
    "spec: {roles: [access], traits: {logins: [b, a], x: []}}",
    "spec: {roles: [access], traits: {}}",
    "spec: {roles: [access], github_identities: [{connector_id: x, username: y}]}",
    "spec: {roles: [access], trusted_device_ids: []}",
    "spec: {roles: [access], expires: '2031-01-02T03:04:05Z'}",
    "spec: {roles: [access], expires: '2031-01-02T03:04:05.5+02:00'}",
    "metadata: {name: NAME, expires: '2031-01-02T03:04:05Z'}\nspec: {roles: [access]}",
    "metadata: {name: NAME, expires: '2032-01-02T03:04:05Z'}\nspec: {roles: [access], expires: '2031-01-02T03:04:05Z'}",
];

const BOTS: &[&str] = &[
    "spec: {roles: []}",
    "spec: {roles: [editor, access]}",
    "spec: {roles: [access], traits: [{name: logins, values: [b, a]}, {name: a, values: [c]}]}",
    "spec: {roles: [access], traits: [{name: a, values: [c]}, {name: a, values: [d]}]}",
    "spec: {roles: [access], max_session_ttl: 24h}",
    "spec: {roles: [access], max_session_ttl: 1.5s}",
    "spec: {roles: [access], max_session_ttl: 0s}",
    "spec: {roles: [access], max_session_ttl: -1h}",
    "metadata: {name: NAME, expires: '2031-01-02T03:04:05Z'}\nspec: {roles: [access]}",
];

const TOKENS: &[&str] = &[
    "spec: {roles: [kube, NODE, app]}",
    "spec: {roles: [Node], join_method: token}",
    "spec: {roles: [Node], suggested_labels: {b: [c, a]}, suggested_agent_matcher_labels: {a: b}}",
    "spec: {roles: [Node], join_method: iam, allow: [{aws_account: '123456789012'}]}",
    "spec: {roles: [Node], join_method: ec2, allow: [{aws_account: '123456789012'}]}",
    "spec: {roles: [Node], join_method: ec2, allow: [{aws_account: '1'}], aws_iid_ttl: 10m}",
    "spec: {roles: [Node], join_method: github, github: {allow: [{repository: a/b}]}}",
    "spec: {roles: [Node], join_method: kubernetes, kubernetes: {allow: [{service_account: 'a:b'}]}}",
    "spec: {roles: [Node], join_method: gcp, gcp: {allow: [{project_ids: [p]}]}}",
    "spec: {roles: [Node], join_method: azure, azure: {allow: [{subscription: x}]}}",
    "spec: {roles: [Node], join_method: gitlab, gitlab: {allow: [{project_path: a/b}]}}",
];

const KUBES: &[&str] = &[
    "spec: {}",
    "spec: {dynamic_labels: {}}",
    "spec: {aws: {region: us-east-1, account_id: '123456789012', name: x}}",
    "spec: {azure: {resource_name: a, resource_group: b, subscription_id: c, tenant_id: d}}",
    "spec: {gcp: {location: a, project_id: b, name: x}}",
];

/// Why something waits whose last write no plan has seen yet.
const UNSEEN: &str = "an earlier write has not been seen yet";

fn document(kind: &str, version: &str, name: &str, rest: &str) -> String {
    let rest = rest.replace("NAME", name);
    let metadata =
        if rest.contains("metadata:") { "" } else { &format!("metadata: {{name: {name}}}\n") };
    format!("---\nkind: {kind}\nversion: {version}\n{metadata}{rest}\n")
}

/// All of them, and how many.
fn manifests() -> (String, usize) {
    let mut all = Vec::new();
    let braced =
        |inner: &str| if inner == "{}" { inner.to_owned() } else { format!("{{{inner}}}") };
    for (number, text) in OPTIONS.iter().enumerate() {
        let spec = format!("spec: {{options: {}}}", braced(text));
        all.push(document("role", "v7", &format!("o-{number}"), &spec));
    }
    for (side, table) in [("allow", CONDITIONS), ("deny", CONDITIONS), ("allow", ALLOWED)] {
        for text in table {
            let spec = format!("spec: {{{side}: {}}}", braced(text));
            all.push(document("role", "v7", &format!("c-{}", all.len()), &spec));
        }
    }
    for version in ["v3", "v4", "v5", "v6", "v7", "v8"] {
        for (number, text) in VERSIONS.iter().enumerate() {
            all.push(document("role", version, &format!("{version}-{number}"), text));
        }
    }
    for (kind, version, table) in [
        ("user", "v2", USERS),
        ("bot", "v1", BOTS),
        ("token", "v2", TOKENS),
        ("kube_cluster", "v3", KUBES),
    ] {
        for (number, text) in table.iter().enumerate() {
            all.push(document(
                kind,
                version,
                &format!("{}-{number}", kind.replace('_', "-")),
                text,
            ));
        }
    }
    (all.concat(), all.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_valid_manifest_is_written_once() {
    let plane = plane();
    let (texts, count) = manifests();
    let writes = |before: &_| {
        let mut asked = since(before, &plane);
        asked.retain(|name, _| {
            ["Create", "Update", "Upsert", "Delete"].iter().any(|verb| name.starts_with(verb))
        });
        asked
    };
    let storage: Arc<Memory> = Arc::default();
    let nothing = std::collections::BTreeMap::new();
    let files = [("all.yaml", &*texts)];
    let agent = Agent::over(client(&plane), quick(), &files, Arc::<Memory>::clone(&storage));
    let moving = ["unknown", "planned", "checking", "intending", "writing", "settling"];
    let is_moving = |one: &ResourceStatus| {
        moving.contains(&one.state.as_str()) || one.why.as_deref() == Some(UNSEEN)
    };
    let status = agent
        .until("through", |status| {
            status.resources.len() >= count && !status.resources.values().any(is_moving)
        })
        .await;
    let left: Vec<_> = status.resources.iter().filter(|(_, one)| one.state != "in sync").collect();
    assert!(left.is_empty(), "{left:#?}");
    agent.stop().await;
    let first = writes(&nothing);
    assert_eq!(first.values().sum::<u64>(), count as u64, "{first:?}");
    assert!(first.keys().all(|name| name.starts_with("Create")), "{first:?}");

    // With what the journal says, and with no journal at all.
    for storage in [storage, Arc::default()] {
        let before = calls(&plane);
        let agent = Agent::over(client(&plane), once(), &files, storage);
        assert_eq!(agent.ended().await, Outcome::Converged);
        assert_eq!(writes(&before), nothing);
    }
}

/// What a server of this version drops is not written at all, not even the rest of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_is_too_old_for_is_refused_with_its_name() {
    for (side, field) in [
        ("allow", "mcp: {tools: [x]}"),
        ("deny", "mcp: {tools: [x]}"),
        ("deny", "linux_desktop_logins: [root]"),
        ("allow", "linux_desktop_labels: {a: b}"),
        ("allow", "linux_desktop_labels_expression: 'labels[\"a\"] == \"b\"'"),
        ("allow", "request: {reason: {mode: optional, prompt: why}}"),
    ] {
        let plane = plane();
        let text = document("role", "v7", "r", &format!("spec: {{{side}: {{{field}}}}}"));
        let agent = Agent::start(client(&plane), once(), &[("r.yaml", &*text)]);
        assert_eq!(agent.ended().await, Outcome::Incomplete, "{field}");
        let asked = calls(&plane);
        assert!(!asked.contains_key("CreateRole"), "{field}: {asked:?}");

        let agent = Agent::start(client(&plane), quick(), &[("r.yaml", &*text)]);
        let said = |status: &Status| {
            status.resources.get("role/r").and_then(|one| one.why.clone()).unwrap_or_default()
        };
        let status = agent.until("refused", |status| said(status).contains("does not keep")).await;
        let name = field.split(':').next().unwrap();
        let expected = format!("Teleport 18.0.0 does not keep `spec.{side}.{name}");
        assert!(said(&status).starts_with(&expected), "{}", said(&status));
        agent.stop().await;
    }
}
