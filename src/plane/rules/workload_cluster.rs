//! `workload_cluster`: a cluster that a cloud makes for us.
//!
//! No real answer was ever recorded. What is published: `creating` becomes `active`, the domain
//! is `<name>.teleport.sh`, the configuration never changes, and a deleted name stays blocked for
//! 14 days. Chosen here: in these days Get, List, Update and Delete see nothing, and Create and
//! Upsert are refused with `AlreadyExists`; a changed specification is `InvalidArgument`; the domain
//! comes with `active`; becoming active gives a new revision.

use std::time::Duration;

use prost::Message as _;

use super::metadata::{self, quoted};
use super::{Events, Expiry, NAMESPACE, Rules, Tx, decode, empty, page, read, write};
use crate::model::Timestamp;
use crate::plane::status::Status;
use crate::plane::store::{Item, Key, View};
use crate::wire::message::teleport::{header::v1 as header, workloadcluster::v1 as workload};

const KIND: &str = "workload_cluster";
const VERSION: &str = "v1";

/// An internal item per cluster that is being made; it expires when the cluster is ready.
const MARKER: &str = "plane_provisioning";

/// An internal item per deleted name; it expires when the name is free again.
pub(in crate::plane) const TOMBSTONE: &str = "plane_blocked_name";

/// How long a deleted name stays blocked, by the published guide.
const GRACE: Duration = Duration::from_hours(14 * 24);

/// The longest label of a domain name.
const NAME_MAX: usize = 63;

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/teleport.workloadcluster.v1.WorkloadClusterService/GetWorkloadCluster", get),
        read("/teleport.workloadcluster.v1.WorkloadClusterService/ListWorkloadClusters", list),
        write("/teleport.workloadcluster.v1.WorkloadClusterService/CreateWorkloadCluster", create),
        write("/teleport.workloadcluster.v1.WorkloadClusterService/UpdateWorkloadCluster", update),
        write("/teleport.workloadcluster.v1.WorkloadClusterService/UpsertWorkloadCluster", upsert),
        write("/teleport.workloadcluster.v1.WorkloadClusterService/DeleteWorkloadCluster", delete),
    ],
    // Watches on this kind are refused, as by 18.0.0.
    events: None,
    expire: None,
};

/// Makes a cluster active when its marker ends.
pub(super) static PROVISIONING: Rules =
    Rules { kind: MARKER, methods: &[], events: NO_EVENTS, expire: Some(activate) };

const NO_EVENTS: Option<Events> = None;

fn load(item: &Item) -> Result<workload::WorkloadCluster, Status> {
    let mut cluster: workload::WorkloadCluster = decode(&item.value)?;
    cluster.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(cluster)
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("workload_cluster {} doesn't exist", quoted(name)))
}

fn allow(tx: &Tx<'_>, verb: &str) -> Result<(), Status> {
    if !tx.settings.workload_clusters {
        return Err(Status::denied(
            "workload_cluster resources are only available for Teleport Cloud users",
        ));
    }
    tx.allow(KIND, verb)
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: workload::GetWorkloadClusterRequest = decode(body)?;
    allow(tx, "read")?;
    let item = tx.cached(KIND, &request.name).ok_or_else(|| missing(&request.name))?;
    Ok(load(item)?.encode_to_vec())
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: workload::ListWorkloadClustersRequest = decode(body)?;
    allow(tx, "list")?;
    let all = tx.store.list(View::Cache, KIND, "", tx.now).count();
    let items = tx.store.list(View::Cache, KIND, &request.page_token, tx.now);
    let items = items.map(|(name, item)| (name.to_owned(), load(item)));
    let (clusters, next_page_token) = page::cut(items, page::size(request.page_size));
    let answer = workload::ListWorkloadClustersResponse {
        clusters: clusters.into_iter().collect::<Result<_, _>>()?,
        next_page_token,
        total_count: i32::try_from(all).unwrap_or(i32::MAX),
    };
    Ok(answer.encode_to_vec())
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: workload::CreateWorkloadClusterRequest = decode(body)?;
    allow(tx, "create")?;
    let (name, cluster, _sent) = prepare(request.cluster)?;
    if tx.stored(KIND, &name).is_some() {
        return Err(Status::exists(format!("workload_cluster {} already exists", quoted(&name))));
    }
    provision(tx, &name, cluster)
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: workload::UpdateWorkloadClusterRequest = decode(body)?;
    allow(tx, "update")?;
    let (name, cluster, sent) = prepare(request.cluster)?;
    let found = tx.cached(KIND, &name).and_then(|_| tx.stored(KIND, &name));
    let existing = load(found.ok_or_else(|| missing(&name))?)?;
    if existing.metadata.as_ref().is_none_or(|metadata| metadata.revision != sent) {
        return Err(Status::precondition("revision does not match"));
    }
    change(tx, &name, existing, cluster)
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: workload::UpsertWorkloadClusterRequest = decode(body)?;
    allow(tx, "create")?;
    allow(tx, "update")?;
    let (name, cluster, _sent) = prepare(request.cluster)?;
    match tx.stored(KIND, &name).map(load) {
        Some(existing) => change(tx, &name, existing?, cluster),
        None => provision(tx, &name, cluster),
    }
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: workload::DeleteWorkloadClusterRequest = decode(body)?;
    allow(tx, "delete")?;
    let name = request.name.as_str();
    if tx.cached(KIND, name).is_none() || tx.stored(KIND, name).is_none() {
        return Err(missing(name));
    }
    tx.remove(KIND, name);
    if tx.stored(MARKER, name).is_some() {
        tx.remove(MARKER, name);
    }
    let free = tx.now.wall.plus(GRACE);
    tx.put(TOMBSTONE, name, &(), Expiry(Some(free)));
    Ok(empty())
}

/// Stores a new cluster and begins to make it.
fn provision(
    tx: &mut Tx<'_>,
    name: &str,
    mut cluster: workload::WorkloadCluster,
) -> Result<Vec<u8>, Status> {
    if let Some(free) = tx.stored(TOMBSTONE, name).and_then(|item| item.expires) {
        return Err(Status::exists(format!(
            "workload_cluster {} was deleted, its name stays blocked until {free}",
            quoted(name)
        )));
    }
    let status =
        workload::WorkloadClusterStatus { state: "creating".to_owned(), ..Default::default() };
    cluster.status = Some(status);
    let ready: Timestamp = tx.now.wall.plus(tx.settings.provisioning);
    tx.put(MARKER, name, &(), Expiry(Some(ready)));
    Ok(put(tx, name, cluster))
}

/// Makes the marker's cluster active.
fn activate(tx: &mut Tx<'_>, key: &Key) {
    let Some(Ok(mut cluster)) = tx.stored(KIND, &key.name).map(load) else { return };
    cluster.status = Some(workload::WorkloadClusterStatus {
        state: "active".to_owned(),
        domain: format!("{}.teleport.sh", key.name),
    });
    put(tx, &key.name, cluster);
}

/// Stores new metadata; the configuration must be the old one.
fn change(
    tx: &mut Tx<'_>,
    name: &str,
    existing: workload::WorkloadCluster,
    mut cluster: workload::WorkloadCluster,
) -> Result<Vec<u8>, Status> {
    if cluster.spec != existing.spec {
        return Err(Status::invalid(format!(
            "the configuration of workload_cluster {} cannot be modified after creation",
            quoted(name)
        )));
    }
    cluster.status = existing.status;
    Ok(put(tx, name, cluster))
}

/// Checks a sent cluster: its name, itself, and the revision that was sent.
fn prepare(
    cluster: Option<workload::WorkloadCluster>,
) -> Result<(String, workload::WorkloadCluster, String), Status> {
    let mut cluster = cluster.ok_or_else(|| Status::invalid("cluster is missing"))?;
    if !["", KIND].contains(&cluster.kind.as_str()) {
        return Err(Status::invalid(format!(
            "kind must be {KIND:?}, got {}",
            quoted(&cluster.kind)
        )));
    }
    if !["", VERSION].contains(&cluster.version.as_str()) {
        return Err(Status::invalid(format!(
            "unsupported resource version {}, current supported version is {VERSION}",
            quoted(&cluster.version)
        )));
    }
    KIND.clone_into(&mut cluster.kind);
    VERSION.clone_into(&mut cluster.version);
    let metadata: &mut header::Metadata = cluster.metadata.get_or_insert_default();
    metadata::check_parts(&metadata.name, &metadata.labels)?;
    let sent = std::mem::take(&mut metadata.revision);
    if metadata.namespace.is_empty() {
        NAMESPACE.clone_into(&mut metadata.namespace);
    }
    let name = metadata.name.clone();
    let known = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    let edge = name.starts_with('-') || name.ends_with('-');
    if !name.bytes().all(known) || edge || name.len() > NAME_MAX {
        return Err(Status::invalid(format!(
            "the name {} cannot be part of a domain name",
            quoted(&name)
        )));
    }
    check_spec(cluster.spec.get_or_insert_default())?;
    Ok((name, cluster, sent))
}

fn check_spec(spec: &workload::WorkloadClusterSpec) -> Result<(), Status> {
    if spec.regions.is_empty() || spec.regions.iter().any(|region| region.name.is_empty()) {
        return Err(Status::invalid("spec.regions must name at least one region"));
    }
    if spec.bot.as_ref().is_none_or(|bot| bot.name.is_empty()) {
        return Err(Status::invalid("spec.bot.name is missing"));
    }
    let token = spec.token.clone().unwrap_or_default();
    if token.join_method != "iam" {
        return Err(Status::invalid(format!(
            "unknown join method {}, only \"iam\" is supported",
            quoted(&token.join_method)
        )));
    }
    if token.allow.is_empty() {
        return Err(Status::invalid("the \"iam\" join method requires defined token allow rules"));
    }
    if token.allow.iter().any(|rule| rule.aws_account.is_empty() && rule.aws_arn.is_empty()) {
        return Err(Status::invalid(
            "allow rule for \"iam\" join method must set \"aws_account\" or \"aws_arn\"",
        ));
    }
    Ok(())
}

/// Stores the cluster and encodes the answer.
fn put(tx: &mut Tx<'_>, name: &str, mut cluster: workload::WorkloadCluster) -> Vec<u8> {
    let metadata = cluster.metadata.get_or_insert_default();
    metadata.revision.clear();
    let expiry = Expiry::of(metadata.expires.as_ref());
    let revision = tx.put(KIND, name, &cluster, expiry);
    cluster.metadata.get_or_insert_default().revision = revision;
    cluster.encode_to_vec()
}
