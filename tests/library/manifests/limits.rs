//! Small files that would cost much.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reconciler::manifest::decode::FINDINGS_PER_FILE_MAX;
use reconciler::manifest::{codes, render, yaml};

use super::{errors, one, read, role};

/// How often as long as the same for another file what is timed may take, whatever else the
/// machine does: far more than it takes, and far less than it took.
const OFTEN: u32 = 20;

#[expect(clippy::disallowed_methods, reason = "only compared with itself")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    (work(), started.elapsed())
}

fn many(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |all, number| all + &part(number))
}

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
    let nested = many(60, |n| format!("&a{n} ["));
    for text in [
        format!("{}{}", role("r"), long_and_often()),
        // In steps, each of which is small.
        format!(
            "{}x: [&a {}, &b [*a, *a, *a], &c [*b, *b, *b], *c]\n",
            role("r"),
            "x".repeat(300_000)
        ),
        // Below all limits of ours, and more than the second reader follows.
        format!(
            "{}a0: &a0 x\n{}",
            role("r"),
            many(3, |n| {
                let below = format!("*a{n}, ").repeat(21);
                format!("a{}: &a{} [{below}]\n", n + 1, n + 1)
            })
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

/// A token with that many labels of one form.
fn labelled(kind: &str, count: usize, label: impl Fn(usize) -> String) -> String {
    let labels = many(count, |number| format!("    {}: x\n", label(number)));
    format!("kind: {kind}\nversion: v7\nmetadata:\n  name: r\n  labels:\n{labels}")
}

/// Takes minutes where each finding is compared with each text.
#[test]
fn many_findings_about_many_texts_are_told_at_once() {
    let text = labelled("token", 25_000, |n| format!("\"bad key {n}\""));
    let (_, of_role) = timed(|| read(&one("a.yaml", text.replace("token", "role").as_bytes())));
    let (reading, took) = timed(|| read(&one("a.yaml", text.replace("v7", "v2").as_bytes())));
    assert!(took < of_role * OFTEN, "{took:?}, {of_role:?}");
    assert_eq!(reading.findings.len(), FINDINGS_PER_FILE_MAX + 1);
    assert!(!reading.is_whole());
    assert!(reading.findings.iter().all(|it| !it.message.contains("bad key")));
}

#[test]
fn an_error_behind_more_findings_than_are_kept_counts() {
    let text = labelled("role", FINDINGS_PER_FILE_MAX + 100, |n| format!("teleport.dev/{n}"));
    for (text, is_right) in
        [(format!("{text}    a: x\n"), true), (format!("{text}    \u{e4}: x\n"), false)]
    {
        let reading = read(&one("a.yaml", text.as_bytes()));
        assert_eq!(reading.findings.len(), FINDINGS_PER_FILE_MAX + 1);
        assert_eq!(reading.has_errors(), !is_right);
        assert_eq!(
            (reading.manifests.len(), reading.frozen.len()),
            (is_right.into(), (!is_right).into())
        );
    }
    // Nor is one document's lot another's.
    let two = format!("{text}---\n{}nonsense: 1\n", role("other"));
    let reading = read(&one("a.yaml", two.as_bytes()));
    assert_eq!((reading.manifests.len(), reading.frozen.len()), (1, 1));
    assert!(reading.has_errors());
}

#[test]
fn a_long_label_is_not_repeated_in_every_finding() {
    let items = "[x], ".repeat(FINDINGS_PER_FILE_MAX);
    let text = format!(
        "kind: role\nversion: v7\nmetadata: {{name: r}}\nspec: {{allow: {{node_labels: {{? {} : [{items}]}}}}}}\n",
        "x".repeat(100_000)
    );
    let reading = read(&one("a.yaml", text.as_bytes()));
    assert!(reading.findings.len() >= FINDINGS_PER_FILE_MAX);
    let told: usize = reading.findings.iter().map(|it| it.message.len()).sum();
    assert!(told < 1_000_000, "{told}");
}

/// Takes minutes where each place is looked for from the file's beginning.
#[test]
fn places_at_the_end_of_a_long_file_are_found_at_once() {
    let filler = "# filler\n".repeat(100_000);
    let documents = format!("---\n{}\n{filler}", role("r")).repeat(10);
    let fields = many(FINDINGS_PER_FILE_MAX, |n| format!("f{n}: 1\n"));
    let text = format!("{documents}---\n{}{fields}", role("last"));
    let snapshot = one("a.yaml", text.as_bytes());
    let findings = read(&snapshot).findings;
    let last = text.lines().count();
    let (_, of_first) = timed(|| render::text(&findings[..1], &snapshot, false));
    let (json, took) = timed(|| render::json(&findings, &snapshot));
    assert!(took < of_first * OFTEN, "{took:?}, {of_first:?}");
    assert!(json.iter().any(|it| it.at.line == last && it.at.column == 1));
    let (shown, took) = timed(|| render::text(&findings, &snapshot, false));
    assert!(took < of_first * OFTEN, "{took:?}, {of_first:?}");
    assert!(shown.contains(&format!("a.yaml:{last}:1\n")));
}

#[test]
fn of_a_long_line_only_what_surrounds_the_finding_is_shown() {
    let labels = many(10_000, |n| format!("l{n}: \u{e4}, "));
    let text = format!(
        "{{kind: role, version: v7, metadata: {{name: r, labels: {{{labels}z: 1}}}}, nonsense: 2}}\n"
    );
    let snapshot = one("a.yaml", text.as_bytes());
    let findings = read(&snapshot).findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
    let shown = render::text(&findings, &snapshot, false);
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    for finding in &findings {
        let line = render::line(finding, &snapshot);
        let place = line.split(": ").next().unwrap();
        assert!(shown.contains(&format!(" {place}\n")), "{place}\n{shown}");
    }
    assert!(shown.contains("z: 1") && shown.contains("nonsense: 2"), "{shown}");
}
