//! What is listed of Kubernetes Services, and by whom it may be written.

use std::collections::BTreeMap;

use prost::Message as _;
use reconciler::plane::status::code;
use reconciler::plane::{Caller, Settings};
use reconciler::wire::message::proto::paginated_resource::Resource;
use reconciler::wire::message::{proto, types};

use super::services::{cluster, of_servers, page, put, served, servers, service};
use super::support::{AUTH, World, allowing, caller, code, label_values};

/// Six servers: two hosts serve each of `a`, `b` and `c`.
fn six() -> World {
    let everything: &[(&str, &[&str])] = &[("*", &["*"])];
    let services = vec![service("one", &[everything]), service("two", &[everything])];
    let mut world = World::new(Settings { services, ..Default::default() });
    for (name, env) in [("a", "dev"), ("b", "prod"), ("c", "dev")] {
        put(&mut world, "Create", &cluster(name, &[("env", env)]));
    }
    assert_eq!(servers(&mut world).len(), 6);
    world
}

#[test]
fn servers_are_listed_in_pages() {
    let mut world = six();
    let whole = servers(&mut world);
    for limit in 1..=7 {
        let (mut pages, mut start_key) = (Vec::new(), String::new());
        loop {
            let request = proto::ListResourcesRequest { limit, start_key, ..of_servers() };
            let answer = page(&mut world, &Caller::admin(), &request);
            assert!(answer.resources.len() <= usize::try_from(limit).unwrap());
            pages.extend(answer.resources);
            start_key = answer.next_key;
            if start_key.is_empty() {
                break;
            }
        }
        assert_eq!(pages.len(), whole.len(), "{limit}");
    }
    let refused = proto::ListResourcesRequest { limit: -1, ..of_servers() };
    let result = world.raw(&format!("{AUTH}ListResources"), &refused.encode_to_vec());
    assert_eq!(code(result), code::INVALID_ARGUMENT);
}

#[test]
fn clusters_are_listed_once_sorted_counted_and_searched() {
    let mut world = six();
    let admin = Caller::admin();
    let clusters = proto::ListResourcesRequest {
        resource_type: "kube_cluster".to_owned(),
        limit: 2,
        ..Default::default()
    };
    let answer = page(&mut world, &admin, &clusters);
    assert_eq!((answer.resources.len(), answer.total_count), (2, 3));
    assert_eq!(answer.next_key, "c");
    let sort_by = Some(types::SortBy { is_desc: true, field: "name".to_owned() });
    let sorted = proto::ListResourcesRequest { sort_by, ..of_servers() };
    let answer = page(&mut world, &admin, &sorted);
    assert_eq!(answer.total_count, 6);
    let Some(Resource::KubernetesServer(first)) = &answer.resources[0].resource else { panic!() };
    assert_eq!(first.metadata.as_ref().unwrap().name, "c");
    let labels = BTreeMap::from([("env".to_owned(), "dev".to_owned())]);
    let labelled = proto::ListResourcesRequest { labels, ..of_servers() };
    assert_eq!(page(&mut world, &admin, &labelled).resources.len(), 4);
    let search_keywords = vec!["PROD".to_owned()];
    let searched = proto::ListResourcesRequest { search_keywords, ..of_servers() };
    assert_eq!(page(&mut world, &admin, &searched).resources.len(), 2);
}

#[test]
fn roles_decide_what_is_listed_and_written() {
    let mut world = six();
    let mut role = allowing("dev", &["none"], &["read"]);
    let allow = role.spec.as_mut().unwrap().allow.as_mut().unwrap();
    allow.kubernetes_labels = Some(label_values(&[("env", "dev")]));
    world.put_role(role).unwrap();
    let reader = caller(&["dev"]);
    assert_eq!(page(&mut world, &reader, &of_servers()).resources.len(), 4, "by label, silently");

    let mut denied = allowing("denied", &["none"], &["read"]);
    let no_list = types::Rule {
        resources: vec!["kube_server".to_owned()],
        verbs: vec!["list".to_owned()],
        ..Default::default()
    };
    denied.spec.as_mut().unwrap().deny =
        Some(types::RoleConditions { rules: vec![no_list], ..Default::default() });
    world.put_role(denied).unwrap();
    let list = format!("{AUTH}ListResources");
    let result = world.raw_as(&caller(&["denied"]), &list, &of_servers().encode_to_vec());
    assert_eq!(code(result), code::PERMISSION_DENIED);

    let server = servers(&mut world).pop();
    let upsert = proto::UpsertKubernetesServerRequest { server: server.clone() };
    let result =
        world.raw_as(&reader, &format!("{AUTH}UpsertKubernetesServer"), &upsert.encode_to_vec());
    assert_eq!(code(result), code::PERMISSION_DENIED);
    let delete = proto::DeleteKubernetesServerRequest {
        host_id: server.clone().unwrap().spec.unwrap().host_id,
        name: server.unwrap().metadata.unwrap().name,
    };
    let path = format!("{AUTH}DeleteKubernetesServer");
    assert_eq!(
        code(world.raw_as(&reader, &path, &delete.encode_to_vec())),
        code::PERMISSION_DENIED
    );
    world.call::<()>(&path, &delete).unwrap();
    assert_eq!(servers(&mut world).len(), 5);
    assert_eq!(code(world.call::<()>(&path, &delete)), code::NOT_FOUND);
    world.call::<()>(&format!("{AUTH}DeleteAllKubernetesServers"), &()).unwrap();
    assert_eq!(servers(&mut world).len(), 0);
}

#[test]
fn servers_are_checked() {
    let mut world = World::new(Settings::default());
    let whole = types::KubernetesServerV3 {
        metadata: Some(types::Metadata { name: "a".to_owned(), ..Default::default() }),
        spec: Some(types::KubernetesServerSpecV3 {
            host_id: "h".to_owned(),
            cluster: Some(cluster("a", &[])),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut upsert = |server: &types::KubernetesServerV3| -> Result<types::KeepAlive, _> {
        let request = proto::UpsertKubernetesServerRequest { server: Some(server.clone()) };
        world.call(&format!("{AUTH}UpsertKubernetesServer"), &request)
    };
    let alive = upsert(&whole).unwrap();
    assert_eq!(alive, types::KeepAlive::default(), "it never expires");
    let mut broken = whole.clone();
    broken.metadata = None;
    assert_eq!(upsert(&broken).unwrap_err().message, "missing parameter Name");
    let mut broken = whole.clone();
    broken.spec.as_mut().unwrap().host_id.clear();
    assert_eq!(upsert(&broken).unwrap_err().message, "missing kube server HostID");
    let mut broken = whole.clone();
    broken.spec.as_mut().unwrap().cluster = None;
    assert_eq!(upsert(&broken).unwrap_err().message, "missing kube server Cluster");
    assert_eq!(served(&mut world), [" a"]);
}
