//! Kubernetes Services that the plane plays, and what they say that they serve.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use reconciler::plane::{Caller, Dropped, KubeService, Settings};
use reconciler::wire::message::proto::paginated_resource::Resource;
use reconciler::wire::message::{proto, types};

use super::support::{AUTH, World, kube, named};

/// The longest that a heartbeat counts.
const TTL: Duration = Duration::from_mins(15);

/// Between two.
const PERIOD: Duration = Duration::from_mins(10);

pub fn service(name: &str, resources: &[&[(&str, &[&str])]]) -> KubeService {
    let values = |values: &[&str]| values.iter().map(|it| (*it).to_owned()).collect();
    let item = |item: &&[(&str, &[&str])]| {
        item.iter().map(|(key, it)| ((*key).to_owned(), values(it))).collect()
    };
    KubeService { name: name.to_owned(), resources: resources.iter().map(item).collect() }
}

fn east_and_west() -> Settings {
    let services = vec![
        service("east", &[&[("env", &["prod"]), ("region", &["us-east-*"])]]),
        service("west", &[&[("env", &["prod", "test"]), ("region", &["us-west-1"])]]),
    ];
    Settings { services, ..Default::default() }
}

/// A cluster with credentials; values that begin with `>` are results of commands.
pub fn cluster(name: &str, labels: &[(&str, &str)]) -> types::KubernetesClusterV3 {
    let mut it = kube(name);
    let metadata = it.metadata.as_mut().unwrap();
    let mut spec = types::KubernetesClusterSpecV3 {
        kubeconfig: b"apiVersion: v1".as_slice().into(),
        ..Default::default()
    };
    for (key, value) in labels {
        match value.strip_prefix('>') {
            None => {
                metadata.labels.insert((*key).to_owned(), (*value).to_owned());
            }
            Some(result) => {
                let label = types::CommandLabelV2 {
                    period: 1,
                    command: vec!["true".to_owned()],
                    result: result.to_owned(),
                };
                spec.dynamic_labels.insert((*key).to_owned(), label);
            }
        }
    }
    it.spec = Some(spec);
    it
}

pub fn put(world: &mut World, method: &str, cluster: &types::KubernetesClusterV3) {
    world.call::<()>(&format!("{AUTH}{method}KubernetesCluster"), cluster).unwrap();
}

pub fn page(
    world: &mut World,
    who: &Caller,
    request: &proto::ListResourcesRequest,
) -> proto::ListResourcesResponse {
    let bytes = world.raw_as(who, &format!("{AUTH}ListResources"), &request.encode_to_vec());
    proto::ListResourcesResponse::decode(bytes.unwrap().as_slice()).unwrap()
}

pub fn of_servers() -> proto::ListResourcesRequest {
    proto::ListResourcesRequest { resource_type: "kube_server".to_owned(), ..Default::default() }
}

pub fn servers(world: &mut World) -> Vec<types::KubernetesServerV3> {
    let answer = page(world, &Caller::admin(), &of_servers());
    let server = |it: proto::PaginatedResource| match it.resource.unwrap() {
        Resource::KubernetesServer(server) => server,
        Resource::KubeCluster(_) => panic!("servers were asked for"),
    };
    answer.resources.into_iter().map(server).collect()
}

/// `HOST NAME` of what is served, by host's name.
pub fn served(world: &mut World) -> Vec<String> {
    let mut served: Vec<String> = servers(world)
        .into_iter()
        .map(|it| format!("{} {}", it.spec.unwrap().hostname, it.metadata.unwrap().name))
        .collect();
    served.sort();
    served
}

#[test]
fn a_cluster_is_served_while_its_labels_match() {
    let mut world = World::new(east_and_west());
    put(&mut world, "Create", &cluster("a", &[("env", "prod"), ("region", "us-east-2")]));
    put(&mut world, "Create", &cluster("b", &[("env", "test"), ("region", "us-west-1")]));
    put(&mut world, "Create", &cluster("c", &[("env", "test"), ("region", "us-east-2")]));
    assert_eq!(served(&mut world), ["east a", "west b"]);
    put(&mut world, "Update", &cluster("a", &[("env", "prod"), ("region", "us-west-1")]));
    assert_eq!(served(&mut world), ["west a", "west b"]);
    put(&mut world, "Update", &cluster("a", &[("env", "dev")]));
    assert_eq!(served(&mut world), ["west b"]);
    world.call::<()>(&format!("{AUTH}DeleteKubernetesCluster"), &named("b")).unwrap();
    assert_eq!(served(&mut world), [""; 0]);
}

#[test]
fn what_is_stored_decides_and_dynamic_labels_win() {
    let mut world = World::new(east_and_west());
    for (name, region) in [("none", ">"), ("some", ">us-east-2"), ("other", ">eu-1")] {
        put(&mut world, "Create", &cluster(name, &[("env", "prod"), ("region", region)]));
    }
    let mut hidden = cluster("hidden", &[("env", "prod"), ("region", ">eu-1")]);
    let labels = &mut hidden.metadata.as_mut().unwrap().labels;
    labels.insert("region".to_owned(), "us-east-2".to_owned());
    put(&mut world, "Create", &hidden);
    assert_eq!(served(&mut world), ["east some"]);
    put(&mut world, "Update", &cluster("none", &[("env", "prod"), ("region", ">us-west-1")]));
    assert_eq!(served(&mut world), ["east some", "west none"]);
    let all = servers(&mut world);
    let spec = |name: &str| {
        let server = all.iter().find(|it| it.metadata.as_ref().unwrap().name == name).unwrap();
        server.spec.clone().unwrap()
    };
    let labels = spec("none").cluster.unwrap().spec.unwrap().dynamic_labels;
    assert_eq!(labels["region"].result, "us-west-1", "the result is published");
}

#[test]
fn a_server_tells_no_credentials() {
    let mut world = World::new(east_and_west());
    let mut it = cluster("a", &[("env", "prod"), ("region", "us-east-2")]);
    let aws = types::KubeAws {
        region: "us-east-2".to_owned(),
        account_id: "123456789012".to_owned(),
        name: "eks".to_owned(),
    };
    it.spec.as_mut().unwrap().aws = Some(aws);
    put(&mut world, "Create", &it);
    let server = servers(&mut world).pop().unwrap();
    let spec = server.spec.unwrap();
    let inner = spec.cluster.unwrap();
    assert_eq!((server.kind.as_str(), server.version.as_str()), ("kube_server", "v3"));
    assert_eq!(inner.metadata.unwrap().labels["teleport.dev/origin"], "dynamic");
    let inner = inner.spec.unwrap();
    assert!(inner.kubeconfig.is_empty());
    assert_eq!(inner.aws, Some(types::KubeAws::default()));
    assert_eq!(spec.hostname, "east");
    assert_eq!(spec.host_id.len(), 36);
}

#[test]
fn one_without_credentials_fails_the_round_and_nothing_else() {
    let mut world = World::new(east_and_west());
    let east = [("env", "prod"), ("region", "us-east-2")];
    let without = |name: &str| {
        let mut it = cluster(name, &east);
        it.spec.as_mut().unwrap().kubeconfig.clear();
        it
    };
    put(&mut world, "Create", &cluster("a", &east));
    put(&mut world, "Create", &without("b"));
    put(&mut world, "Create", &cluster("c", &east));
    assert_eq!(served(&mut world), ["east a", "east c"]);
    let failures = |world: &World| -> Vec<String> {
        world.core.service_failures().map(|(host, _, why)| format!("{host}: {why}")).collect()
    };
    let text = "east: failed to create kube_cluster b: authentication method provided for cluster \
                \"b\" not supported";
    assert_eq!(failures(&world), [text]);
    let said = world.raw("/reconciler.plane.v1.Plane/Services", b"").unwrap();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said, format!("east: serves 2\n{text}\nwest: serves 0\n"));
    // Whoever loses its credentials is served on as it was.
    put(&mut world, "Update", &without("a"));
    assert_eq!(served(&mut world), ["east a", "east c"]);
    assert_eq!(failures(&world).len(), 2);
    assert!(failures(&world)[0].contains("failed to update kube_cluster a"));
    put(&mut world, "Update", &cluster("b", &east));
    put(&mut world, "Update", &cluster("a", &east));
    assert_eq!(served(&mut world), ["east a", "east b", "east c"]);
    assert_eq!(failures(&world), [""; 0]);
}

#[test]
fn heartbeats_go_on_and_end_with_the_services() {
    let mut world = World::new(east_and_west());
    put(&mut world, "Create", &cluster("a", &[("env", "prod"), ("region", "us-east-2")]));
    let expires = |world: &mut World| servers(world)[0].metadata.clone().unwrap().expires.unwrap();
    let first = expires(&mut world);
    assert_eq!(world.core.next_wakeup(world.now), Some(PERIOD));
    world.wait(PERIOD.saturating_sub(Duration::from_secs(1)));
    assert_eq!(expires(&mut world), first, "it is not time yet");
    world.wait(Duration::from_secs(1));
    assert_eq!(expires(&mut world).seconds, first.seconds + 600);
    // Nobody looks for an hour.
    world.wait(Duration::from_hours(1));
    assert_eq!(served(&mut world), ["east a"]);
    // The services are configured no longer: nobody renews what they said.
    let stored = world.stored().into_iter().collect();
    let now = world.now;
    world = World::over(Settings::default(), stored);
    world.now = now;
    assert_eq!(served(&mut world), ["east a"]);
    world.wait(TTL);
    assert_eq!(served(&mut world), [""; 0]);
}

#[test]
fn a_new_opening_serves_the_same_at_once() {
    let mut world = World::new(Settings { lag: Duration::from_secs(1), ..east_and_west() });
    put(&mut world, "Create", &cluster("a", &[("env", "prod"), ("region", "us-east-2")]));
    assert_eq!(served(&mut world), [""; 0], "the service sees a cluster late");
    world.wait(Duration::from_secs(1));
    assert_eq!(served(&mut world), [""; 0], "and what it says is seen late");
    world.wait(Duration::from_secs(1));
    assert_eq!(served(&mut world), ["east a"]);
    let host = servers(&mut world)[0].spec.clone().unwrap().host_id;
    world.crash();
    assert_eq!(served(&mut world), ["east a"]);
    assert_eq!(servers(&mut world)[0].spec.clone().unwrap().host_id, host);
}

#[test]
fn a_lingering_server_is_listed_until_the_services_begin_anew() {
    let mut world = World::new(Settings { dropped: Dropped::Lingers, ..east_and_west() });
    put(&mut world, "Create", &cluster("a", &[("env", "prod"), ("region", "us-east-2")]));
    put(&mut world, "Create", &cluster("b", &[("env", "prod"), ("region", "us-east-2")]));
    put(&mut world, "Update", &cluster("a", &[("env", "dev")]));
    for _ in 0..6 {
        world.wait(PERIOD);
        assert_eq!(served(&mut world), ["east a", "east b"]);
    }
    world.crash();
    assert_eq!(served(&mut world), ["east b"]);
}

#[test]
fn a_static_cluster_hides_the_registered_one() {
    let mut world = World::new(east_and_west());
    let labels = [("env", "prod"), ("region", "us-east-2")];
    put(&mut world, "Create", &cluster("a", &labels));
    let mut theirs = servers(&mut world).pop().unwrap();
    world.call::<()>(&format!("{AUTH}DeleteKubernetesCluster"), &named("a")).unwrap();
    assert_eq!(served(&mut world), [""; 0]);
    // A cluster of the service's own configuration has no origin.
    let spec = theirs.spec.as_mut().unwrap();
    spec.cluster.as_mut().unwrap().metadata.as_mut().unwrap().labels.clear();
    let upsert = format!("{AUTH}UpsertKubernetesServer");
    let request = proto::UpsertKubernetesServerRequest { server: Some(theirs.clone()) };
    let alive: types::KeepAlive = world.call(&upsert, &request).unwrap();
    assert_eq!(alive.r#type(), types::KeepAliveType::Kubernetes);
    assert_eq!(alive.name, "a");
    put(&mut world, "Create", &cluster("a", &labels));
    let labels_of = |world: &mut World| {
        let server = servers(world).pop().unwrap();
        server.spec.unwrap().cluster.unwrap().metadata.unwrap().labels
    };
    assert_eq!(labels_of(&mut world), BTreeMap::new());
    world.call::<()>(&format!("{AUTH}DeleteKubernetesCluster"), &named("a")).unwrap();
    assert_eq!(served(&mut world), ["east a"], "it is not the services' to drop");
}

#[test]
fn watches_hear_of_servers() {
    let mut world = World::new(east_and_west());
    let kinds = vec![types::WatchKind { kind: "kube_server".to_owned(), ..Default::default() }];
    let request = proto::Watch { kinds, allow_partial_success: false }.encode_to_vec();
    let id = world.core.subscribe(world.now, &Caller::admin(), &request).unwrap();
    put(&mut world, "Create", &cluster("a", &[("env", "prod"), ("region", "us-east-2")]));
    put(&mut world, "Update", &cluster("a", &[("env", "dev")]));
    let mut told = Vec::new();
    for bytes in world.core.poll_watch(world.now, id).events {
        let event = proto::Event::decode(bytes.as_slice()).unwrap();
        match event.resource.unwrap() {
            proto::event::Resource::KubernetesServer(it) => {
                told.push(format!("+{}", it.spec.unwrap().hostname));
            }
            proto::event::Resource::ResourceHeader(it) => {
                let metadata = it.metadata.unwrap();
                // The host of a deleted server is told as a description.
                assert_eq!(metadata.description.len(), 36);
                told.push(format!("-{}", metadata.name));
            }
            _ => {}
        }
    }
    assert_eq!(told, ["+east", "-a"]);
}
