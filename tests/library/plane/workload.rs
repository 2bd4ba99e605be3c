//! Workload clusters: made, kept as they are, deleted, blocked; with time turned by hand.

use std::time::Duration;

use reconciler::model::Timestamp;
use reconciler::plane::status::code;
use reconciler::plane::{Settings, Status};
use reconciler::wire::message::teleport::workloadcluster::v1 as workload;

use super::support::{WORKLOAD, World, code, workload_cluster};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

fn workload(
    world: &mut World,
    method: &str,
    cluster: workload::WorkloadCluster,
) -> Result<workload::WorkloadCluster, Status> {
    let request = workload::CreateWorkloadClusterRequest { cluster: Some(cluster) };
    world.call(&format!("{WORKLOAD}{method}"), &request)
}

fn state(world: &mut World, name: &str) -> Result<(String, String), Status> {
    let request = workload::GetWorkloadClusterRequest { name: name.to_owned() };
    let cluster: workload::WorkloadCluster =
        world.call(&format!("{WORKLOAD}GetWorkloadCluster"), &request)?;
    let status = cluster.status.unwrap();
    Ok((status.state, status.domain))
}

#[test]
fn a_workload_cluster_is_made_and_its_name_stays_blocked() {
    let mut world = World::new(Settings { provisioning: 5 * SECOND, ..Default::default() });
    let create = "CreateWorkloadCluster";
    let created = workload(&mut world, create, workload_cluster("example")).unwrap();
    assert_eq!(code(workload(&mut world, create, workload_cluster("example"))), 6);
    assert_eq!(state(&mut world, "example").unwrap(), ("creating".to_owned(), String::new()));
    assert_eq!(world.core.next_wakeup(world.now), Some(5 * SECOND));
    world.wait(5 * SECOND);
    world.changes.extend(world.core.tick(world.now));
    let active = ("active".to_owned(), "example.teleport.sh".to_owned());
    assert_eq!(state(&mut world, "example").unwrap(), active);

    let mut changed = workload_cluster("example");
    changed.spec.as_mut().unwrap().regions[0].name = "eu-central-1".to_owned();
    for method in ["UpsertWorkloadCluster", "UpdateWorkloadCluster"] {
        let request = workload::GetWorkloadClusterRequest { name: "example".to_owned() };
        let live: workload::WorkloadCluster =
            world.call(&format!("{WORKLOAD}GetWorkloadCluster"), &request).unwrap();
        let revision = live.metadata.unwrap().revision;
        changed.metadata.as_mut().unwrap().revision.clone_from(&revision);
        assert_eq!(code(workload(&mut world, method, changed.clone())), code::INVALID_ARGUMENT);
        let mut same = workload_cluster("example");
        same.metadata.as_mut().unwrap().revision = revision;
        let same = workload(&mut world, method, same).unwrap();
        assert_eq!(same.status.unwrap().state, "active", "what the server owns stays");
    }
    let stale = workload(&mut world, "UpdateWorkloadCluster", created);
    assert_eq!(code(stale), code::FAILED_PRECONDITION);

    let delete = workload::DeleteWorkloadClusterRequest { name: "example".to_owned() };
    let path = format!("{WORKLOAD}DeleteWorkloadCluster");
    world.call::<()>(&path, &delete).unwrap();
    assert_eq!(code(world.call::<()>(&path, &delete)), code::NOT_FOUND);
    assert_eq!(code(state(&mut world, "example")), code::NOT_FOUND);
    for method in [create, "UpsertWorkloadCluster"] {
        let blocked = workload(&mut world, method, workload_cluster("example")).unwrap_err();
        assert_eq!(blocked.code, code::ALREADY_EXISTS, "{blocked:?}");
    }
    world.wait((14 * DAY).checked_sub(SECOND).unwrap());
    assert_eq!(code(workload(&mut world, create, workload_cluster("example"))), 6);
    world.wait(SECOND);
    workload(&mut world, create, workload_cluster("example")).unwrap();
}

#[test]
fn a_workload_cluster_deleted_while_it_is_made_stays_deleted() {
    let mut world = World::new(Settings { provisioning: 5 * SECOND, ..Default::default() });
    workload(&mut world, "CreateWorkloadCluster", workload_cluster("example")).unwrap();
    assert_eq!(state(&mut world, "example").unwrap().0, "creating");
    let delete = workload::DeleteWorkloadClusterRequest { name: "example".to_owned() };
    world.call::<()>(&format!("{WORKLOAD}DeleteWorkloadCluster"), &delete).unwrap();
    world.wait(6 * SECOND);
    assert_eq!(code(state(&mut world, "example")), code::NOT_FOUND);
}

#[test]
fn what_goes_on_by_itself_survives_a_crash() {
    let mut world = World::new(Settings { provisioning: 5 * SECOND, ..Default::default() });
    for name in ["kept", "gone"] {
        workload(&mut world, "CreateWorkloadCluster", workload_cluster(name)).unwrap();
    }
    let delete = workload::DeleteWorkloadClusterRequest { name: "gone".to_owned() };
    world.call::<()>(&format!("{WORKLOAD}DeleteWorkloadCluster"), &delete).unwrap();
    world.crash();
    assert_eq!(state(&mut world, "kept").unwrap().0, "creating");
    world.wait(5 * SECOND);
    world.changes.extend(world.core.tick(world.now));
    world.crash();
    assert_eq!(state(&mut world, "kept").unwrap().0, "active");
    let blocked = workload(&mut world, "CreateWorkloadCluster", workload_cluster("gone"));
    assert_eq!(code(blocked), code::ALREADY_EXISTS);
    world.wait(14 * DAY);
    world.crash();
    workload(&mut world, "CreateWorkloadCluster", workload_cluster("gone")).unwrap();
}

#[test]
fn workload_clusters_are_listed_in_pages() {
    let mut world = World::new(Settings::default());
    for name in ["c", "a", "b"] {
        workload(&mut world, "CreateWorkloadCluster", workload_cluster(name)).unwrap();
    }
    let path = format!("{WORKLOAD}ListWorkloadClusters");
    let (mut token, mut names) = (String::new(), Vec::new());
    loop {
        let request = workload::ListWorkloadClustersRequest { page_size: 2, page_token: token };
        let page: workload::ListWorkloadClustersResponse = world.call(&path, &request).unwrap();
        assert_eq!(page.total_count, 3);
        names.extend(page.clusters.into_iter().map(|it| it.metadata.unwrap().name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    let mut world = World::new(Settings { workload_clusters: false, ..Default::default() });
    let request = workload::ListWorkloadClustersRequest::default();
    let refused = world.call::<workload::ListWorkloadClustersResponse>(&path, &request);
    assert_eq!(code(refused), code::PERMISSION_DENIED);
}

#[test]
fn workload_clusters_are_checked() {
    type Break = fn(&mut workload::WorkloadCluster);
    let breaks: &[(&str, Break)] = &[
        ("missing parameter Name", |it| it.metadata.as_mut().unwrap().name.clear()),
        ("the name", |it| "A.b".clone_into(&mut it.metadata.as_mut().unwrap().name)),
        ("kind must be", |it| "role".clone_into(&mut it.kind)),
        ("unsupported resource version", |it| "v2".clone_into(&mut it.version)),
        ("spec.regions", |it| it.spec.as_mut().unwrap().regions.clear()),
        ("spec.bot.name", |it| it.spec.as_mut().unwrap().bot = None),
        ("unknown join method", |it| it.spec.as_mut().unwrap().token = None),
        ("the \"iam\" join method requires", |it| {
            it.spec.as_mut().unwrap().token.as_mut().unwrap().allow.clear();
        }),
        ("allow rule for", |it| {
            it.spec.as_mut().unwrap().token.as_mut().unwrap().allow[0] = workload::Allow::default();
        }),
    ];
    for (text, damage) in breaks {
        let mut world = World::new(Settings::default());
        let mut cluster = workload_cluster("example");
        damage(&mut cluster);
        let refused = workload(&mut world, "CreateWorkloadCluster", cluster).unwrap_err();
        assert_eq!(refused.code, code::INVALID_ARGUMENT, "{text}");
        assert!(refused.message.starts_with(text), "{text}: {}", refused.message);
    }
}

#[test]
fn a_wall_clock_of_the_far_future_is_no_harm() {
    let mut world = World::new(Settings { lag: Duration::MAX, ..Default::default() });
    world.now.wall = Timestamp(i64::MAX);
    workload(&mut world, "CreateWorkloadCluster", workload_cluster("example")).unwrap();
    world.now.monotonic = Duration::MAX;
    assert_eq!(world.list_kubes(), [""; 0]);
}
