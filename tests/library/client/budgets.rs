//! How many calls things cost.

use std::time::Duration;

use prost::Message as _;
use reconciler::engine::Config;
use reconciler::kind::{OWNER_LABEL, PAGE_SIZE};
use reconciler::model::{Now, Timestamp};
use reconciler::plane::Caller;
use reconciler::wire::message::{proto, types};

use super::{calls, client, plane, role, since};
use crate::agent::{Agent, quick};

const LIVE: usize = 10_000;

/// A kind that no watch follows.
const TRUST: &str = "\
kind: trusted_cluster
version: v2
metadata: {name: root.example.com}
spec:
  enabled: true
  token: abc
  web_proxy_addr: root.example.com:443
  tunnel_addr: root.example.com:443
  role_map: [{remote: access, local: [access]}]
";

fn live_role(name: &str) -> Vec<u8> {
    let conditions = types::RoleConditions { logins: vec!["x".to_owned()], ..Default::default() };
    let spec = types::RoleSpecV6 { allow: Some(conditions), ..Default::default() };
    let labels = [(OWNER_LABEL.to_owned(), "reconciler".to_owned())].into();
    let role = types::RoleV6 {
        kind: "role".to_owned(),
        version: "v7".to_owned(),
        metadata: Some(types::Metadata { name: name.to_owned(), labels, ..Default::default() }),
        spec: Some(spec),
        ..Default::default()
    };
    proto::CreateRoleRequest { role: Some(role) }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_changes_costs_its_pages() {
    let plane = plane();
    let caller = Caller::admin();
    let mut texts = String::new();
    for number in 0..LIVE {
        let name = format!("r-{number:05}");
        plane
            .call(&caller, "/proto.AuthService/CreateRole", &live_role(&name))
            .await
            .expect("the plane takes it");
        texts.push_str(&format!("---\n{}", role(&name)));
    }
    let now = Now { monotonic: Duration::from_hours(1), wall: Timestamp(i64::MAX) };
    let live = plane.with_core(|core| core.items("role", now).count()).unwrap();
    assert!(live >= LIVE, "{live}");
    let before = calls(&plane);
    let agent = Agent::start(client(&plane), quick(), &[("all.yaml", &texts)]);
    let status = agent.converged().await;
    assert_eq!(status.resources.len(), LIVE);
    let asked = since(&before, &plane);
    let pages = live.div_ceil(usize::try_from(PAGE_SIZE).unwrap());
    let total: u64 = asked.values().sum();
    let in_use = status.kinds.len();
    assert_eq!(in_use, 1);
    assert!(total <= (pages + in_use + 2) as u64, "{pages} pages: {asked:?}");

    // One more is one call, and the watch shows it.
    let before = calls(&plane);
    agent.write("one.yaml", &role("one"));
    agent
        .until("created", |status| status.converged && status.resources.contains_key("role/one"))
        .await;
    assert_eq!(since(&before, &plane), [("CreateRole".to_owned(), 1)].into());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_steady_state_only_clocks_call() {
    let plane = plane();
    let agent = Agent::start(client(&plane), quick(), &[("a.yaml", &role("a"))]);
    agent.converged().await;
    let before = calls(&plane);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(since(&before, &plane), [].into(), "nothing at all");
    agent.stop().await;

    // What cannot be watched is polled, and a resync asks for each kind once.
    for (config, expected) in [
        (Config { poll: Duration::from_secs(1), ..quick() }, ["ListTrustedClusters"].as_slice()),
        (
            Config { resync: Duration::from_secs(1), ..quick() },
            ["ListRoles", "ListTrustedClusters"].as_slice(),
        ),
    ] {
        let agent =
            Agent::start(client(&plane), config, &[("a.yaml", &role("a")), ("t.yaml", TRUST)]);
        agent.converged().await;
        let before = calls(&plane);
        tokio::time::sleep(Duration::from_millis(3500)).await;
        let asked = since(&before, &plane);
        assert_eq!(asked.keys().collect::<Vec<_>>(), expected, "{asked:?}");
        assert!(asked.values().all(|calls| (2..=4).contains(calls)), "{asked:?}");
        agent.stop().await;
    }
}
