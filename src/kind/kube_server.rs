//! What Kubernetes Services see and say of Kubernetes clusters: `kube_server` is read, not managed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;

use super::call::Request;
use super::canonical::{self, WireError};
use super::kube_cluster::registered;
use super::{ORIGIN_LABEL, PAGE_SIZE};
use crate::model::{Live, Resource, Timestamp};
use crate::wire::message::{proto, types};

/// Where resources of several kinds are listed, page by page.
const LIST: &str = "/proto.AuthService/ListResources";

/// What a cluster that is made by a call becomes, unless it says something else.
const DYNAMIC: &str = "dynamic";

/// A registered cluster as Kubernetes Services see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// All labels: its own, hidden by the stored results of its commands.
    pub labels: BTreeMap<String, String>,
    /// The labels among them whose command has no result yet.
    pub open: BTreeSet<String>,
    /// `teleport.dev/origin`.
    pub origin: String,
    /// Whether there is any way into it.
    pub credentials: bool,
}

/// One `kube_server`: a Kubernetes Service says that it serves a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// The cluster's name.
    pub name: String,
    /// The id of the service's host; several may serve one cluster.
    pub host_id: String,
    /// What the host is called; the same for all services behind a proxy.
    pub hostname: String,
    /// The cluster's labels as it publishes them, with its own results of the commands.
    pub labels: BTreeMap<String, String>,
    /// The cluster's `teleport.dev/origin`; empty for one of the service's own configuration.
    pub origin: String,
    /// When it is listed no longer, unless it is heard of again.
    pub expires: Option<Timestamp>,
}

/// What Teleport calls every host that is reached through a proxy.
const BEHIND_PROXY: &str = "remote.kube.proxy.teleport.cluster.local";

impl Server {
    /// The host by the name that tells it from others.
    pub fn host(&self) -> &str {
        match self.hostname.as_str() {
            "" | BEHIND_PROXY => &self.host_id,
            name => name,
        }
    }

    /// Whether it is of the service's own configuration. It hides a registered one of its name.
    pub fn is_static(&self) -> bool {
        matches!(self.origin.as_str(), "" | "config-file")
    }
}

/// What is known of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// All that this identity may see.
    Known(Vec<Server>),
    /// Nothing; why.
    Unknown(String),
}

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
    let cluster = registered::of_message(spec.cluster.unwrap_or_default());
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

/// What services see of a live resource; none for kinds that they do not serve.
///
/// # Errors
/// Bytes that are no such resource.
pub fn of_live(live: &Live) -> Result<Option<Registered>, WireError> {
    let labelled = super::row(live.id.kind).and_then(|row| row.labelled);
    labelled.map(|labelled| (labelled.registered)(live.wire.clone())).transpose()
}

/// What services will see of a resource that we write; none for kinds that they do not serve.
/// `base` is what it was before, if it was there.
///
/// # Errors
/// A resource that does not fit its message.
pub fn of_resource(
    resource: &Resource,
    base: Option<&Live>,
    agent: &str,
) -> Result<Option<Registered>, WireError> {
    let Some(row) = super::row(resource.id.kind) else { return Ok(None) };
    let Some(labelled) = row.labelled else { return Ok(None) };
    let wire = canonical::encode(row, resource, base, agent)?;
    let mut cluster = (labelled.registered)(wire)?;
    if cluster.origin.is_empty() {
        DYNAMIC.clone_into(&mut cluster.origin);
        cluster.labels.insert(ORIGIN_LABEL.to_owned(), DYNAMIC.to_owned());
    }
    Ok(Some(cluster))
}
