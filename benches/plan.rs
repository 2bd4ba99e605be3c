//! Previews of a large directory, as whole processes: cold (nothing exists), with no change, and
//! with one change. Prints one JSON object a line: wall seconds (median of the runs) and peak
//! memory. `cargo bench --bench plan -- [N] [RUNS]`, by default 10,000 manifests and 5 runs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a benchmark"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A role of about 0.9 kB, different for each number.
fn manifest(number: usize) -> String {
    let mut text = format!(
        "kind: role\nversion: v7\nmetadata:\n  name: team-{number:05}\n  description: access of team {number}\n  \
         labels:\n    team: t{number}\n    tier: \"{}\"\nspec:\n  options:\n    max_session_ttl: {}h0m0s\n    \
         forward_agent: false\n    port_forwarding: true\n  allow:\n    logins: [ubuntu, team{number}, ops]\n    \
         node_labels:\n      env: [prod, staging]\n      team: t{number}\n    kubernetes_groups: [viewers, team-{number}]\n    \
         kubernetes_labels:\n      env: prod\n      region: [us-east-1, eu-west-{}]\n    kubernetes_resources:\n",
        number % 4,
        1 + number % 24,
        number % 3,
    );
    for kind in ["pod", "secret"] {
        text.push_str(&format!(
            "      - kind: {kind}\n        namespace: team-{number}\n        name: \"*\"\n        verbs: [get, list, watch]\n"
        ));
    }
    text.push_str(
        "    rules:\n      - resources: [session, event]\n        verbs: [list, read]\n      \
         - resources: [kube_cluster]\n        verbs: [list, read]\n  deny:\n    logins: [root]\n",
    );
    text
}

/// One run: wall time and the highest resident set that was seen, in KiB.
fn run(dir: &Path, args: &[&str]) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_reconciler"))
        .args(args)
        .current_dir(dir)
        .env_remove("RECONCILER_CONFIG")
        .env_remove("STATE_DIRECTORY")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Ok(text) = fs::read_to_string(&status) {
            let seen = text
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))
                .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
            peak = peak.max(seen.unwrap_or(0));
        }
        if let Some(code) = child.try_wait().unwrap() {
            assert!(code.success(), "{args:?} ended with {code}");
            return (started.elapsed(), peak);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn report(what: &str, count: usize, mut runs: Vec<(Duration, u64)>) {
    runs.sort();
    let median = runs[runs.len() / 2].0.as_secs_f64();
    let peak = runs.iter().map(|(_, peak)| *peak).max().unwrap_or(0) as f64 / 1024.0;
    println!(
        "{{\"bench\":\"{what}\",\"manifests\":{count},\"runs\":{},\"wall_s\":{median:.3},\"peak_mib\":{peak:.1}}}",
        runs.len()
    );
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(10_000);
    let runs = numbers.get(1).copied().unwrap_or(5);
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("desired-state");
    fs::create_dir(&source).unwrap();
    let mut bytes = 0;
    for number in 0..count {
        let text = manifest(number);
        bytes += text.len();
        fs::write(source.join(format!("team-{number:05}.yaml")), text).unwrap();
    }
    println!("{{\"bench\":\"input\",\"manifests\":{count},\"bytes_each\":{}}}", bytes / count);
    let preview = ["--dry-run"];
    report("plan-cold", count, (0..runs).map(|_| run(dir.path(), &preview)).collect());
    report("converge", count, vec![run(dir.path(), &["--once"])]);
    report("plan-noop", count, (0..runs).map(|_| run(dir.path(), &preview)).collect());
    let one = source.join("team-00000.yaml");
    fs::write(&one, manifest(0).replace("ubuntu", "debian")).unwrap();
    report("plan-one", count, (0..runs).map(|_| run(dir.path(), &preview)).collect());
    report("start", 0, (0..runs.max(20)).map(|_| run(dir.path(), &["--help"])).collect());
}
