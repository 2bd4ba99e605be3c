//! What is foretold of a Kubernetes Service, against what `tsh kube ls` then shows.

#![allow(unreachable_pub, reason = "a module of a test")]
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Agent, PATIENCE, Place, until};
use crate::live::Live;
use crate::{KUBECONFIG, LAG, Server, doctor, place};

/// Where `tsh` is.
pub const TSH: &str = "RECONCILER_TEST_TSH";

/// The Kubernetes Service of `selectors.yaml`, as an agent's configuration describes it.
const SERVICE: &str = "
[[kubernetes.service]]
name = \"real\"
resources = [
  { labels = { env = \"prod\", region = [\"us-east-1\", \"us-east-2\"] } },
  { labels = { tier = \"^(gold|silver)$\" } },
  { labels = { team = \"pay*\" } },
]
";

/// Where a service's heartbeat or a stale entry could still change the picture, in time.
const CALM: Duration = Duration::from_secs(10);

/// One agent each, with a directory of its own.
const AGENTS: [&str; 3] = ["static", "resolve", "forward"];

struct Case {
    name: &'static str,
    /// One of [`AGENTS`].
    agent: &'static str,
    labels: &'static str,
    /// A label and the command for its value.
    dynamic: Option<(&'static str, &'static str)>,
    has_credentials: bool,
    /// Why `kube match` foretells, and `kube ls` then says, that nobody serves it. Empty: somebody
    /// does.
    why_not: &'static str,
}

const NOT_SELECTED: &str = "no configured service selects it";

const fn plain(name: &'static str, labels: &'static str, why_not: &'static str) -> Case {
    Case { name, agent: "static", labels, dynamic: None, has_credentials: true, why_not }
}

const fn dynamic(
    agent: &'static str,
    name: &'static str,
    labels: &'static str,
    dynamic: (&'static str, &'static str),
    why_not: &'static str,
) -> Case {
    let dynamic = Some(dynamic);
    Case { name, agent, labels, dynamic, has_credentials: true, why_not }
}

const CASES: &[Case] = &[
    plain("list", "{env: prod, region: us-east-1}", ""),
    plain("half", "{env: prod}", NOT_SELECTED),
    plain("other", "{env: prod, region: eu-1}", NOT_SELECTED),
    plain("regex", "{tier: gold}", ""),
    plain("anchored", "{tier: golden}", NOT_SELECTED),
    plain("glob", "{team: payments, env: dev}", ""),
    plain("case", "{team: Payments}", NOT_SELECTED),
    Case {
        name: "bare",
        agent: "static",
        labels: "{tier: silver}",
        dynamic: None,
        has_credentials: false,
        why_not: "it has no credentials",
    },
    dynamic("resolve", "resolved", "{env: prod}", ("region", "us-east-2"), ""),
    dynamic("resolve", "resolved-elsewhere", "{env: prod}", ("region", "eu-2"), NOT_SELECTED),
    dynamic("forward", "forwarded", "{env: prod}", ("region", "us-east-1"), ""),
    // The result hides the static label of the same name.
    dynamic("forward", "forwarded-hiding", "{tier: gold}", ("tier", "bronze"), NOT_SELECTED),
    // Nothing allows the command here: no result, and so nothing that a service could match.
    dynamic(
        "forward",
        "forwarded-without",
        "{env: prod}",
        ("region", "NOT-ALLOWED"),
        "no stored result yet of the dynamic label `region`",
    ),
];

impl Case {
    fn name(&self, run: &str) -> String {
        format!("{run}{}", self.name)
    }

    fn manifest(&self, run: &str) -> String {
        let name = self.name(run);
        let dynamic = match self.dynamic {
            Some((key, "NOT-ALLOWED")) => {
                format!("  dynamic_labels: {{{key}: {{period: 1m, command: [printf, x]}}}}\n")
            }
            Some((key, value)) => {
                format!("  dynamic_labels: {{{key}: {{period: 1m, command: [echo, {value}]}}}}\n")
            }
            None => String::new(),
        };
        let kubeconfig = if self.has_credentials { KUBECONFIG } else { "''" };
        format!(
            "kind: kube_cluster\nversion: v3\nmetadata: {{name: {name}, labels: {}}}\nspec:\n  \
             kubeconfig: {kubeconfig}\n{dynamic}",
            self.labels
        )
    }

    /// What `kube match` says of its manifest.
    fn predict(&self, place: &Place, run: &str) -> Value {
        let args = ["kube", "match", "--name", &self.name(run), "--format", "json"];
        serde_json::from_str(&place.ok(&args)).unwrap()
    }

    /// Whether it has a command that may run and has not printed its value yet.
    fn awaits_value(&self, place: &Place, run: &str) -> bool {
        let Some((key, value)) = self.dynamic else { return false };
        let status: Value =
            serde_json::from_str(&place.ok(&["status", "--format", "json"])).unwrap();
        let id = format!("/resources/kube_cluster~1{}/labels/{key}/value", self.name(run));
        let known = status.pointer(&id).and_then(Value::as_str);
        value != "NOT-ALLOWED" && known != Some(value)
    }
}

fn tsh(program: &OsStr, server: &Server) -> Value {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["-i", &server.identity, "--proxy", &server.address])
        .args(["kube", "ls", "--format", "json"])
        .env("HOME", home.path())
        .output()
        .expect("tsh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("tsh prints JSON")
}

/// Names of this run.
fn names(list: &Value, run: &str) -> BTreeSet<String> {
    let of = |entry: &Value| entry.get("kube_cluster_name")?.as_str().map(str::to_owned);
    let all = list.as_array().into_iter().flatten().filter_map(of);
    all.filter(|name| name.starts_with(run)).collect()
}

fn agents(server: &Server, run: &str) -> Vec<(Place, Agent)> {
    let of = |agent: &str| {
        let mode = if agent == "forward" { "forward" } else { "resolve" };
        let extra = format!(
            "[kubernetes.dynamic_labels]\nmode = \"{mode}\"\nallow = [\"echo *\"]\n{SERVICE}"
        );
        let place = place(server, &format!("services-{agent}"), &extra);
        for case in CASES.iter().filter(|case| case.agent == agent) {
            place.put(&format!("{}.yaml", case.name), &case.manifest(run));
        }
        foretold_by_plan(&place, agent, run);
        let agent = place.agent();
        (place, agent)
    };
    AGENTS.map(of).into()
}

/// A plan and `kube match` say the same before anything is there. They run no command, so that
/// dynamic labels leave them in doubt.
fn foretold_by_plan(place: &Place, agent: &str, run: &str) {
    let plan = place.ok(&["plan"]);
    let no_credentials = "it has no credentials: every service that selects it fails";
    for case in CASES.iter().filter(|case| case.agent == agent && case.dynamic.is_none()) {
        let expected = match case.why_not {
            "" => "served by real",
            NOT_SELECTED => "no service will pick this up",
            _ => no_credentials,
        };
        let line = format!("{} → {expected}", case.name(run));
        assert!(plan.contains(&line), "{line}\n{plan}");
        let said = case.predict(place, run);
        let names = if case.why_not.is_empty() { json!(["real"]) } else { json!([]) };
        assert_eq!(said.get("served_by"), Some(&names), "{said}");
    }
}

/// Applies the manifests, waits, compares; what was seen.
pub fn compare(server: &Server, program: &OsStr) -> Value {
    let (reached, version) = doctor(server);
    // A service that drops a cluster keeps it listed: names of earlier runs are of no use.
    let run = format!("reconciler-{}-", std::process::id());
    let agents = agents(server, &run);
    let (place, _) = agents.first().unwrap();
    let of = |case: &Case| {
        let mut named = AGENTS.iter().zip(&agents);
        named.find(|(agent, _)| **agent == case.agent).unwrap().1
    };
    // A command's value is foretold from when it is known.
    for case in CASES {
        until("its command has run", &of(case).1, || !case.awaits_value(&of(case).0, &run));
    }
    let foretold: Vec<Value> = CASES.iter().map(|case| case.predict(&of(case).0, &run)).collect();
    let expected: BTreeSet<String> = (CASES.iter().zip(&foretold))
        .filter(|(_, said)| said.get("served_by") == Some(&json!(["real"])))
        .map(|(case, _)| case.name(&run))
        .collect();
    let started = Instant::now();
    let logs = || agents.iter().map(|(_, agent)| agent.log()).collect::<Vec<_>>().join("\n---\n");
    while names(&tsh(program, server), &run) != expected {
        let seen = names(&tsh(program, server), &run);
        assert!(started.elapsed() < PATIENCE, "{expected:#?}\n{seen:#?}\n{}", logs());
        std::thread::sleep(Duration::from_millis(300));
    }
    let seconds = started.elapsed().as_secs_f64();
    std::thread::sleep(CALM);
    let shown = tsh(program, server);
    assert_eq!(names(&shown, &run), expected, "it did not last");
    let ours = place.ok(&["kube", "ls", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&ours).unwrap(), shown, "`kube ls` is not tsh's");

    let unserved = place.ok(&["kube", "ls", "--unserved"]);
    let mut seen = Vec::new();
    for (case, said) in CASES.iter().zip(&foretold) {
        let name = case.name(&run);
        let is_served = expected.contains(&name);
        let line = unserved.lines().find(|line| line.split_whitespace().next() == Some(&name));
        assert_eq!(is_served, case.why_not.is_empty(), "{name}");
        let reason = line.map_or("", |line| line.split_once(' ').unwrap().1.trim());
        assert_eq!(reason, case.why_not, "{name}\n{unserved}");
        let foretold = said.get("reason").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(foretold, case.why_not, "{name}: {said}");
        seen.push(json!({
            "case": case.name,
            "agent": case.agent,
            "kube_match_served_by": said.get("served_by"),
            "kube_match_reason": said.get("reason"),
            "has_credentials": case.has_credentials,
            "tsh_shows_it": is_served,
            "kube_ls_says": reason,
        }));
    }
    for (_, agent) in agents {
        assert!(agent.interrupt().success());
    }
    remove(server, &run);
    json!({
        "server_version": version,
        "reached": reached,
        "clusters": seen,
        "seconds_until_served": (seconds * 10.0).round() / 10.0,
        "kube_ls_json_equals_tsh": true,
    })
}

fn remove(server: &Server, run: &str) {
    let place = place(server, "services-remove", "");
    let live = Live::connect(&server.address, &place.dir.path().join("identity"), server);
    for case in CASES {
        live.remove_kube(&case.name(run));
    }
    std::thread::sleep(LAG);
}
