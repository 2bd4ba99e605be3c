//! One field edited at a time: one update, of exactly that field, and silence after it.

use reconciler::plan::{Action, DeferReason, Reason};

use super::stack::{Stack, below, changes, read_right, shown};

/// An edit of a manifest: the first occurrence of one text becomes another.
struct Edit {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    changes: &'static [&'static str],
}

const fn edit(
    file: &'static str,
    from: &'static str,
    to: &'static str,
    changes: &'static [&'static str],
) -> Edit {
    Edit { file, from, to, changes }
}

const ROLE: &str = "tests/data/seeds/role-visitor-v7.yaml";
const RULES: &str = "tests/data/seeds/role-kube-manager.yaml";
const KUBE: &str = "desired-state/kube/mycluster.yaml";
const TRUST: &str = "desired-state/trust/rootcluster.yaml";

const EDITS: &[Edit] = &[
    edit(ROLE, "- visitor", "- visitor\n      - ops", &[r#"spec.allow.logins[0]: - -> "ops""#]),
    edit(ROLE, "- visitor", "- guest", &[r#"spec.allow.logins[0]: "visitor" -> "guest""#]),
    edit(
        ROLE,
        "spec:\n",
        "spec:\n  options: {max_session_ttl: 1h}\n",
        &[r#"spec.options.max_session_ttl: "30h0m0s" -> "1h0m0s""#],
    ),
    edit(
        ROLE,
        "spec:\n",
        "spec:\n  options: {port_forwarding: false}\n",
        &[r"spec.options.port_forwarding: - -> false"],
    ),
    edit(
        ROLE,
        "spec:\n",
        "spec:\n  deny: {logins: [root]}\n",
        &[r#"spec.deny: - -> {"logins":["root"]}"#],
    ),
    edit(
        ROLE,
        "name: visitor",
        "name: visitor\n  description: who comes",
        &[r#"metadata.description: - -> "who comes""#],
    ),
    edit(
        ROLE,
        "name: visitor",
        "name: visitor\n  labels: {env: prod}",
        &[r#"metadata.labels: - -> {"env":"prod"}"#],
    ),
    edit(
        ROLE,
        "version: v7",
        "version: v8",
        &[r#"spec.options.idp: {"saml":{"enabled":true}} -> -"#, r#"version: "v7" -> "v8""#],
    ),
    edit(
        ROLE,
        "'*': '*'",
        "env: [prod, dev]",
        &[
            r#"spec.allow.node_labels["*"]: "*" -> -"#,
            r#"spec.allow.node_labels.env: - -> ["dev","prod"]"#,
        ],
    ),
    edit(RULES, "- update", "- use", &[r#"spec.allow.rules[0].verbs[4]: "update" -> "use""#]),
    edit(KUBE, "env: prod", "env: dev", &[r#"metadata.labels.env: "prod" -> "dev""#]),
    edit(KUBE, "    team: dev\n", "", &[r#"metadata.labels.team: "dev" -> -"#]),
    edit(
        KUBE,
        "period: \"24h\"",
        "period: 30m",
        &[r#"spec.dynamic_labels.region.period: "24h0m0s" -> "30m0s""#],
    ),
    edit(
        KUBE,
        "\"get_region.py\"",
        "\"get_zone.py\"",
        &[r#"spec.dynamic_labels.region.command[1]: "get_region.py" -> "get_zone.py""#],
    ),
    edit(
        KUBE,
        "LW9ubHl9Cg==",
        "LW9ubHp9Cg==",
        &[r#"spec.kubeconfig: "(secret 11967d77)" -> "(secret 793cb3f3)""#],
    ),
    edit(TRUST, "enabled: true", "enabled: false", &[r"spec.enabled: true -> -"]),
    edit(
        TRUST,
        "[\"visitor\"]",
        "[\"visitor\", \"kube-manager\"]",
        &[r#"spec.role_map[0].local[1]: - -> "kube-manager""#],
    ),
];

/// Whatever trusted clusters map to.
fn roles() -> [String; 2] {
    [ROLE, RULES].map(|path| std::fs::read_to_string(below(path)).unwrap())
}

/// The file and, where it is not a role itself, the roles that it may refer to.
fn files(path: &str, text: String) -> Vec<String> {
    match path {
        ROLE | RULES => vec![text],
        _other => roles().into_iter().chain([text]).collect(),
    }
}

async fn converge(stack: &mut Stack, texts: &[String]) -> reconciler::plan::Plan {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    stack.converge(&read_right(&texts)).await
}

#[tokio::test]
async fn one_field_edited_is_one_update_of_that_field() {
    let mut wrong = Vec::new();
    for Edit { file, from, to, changes: wanted } in EDITS {
        let old = std::fs::read_to_string(below(file)).unwrap();
        let new = old.replacen(from, to, 1);
        assert_ne!(old, new, "{file} has no {from:?}");
        let mut stack = Stack::new();
        drop(converge(&mut stack, &files(file, old.clone())).await);
        let writes = stack.calls("Update");
        let plan = converge(&mut stack, &files(file, new)).await;
        assert_eq!(plan.steps.len(), 1, "{file} {to:?}: {:?}", shown(&plan));
        let [step] = plan.steps.as_slice() else { panic!("one step") };
        assert!(matches!(step.action, Action::Update { .. }), "{file} {to:?}");
        assert_eq!(step.reason, Reason::Edited, "{file} {to:?}");
        assert_eq!(stack.calls("Update"), writes + 1, "{file} {to:?}");
        let got = changes(step);
        if got != *wanted {
            wrong.push(format!("{file} {to:?}: {got:#?}"));
        }
        // And back: the same places, the other way round.
        let back = converge(&mut stack, &files(file, old)).await;
        let [step] = back.steps.as_slice() else { panic!("{file}: {:?}", shown(&back)) };
        let turned: Vec<String> = changes(step).iter().map(|line| turn(line)).collect();
        assert_eq!(turned, got, "{file} {to:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `path: a -> b` as `path: b -> a`.
fn turn(line: &str) -> String {
    let (path, values) = line.split_once(": ").unwrap();
    let (before, after) = values.split_once(" -> ").unwrap();
    format!("{path}: {after} -> {before}")
}

/// What means the same is no edit: (file, from, to).
const SAME: &[(&str, &str, &str)] = &[
    (ROLE, "spec:\n", "spec:\n  options: {max_session_ttl: 30h}\n"),
    (ROLE, "spec:\n", "spec:\n  options: {forward_agent: false, cert_format: standard}\n"),
    (ROLE, "spec:\n", "spec:\n  deny: {}\n"),
    (ROLE, "'*': '*'", "'*': ['*']"),
    (RULES, "- list\n      - create\n", "- create\n      - list\n"),
    (KUBE, "period: \"24h\"", "period: 1440m0s"),
    (KUBE, "[\"python3\", \"get_region.py\"]", "\n      - python3\n      - get_region.py"),
    (TRUST, "  tunnel_addr: rootcluster.example.com:443\n", ""),
];

#[tokio::test]
async fn what_means_the_same_is_no_edit() {
    for (file, from, to) in SAME {
        let old = std::fs::read_to_string(below(file)).unwrap();
        let new = old.replacen(from, to, 1);
        assert_ne!(old, new, "{file} has no {from:?}");
        let mut stack = Stack::new();
        drop(converge(&mut stack, &files(file, old)).await);
        let plan = converge(&mut stack, &files(file, new)).await;
        assert!(plan.steps.is_empty(), "{file} {to:?}: {:?}", plan.steps.first().map(changes));
    }
}

/// Edits of what cannot change: (file, from, to, the paths that are told).
const FIXED: &[(&str, &str, &str, &[&str])] = &[
    (TRUST, "abcd123-", "abcd124-", &["spec.token"]),
    (TRUST, "web_proxy_addr: root", "web_proxy_addr: boot", &["spec.web_proxy_addr"]),
    (
        "desired-state/clusters/company-organization.yaml",
        "us-west-2",
        "us-east-1",
        &["spec.regions[0].name"],
    ),
];

#[tokio::test]
async fn what_cannot_change_is_told_and_left_alone() {
    for (file, from, to, paths) in FIXED {
        let old = std::fs::read_to_string(below(file)).unwrap();
        let new = old.replacen(from, to, 1);
        let mut stack = Stack::new();
        drop(converge(&mut stack, &files(file, old)).await);
        let texts = files(file, new);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let plan = stack.plan(&read_right(&texts)).await;
        assert!(plan.steps.is_empty(), "{file}: {:?}", shown(&plan));
        let told: Vec<Vec<String>> = plan
            .deferred
            .iter()
            .map(|deferred| match &deferred.why {
                DeferReason::Immutable(paths) => paths.iter().map(ToString::to_string).collect(),
                other => panic!("{file}: {other:?}"),
            })
            .collect();
        assert_eq!(told, [paths.to_vec()], "{file}");
    }
}

#[tokio::test]
async fn drift_is_told_apart_and_undone() {
    let mut stack = Stack::new();
    let old = std::fs::read_to_string(below(ROLE)).unwrap();
    drop(converge(&mut stack, std::slice::from_ref(&old)).await);
    // Somebody else adds a login, mark and all.
    let drifted = read_right(&[&old.replace("- visitor", "- visitor\n      - root")]);
    let reading = read_right(&[&old]);
    let by_hand = stack.plan(&drifted).await;
    let [step] = by_hand.steps.as_slice() else { panic!("one step") };
    let row = super::stack::row(&step.id);
    reconciler::port::calls::write(&stack.cluster, row, step, super::stack::OWNER).await.unwrap();
    let plan = stack.converge(&reading).await;
    let [step] = plan.steps.as_slice() else { panic!("{:?}", shown(&plan)) };
    assert_eq!(step.reason, Reason::Drifted);
    assert_eq!(changes(step), ["spec.allow.logins[0]: \"root\" -> -"]);
}
