//! `remote_cluster`: leaves as a root sees them. They come by joining, not by a call.

use prost::Message as _;

use super::access::Reach;
use super::metadata::{self, quoted};
use super::{
    Events, Expiry, NAMESPACE, Rules, Tx, cluster, decode, empty, go_zero, page, read, write,
};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::proto::event::Resource;
use crate::wire::message::teleport::presence::v1 as presence;
use crate::wire::message::{programs, types};

const KIND: &str = "remote_cluster";
const VERSION: &str = "v3";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/teleport.presence.v1.PresenceService/GetRemoteCluster", get),
        read("/teleport.presence.v1.PresenceService/ListRemoteClusters", list),
        write("/teleport.presence.v1.PresenceService/UpdateRemoteCluster", update),
        write("/teleport.presence.v1.PresenceService/DeleteRemoteCluster", delete),
        read("/teleport.presence.v1.PresenceService/ListReverseTunnels", list_tunnels),
    ],
    events: Some(Events {
        version: VERSION,
        put: |item| load(item).ok().map(Resource::RemoteCluster),
    }),
    expire: None,
};

fn load(item: &Item) -> Result<types::RemoteClusterV3, Status> {
    let mut cluster: types::RemoteClusterV3 = decode(&item.value)?;
    cluster.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(cluster)
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("remote cluster {} is not found", quoted(name)))
}

/// A leaf joins: what a root notes of it.
pub(super) fn join(tx: &mut Tx<'_>, name: &str) {
    let cluster = types::RemoteClusterV3 {
        kind: KIND.to_owned(),
        version: VERSION.to_owned(),
        metadata: Some(types::Metadata {
            name: name.to_owned(),
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        }),
        status: Some(types::RemoteClusterStatusV3 {
            connection: "online".to_owned(),
            last_heartbeat: Some(super::timestamp(tx.now.wall)),
        }),
        ..Default::default()
    };
    put(tx, cluster);
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: presence::GetRemoteClusterRequest = decode(body)?;
    check_name(&request.name)?;
    tx.allow(KIND, "read")?;
    let found = tx.stored(KIND, &request.name).and_then(|item| load(item).ok());
    // A caller may not learn whether one is hidden or absent.
    let found = found.filter(|cluster| Reach::of_remote(tx).remote(cluster));
    Ok(found.ok_or_else(|| Status::not_found("not found"))?.encode_to_vec())
}

fn check_name(name: &str) -> Result<(), Status> {
    if name.is_empty() { Err(Status::invalid("name: must be specified")) } else { Ok(()) }
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: presence::ListRemoteClustersRequest = decode(body)?;
    tx.allow(KIND, "list")?;
    let items = tx.store.list(View::Backend, KIND, &request.page_token, tx.now);
    let items = items.map(|(name, item)| (name.to_owned(), load(item)));
    let (clusters, next_page_token) = page::cut(items, page::size(request.page_size));
    // Hidden ones are taken out of the page afterwards, so that a page may be short.
    let mut remote_clusters = clusters.into_iter().collect::<Result<Vec<_>, _>>()?;
    let reach = Reach::of_remote(tx);
    remote_clusters.retain(|cluster| reach.remote(cluster));
    Ok(presence::ListRemoteClustersResponse { remote_clusters, next_page_token }.encode_to_vec())
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: presence::UpdateRemoteClusterRequest = decode(body)?;
    let sent = request.remote_cluster;
    let sent = sent.ok_or_else(|| Status::invalid("remote_cluster: must not be nil"))?;
    let metadata = sent.metadata.clone().unwrap_or_default();
    if metadata.name.is_empty() {
        return Err(Status::invalid("remote_cluster.Metadata.Name: must be non-empty"));
    }
    tx.allow(KIND, "update")?;
    let mask = request.update_mask.unwrap_or_default().paths;
    if mask.is_empty() {
        metadata::check_parts(&metadata.name, &metadata.labels)?;
    }
    let item = tx.stored(KIND, &metadata.name).ok_or_else(|| missing(&metadata.name))?;
    let mut cluster = load(item)?;
    if mask.is_empty() {
        // With a mask the revision that was sent does not count.
        if item.revision != metadata.revision {
            return Err(Status::precondition(
                "failed to update remote cluster within 3 iterations",
            ));
        }
        cluster.metadata = Some(types::Metadata { namespace: NAMESPACE.to_owned(), ..metadata });
        cluster.status = sent.status;
    } else {
        for path in &mask {
            patch(&mut cluster, &sent, path)?;
        }
    }
    Ok(put(tx, cluster).encode_to_vec())
}

fn patch(
    cluster: &mut types::RemoteClusterV3,
    sent: &types::RemoteClusterV3,
    path: &str,
) -> Result<(), Status> {
    let metadata = cluster.metadata.get_or_insert_default();
    let status = cluster.status.get_or_insert_default();
    let new = sent.metadata.clone().unwrap_or_default();
    let new_status = sent.status.clone().unwrap_or_default();
    match path {
        "Metadata.Labels" => metadata.labels = new.labels,
        "Metadata.Description" => metadata.description = new.description,
        "Metadata.Expires" => metadata.expires = new.expires,
        "Status.Connection" => status.connection = new_status.connection,
        "Status.LastHeartbeat" => status.last_heartbeat = new_status.last_heartbeat,
        other => {
            return Err(Status::invalid(format!("unsupported field: {}", quoted(other))));
        }
    }
    Ok(())
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: presence::DeleteRemoteClusterRequest = decode(body)?;
    check_name(&request.name)?;
    tx.allow(KIND, "delete")?;
    if request.name == cluster::local_name(tx) {
        return Err(Status::invalid(format!(
            "remote cluster {} is the name of this root cluster and cannot be removed.",
            quoted(&request.name)
        )));
    }
    if tx.stored(KIND, &request.name).is_none() {
        return Err(missing(&request.name));
    }
    tx.remove(KIND, &request.name);
    Ok(empty())
}

/// Tunnels are dialled by leaves; there are none to list.
fn list_tunnels(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<programs::ListReverseTunnelsRequest>(body)?;
    tx.allow_all("tunnel", &["read", "list"])?;
    Ok(programs::ListReverseTunnelsResponse::default().encode_to_vec())
}

fn put(tx: &mut Tx<'_>, mut cluster: types::RemoteClusterV3) -> types::RemoteClusterV3 {
    cluster.status.get_or_insert_default().last_heartbeat.get_or_insert_with(go_zero);
    let metadata = cluster.metadata.get_or_insert_default();
    metadata.revision.clear();
    let name = metadata.name.clone();
    let expiry = Expiry::of(metadata.expires.as_ref());
    let revision = tx.put(KIND, &name, &cluster, expiry);
    cluster.metadata.get_or_insert_default().revision = revision;
    cluster
}
