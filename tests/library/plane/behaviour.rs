//! Lag, watches, expiry, trust and faults, with time turned by hand.

use std::time::Duration;

use prost::Message as _;
use reconciler::plane::status::code;
use reconciler::plane::{Caller, Fault, Faults, Moment, Settings, Status, WatchId};
use reconciler::wire::message::teleport::trust::v1 as trust;
use reconciler::wire::message::{proto, types};

use super::support::{AUTH, TRUST, World, code, kube, named, role, trusted};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn reads_are_behind_by_the_lag() {
    let mut world = World::new(Settings { lag: SECOND, ..Default::default() });
    world.kube("CreateKubernetesCluster", "a").unwrap();
    assert_eq!(world.core.next_wakeup(world.now), Some(SECOND));
    assert_eq!(code(world.get_kube("a")), code::NOT_FOUND);
    assert_eq!(world.list_kubes(), [""; 0]);
    assert_eq!(code(world.kube("UpdateKubernetesCluster", "a")), code::NOT_FOUND);
    let delete = format!("{AUTH}DeleteKubernetesCluster");
    assert_eq!(code(world.call::<()>(&delete, &named("a"))), code::NOT_FOUND);
    assert_eq!(code(world.kube("CreateKubernetesCluster", "a")), code::ALREADY_EXISTS);
    world.wait(Duration::from_millis(999));
    assert_eq!(code(world.get_kube("a")), code::NOT_FOUND);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.list_kubes(), ["a"]);
    world.call::<()>(&delete, &named("a")).unwrap();
    assert_eq!(world.list_kubes(), ["a"], "the deletion is not seen yet");
    assert_eq!(code(world.call::<()>(&delete, &named("a"))), code::NOT_FOUND);
    world.wait(SECOND);
    assert_eq!(world.list_kubes(), [""; 0]);
}

#[test]
fn presets_are_seen_at_once_and_can_be_left_out() {
    let mut world = World::new(Settings { lag: SECOND, ..Default::default() });
    let list = |world: &mut World| -> Vec<String> {
        let path = format!("{AUTH}ListRoles");
        let page: proto::ListRolesResponse =
            world.call(&path, &proto::ListRolesRequest::default()).unwrap();
        page.roles.into_iter().map(|role| role.metadata.unwrap().name).collect()
    };
    assert_eq!(list(&mut world), ["access", "auditor", "editor"]);
    let mut world = World::new(Settings { presets: false, ..Default::default() });
    assert_eq!(list(&mut world), [""; 0]);
}

fn subscribe(world: &mut World, kinds: &[(&str, &str)], partial: bool) -> Result<WatchId, Status> {
    let kinds = kinds
        .iter()
        .map(|(kind, name)| types::WatchKind {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            ..Default::default()
        })
        .collect();
    let request = proto::Watch { kinds, allow_partial_success: partial };
    world.core.subscribe(world.now, &Caller::admin(), &request.encode_to_vec())
}

/// The names that a watch tells, deletions with a minus.
fn told(world: &mut World, id: WatchId) -> (Vec<String>, Option<Status>) {
    use proto::event::Resource;
    let poll = world.core.poll_watch(world.now, id);
    let name = |bytes: &Vec<u8>| {
        let event = proto::Event::decode(bytes.as_slice()).unwrap();
        let of = |metadata: Option<types::Metadata>| metadata.unwrap().name;
        match event.resource.unwrap() {
            Resource::ResourceHeader(it) => format!("-{}", of(it.metadata)),
            Resource::KubernetesCluster(it) => of(it.metadata),
            Resource::Role(it) => of(it.metadata),
            Resource::WatchStatus(_) => "init".to_owned(),
            other => panic!("{other:?}"),
        }
    };
    (poll.events.iter().map(name).collect(), poll.ended)
}

#[test]
fn watches_tell_what_reads_see_in_order() {
    let mut world = World::new(Settings { lag: SECOND, ..Default::default() });
    world.kube("CreateKubernetesCluster", "before").unwrap();
    world.wait(SECOND);
    let all = subscribe(&mut world, &[("kube_cluster", "")], false).unwrap();
    let one = subscribe(&mut world, &[("kube_cluster", "b")], false).unwrap();
    let roles = subscribe(&mut world, &[("role", ""), ("bot", "")], true).unwrap();
    assert_eq!(told(&mut world, all).0, ["init"]);
    for name in ["b", "a"] {
        world.kube("CreateKubernetesCluster", name).unwrap();
    }
    world.kube("UpdateKubernetesCluster", "before").unwrap();
    let delete = format!("{AUTH}DeleteKubernetesCluster");
    world.call::<()>(&delete, &named("before")).unwrap();
    world.create_role("r").unwrap();
    assert_eq!(told(&mut world, all).0, [""; 0], "nothing is seen yet");
    world.wait(SECOND);
    assert_eq!(told(&mut world, all).0, ["b", "a", "before", "-before"]);
    assert_eq!(told(&mut world, one).0, ["init", "b"]);
    assert_eq!(told(&mut world, roles).0, ["init", "r"]);
    assert_eq!(told(&mut world, all), (Vec::new(), None));
    let none = subscribe(&mut world, &[("bot", "")], true).unwrap_err();
    assert_eq!(none.code, code::INVALID_ARGUMENT);
    world.core.close_watch(all);
    assert!(told(&mut world, all).1.is_some(), "a closed watch is over");
}

#[test]
fn a_watch_that_is_not_read_ends() {
    let mut world = World::new(Settings::default());
    let id = subscribe(&mut world, &[("role", "")], false).unwrap();
    for number in 0..1023 {
        world.create_role(&format!("r{number}")).unwrap();
    }
    assert!(world.core.watches_ready());
    let (events, ended) = told(&mut world, id);
    assert_eq!((events.len(), ended), (1024, None), "just not too many");
    for number in 0..=1024 {
        world.create_role(&format!("s{number}")).unwrap();
    }
    let (events, ended) = told(&mut world, id);
    assert_eq!(events.len(), 1024);
    assert_eq!(ended, Some(Status::unknown("event fanout system reset")));
}

#[test]
fn expired_resources_vanish_and_are_told() {
    let mut world = World::new(Settings::default());
    let id = subscribe(&mut world, &[("kube_cluster", "")], false).unwrap();
    let mut cluster = kube("short");
    let expires = world.now.wall.plus(SECOND);
    cluster.metadata.as_mut().unwrap().expires =
        Some(prost_types::Timestamp { seconds: expires.0 / 1000, nanos: 0 });
    let path = format!("{AUTH}CreateKubernetesCluster");
    world.call::<()>(&path, &cluster).unwrap();
    assert_eq!(world.list_kubes(), ["short"]);
    world.changes.clear();
    let wakeup = world.core.next_wakeup(world.now).unwrap();
    world.wait(wakeup);
    let changes = world.core.tick(world.now);
    assert_eq!(changes.len(), 1, "the disk must forget it too");
    assert_eq!(world.list_kubes(), [""; 0]);
    assert_eq!(told(&mut world, id).0, ["init", "short", "-short"]);
    world.call::<()>(&path, &kube("short")).unwrap();
}

#[test]
fn kube_updates_do_not_compare_revisions_and_roles_do() {
    let mut world = World::new(Settings::default());
    world.kube("CreateKubernetesCluster", "k").unwrap();
    let first = world.get_kube("k").unwrap().metadata.unwrap().revision;
    let mut cluster = kube("k");
    cluster.metadata.as_mut().unwrap().revision = "stale".to_owned();
    world.call::<()>(&format!("{AUTH}UpdateKubernetesCluster"), &cluster).unwrap();
    let second = world.get_kube("k").unwrap().metadata.unwrap().revision;
    assert_ne!(first, second);
    world.create_role("r").unwrap();
    let mut stale = role("r");
    stale.metadata.as_mut().unwrap().revision = first;
    let request = proto::UpdateRoleRequest { role: Some(stale) };
    let refused = world.call::<types::RoleV6>(&format!("{AUTH}UpdateRole"), &request);
    assert_eq!(code(refused), code::FAILED_PRECONDITION);
}

fn trust_call(
    world: &mut World,
    method: &str,
    cluster: &types::TrustedClusterV2,
) -> Result<types::TrustedClusterV2, Status> {
    // The three requests have one shape.
    let request = trust::CreateTrustedClusterRequest { trusted_cluster: Some(cluster.clone()) };
    world.call(&format!("{TRUST}{method}"), &request)
}

#[test]
fn a_trusted_cluster_lives() {
    let mut world = World::new(Settings::default());
    let created = trust_call(&mut world, "CreateTrustedCluster", &trusted("root")).unwrap();
    let spec = created.spec.clone().unwrap();
    assert_eq!(spec.reverse_tunnel_address, spec.proxy_address, "filled in");
    let again = trust_call(&mut world, "CreateTrustedCluster", &trusted("root"));
    assert_eq!(code(again), code::ALREADY_EXISTS);
    let stale = trust_call(&mut world, "UpdateTrustedCluster", &trusted("root")).unwrap_err();
    assert_eq!(stale.message, "trusted cluster \"root\" has been modified, please retry");

    let mut fixed: Vec<(&str, types::TrustedClusterV2)> = Vec::new();
    for field in ["token", "web_proxy_address", "tunnel_addr", "roles"] {
        let mut changed = created.clone();
        let spec = changed.spec.as_mut().unwrap();
        match field {
            "token" => "other".clone_into(&mut spec.token),
            "web_proxy_address" => "other:1".clone_into(&mut spec.proxy_address),
            "tunnel_addr" => "other:1".clone_into(&mut spec.reverse_tunnel_address),
            _ => {
                spec.role_map.clear();
                spec.roles = vec!["access".to_owned()];
            }
        }
        fixed.push((field, changed));
    }
    for (field, changed) in fixed {
        let refused = trust_call(&mut world, "UpdateTrustedCluster", &changed).unwrap_err();
        let text = format!(
            "can not update {field} for existing leaf cluster, delete and re-create this leaf \
             cluster with updated {field}"
        );
        assert_eq!((refused.code, refused.message), (code::INVALID_ARGUMENT, text));
    }

    let mut changed = created.clone();
    let spec = changed.spec.as_mut().unwrap();
    spec.enabled = false;
    spec.reverse_tunnel_address.clear();
    spec.role_map[0].local = vec!["editor".to_owned(), "$1".to_owned()];
    let updated = trust_call(&mut world, "UpdateTrustedCluster", &changed).unwrap();
    assert!(!updated.spec.clone().unwrap().enabled);
    assert_ne!(updated.metadata, created.metadata, "a new revision");
    let got: types::TrustedClusterV2 =
        world.call(&format!("{AUTH}GetTrustedCluster"), &named("root")).unwrap();
    assert_eq!(got, updated);
    let listed: trust::ListTrustedClustersResponse = world
        .call(&format!("{TRUST}ListTrustedClusters"), &trust::ListTrustedClustersRequest::default())
        .unwrap();
    assert_eq!(listed.trusted_clusters, [updated]);

    let delete = format!("{AUTH}DeleteTrustedCluster");
    let own = world.core.settings().cluster_name.clone();
    assert_eq!(code(world.call::<()>(&delete, &named(&own))), code::INVALID_ARGUMENT);
    world.call::<()>(&delete, &named("root")).unwrap();
    assert_eq!(code(world.call::<()>(&delete, &named("root"))), code::NOT_FOUND);
    trust_call(&mut world, "UpsertTrustedCluster", &trusted("root")).unwrap();
}

#[test]
fn the_same_seed_gives_the_same_answers_and_a_restart_new_revisions() {
    let play = |seed| {
        let mut world = World::new(Settings { seed, ..Default::default() });
        world.create_role("r").unwrap();
        world.changes
    };
    assert_eq!(play(1), play(1));
    assert_ne!(play(1), play(2));
    let first = play(1);
    let stored = first.iter().map(|it| (it.key.clone(), it.after.clone().unwrap())).collect();
    let world = World::over(Settings { seed: 1, ..Default::default() }, stored);
    let again: Vec<_> =
        world.changes.iter().map(|it| &it.after.as_ref().unwrap().revision).collect();
    assert_eq!(again.len(), 1, "only the opening is noted");
    assert!(!first.iter().any(|it| it.after.as_ref().unwrap().revision == *again[0]));
}

#[test]
fn faults_are_used_up_and_counted() {
    let mut world = World::new(Settings::default());
    let path = format!("{AUTH}CreateRole");
    let status = Status::unavailable("on demand");
    world.core.faults_mut().set(&path, Fault::Fail { times: 1, status: status.clone() });
    assert_eq!(world.create_role("r").unwrap_err(), status);
    world.create_role("r").unwrap();
    assert_eq!(code(world.create_role("r")), code::ALREADY_EXISTS);
    let counters = world.core.counters()[&path];
    assert_eq!((counters.calls, counters.writes), (3, 1));
    let faults: Faults = format!("latency 5, hold-after {path}, fail 2 14 /x").parse().unwrap();
    assert!(faults.holds(&path, Moment::After) && !faults.holds(&path, Moment::Before));
    assert_eq!(faults.latency, Duration::from_millis(5));
    "hold {path}".parse::<Faults>().unwrap_err();
}
