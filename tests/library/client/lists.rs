//! Old and new list calls.

use reconciler::port::calls;
use std::time::Duration;

use reconciler::kind;
use reconciler::live::{Coverage, ListFailure};
use reconciler::model::Cluster;
use reconciler::plane::Fault;

use super::{calls, client, kube, lacks, plane, role, since};
use crate::agent::{Agent, KEY, quick};

const LIST_KUBE: &str = "/proto.AuthService/ListKubernetesClusters";
const GET_KUBE: &str = "/proto.AuthService/GetKubernetesClusters";

#[tokio::test]
async fn a_server_without_the_new_call_is_asked_for_it_once() {
    let table = [
        ("kube_cluster", "/proto.AuthService/ListKubernetesClusters", "GetKubernetesClusters"),
        (
            "trusted_cluster",
            "/teleport.trust.v1.TrustService/ListTrustedClusters",
            "GetTrustedClusters",
        ),
        ("token", "/proto.AuthService/ListProvisionTokens", "GetTokens"),
    ];
    let plane = plane();
    let remote = client(&plane);
    for (kind, new, old) in table {
        let (kind, word) = (kind::find(kind).unwrap(), new.rsplit('/').next().unwrap());
        // A server that has both is asked by the new one.
        calls::list(&remote, kind, Cluster::Parent, &KEY).await;
        assert_eq!((calls(&plane).get(word), calls(&plane).get(old)), (Some(&1), None), "{word}");
        lacks(&plane, new);
        let before = calls(&plane);
        for _ in 0..3 {
            let observed = calls::list(&remote, kind, Cluster::Parent, &KEY).await;
            assert_eq!(observed.coverage(), &Coverage::Complete, "{word}");
        }
        assert_eq!(since(&before, &plane), [(word.into(), 1), (old.into(), 3)].into(), "{word}");
    }
    // After a lost answer it may be another server.
    let kube = kind::find("kube_cluster").unwrap();
    plane.with_core(|core| core.faults_mut().set(GET_KUBE, Fault::Drop { times: 1 })).unwrap();
    let observed = calls::list(&remote, kube, Cluster::Parent, &KEY).await;
    assert_eq!(observed.lack(), Some(ListFailure::Transient), "{:?}", observed.coverage());
    let before = calls(&plane);
    calls::list(&remote, kube, Cluster::Parent, &KEY).await;
    let expected =
        [("ListKubernetesClusters".into(), 1), ("GetKubernetesClusters".into(), 1)].into();
    assert_eq!(since(&before, &plane), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_the_server_does_not_have_is_asked_for_at_resync_only() {
    let plane = plane();
    lacks(&plane, LIST_KUBE);
    lacks(&plane, GET_KUBE);
    let config = reconciler::engine::Config { resync: Duration::from_secs(4), ..quick() };
    let files = [("a.yaml", &*kube("a")), ("b.yaml", &*role("b"))];
    let agent = Agent::start(client(&plane), config, &files);
    let status = agent
        .until("said", |status| {
            let known = status.kinds.get("kube_cluster").and_then(|kind| kind.missing.clone());
            known.is_some_and(|why| why.contains("does not have the kind"))
                && status.resources.get("role/b").is_some_and(|it| it.state == "in sync")
                && status.watch == "open"
        })
        .await;
    let why = status.resources["kube_cluster/a"].why.clone().unwrap();
    assert!(why.contains("this server does not have the kind `kube_cluster`"), "{why}");
    assert!(why.contains("ListKubernetesClusters, GetKubernetesClusters"), "{why}");
    let before = calls(&plane);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let asked = since(&before, &plane).get("GetKubernetesClusters").copied().unwrap_or(0);
    assert!((1..=3).contains(&asked), "{asked} in two resyncs");
    plane.with_core(|core| core.faults_mut().clear()).unwrap();
    agent.converged().await;
    agent.stop().await;
}
