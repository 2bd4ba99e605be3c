//! What label values make of manifests, and the engine's clock of label commands.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod engine;

use std::collections::BTreeMap;
use std::sync::Arc;

use reconciler::kind::{self, canonical};
use reconciler::labels::allow::Allow;
use reconciler::labels::resolve::{Desired, Rules, resolve};
use reconciler::labels::selector::Selectors;
use reconciler::labels::value::{Command, Failing, Good, Known, Values};
use reconciler::labels::{Mode, OnFailure, findings};
use reconciler::live::{Coverage, LiveState, Observed};
use reconciler::manifest::{Directives, Manifest, Reading, Snapshot, decode, render};
use reconciler::model::{Cluster, FingerprintKey, Live, Place, ResourceId, Timestamp, Value};

pub(crate) const AGENT: &str = "reconciler";
pub(crate) const KEY: FingerprintKey = FingerprintKey([7; 32]);

pub(crate) fn items(items: &[&[(&str, &str)]]) -> Selectors {
    let of = |pairs: &&[(&str, &str)]| -> BTreeMap<String, Vec<String>> {
        pairs.iter().map(|(key, value)| ((*key).into(), vec![(*value).into()])).collect()
    };
    Selectors::new(&items.iter().map(of).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn rules(mode: Mode, selectors: Selectors) -> Rules {
    let allow = Allow::new(&["say region".to_owned()]).unwrap();
    Rules { selectors, listed: true, mode, allow, ..Rules::default() }
}

pub(crate) fn id(name: &str) -> ResourceId {
    ResourceId::parent(kind::find("kube_cluster").unwrap().name, name)
}

pub(crate) fn resource(name: &str, labels: &str, spec: &str) -> reconciler::model::Resource {
    let text = format!(
        r#"{{"kind":"kube_cluster","version":"v3","metadata":{{"name":"{name}","labels":{labels}}},
        "spec":{spec}}}"#
    );
    let kind = kind::find("kube_cluster").unwrap();
    canonical::resource(kind, Cluster::Parent, name, Value::from_json(&text).unwrap(), &KEY)
}

/// `region` from `say WORD`, with a pasted result.
pub(crate) fn dynamic(word: &str, result: &str) -> String {
    format!(
        r#"{{"dynamic_labels":{{"region":{{"period":"1m","command":["say","{word}"],"result":"{result}"}}}}}}"#
    )
}

pub(crate) fn reading(resources: Vec<reconciler::model::Resource>) -> Arc<Reading> {
    let mut reading = Reading::default();
    for resource in resources {
        let at = Place { path: "eu/a.yaml".into(), start: 0, end: 1 };
        let id = resource.id.clone();
        let resource = Arc::new(resource);
        let manifest = Manifest { at, resource, directives: Directives::default() };
        reading.manifests.insert(id, manifest);
    }
    let all = reading.manifests.values().map(|it| it.resource.digest);
    let all: Vec<_> = all.map(|digest| *digest.as_bytes()).collect();
    let parts = all.iter().map(<[u8; 32]>::as_slice);
    reading.digest = Some(reconciler::model::Digest::of_parts(parts));
    Arc::new(reading)
}

fn command(word: &str) -> Arc<Command> {
    Arc::new(Command { dir: "eu".into(), argv: vec!["say".into(), word.into()] })
}

fn known(good: Option<&str>, failing: bool) -> Known {
    let good = good.map(|value| Good { value: value.into(), seen: Timestamp(1) });
    let failing = failing.then(|| Failing { since: Timestamp(2), why: "no".into() });
    Known { good, failing }
}

fn values(known: Known) -> Values {
    [(command("region"), known)].into()
}

fn live_state(resource: Option<reconciler::model::Resource>) -> LiveState {
    let kind = kind::find("kube_cluster").unwrap();
    let live = resource.map(|resource| {
        let wire = canonical::encode(kind, &resource, None, AGENT).unwrap();
        canonical::decode(kind, Cluster::Parent, wire, &KEY).unwrap()
    });
    let observed = Observed::new(live, Coverage::Complete);
    LiveState { kinds: [((Cluster::Parent, kind.name), observed)].into(), ..LiveState::default() }
}

/// `item`, `nothing` or `unknown`.
fn word(desired: &Desired) -> &'static str {
    match (&desired.fits.unmatched.len(), desired.fits.undecided.len()) {
        (0, 0) => "item",
        (1, 0) => "nothing",
        (0, 1) => "unknown",
        other => panic!("{other:?}"),
    }
}

fn one(
    mode: Mode,
    on_failure: OnFailure,
    declared: (&str, &str),
    values: &Values,
    live: Option<reconciler::model::Resource>,
) -> (Desired, Option<String>) {
    let reading = reading(vec![resource("a", declared.0, declared.1)]);
    let selectors = items(&[&[("env", "prod")], &[("region", "us-*"), ("env", "test")]]);
    let rules = Rules { on_failure, ..rules(mode, selectors) };
    let desired = resolve(&reading, &live_state(live), values, &rules, AGENT);
    let content =
        desired.reading.manifests.get(&id("a")).map(|it| it.resource.canonical.to_string());
    (desired, content)
}

#[test]
fn what_a_value_makes_of_a_match() {
    use Mode::{Forward, Resolve};
    use OnFailure::{Drop, KeepLast};
    let (prod, test, dev) = (r#"{"env":"prod"}"#, r#"{"env":"test"}"#, r#"{"env":"dev"}"#);
    let hidden = r#"{"env":"test","region":"us-1"}"#;
    let us = || known(Some("us-1"), false);
    let eu = || known(Some("eu-1"), false);
    let none = Known::default;
    // mode, on failure, static labels, pasted result, what is known, outcome, region as stored
    let rows = [
        (Resolve, KeepLast, test, "", us(), "item", Some("us-1")),
        (Resolve, KeepLast, test, "", eu(), "nothing", None),
        (Resolve, KeepLast, test, "", none(), "unknown", None),
        (Resolve, KeepLast, test, "us-9", none(), "unknown", None),
        (Resolve, KeepLast, prod, "", none(), "item", Some("")),
        (Resolve, KeepLast, prod, "", eu(), "item", Some("eu-1")),
        (Resolve, KeepLast, dev, "", none(), "nothing", None),
        (Resolve, KeepLast, test, "", known(Some("us-1"), true), "item", Some("us-1")),
        (Resolve, KeepLast, test, "", known(None, true), "unknown", None),
        (Resolve, Drop, test, "", known(Some("us-1"), true), "nothing", None),
        (Resolve, Drop, prod, "", known(Some("us-1"), true), "item", Some("")),
        // What never had a value has none to lose: nobody knows it.
        (Resolve, Drop, test, "", known(None, true), "unknown", None),
        (Resolve, Drop, prod, "", known(None, true), "item", Some("")),
        (Resolve, Drop, hidden, "", known(None, true), "unknown", None),
        (Forward, Drop, test, "", known(None, true), "unknown", None),
        (Forward, Drop, prod, "", known(None, true), "item", Some("")),
        (Forward, Drop, prod, "us-9", known(None, true), "item", Some("us-9")),
        // A dynamic label hides the static one, with a value or without.
        (Resolve, KeepLast, hidden, "", eu(), "nothing", None),
        (Resolve, KeepLast, hidden, "", none(), "unknown", None),
        (Resolve, Drop, hidden, "", known(Some("us-1"), true), "nothing", None),
        (Forward, KeepLast, test, "", us(), "item", Some("us-1")),
        (Forward, KeepLast, test, "", none(), "unknown", None),
        // A run may still say something else than what was pasted.
        (Forward, KeepLast, test, "us-9", none(), "unknown", None),
        (Forward, KeepLast, prod, "us-9", none(), "item", Some("us-9")),
        (Forward, Drop, test, "", known(Some("us-1"), true), "nothing", None),
        (Forward, Drop, prod, "", known(Some("us-1"), true), "item", Some("")),
    ];
    for (mode, on_failure, labels, pasted, said, outcome, region) in rows {
        let case = format!("{mode:?} {on_failure:?} {labels} {pasted:?} {said:?}");
        let spec = dynamic("region", pasted);
        let (desired, content) = one(mode, on_failure, (labels, &spec), &values(said), None);
        assert_eq!(word(&desired), outcome, "{case}");
        let stored = content.map(|content| {
            let value: serde_json::Value = serde_json::from_str(&content).unwrap();
            assert_eq!(content.contains("command"), mode == Forward, "{case}: {content}");
            let pointer = match mode {
                Resolve => "/metadata/labels/region",
                Forward => "/spec/dynamic_labels/region/result",
            };
            value.pointer(pointer).map_or(String::new(), |it| it.as_str().unwrap().to_owned())
        });
        assert_eq!(stored.as_deref(), region, "{case}");
    }
}

#[test]
fn a_pasted_result_counts_where_nothing_may_run() {
    let spec = dynamic("other", "us-1");
    let declared = (r#"{"env":"test"}"#, spec.as_str());
    let none = Values::new();
    let (desired, content) = one(Mode::Forward, OnFailure::KeepLast, declared, &none, None);
    assert_eq!(word(&desired), "item");
    assert!(content.unwrap().contains(r#""result":"us-1""#));
    let (desired, _) = one(Mode::Resolve, OnFailure::KeepLast, declared, &none, None);
    assert_eq!(word(&desired), "unknown", "commands never leave this host, nor do their results");
}

/// What the cluster has stays where nobody knows better, and is no difference.
#[test]
fn an_unknown_value_is_no_difference() {
    let spec = dynamic("region", "");
    let declared = (r#"{"env":"prod"}"#, spec.as_str());
    let none = Values::new();
    for (mode, labels, live_spec) in [
        (Mode::Resolve, r#"{"env":"prod","region":"us-1"}"#, "{}".to_owned()),
        (Mode::Forward, r#"{"env":"prod"}"#, dynamic("region", "us-1")),
    ] {
        let live = resource("a", labels, &live_spec);
        let wanted = live.canonical.to_string();
        let (_, content) = one(mode, OnFailure::KeepLast, declared, &none, Some(live));
        assert_eq!(content.unwrap(), wanted, "{mode:?}");
        // Nor is the value itself, once it is known.
        let (_, content) =
            one(mode, OnFailure::KeepLast, declared, &values(known(Some("us-1"), false)), None);
        assert_eq!(content.unwrap(), wanted, "{mode:?}");
    }
}

#[test]
fn why_it_matches_nothing_is_told() {
    let spec = dynamic("region", "");
    let rows = [
        (
            r#"{"env":"test"}"#,
            r#"{"env":"test","region":"us-west-1"}"#,
            "label region changed us-west-1 → eu-1: no selector matches",
        ),
        (
            r#"{"env":"test","team":"b"}"#,
            r#"{"env":"test","region":"us-west-1","team":"a"}"#,
            "label region changed us-west-1 → eu-1: no selector matches",
        ),
        (
            r#"{"env":"test"}"#,
            r#"{"env":"test","region":"eu-1"}"#,
            "selectors changed: none matches env=test, region=eu-1",
        ),
        (
            r#"{"env":"dev"}"#,
            r#"{"env":"x","region":"eu-1"}"#,
            "label env changed x → dev: no selector matches",
        ),
        ("{}", r#"{"env":"prod","region":"eu-1"}"#, "label env=prod removed: no selector matches"),
    ];
    for (labels, live, expected) in rows {
        let live = resource("a", live, "{}");
        let said = values(known(Some("eu-1"), false));
        let state = live_state(Some(live));
        let reading = reading(vec![resource("a", labels, &spec)]);
        let selectors = items(&[&[("env", "prod")], &[("region", "us-*"), ("env", "test")]]);
        let rules = rules(Mode::Resolve, selectors);
        let desired = resolve(&reading, &state, &said, &rules, AGENT);
        let live: &Live = state.kinds.values().next().unwrap().seen().next().unwrap();
        assert_eq!(desired.fits.unmatched[&id("a")].because(live, &rules), expected, "{labels}");
    }
}

const WRITTEN: &str = "kind: kube_cluster
version: v3
metadata: {name: NAME, labels: {env: ENV}}
spec:
  dynamic_labels:
    region:
      period: 1m
      command:
        - say
        - WORD
      result: us-9
";

/// Files as they are written: three clusters, two of them in one file.
fn written() -> (Snapshot, Reading) {
    let one = |name: &str, env: &str, word: &str| {
        WRITTEN.replace("NAME", name).replace("ENV", env).replace("WORD", word)
    };
    // No value could make `b` match: nothing need run.
    let both = format!("---\n{}---\n{}", one("b", "dev", "never"), one("c", "test", "other"));
    let mut snapshot = Snapshot::default();
    for (path, text) in [("eu/a.yaml", one("a", "test", "region")), ("eu/b.yaml", both)] {
        snapshot.files.insert(path.into(), text.into_bytes().into());
    }
    let reading = decode::read(&snapshot, &KEY);
    assert_eq!(reading.findings.len(), 3, "no credentials, and nothing else: {reading:#?}");
    (snapshot, reading)
}

/// Code, place and what is underlined.
fn found(mode: Mode) -> Vec<String> {
    let (snapshot, reading) = written();
    let selectors = items(&[&[("region", "us-*"), ("env", "test")]]);
    let mut named = findings::named(&reading, &snapshot, &rules(mode, selectors), AGENT);
    named.findings.sort();
    let shown = named.findings.iter().map(|it| {
        assert!(it.hint.is_some() && findings::CODES.iter().any(|(code, _)| *code == it.code));
        let bytes = &snapshot.files[&it.at.path];
        let text = String::from_utf8_lossy(&bytes[it.at.range()]);
        let (line, column) = render::position(bytes, it.at.range().start);
        let first = text.lines().next().unwrap();
        format!("{} {}:{line}:{column} {first}", it.code, it.at.path)
    });
    shown.collect()
}

#[test]
fn findings_about_labels_point_at_them() {
    let ignored = ["eu/a.yaml:11:7", "eu/b.yaml:12:7", "eu/b.yaml:24:7"];
    let mut expected: Vec<_> = ignored.iter().map(|at| format!("L002 {at} result: us-9")).collect();
    expected.insert(2, "L001 eu/b.yaml:21:7 command:".to_owned());
    assert_eq!(found(Mode::Resolve), expected);
    // What may run replaces what was pasted. What may not leaves it alone, and it counts.
    assert_eq!(
        found(Mode::Forward),
        ["L003 eu/a.yaml:11:7 result: us-9", "L001 eu/b.yaml:21:7 command:"]
    );
}

#[test]
fn what_may_not_run_is_told_with_the_line_to_add() {
    let (snapshot, reading) = written();
    let selectors = items(&[&[("region", "us-*"), ("env", "test")]]);
    let rules = rules(Mode::Resolve, selectors);
    let named = findings::named(&reading, &snapshot, &rules, AGENT);
    let commands: Vec<_> = named.commands.iter().map(|(it, may)| (it.to_string(), *may)).collect();
    assert_eq!(commands, [("say other".to_owned(), false), ("say region".to_owned(), true)]);
    let told = named.findings.iter().find(|it| it.code == findings::NOT_ALLOWED).unwrap();
    let hint = told.hint.clone().unwrap();
    assert!(hint.contains("say other"), "{hint}");
    let page = render::text(std::slice::from_ref(told), &snapshot, false);
    assert!(page.contains("--> eu/b.yaml:21:7") && page.contains("      ^^^^^^^^"), "{page}");
}

#[test]
fn codes_of_labels_are_in_order() {
    let codes: Vec<&str> = findings::CODES.iter().map(|(code, _)| code.0).collect();
    assert!(codes.is_sorted() && codes.iter().all(|code| code.starts_with('L')), "{codes:?}");
    assert!(findings::CODES.iter().all(|(_, meaning)| meaning.ends_with('.')));
}

#[test]
fn without_selectors_everything_is_meant() {
    let reading = reading(vec![resource("a", "{}", &dynamic("region", ""))]);
    let desired =
        resolve(&reading, &LiveState::default(), &Values::new(), &Rules::default(), AGENT);
    assert_eq!(word(&desired), "item");
    assert!(desired.fits.matched.is_empty(), "nobody wants to read why");
    let plain = self::reading(vec![resource("a", "{}", "{}")]);
    let desired = resolve(&plain, &LiveState::default(), &Values::new(), &Rules::default(), AGENT);
    assert!(Arc::ptr_eq(&desired.reading, &plain), "nothing is copied");
}
