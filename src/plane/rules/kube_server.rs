//! `kube_server`: what Kubernetes Services say that they serve, one for each host and cluster.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::access::Reach;
use super::metadata::{self, quoted};
use super::{Events, Expiry, Rules, Tx, decode, empty, kube_cluster, page, read, write};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::proto::event::Resource;
use crate::wire::message::proto::paginated_resource::Resource as Listed;
use crate::wire::message::{proto, types};

pub(in crate::plane) const KIND: &str = "kube_server";
const VERSION: &str = "v3";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/ListResources", list),
        write("/proto.AuthService/UpsertKubernetesServer", upsert),
        write("/proto.AuthService/DeleteKubernetesServer", delete),
        write("/proto.AuthService/DeleteAllKubernetesServers", delete_all),
    ],
    events: Some(Events {
        version: VERSION,
        put: |item| load(item).ok().map(Resource::KubernetesServer),
    }),
    expire: None,
};

/// The key of a server: several hosts may serve one cluster.
pub(super) fn key(host: &str, name: &str) -> String {
    format!("{host}/{name}")
}

/// Host and name of a server's key.
pub(super) fn parts(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

pub(super) fn load(item: &Item) -> Result<types::KubernetesServerV3, Status> {
    let mut server: types::KubernetesServerV3 = decode(&item.value)?;
    server.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(server)
}

/// Stores a server under its host and name, until it expires.
pub(super) fn put(tx: &mut Tx<'_>, mut server: types::KubernetesServerV3) {
    let metadata = server.metadata.get_or_insert_default();
    metadata.revision.clear();
    let host = server.spec.as_ref().map(|spec| spec.host_id.as_str()).unwrap_or_default();
    let key = key(host, &metadata.name);
    let expiry = Expiry::of(metadata.expires.as_ref());
    tx.put(KIND, &key, &server, expiry);
}

fn cluster_of(server: &types::KubernetesServerV3) -> Option<&types::KubernetesClusterV3> {
    server.spec.as_ref()?.cluster.as_ref()
}

/// Lists servers, or the clusters in them, as far as the caller's roles reach.
fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::ListResourcesRequest = decode(body)?;
    let clusters = request.resource_type == kube_cluster::KIND;
    if !clusters && request.resource_type != KIND {
        return Err(Status::unimplemented(format!(
            "resource type {} does not support pagination",
            request.resource_type
        )));
    }
    tx.allow_all(KIND, &["list", "read"])?;
    let limit = match usize::try_from(request.limit) {
        Ok(0) => page::SIZE_MAX,
        Ok(limit) => limit,
        Err(_) => return Err(Status::invalid("negative parameter limit")),
    };
    if !request.predicate_expression.is_empty() {
        return Err(Status::unimplemented("the embedded control plane reads no predicates"));
    }
    let reach = Reach::of_kube(tx);
    let servers = tx.store.list(View::Cache, KIND, "", tx.now);
    let servers = servers.filter_map(|(key, item)| Some((key.to_owned(), load(item).ok()?)));
    let wanted = servers.filter(|(_, server)| {
        cluster_of(server).is_some_and(|it| reach.kube(it) && asked_for(it, &request))
    });
    let sort = request.sort_by.clone().unwrap_or_default();
    let whole = clusters || request.need_total_count || !sort.field.is_empty();
    let found: Vec<(String, Listed)> = if clusters {
        of_clusters(wanted)
    } else {
        wanted.map(|(key, server)| (key, Listed::KubernetesServer(server))).collect()
    };
    answer(found, limit, whole, &request)
}

/// The clusters that are served, each once, by name.
fn of_clusters(
    servers: impl Iterator<Item = (String, types::KubernetesServerV3)>,
) -> Vec<(String, Listed)> {
    let mut clusters = BTreeMap::new();
    for (key, server) in servers {
        let (_, name) = parts(&key);
        if let Some(cluster) = server.spec.and_then(|spec| spec.cluster) {
            clusters.entry(name.to_owned()).or_insert(cluster);
        }
    }
    clusters.into_iter().map(|(name, it)| (name, Listed::KubeCluster(it))).collect()
}

/// Cuts the page. A list that must be whole first is sorted by name and counted.
fn answer(
    mut found: Vec<(String, Listed)>,
    limit: usize,
    whole: bool,
    request: &proto::ListResourcesRequest,
) -> Result<Vec<u8>, Status> {
    let mut total_count = 0;
    if whole {
        let sort = request.sort_by.clone().unwrap_or_default();
        if !sort.field.is_empty() && sort.field != "name" {
            return Err(Status::unimplemented(format!(
                "sorting by field {} for resource {} is not supported",
                quoted(&sort.field),
                quoted(&request.resource_type)
            )));
        }
        if !sort.field.is_empty() {
            found.sort_by(|(one, _), (other, _)| {
                let order = parts(one).1.cmp(parts(other).1);
                if sort.is_desc { order.reverse() } else { order }
            });
        }
        total_count = i32::try_from(found.len()).unwrap_or(i32::MAX);
    }
    let start = if whole {
        found.iter().position(|(key, _)| *key == request.start_key).unwrap_or(0)
    } else {
        found.iter().position(|(key, _)| *key >= request.start_key).unwrap_or(found.len())
    };
    let resources = found.into_iter().skip(start);
    let (resources, next_key) = page::cut(resources, limit);
    let resources = resources
        .into_iter()
        .map(|resource| proto::PaginatedResource { resource: Some(resource), ..Default::default() })
        .collect();
    Ok(proto::ListResourcesResponse { resources, next_key, total_count }.encode_to_vec())
}

/// Whether a cluster has the labels and the words that a request names.
fn asked_for(cluster: &types::KubernetesClusterV3, request: &proto::ListResourcesRequest) -> bool {
    let labels = kube_cluster::all_labels(cluster);
    let has = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    if !request.labels.iter().all(has) {
        return false;
    }
    let name = cluster.metadata.as_ref().map(|it| it.name.clone()).unwrap_or_default();
    let seen = types::Metadata { name, labels, ..Default::default() };
    metadata::search(&seen, &request.search_keywords)
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::UpsertKubernetesServerRequest = decode(body)?;
    tx.allow_all(KIND, &["create", "update"])?;
    let mut server = request.server.unwrap_or_default();
    check(&mut server)?;
    let metadata = server.metadata.clone().unwrap_or_default();
    let host_id = server.spec.as_ref().map(|it| it.host_id.clone()).unwrap_or_default();
    put(tx, server);
    // What never expires is not kept alive.
    let keep_alive = match metadata.expires.filter(|at| at.seconds > 0) {
        None => types::KeepAlive::default(),
        Some(expires) => types::KeepAlive {
            r#type: types::KeepAliveType::Kubernetes.into(),
            name: metadata.name,
            namespace: metadata.namespace,
            host_id,
            expires: Some(expires),
        },
    };
    Ok(keep_alive.encode_to_vec())
}

fn check(server: &mut types::KubernetesServerV3) -> Result<(), Status> {
    KIND.clone_into(&mut server.kind);
    VERSION.clone_into(&mut server.version);
    metadata::check(server.metadata.get_or_insert_default())?;
    let spec = server.spec.get_or_insert_default();
    if spec.host_id.is_empty() {
        return Err(Status::invalid("missing kube server HostID"));
    }
    if spec.version.is_empty() {
        super::SERVER_VERSION.clone_into(&mut spec.version);
    }
    let cluster = spec.cluster.as_mut();
    let cluster = cluster.ok_or_else(|| Status::invalid("missing kube server Cluster"))?;
    kube_cluster::check_whole(cluster)?;
    let name = server.metadata.as_ref().map(|it| it.name.as_str()).unwrap_or_default();
    let key = format!("/kubeServers/{}/{name}", spec.host_id);
    metadata::check_backend_key(&key, &spec.host_id)?;
    metadata::check_backend_key(&key, name)
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::DeleteKubernetesServerRequest = decode(body)?;
    tx.allow(KIND, "delete")?;
    let proto::DeleteKubernetesServerRequest { host_id, name } = request;
    if name.is_empty() {
        let text = "no name specified for kubernetes server deletion";
        return Err(Status::invalid(text));
    }
    if host_id.is_empty() {
        let text = "no hostID specified for kubernetes server deletion";
        return Err(Status::invalid(text));
    }
    let key = key(&host_id, &name);
    if tx.stored(KIND, &key).is_none() {
        let key = quoted(&format!("/kubeServers/{key}"));
        return Err(Status::not_found(format!("key {key} is not found")));
    }
    tx.remove(KIND, &key);
    Ok(empty())
}

fn delete_all(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<proto::DeleteAllKubernetesServersRequest>(body)?;
    tx.allow_all(KIND, &["list", "delete"])?;
    let servers = tx.store.list(View::Backend, KIND, "", tx.now);
    let keys: BTreeSet<String> = servers.map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        tx.remove(KIND, &key);
    }
    Ok(empty())
}
