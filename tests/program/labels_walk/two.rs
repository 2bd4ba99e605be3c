//! Two agents on one directory, over one plane.

use std::thread;
use std::time::Duration;

use super::client::{called, place, serving};
use super::{cluster, registered};
use crate::common::{Place, until};
use crate::served::Served;

fn only(region: &str) -> String {
    format!("[kubernetes]\nresources = [{{ labels = {{ region = \"{region}\" }} }}]\n")
}

fn in_sync(place: &Place) -> bool {
    place.ok(&["status"]).contains("Everything is in sync.")
}

/// Whose mark a cluster bears, and its revision.
fn owner(place: &Place, name: &str) -> Option<String> {
    let text = registered(place, name)?;
    let line = text.lines().find(|line| line.contains("reconciler-owner"))?;
    Some(line.rsplit(": ").next()?.trim_matches('"').to_owned())
}

fn revision(place: &Place, name: &str) -> Option<String> {
    let text = registered(place, name)?;
    text.lines().find(|line| line.trim().starts_with("revision:")).map(str::to_owned)
}

/// Creates, updates, deletes.
fn writes(served: &Served) -> [u64; 3] {
    ["Create", "Update", "Delete"].map(|verb| called(served, &format!("{verb}KubernetesCluster")))
}

#[test]
fn two_agents_share_a_directory_and_a_cluster_moves_between_them() {
    let served = serving("");
    let east = place(&served, "east", "everything", None, &only("us-east-1"));
    let source = east.source();
    let west = place(&served, "west", "everything", Some(&source), &only("us-west-1"));
    for (name, region) in
        [("e1", "us-east-1"), ("e2", "us-east-1"), ("w1", "us-west-1"), ("none", "eu-1")]
    {
        east.put(&format!("{name}.yaml"), &cluster(name, &format!("{{region: {region}}}")));
    }
    let (agents, both) = ((east.agent(), west.agent()), [&east, &west]);
    let (of_east, of_west) = (&agents.0, &agents.1);
    for (name, whose) in [("e1", "east"), ("e2", "east"), ("w1", "west")] {
        until(name, of_east, || owner(&east, name).as_deref() == Some(whose));
    }
    until("east is in sync", of_east, || in_sync(&east));
    until("west is in sync", of_west, || in_sync(&west));
    assert!(registered(&east, "none").is_none());
    assert_eq!(writes(&served), [3, 0, 0]);
    let others = || ["e2", "w1"].map(|name| revision(&east, name).unwrap());
    let before = others();

    // One edit: the one lets go, then the other takes it.
    east.put("e1.yaml", &cluster("e1", "{region: us-west-1}"));
    until("it has moved", of_west, || owner(&west, "e1").as_deref() == Some("west"));
    until("east is in sync", of_east, || in_sync(&east));
    until("west is in sync", of_west, || in_sync(&west));
    assert!(of_east.log().contains("deleted kube_cluster/e1"), "{}", of_east.log());
    assert!(of_west.log().contains("created kube_cluster/e1"), "{}", of_west.log());
    assert_eq!(writes(&served), [4, 0, 1]);
    assert_eq!(others(), before, "somebody touched a cluster that did not move");

    // A file that goes is unregistered by whoever registered it, a label that changes within a
    // selector is written by it.
    east.remove("w1.yaml");
    east.put("e2.yaml", &cluster("e2", "{region: us-east-1, team: a}"));
    until("it is gone", of_west, || registered(&west, "w1").is_none());
    until("it is written", of_east, || {
        registered(&east, "e2").is_some_and(|text| text.contains("team: a"))
    });
    for (place, agent) in both.into_iter().zip([of_east, of_west]) {
        until("in sync", agent, || in_sync(place));
    }
    assert!(!of_east.log().contains("kube_cluster/w1"), "{}", of_east.log());
    assert!(!of_west.log().contains("kube_cluster/e2"), "{}", of_west.log());
    assert_eq!(writes(&served), [4, 1, 2]);

    // Nobody's any more.
    east.put("e1.yaml", &cluster("e1", "{region: eu-1}"));
    until("it is gone", of_west, || registered(&west, "e1").is_none());
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(writes(&served), [4, 1, 3]);
    assert_eq!(owner(&east, "e2").as_deref(), Some("east"));
    assert!(agents.0.interrupt().success() && agents.1.interrupt().success());
}
