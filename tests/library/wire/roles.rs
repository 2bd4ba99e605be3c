//! A role with every field that the kind has, for each version, and every one of its values
//! changed alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use reconciler::kind::schema::{self, Form, Schema};
use reconciler::kind::{self, canonical};
use reconciler::model::{Cluster, FieldPath, Segment, Value};
use reconciler::plan::Action;

use super::stack::{Stack, changes, errors, read, read_right, shown};

/// What all versions share. `{…}` stands for what they write differently.
const LARGE: &str = r"kind: role
version: {version}
metadata:
  name: large
  description: every field
  expires: 2035-05-06T07:08:09Z
  labels: {env: prod, 'team/name': core}
spec:
  options:
    forward_agent: true
    max_session_ttl: 8h0m0s
    {forwarding}
    cert_format: oldssh
    client_idle_timeout: 15m
    disconnect_expired_cert: true
    enhanced_recording: [network, disk]
    permit_x11_forwarding: true
    max_connections: 3
    max_sessions: 4
    request_access: reason
    request_prompt: why?
    lock: strict
    record_session: {default: strict, desktop: false, ssh: strict}
    desktop_clipboard: false
    cert_extensions:
    - {type: ssh, mode: extension, name: 'login@github.com', value: '{{external.github}}'}
    max_kubernetes_connections: 5
    desktop_directory_sharing: false
    create_host_user: true
    pin_source_ip: true
    ssh_file_copy: false
    require_session_mfa: true
    device_trust_mode: required
    {idp}
    create_desktop_user: true
    create_db_user: true
    create_host_user_mode: keep
    create_db_user_mode: best_effort_drop
    mfa_verification_interval: 1h0m0s
    create_host_user_default_shell: /bin/bash
  allow:
    {conditions}
    impersonate: {users: [bob, alice], roles: [ci], where: 'equals(resource.metadata.labels.team, user.spec.traits.team)'}
  deny:
    {denials}
    impersonate: {users: [bob, alice], roles: [ci]}
";

/// What an allow and a deny part share.
const CONDITIONS: &str = r#"logins: [ubuntu, '{{internal.logins}}']
    node_labels: {env: [staging, prod], 'team': core}
    rules:
    - {resources: [session, event], verbs: [read, list], where: 'contains(session.participants, user.metadata.name)', actions: ['log("info", "used")']}
    - {resources: [kube_cluster], verbs: [create]}
    kubernetes_groups: [viewers, editors]
    request:
      roles: [dba, access]
      claims_to_roles:
      - {claim: group, value: ops, roles: [editor, dba]}
      annotations: {pager: [second, first]}
      thresholds:
      - {name: two, filter: 'equals(1, 1)', approve: 2, deny: 1}
      suggested_reviewers: [zoe, adam]
      search_as_roles: [search]
      max_duration: 4h0m0s
      kubernetes_resources: [{kind: pod, api_group: apps}]
      reason: {mode: required, prompt: which ticket?}
    kubernetes_users: [jane, ann]
    app_labels: {a: b}
    cluster_labels: {a: b}
    kubernetes_labels: {region: [us-west-1, eu-*]}
    db_labels: {a: b}
    db_names: [postgres]
    db_users: [reader]
    review_requests:
      roles: [dba]
      claims_to_roles: [{claim: group, value: ops, roles: [dba]}]
      where: 'contains(reviewer.roles, "dba")'
      preview_as_roles: [preview]
    aws_role_arns: ['arn:aws:iam::1:role/x']
    windows_desktop_logins: [Administrator]
    windows_desktop_labels: {a: b}
    require_session_join:
    - {name: watched, filter: 'contains(user.roles, "x")', kinds: [ssh, k8s], count: 2, modes: [moderator], on_leave: terminate}
    join_sessions:
    - {name: join, roles: [access], kinds: [k8s, ssh], modes: [observer]}
    host_groups: [docker]
    host_sudoers: ['ALL=(ALL) NOPASSWD: ALL']
    azure_identities: [/subscriptions/x]
    {kubernetes}
    gcp_service_accounts: [a@b.iam]
    db_service_labels: {a: b}
    group_labels: {a: b}
    desktop_groups: [Users]
    db_roles: [r]
    node_labels_expression: 'labels["a"] == "b"'
    app_labels_expression: 'labels["a"] == "b"'
    cluster_labels_expression: 'labels["a"] == "b"'
    kubernetes_labels_expression: 'labels["a"] == "b"'
    db_labels_expression: 'labels["a"] == "b"'
    db_service_labels_expression: 'labels["a"] == "b"'
    windows_desktop_labels_expression: 'labels["a"] == "b"'
    group_labels_expression: 'labels["a"] == "b"'
    db_permissions: [{permissions: [SELECT], match: {kind: table}}]
    spiffe: [{path: /svc/*, dns_sans: ['*.x'], ip_sans: [10.0.0.0/8]}]
    account_assignments: [{permission_set: arn, account: '1'}]
    github_permissions: [{orgs: [acme]}]
    workload_identity_labels: {a: b}
    workload_identity_labels_expression: 'labels["a"] == "b"'
    mcp: {tools: [search_*]}
    linux_desktop_logins: [root]
    linux_desktop_labels: {a: b}
    linux_desktop_labels_expression: 'labels["a"] == "b"'"#;

/// The conditions without what the server refuses in a deny rule.
fn denials() -> String {
    let refused =
        "      thresholds:\n      - {name: two, filter: 'equals(1, 1)', approve: 2, deny: 1}\n";
    let denials = CONDITIONS.replace(refused, "").replace("mode: required, ", "");
    assert!(denials.len() + refused.len() < CONDITIONS.len(), "both were there");
    denials
}

fn large(version: &str) -> String {
    let old = "port_forwarding: false";
    let new = "ssh_port_forwarding: {local: {enabled: false}, remote: {enabled: true}}";
    let saml = "idp: {saml: {enabled: false}}";
    let (forwarding, idp, kubernetes) = match version {
        "v8" => (
            new,
            "",
            "{kind: deployments, namespace: prod, name: x, verbs: [get, list], api_group: apps}",
        ),
        "v7" => (new, saml, "{kind: deployment, namespace: prod, name: x, verbs: [get, list]}"),
        _ => (old, saml, "{kind: pod, namespace: prod, name: x}"),
    };
    LARGE
        .replace("{conditions}", CONDITIONS)
        .replace("{denials}", &denials())
        .replace("{version}", version)
        .replace("{forwarding}", forwarding)
        .replace("{idp}", idp)
        .replace("{kubernetes}", &format!("kubernetes_resources: [{kubernetes}]"))
}

/// The same for the version that the plane plays, which drops what it does not know.
fn large_of_18(version: &str) -> String {
    let newer = ["mcp:", "linux_desktop_logins:", "linux_desktop_labels"];
    let is_old = |line: &&str| !newer.iter().any(|key| line.trim_start().starts_with(key));
    let full = large(version);
    let old: Vec<_> = full.lines().filter(is_old).collect();
    assert_eq!(full.lines().count() - old.len(), 8, "four lines each in allow and deny");
    old.join("\n")
        .replace(", prompt: which ticket?", "")
        .replace("      reason: {prompt: which ticket?}\n", "")
}

/// Values under the names of fields and list items, one by one, with the path of each.
fn leaves(value: &Value, path: &FieldPath, out: &mut Vec<(FieldPath, Value)>) {
    match value {
        Value::Map(entries) => {
            for (key, value) in entries {
                leaves(value, &path.key(key), out);
            }
        }
        Value::List(items) => {
            for (n, value) in items.iter().enumerate() {
                leaves(value, &path.index(n), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) => {
            out.push((path.clone(), value.clone()));
        }
    }
}

fn put(value: &mut Value, path: &[Segment], leaf: Value) {
    match (path, value) {
        ([], value) => *value = leaf,
        ([Segment::Key(key), rest @ ..], Value::Map(entries)) => {
            put(entries.get_mut(&**key).unwrap(), rest, leaf);
        }
        ([Segment::Index(index), rest @ ..], Value::List(items)) => {
            put(&mut items[*index], rest, leaf);
        }
        ([..], other) => panic!("{path:?} is not in {other:?}"),
    }
}

/// Other values that a field may have; the first that the reader takes and that means something
/// else is used.
fn others(leaf: &Value) -> Vec<Value> {
    let words = [
        "oldssh",
        "standard",
        "command",
        "best_effort",
        "hardware_key_pin",
        "optional",
        "off",
        "keep",
        "2h0m0s",
        "2036-01-01T00:00:00Z",
        "secret",
        "pods",
        "watch",
        "10.9.0.0/16",
    ];
    match leaf {
        Value::Bool(value) => vec![Value::Bool(!value)],
        Value::Int(number) => vec![Value::Int(number + 1)],
        // What requests are limited to: of another kind the reader only warns in version 8.
        Value::String(text) if text == "pod" => vec![Value::String("secret".to_owned())],
        Value::String(text) => std::iter::once(format!("{text}x"))
            .chain(words.iter().map(|word| (*word).to_owned()))
            .filter(|other| other != text)
            .map(Value::String)
            .collect(),
        Value::Null | Value::List(_) | Value::Map(_) => panic!("{leaf:?} is no leaf"),
    }
}

/// The role as JSON under another name.
fn named(base: &Value, name: &str) -> Value {
    let mut role = base.clone();
    put(&mut role, &FieldPath::default().key("metadata").key("name").0, Value::String(name.into()));
    role
}

/// The path whose change is expected: a list without an order may be sorted anew by the change
/// of one item, so there it is the list that must be meant.
fn expected(path: &FieldPath) -> String {
    let text = path.to_string();
    match path.0.last() {
        Some(Segment::Index(_)) => text.rsplit_once('[').unwrap().0.to_owned(),
        Some(Segment::Key(_)) | None => text,
    }
}

fn fields(schema: &Schema, at: &str, out: &mut BTreeSet<String>) {
    for (name, field) in &schema.fields {
        let path = format!("{at}.{name}");
        let mut form = &field.form;
        while let Form::List(inner) | Form::Map(inner) = form {
            form = inner;
        }
        match form {
            Form::Message(inner) => fields(inner, &path, out),
            _leaf => {
                out.insert(path);
            }
        }
    }
}

/// Every field of the kind is in the large role of some version, so that a field that is added
/// is tested or fails this.
#[test]
fn the_large_role_has_every_field() {
    let role = kind::find("role").unwrap();
    let mut known = BTreeSet::new();
    fields(schema::of(role), "", &mut known);
    let mut seen = BTreeSet::new();
    for version in role.versions {
        let reading = read_right(&[&large(version)]);
        let manifest = reading.manifests.values().next().unwrap();
        let mut all = Vec::new();
        leaves(
            &Value::from_json(&manifest.resource.canonical).unwrap(),
            &FieldPath::default(),
            &mut all,
        );
        for (path, _) in all {
            let mut text = String::new();
            for segment in &path.0 {
                if let Segment::Key(key) = segment {
                    write!(text, ".{key}").unwrap();
                    seen.insert(text.clone());
                }
            }
        }
    }
    let missing: Vec<_> = known.difference(&seen).collect();
    assert_eq!(missing, NOT_DECLARED, "in the kind's fields, but in no large role");
}

/// What the server owns, refuses (`where` in a deny rule) or knows one value of, which is unset.
const NOT_DECLARED: &[&str] = &[
    ".metadata.revision",
    ".spec.deny.impersonate.where",
    ".spec.deny.request.reason.mode",
    ".spec.deny.request.thresholds.approve",
    ".spec.deny.request.thresholds.deny",
    ".spec.deny.request.thresholds.filter",
    ".spec.deny.request.thresholds.name",
    ".spec.options.cert_extensions.mode",
    ".spec.options.cert_extensions.type",
    ".sub_kind",
];

/// Every value of the large role of a version, or one in `stride` of them beginning at `first`.
async fn each_value_alone(version: &str, first: usize, stride: usize) -> usize {
    let reading = read_right(&[&large_of_18(version)]);
    let base = Value::from_json(&reading.manifests.values().next().unwrap().resource.canonical);
    let base = base.unwrap();
    let role = kind::find("role").unwrap();
    let mut stack = Stack::new();
    assert_eq!(shown(&stack.converge(&reading).await), ["create role/large"], "{version}");

    let (mut before, mut after, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Vec::new();
    leaves(&base, &FieldPath::default(), &mut all);
    for (path, leaf) in all.into_iter().skip(first).step_by(stride) {
        let shown = path.to_string();
        if matches!(shown.as_str(), "kind" | "metadata.name" | "version") {
            continue;
        }
        let name = format!("r{:03}", wanted.len());
        let old = named(&base, &name);
        let unchanged =
            canonical::resource(role, Cluster::Parent, &name, old.clone(), &super::stack::KEY)
                .digest;
        let new = others(&leaf).into_iter().find_map(|other| {
            let mut new = old.clone();
            put(&mut new, &path.0, other);
            let reading = read(&[&new.to_json()]);
            let meaning = reading.manifests.values().next().map(|it| it.resource.digest);
            (errors(&reading).is_empty() && meaning != Some(unchanged)).then(|| new.to_json())
        });
        let Some(new) = new else {
            assert!(ONE_VALUE.iter().any(|only| shown.ends_with(only)), "{version} {shown}");
            continue;
        };
        before.push(old.to_json());
        after.push(new);
        wanted.push((format!("update role/{name}"), expected(&path)));
    }

    let texts = |all: &[String]| vec![all.join("\n---\n")];
    let (before, after) = (texts(&before), texts(&after));
    let mut stack = Stack::new();
    let old = read_right(&[&before[0]]);
    assert_eq!(stack.converge(&old).await.steps.len(), wanted.len(), "{version}");
    let new = read_right(&[&after[0]]);
    let plan = stack.converge(&new).await;
    let got: Vec<(String, Vec<String>)> =
        shown(&plan).into_iter().zip(plan.steps.iter().map(changes)).collect();
    assert_eq!(got.len(), wanted.len(), "{version}: {got:#?}");
    for ((verb, changes), (step, path)) in got.iter().zip(&wanted) {
        assert_eq!(verb, step, "{version} {path}");
        assert!(!changes.is_empty(), "{version} {path}");
        for change in changes {
            let at = change.split(": ").next().unwrap();
            let is_item = at.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('['));
            assert!(at == path || is_item, "{version} {path}: {changes:?}");
        }
        assert!(changes.len() <= 2, "{version} {path}: {changes:?}");
    }
    for step in &plan.steps {
        let Action::Update { before, after, changes: _ } = &step.action else { panic!() };
        let live = stack.fetch(&step.id).await.unwrap();
        assert_eq!(live.digest, after.digest, "{}", step.id);
        assert_ne!(live.revision, before.revision, "{}", step.id);
        assert!(live.canonical.len() < 16 * 1024);
    }
    wanted.len()
}

/// What has one value only, before version 7.
const ONE_VALUE: &[&str] = &["kubernetes_resources[0].kind", "kubernetes_resources[0].verbs[0]"];

#[tokio::test]
async fn each_value_of_a_large_role_v8_alone_is_one_update_of_its_path() {
    assert_eq!(each_value_alone("v8", 0, 1).await, 232);
}

#[tokio::test]
async fn each_value_of_a_large_role_v7_alone_is_one_update_of_its_path() {
    assert_eq!(each_value_alone("v7", 0, 1).await, 231);
}

/// The older versions have the same fields, and share them out.
#[tokio::test]
async fn each_value_of_an_older_large_role_alone_is_one_update_of_its_path() {
    let mut tried = 0;
    for (first, version) in ["v3", "v4", "v5", "v6"].into_iter().enumerate() {
        tried += each_value_alone(version, first, 4).await;
    }
    assert_eq!(tried, 222);
}

#[tokio::test]
async fn a_large_role_is_small_again_after_it_shrank() {
    for version in kind::find("role").unwrap().versions {
        let mut stack = Stack::new();
        drop(stack.converge(&read_right(&[&large_of_18(version)])).await);
        let small = format!("kind: role\nversion: {version}\nmetadata: {{name: large}}\n");
        let reading = read_right(&[&small]);
        let plan = stack.converge(&reading).await;
        assert_eq!(shown(&plan), ["update role/large"]);
        let manifest = reading.manifests.values().next().unwrap();
        let live = stack.fetch(&manifest.resource.id).await.unwrap();
        assert_eq!(live.canonical, manifest.resource.canonical, "{version}");
        let kept = canonical::to_value(kind::find("role").unwrap(), &live.wire).unwrap();
        assert!(!kept.to_json().contains("ubuntu"), "{version}: {kept:?}");
    }
}
