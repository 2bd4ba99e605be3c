//! What Kubernetes Services see and say of Kubernetes clusters: `kube_server` is read, not managed.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::call::Request;
use super::canonical::{self, WireError};
use super::kube_cluster::KUBE_CLUSTER;
use super::{ORIGIN_LABEL, PAGE_SIZE};
use crate::labels::preview::{Registered, Server};
use crate::live::Live;
use crate::manifest::Resource;
use crate::model::{KindName, Timestamp};
use crate::wire::message::{proto, types};

/// Where resources of several kinds are listed, page by page.
const LIST: &str = "/proto.AuthService/ListResources";

/// What a cluster that is made by a call becomes, unless it says something else.
const DYNAMIC: &str = "dynamic";

/// A page of servers, and the token of the next (empty at the end).
#[derive(Debug)]
pub struct Page {
    /// What is served.
    pub servers: Vec<Server>,
    /// Empty at the end.
    pub next: String,
}

/// Asks for a page; `token` empty: the first.
pub fn list(token: &str) -> Request {
    let request = proto::ListResourcesRequest {
        resource_type: "kube_server".to_owned(),
        namespace: "default".to_owned(),
        limit: PAGE_SIZE,
        start_key: token.to_owned(),
        ..Default::default()
    };
    Request { path: LIST, body: request.encode_to_vec().into() }
}

/// Reads the answer to [`list`].
///
/// # Errors
/// Bytes that are not such an answer.
pub fn listed(answer: Bytes) -> Result<Page, WireError> {
    let unreadable = |error: prost::DecodeError| {
        WireError::new("proto.ListResourcesResponse", &error.to_string())
    };
    let answer = proto::ListResourcesResponse::decode(answer).map_err(unreadable)?;
    let servers = answer.resources.into_iter().filter_map(|it| match it.resource? {
        proto::paginated_resource::Resource::KubernetesServer(server) => Some(server_of(server)),
        proto::paginated_resource::Resource::KubeCluster(_) => None,
    });
    Ok(Page { servers: servers.collect(), next: answer.next_key })
}

fn server_of(server: types::KubernetesServerV3) -> Server {
    let metadata = server.metadata.unwrap_or_default();
    let spec = server.spec.unwrap_or_default();
    let cluster = registered(spec.cluster.unwrap_or_default());
    Server {
        name: metadata.name,
        host_id: spec.host_id,
        hostname: spec.hostname,
        labels: cluster.labels,
        origin: cluster.origin,
        expires: metadata.expires.filter(|at| at.seconds > 0).map(moment),
    }
}

fn moment(at: prost_types::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000)))
}

/// Whether resources of that kind are what services serve.
pub fn concerns(kind: KindName) -> bool {
    kind == KUBE_CLUSTER.name
}

/// What services see of a live cluster; none for other kinds.
///
/// # Errors
/// Bytes that are no cluster.
pub fn of_live(live: &Live) -> Result<Option<Registered>, WireError> {
    if !concerns(live.id.kind) {
        return Ok(None);
    }
    of_wire(live.wire.clone()).map(Some)
}

/// What services will see of a cluster that we write; none for other kinds. `base` is what it was
/// before, if it was there.
///
/// # Errors
/// A resource that does not fit its message.
pub fn of_resource(
    resource: &Resource,
    base: Option<&Live>,
    agent: &str,
) -> Result<Option<Registered>, WireError> {
    if !concerns(resource.id.kind) {
        return Ok(None);
    }
    let wire = canonical::encode(&KUBE_CLUSTER, resource, base, agent)?;
    let mut cluster = of_wire(wire)?;
    if cluster.origin.is_empty() {
        DYNAMIC.clone_into(&mut cluster.origin);
        cluster.labels.insert(ORIGIN_LABEL.to_owned(), DYNAMIC.to_owned());
    }
    Ok(Some(cluster))
}

fn of_wire(wire: Bytes) -> Result<Registered, WireError> {
    let cluster = types::KubernetesClusterV3::decode(wire);
    let unreadable =
        |error: prost::DecodeError| WireError::new(KUBE_CLUSTER.message, &error.to_string());
    cluster.map(registered).map_err(unreadable)
}

fn registered(cluster: types::KubernetesClusterV3) -> Registered {
    let metadata = cluster.metadata.unwrap_or_default();
    let spec = cluster.spec.unwrap_or_default();
    let origin = metadata.labels.get(ORIGIN_LABEL).cloned().unwrap_or_default();
    let credentials = !spec.kubeconfig.is_empty()
        || spec.azure.is_some_and(|it| it != types::KubeAzure::default())
        || spec.aws.is_some_and(|it| it != types::KubeAws::default())
        || spec.gcp.is_some_and(|it| it != types::KubeGcp::default());
    let open = spec.dynamic_labels.iter().filter(|(_, label)| label.result.is_empty());
    let open = open.map(|(key, _)| key.clone()).collect();
    let mut labels: BTreeMap<String, String> = metadata.labels;
    labels.extend(spec.dynamic_labels.into_iter().map(|(key, label)| (key, label.result)));
    Registered { name: metadata.name, labels, open, origin, credentials }
}
