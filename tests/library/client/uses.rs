//! Only kinds in use are asked about.

use std::time::Duration;

use reconciler::engine::Config;
use reconciler::plane::status::code;

use super::{calls, client, fail, plane, role, since, user};
use crate::agent::{Agent, quick};

const LIST_USERS: &str = "/teleport.users.v1.UsersService/ListUsers";

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_asked_about_from_its_first_manifest_to_its_last() {
    let plane = plane();
    // An identity that may list roles and nothing else.
    for path in [
        LIST_USERS,
        "/proto.AuthService/ListKubernetesClusters",
        "/proto.AuthService/ListProvisionTokens",
        "/teleport.trust.v1.TrustService/ListTrustedClusters",
        "/teleport.machineid.v1.BotService/ListBots",
        "/teleport.presence.v1.PresenceService/ListRemoteClusters",
        "/teleport.workloadcluster.v1.WorkloadClusterService/ListWorkloadClusters",
    ] {
        fail(&plane, path, code::PERMISSION_DENIED);
    }
    let config = Config { resync: Duration::from_secs(2), ..quick() };
    let agent = Agent::start(client(&plane), config, &[("a.yaml", &role("a"))]);
    let status = agent.converged().await;
    assert_eq!(status.kinds.keys().collect::<Vec<_>>(), ["role"]);
    let asked = calls(&plane);
    let words: Vec<&str> = asked.keys().map(String::as_str).collect();
    assert_eq!(words, ["CreateRole", "ListRoles", "WatchEvents"]);

    // It comes into use: listed before anything of it is done, and watched.
    plane.with_core(|core| core.faults_mut().clear()).unwrap();
    let before = calls(&plane);
    agent.write("b.yaml", &user("b"));
    let is_there = |status: &reconciler::engine::Status| {
        status.converged && status.kinds.get("user").is_some_and(|user| user.watched)
    };
    agent.until("created and followed", is_there).await;
    let asked = since(&before, &plane);
    assert_eq!((asked["WatchEvents"], asked["CreateUser"]), (1, 1), "{asked:?}");
    assert!(asked["ListUsers"] >= 1, "{asked:?}");

    // It falls out of use: deleted, and asked about no more.
    agent.remove("b.yaml");
    agent.until("forgotten", |status| !status.kinds.contains_key("user")).await;
    assert_eq!(calls(&plane)["DeleteUser"], 1);
    let before = calls(&plane);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = since(&before, &plane);
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["ListRoles"], "{asked:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_in_doubt_keeps_its_kind_in_use() {
    let plane = plane();
    let config = Config { resync: Duration::from_secs(1), ..quick() };
    let files = [("a.yaml", &*role("a")), ("b.yaml", &*user("b"))];
    let agent = Agent::start(client(&plane), config, &files);
    agent.converged().await;
    // Not even its kind can be read any more.
    agent.write("b.yaml", "kind: [user\n");
    let broken = |status: &reconciler::engine::Status| !status.findings.is_empty();
    agent.until("broken", broken).await;
    let before = calls(&plane);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let asked = since(&before, &plane);
    assert!(asked.contains_key("ListUsers"), "{asked:?}");
    assert!(!asked.contains_key("DeleteUser"), "{asked:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_declared_asks_nothing() {
    let plane = plane();
    let agent = Agent::start(client(&plane), quick(), &[("notes.txt", "no manifest")]);
    agent.until("through", |status| status.converged).await;
    assert!(calls(&plane).is_empty(), "{:?}", calls(&plane));
    agent.stop().await;
}
