//! What no finding shows, wherever somebody wrote it.

use reconciler::manifest::{Reading, codes, render};
use reconciler::model::Code;

use super::{errors, one, read};

/// Everything that is told of a file.
fn told(text: &str) -> (Reading, String) {
    let snapshot = one("a.yaml", text.as_bytes());
    let reading = read(&snapshot);
    let mut shown = render::text(&reading.findings, &snapshot, false);
    shown += &serde_json::to_string(&render::json(&reading.findings, &snapshot)).unwrap();
    (reading, shown)
}

#[test]
fn numbers_and_tags_in_place_of_secrets_are_judged_by_what_they_mean() {
    let cluster = |token: &str| {
        format!(
            "kind: trusted_cluster\nversion: v2\nmetadata: {{name: root}}\nspec:\n  token: {token}\n  \
             web_proxy_addr: root:443\n  role_map: [{{remote: a, local: [b]}}]\n"
        )
    };
    let token = |name: &str| {
        format!("kind: token\nversion: v2\nmetadata: {{name: {name}}}\nspec: {{roles: [Node]}}\n")
    };
    let cases: &[(String, &str, Code)] = &[
        (cluster("123456789012345678901234"), "12345", codes::NEEDS_QUOTES),
        (cluster("!!int 0123456707"), "34567", codes::NEEDS_QUOTES),
        (cluster("!!float 123456789012345678901234"), "12345", codes::NEEDS_QUOTES),
        (cluster("!!int s3cr3t-value"), "s3cr3t", codes::BAD_SCALAR),
        (token("123456789012345678901234"), "12345", codes::NEEDS_QUOTES),
    ];
    for (text, secret, code) in cases {
        let (reading, shown) = told(text);
        let found: Vec<Code> = errors(&reading).iter().map(|error| error.code).collect();
        assert!(!shown.contains(secret), "{text}\n{shown}");
        assert_eq!(found, [*code], "{text}\n{shown}");
    }
}

#[test]
fn a_tag_that_fits_is_no_reason_to_refuse() {
    let role = |option: &str| {
        format!("kind: role\nversion: v7\nmetadata: {{name: r}}\nspec: {{options: {{{option}}}}}\n")
    };
    for option in
        ["forward_agent: !!bool y", "forward_agent: !!str yes", "port_forwarding: !!bool on"]
    {
        let (reading, shown) = told(&role(option));
        assert!(errors(&reading).is_empty(), "{option}\n{shown}");
    }
}

#[test]
fn a_secret_in_a_place_of_its_own_making_is_not_shown_either() {
    let role = "kind: role\nversion: v7\n";
    for text in [
        "kind: trusted_cluster\nversion: v2\nmetadata: {name: root, token: SECRET}\n".to_owned(),
        "kind: trusted_cluster\nversion: v2\nmetadata: {name: root}\ntoken: SECRET\nspec: {}\n".into(),
        "kind: trusted_cluster\nversion: v2\nmetadata: {name: root}\nspec:\n- token: SECRET\n".into(),
        "kind: trusted_cluster\nversion: v2\nmetadata: {name: root}\nspec: [{tokn: SECRET}, x]\n".into(),
        r#"{"kind": "kube_cluster", "kubeconfig": "SECRET", "version": "v3", "metadata": {"name": "k"}}"#
            .into(),
        format!("{role}metadata: {{name: r}}\nspec: {{x: {{Token: [SECRET, {{a: SECRET}}]}}}}\n"),
        format!("{role}metadata: {{name: r, x: {{token: &a SECRET}}}}\nspec: {{y: *a}}\n"),
        "kind: rol\nversion: v7\nmetadata: {name: r, x: {token: SECRET}}\n".into(),
    ] {
        let text = text.replace("SECRET", "s3cr3t");
        let (reading, shown) = told(&text);
        assert!(!errors(&reading).is_empty(), "{text}");
        assert!(!shown.contains("s3cr3t"), "{text}\n{shown}");
    }
}
