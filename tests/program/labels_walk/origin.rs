//! Clusters that somebody else registered, under names that a manifest declares.

use super::{KUBECONFIG, cluster};
use crate::common::{Agent, Place, until};

const ORIGIN: &str = "teleport.dev/origin";

/// Somebody else's hands.
fn set(place: &Place, name: &str, labels: &str) {
    let text = format!(
        "kind: kube_cluster\nversion: v3\nmetadata: {{name: {name}, labels: {labels}}}\nspec: \
         {{kubeconfig: {KUBECONFIG}}}\n"
    );
    let path = place.dir.path().join("by-hand.yaml");
    std::fs::write(&path, text).unwrap();
    place.ok(&["plane", "set", path.to_str().unwrap()]);
}

fn live(place: &Place, name: &str) -> String {
    place.live(&format!("kube_cluster/{name}")).expect(name)
}

fn origin(place: &Place, name: &str) -> String {
    let text = live(place, name);
    let line = text.lines().find(|line| line.contains(ORIGIN)).expect("it says an origin");
    line.rsplit(": ").next().unwrap().to_owned()
}

fn line(place: &Place, name: &str) -> String {
    let text = place.ok(&["status"]);
    let id = format!("kube_cluster/{name} ");
    let line = text.lines().find(|line| line.starts_with(&id));
    line.unwrap_or_default().to_owned()
}

fn waits(place: &Place, agent: &Agent, name: &str, reason: &str) {
    until(name, agent, || {
        let line = line(place, name);
        line.contains("waiting") && line.contains(reason)
    });
}

/// Of each origin one whose manifest says nothing of it, and one whose manifest says another.
const THEIRS: &[(&str, &str)] = &[
    ("cloud-1", "cloud"),
    ("cloud-2", "cloud"),
    ("kubernetes-1", "kubernetes"),
    ("kubernetes-2", "kubernetes"),
    ("dynamic-1", "dynamic"),
    ("dynamic-2", "dynamic"),
];

fn pasted(name: &str) -> &'static str {
    match name {
        "cloud-2" | "kubernetes-2" => "dynamic",
        _ => "kubernetes",
    }
}

fn manifest(name: &str, more: &str) -> String {
    let origin =
        if name.ends_with('2') { format!(", {ORIGIN}: {}", pasted(name)) } else { String::new() };
    cluster(name, &format!("{{env: prod{origin}{more}}}"))
}

#[test]
fn no_origin_is_ever_flipped() {
    let place = Place::new("");
    place.put("keep.yaml", &cluster("keep", &format!("{{{ORIGIN}: cloud}}")));
    for (name, origin) in THEIRS {
        set(&place, name, &format!("{{env: dev, {ORIGIN}: {origin}}}"));
        place.put(&format!("{name}.yaml"), &manifest(name, ""));
    }
    let before: Vec<String> = THEIRS.iter().map(|(name, _)| live(&place, name)).collect();

    // The plan says whose they are, and that only what no program keeps is taken.
    let plan = place.run(&["plan"]);
    assert_eq!(plan.status.code(), Some(1), "some of it can never be applied");
    let plan = String::from_utf8(plan.stdout).unwrap();
    for (name, origin) in THEIRS {
        let is_taken = *origin == "dynamic";
        let told = format!("kube_cluster/{name}: ");
        let kept = format!("kept by another program (origin `{origin}`)");
        let is_deferred = plan.lines().any(|line| line.contains(&told) && line.contains(&kept));
        assert_eq!(is_deferred, !is_taken, "{name}\n{plan}");
        assert_eq!(plan.contains(&format!("~ kube_cluster/{name}  (adopted")), is_taken, "{plan}");
    }

    let agent = place.agent();
    until("the free one is made", &agent, || place.live("kube_cluster/keep").is_some());
    // What a manifest says of an origin is ignored.
    assert_eq!(origin(&place, "keep"), "dynamic");
    for ((name, origin), before) in THEIRS.iter().zip(&before) {
        if *origin == "dynamic" {
            until(name, &agent, || live(&place, name).contains("env: prod"));
        } else {
            waits(&place, &agent, name, &format!("origin `{origin}`"));
            assert_eq!(live(&place, name), *before, "{name} was touched");
        }
        assert_eq!(self::origin(&place, name), *origin);
    }
    // An edit changes nothing about whose they are.
    for (name, _) in THEIRS {
        place.put(&format!("{name}.yaml"), &manifest(name, ", team: a"));
    }
    until("the edit is there", &agent, || live(&place, "dynamic-2").contains("team: a"));
    assert_eq!(origin(&place, "dynamic-2"), "dynamic");

    // Without manifests what was taken goes, and what is others' stays.
    for (name, _) in THEIRS {
        place.remove(&format!("{name}.yaml"));
    }
    for name in ["dynamic-1", "dynamic-2"] {
        until(name, &agent, || place.live(&format!("kube_cluster/{name}")).is_none());
    }
    for ((name, origin), before) in THEIRS.iter().zip(&before) {
        if *origin != "dynamic" {
            assert_eq!(live(&place, name), *before, "{name} was touched");
        }
    }
    assert!(agent.interrupt().success());
}

/// Ours by the journal; then somebody takes the mark away, or the whole cluster.
#[test]
fn what_lost_its_mark_or_became_anothers_is_not_deleted() {
    let place = Place::new("");
    place.put("keep.yaml", &cluster("keep", "{env: prod}"));
    let names = ["unmarked", "taken", "clouds"];
    for name in names {
        place.put(&format!("{name}.yaml"), &cluster(name, "{env: prod}"));
    }
    let agent = place.agent();
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    assert!(agent.interrupt().success());

    let owner = "teleport.hidden/reconciler-owner";
    set(&place, "unmarked", "{env: prod}");
    set(&place, "taken", &format!("{{env: prod, {owner}: somebody}}"));
    set(&place, "clouds", &format!("{{env: prod, {owner}: reconciler, {ORIGIN}: cloud}}"));
    let before = names.map(|name| live(&place, name));
    for name in names {
        place.remove(&format!("{name}.yaml"));
    }
    let agent = place.agent();
    for (name, reason) in [
        ("unmarked", "it no longer has our owner label"),
        ("taken", "owned by agent `somebody`"),
        ("clouds", "origin `cloud`"),
    ] {
        waits(&place, &agent, name, reason);
    }
    // Longer than the pending period: another delete of this agent has run its course.
    place.put("other.yaml", &cluster("other", "{env: prod}"));
    until("it is made", &agent, || place.live("kube_cluster/other").is_some());
    place.remove("other.yaml");
    until("it is deleted", &agent, || place.live("kube_cluster/other").is_none());
    assert_eq!(names.map(|name| live(&place, name)), before);
    assert_eq!(place.writes(), 2, "{:?}", place.calls());
    assert!(agent.interrupt().success());
}
