//! A value that flips away and back within the pending period changes nothing at all.

use super::cluster;
use crate::common::{Place, until};

const LABELS: &str = "
[kubernetes]
resources = [{ labels = { region = \"us-east-*\" } }]
[kubernetes.dynamic_labels]
allow = [\"cat region\"]
[[kubernetes.service]]
name = \"all\"
resources = [{ labels = { \"*\" = \"*\" } }]
";

fn says(place: &Place, region: &str) {
    place.put("region", region);
}

#[test]
fn a_value_that_flips_away_and_back_in_time_writes_nothing() {
    let place = Place::new(LABELS);
    // Longer than this test may take on the slowest machine.
    place.prune_after("10m");
    let dynamic = "  dynamic_labels: {region: {period: 1s, command: [cat, region]}}\n";
    place.put("mine.yaml", &(cluster("mine", "{env: prod}") + dynamic));
    says(&place, "us-east-1");
    let agent = place.agent();
    let status = || place.ok(&["status"]);
    until("in sync", &agent, || {
        place.live("kube_cluster/mine").is_some() && status().contains("Everything is in sync.")
    });
    let before = (place.writes(), place.live("kube_cluster/mine"));
    assert_eq!(before.0, 1, "{:?}", place.calls());
    for away in ["eu-1", "eu-2"] {
        says(&place, away);
        until("the deletion waits", &agent, || {
            status().contains("pending: delete kube_cluster/mine in ")
        });
        assert!(status().contains(&format!("label region changed us-east-1 → {away}")));
        says(&place, "us-east-1");
        until("nothing waits", &agent, || !status().contains("pending: delete"));
        until("in sync", &agent, || status().contains("Everything is in sync."));
        assert_eq!((place.writes(), place.live("kube_cluster/mine")), before);
    }
    assert!(!agent.log().contains("deleted kube_cluster/mine"), "{}", agent.log());
    assert!(place.calls().keys().all(|method| !method.ends_with("/DeleteKubernetesCluster")));
    assert!(agent.interrupt().success());
}
