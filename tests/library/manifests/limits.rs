//! Small files that would cost much.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reconciler::manifest::{codes, yaml};

use super::{errors, one, read, role};

/// A long text and what stands for it many times: gigabytes.
fn long_and_often() -> String {
    format!("x: [&a {}{}]\n", "x".repeat(500_000), ", *a".repeat(9_000))
}

#[test]
fn aliases_do_not_fill_in_more_bytes_than_a_message_has() {
    let found = |text: &str| {
        let findings = read(&one("a.yaml", text.as_bytes())).findings;
        findings.first().map(|it| (it.code.0, it.message.clone()))
    };
    let nested = (0..60).map(|n| format!("&a{n} [")).collect::<String>();
    for text in [
        format!("{}{}", role("r"), long_and_often()),
        // In steps, each of which is small.
        format!(
            "{}x: [&a {}, &b [*a, *a, *a], &c [*b, *b, *b], *c]\n",
            role("r"),
            "x".repeat(300_000)
        ),
        // What is kept for aliases that nobody wrote.
        format!("{}x: {nested}{}x{}\n", role("r"), "x, ".repeat(3_000), "]".repeat(60)),
    ] {
        let (code, message) = found(&text).unwrap();
        assert_eq!(code, codes::TOO_MANY_NODES.0, "{message}");
    }
    let config = long_and_often();
    let cluster = "kind: kube_cluster\nversion: v3\nmetadata: {name: k}\nspec:\n  kubeconfig:";
    let (code, message) = found(&format!("{cluster} {}\n", STANDARD.encode(config))).unwrap();
    assert_eq!(code, "K090", "{message}");
    assert!(message.contains("aliases"), "{message}");
}

#[test]
fn an_alias_counts_as_often_as_what_it_stands_for() {
    let often = ", *a".repeat(yaml::NODES_MAX * 2 / 3);
    let text = format!("{}spec: {{allow: {{logins: [&a root{often}]}}}}\n", role("r"));
    let reading = read(&one("a.yaml", text.as_bytes()));
    assert!(errors(&reading).is_empty(), "{:?}", reading.findings);
}
