//! A single pass that cannot know everything ends, and says why.

use reconciler::port::calls;
use std::time::{Duration, Instant};

use reconciler::engine::Outcome;
use reconciler::kind;
use reconciler::model::Cluster;
use reconciler::plane::status::code;

use super::{calls, client, fail, kube, plane, role};
use crate::agent::{Agent, KEY, once};

const LIST_KUBE: &str = "/proto.AuthService/ListKubernetesClusters";
const GET_KUBE: &str = "/proto.AuthService/GetKubernetesClusters";

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_may_not_be_listed_ends_the_pass_when_the_rest_is_done() {
    for refusal in [code::PERMISSION_DENIED, code::UNIMPLEMENTED] {
        let plane = plane();
        fail(&plane, LIST_KUBE, refusal);
        fail(&plane, GET_KUBE, refusal);
        let files = [("a.yaml", &*kube("a")), ("b.yaml", &*role("b"))];
        let started = Instant::now();
        let agent = Agent::start(client(&plane), once(), &files);
        assert_eq!(agent.ended().await, Outcome::Incomplete, "{refusal}");
        let took = started.elapsed();
        assert!(took < Duration::from_secs(20), "{refusal}: {took:?}");
        let calls = calls(&plane);
        assert_eq!(calls.get("CreateRole"), Some(&1), "the rest is done: {calls:?}");
        assert_eq!(calls.get("CreateKubernetesCluster"), None, "{calls:?}");
    }
}

/// What fails for a while is waited for, but not for ever; what can be done is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_cannot_be_listed_is_given_up_when_the_rest_is_done() {
    let plane = plane();
    fail(&plane, LIST_KUBE, code::INTERNAL);
    fail(&plane, GET_KUBE, code::INTERNAL);
    let files = [("a.yaml", &*kube("a")), ("b.yaml", &*role("b"))];
    let agent = Agent::start(client(&plane), once(), &files);
    assert_eq!(agent.ended().await, Outcome::Incomplete);
    let calls = calls(&plane);
    assert_eq!(calls.get("CreateRole"), Some(&1), "the rest is done: {calls:?}");
    assert!(calls.get("ListKubernetesClusters") > Some(&1), "it was tried again: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_nobody_uses_does_not_hinder() {
    let plane = plane();
    fail(&plane, LIST_KUBE, code::PERMISSION_DENIED);
    let agent = Agent::start(client(&plane), once(), &[("b.yaml", &role("b"))]);
    assert_eq!(agent.ended().await, Outcome::Converged);
}

#[tokio::test]
async fn the_missing_rule_is_named() {
    let plane = plane();
    fail(&plane, LIST_KUBE, code::PERMISSION_DENIED);
    let kind = kind::find("kube_cluster").unwrap();
    let observed = calls::list(&client(&plane), kind, Cluster::Parent, &KEY).await;
    let said = format!("{:?}", observed.coverage());
    assert!(said.contains("list of kube_cluster: PermissionDenied"), "{said}");
    assert!(said.contains("resources: [kube_cluster], verbs: [list, read]"), "{said}");
    assert!(said.contains("on demand"), "the server's own words: {said}");
}
