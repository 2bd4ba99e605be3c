//! What `kube match --name` foretells is what `kube ls` then shows; and `status` as JSON without
//! an agent.

use serde_json::{Value, json};

use super::{cluster, listed};
use crate::common::{Place, until};

const LABELS: &str = "
[kubernetes]
resources = [{ labels = { env = \"prod\" } }, { labels = { env = \"test\", region = \"us-*\" } }]
[kubernetes.dynamic_labels]
allow = [\"echo us-*\", \"sh never.sh\"]
[[kubernetes.service]]
name = \"east\"
resources = [{ labels = { region = \"us-east-*\" } }]
[[kubernetes.service]]
name = \"a\"
resources = [{ labels = { team = \"a\" } }]
";

const NOT_SELECTED: &str = "no configured service selects it";
const BARE: &str = "it has no credentials";
const UNMATCHED: &str = "no selector matches, so it is not registered";
const UNKNOWN: &str = "it is not registered: the value of the label `region` is not known yet";
const NO_VALUE: &str = "no stored result yet of the dynamic label `region`";

/// Name, labels, command of `region`, match, served by, perhaps, reason.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<u64>,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

const ROWS: &[Row] = &[
    ("east", "{env: prod, region: us-east-1}", "", Some(1), &["east"], &[], ""),
    ("both", "{env: prod, region: us-east-1, team: a}", "", Some(1), &["east", "a"], &[], ""),
    ("west", "{env: prod, region: us-west-1}", "", Some(1), &[], &[], NOT_SELECTED),
    ("bare", "{env: prod, team: a}", "", Some(1), &[], &[], BARE),
    ("dev", "{env: dev, team: a}", "", None, &[], &[], UNMATCHED),
    ("said", "{env: test}", "echo us-east-2", Some(2), &["east"], &[], ""),
    ("elsewhere", "{env: test, team: a}", "echo us-west-2", Some(2), &["a"], &[], ""),
    ("unsaid", "{env: prod}", "sh never.sh", Some(1), &[], &["east"], NO_VALUE),
    ("undecided", "{env: test}", "sh never.sh", None, &[], &[], UNKNOWN),
];

fn place() -> Place {
    let place = Place::new(LABELS);
    place.put("never.sh", "exit 3\n");
    for (name, labels, command, ..) in ROWS {
        let mut text = cluster(name, labels);
        if *name == "bare" {
            let at = text.find("  kubeconfig").unwrap();
            text.truncate(at);
            text.push_str("  kubeconfig: \"\"\n");
        }
        if !command.is_empty() {
            let argv = command.replace(' ', ", ");
            let label = format!("{{period: 1m, command: [{argv}]}}");
            let dynamic = format!("  dynamic_labels: {{region: {label}}}\n");
            text.push_str(&dynamic);
        }
        place.put(&format!("{name}.yaml"), &text);
    }
    place
}

fn asked(place: &Place, name: &str) -> Value {
    serde_json::from_str(&place.ok(&["kube", "match", "--name", name, "--format", "json"])).unwrap()
}

fn as_foretold(place: &Place) {
    for (name, _, _, item, served_by, perhaps, reason) in ROWS {
        let said = asked(place, name);
        assert_eq!(said["name"], *name);
        assert_eq!(said["served_by"], json!(served_by), "{said}");
        let expected = if perhaps.is_empty() { Value::Null } else { json!(perhaps) };
        assert_eq!(said["perhaps_served_by"], expected, "{said}");
        let expected = if reason.is_empty() { Value::Null } else { json!(reason) };
        assert_eq!(said["reason"], expected, "{said}");
        assert_eq!(said["item"], item.map_or(Value::Null, Value::from), "{said}");
        let matches = match (item, *name) {
            (Some(_), _) => json!(true),
            (None, "undecided") => Value::Null,
            (None, _) => json!(false),
        };
        assert_eq!(said["match"], matches, "{said}");
    }
}

#[test]
fn what_is_foretold_by_name_is_what_is_served() {
    let place = place();
    // Before anything is there, and no command has run.
    let said = asked(&place, "bare");
    assert_eq!(
        (&said["match"], &said["served_by"], &said["reason"]),
        (&json!(true), &json!([]), &json!(BARE))
    );
    assert_eq!(asked(&place, "said")["match"], Value::Null, "no command runs for a preview");
    let text = place.ok(&["kube", "match", "--name", "bare"]);
    assert_eq!(text, format!("matches item 1: env=prod\nno service will pick this up: {BARE}\n"));
    let plan = place.ok(&["plan"]);
    assert!(plan.contains("bare → it has no credentials") && !plan.contains("bare → served by"));

    let agent = place.agent();
    let names = || -> Vec<String> {
        listed(&place).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let served = ROWS.iter().filter(|row| !row.4.is_empty()).map(|row| row.0.to_owned());
    let mut served: Vec<String> = served.collect();
    served.sort();
    until("they are served", &agent, || names() == served);
    until("the command has failed", &agent, || agent.log().contains("`sh never.sh`: "));
    as_foretold(&place);
    let unserved = place.ok(&["kube", "ls", "--unserved"]);
    for (name, reason) in [("west", NOT_SELECTED), ("bare", BARE), ("unsaid", NOT_SELECTED)] {
        let line = unserved.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
        assert!(line.ends_with(reason), "{line}");
    }
    assert!(agent.interrupt().success());
    // The journal says the same without an agent.
    as_foretold(&place);
}

#[test]
fn names_that_nothing_declares() {
    let place = place();
    let refused = |args: &[&str]| {
        let output = place.run(args);
        assert!(!output.status.success());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&["kube", "match", "--name", "wes"]);
    assert!(code == Some(1) && said.contains("no manifest declares") && said.contains("`west`"));
    let (code, _) = refused(&["kube", "match", "--name", "west", "env=prod"]);
    assert_eq!(code, Some(64), "either or");
    place.put("west.yaml", &cluster("west", "{env: prod, größe: 1}"));
    let (_, said) = refused(&["kube", "match", "--name", "west"]);
    assert!(said.contains("has errors; run `reconciler validate`"), "{said}");
    let text = place.ok(&["kube", "match", "env=prod", "team=a"]);
    assert!(
        text.contains("served by a\n")
            && text.contains("labels alone say nothing about credentials"),
        "{text}"
    );
}

/// Every key that a running agent's status has.
#[test]
fn the_status_without_an_agent_has_the_same_shape() {
    let place = place();
    let read =
        || -> Value { serde_json::from_str(&place.ok(&["status", "--format", "json"])).unwrap() };
    let before = read();
    assert_eq!(before["converged"], false);
    assert_eq!(before["watch"], "no agent is running");
    assert_eq!(before["format_version"], 1);
    let of =
        |status: &Value, name: &str| status["resources"][format!("kube_cluster/{name}")].clone();
    assert_eq!(of(&before, "east")["state"], "planned");
    assert_eq!(of(&before, "dev")["state"], "unmatched");
    assert_eq!(of(&before, "said")["state"], "waiting");
    let agent = place.agent();
    until("they are served", &agent, || listed(&place).len() == 4);
    until("the command has failed", &agent, || agent.log().contains("`sh never.sh`: "));
    until("it is quiet", &agent, || of(&read(), "unsaid")["state"] == "in sync");
    let with = read();
    assert!(agent.interrupt().success());
    let without = read();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&with), keys(&without));
    assert_eq!(keys(&with), keys(&before));
    assert_eq!(with["source"], without["source"]);
    assert_eq!(with["findings"], without["findings"]);
    for row in ROWS {
        let (with, without) = (of(&with, row.0), of(&without, row.0));
        assert_eq!(keys(&with), keys(&without), "{}", row.0);
        assert_eq!(with["state"], without["state"], "{}", row.0);
        assert_eq!(with["labels"]["region"]["value"], without["labels"]["region"]["value"]);
    }
}
