//! `trusted_cluster` as a leaf keeps it.
//!
//! Alone, an embedded cluster has no root to call: by [`Trust`] one is pretended to answer
//! whatever the address, or the connection is refused.

use prost::Message as _;

use super::metadata::{self, quoted};
use super::{Events, Expiry, Rules, Tx, cluster, decode, empty, page, read, role, role_map, write};
use crate::plane::settings::Trust;
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::teleport::trust::v1 as trust;
use crate::wire::message::types;

const KIND: &str = "trusted_cluster";

/// No parser and no cache of the real server knows the kind: there are no events.
const EVENTS: Option<Events> = None;

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/GetTrustedCluster", get),
        read("/proto.AuthService/GetTrustedClusters", list),
        read("/teleport.trust.v1.TrustService/ListTrustedClusters", list_page),
        write("/proto.AuthService/UpsertTrustedCluster", upsert_deprecated),
        write("/proto.AuthService/DeleteTrustedCluster", delete),
        write("/teleport.trust.v1.TrustService/CreateTrustedCluster", create),
        write("/teleport.trust.v1.TrustService/UpdateTrustedCluster", update),
        write("/teleport.trust.v1.TrustService/UpsertTrustedCluster", upsert),
    ],
    events: EVENTS,
    expire: None,
};

/// Whether a call asks the root for its name first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Find {
    /// `GET /webapi/find`, in the newer calls.
    First,
    /// Straight to the handshake, in the deprecated call.
    Skipped,
}

fn load(item: &Item) -> Result<types::TrustedClusterV2, Status> {
    let mut cluster: types::TrustedClusterV2 = decode(&item.value)?;
    cluster.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(cluster)
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("key {} is not found", quoted(&format!("/trustedclusters/{name}"))))
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::ResourceRequest = decode(body)?;
    tx.allow(KIND, "read")?;
    if request.name.is_empty() {
        return Err(Status::invalid("missing trusted cluster name"));
    }
    let item = tx.cached(KIND, &request.name).ok_or_else(|| missing(&request.name))?;
    Ok(load(item)?.encode_to_vec())
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow_all(KIND, &["list", "read"])?;
    let items = tx.store.list(View::Cache, KIND, "", tx.now);
    let trusted_clusters = items.map(|(_, item)| load(item)).collect::<Result<_, _>>()?;
    Ok(types::TrustedClusterV2List { trusted_clusters }.encode_to_vec())
}

fn list_page(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: trust::ListTrustedClustersRequest = decode(body)?;
    tx.allow(KIND, "list")?;
    let items = tx.store.list(View::Cache, KIND, &request.page_token, tx.now);
    let items = items.map(|(name, item)| (name.to_owned(), load(item)));
    let (clusters, next_page_token) = page::cut(items, page::size(request.page_size));
    let trusted_clusters = clusters.into_iter().collect::<Result<_, _>>()?;
    Ok(trust::ListTrustedClustersResponse { trusted_clusters, next_page_token }.encode_to_vec())
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: trust::CreateTrustedClusterRequest = decode(body)?;
    tx.allow(KIND, "create")?;
    let cluster = prepare(tx, request.trusted_cluster)?;
    establish(tx, cluster, Find::First)
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: trust::UpdateTrustedClusterRequest = decode(body)?;
    tx.allow(KIND, "update")?;
    let cluster = prepare(tx, request.trusted_cluster)?;
    let name = name_of(&cluster);
    let found = tx.cached(KIND, &name).and_then(|_| tx.stored(KIND, &name));
    let existing = load(found.ok_or_else(|| missing(&name))?)?;
    if revision_of(&existing) != revision_of(&cluster) {
        return Err(Status::precondition(format!(
            "trusted cluster {} has been modified, please retry",
            quoted(&name)
        )));
    }
    change(tx, &existing, cluster)
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: trust::UpsertTrustedClusterRequest = decode(body)?;
    upsert_with(tx, request.trusted_cluster, Find::First)
}

fn upsert_deprecated(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    upsert_with(tx, Some(decode(body)?), Find::Skipped)
}

fn upsert_with(
    tx: &mut Tx<'_>,
    cluster: Option<types::TrustedClusterV2>,
    find: Find,
) -> Result<Vec<u8>, Status> {
    tx.allow_all(KIND, &["create", "update"])?;
    let cluster = prepare(tx, cluster)?;
    match tx.stored(KIND, &name_of(&cluster)).map(load) {
        Some(existing) => change(tx, &existing?, cluster),
        None => establish(tx, cluster, find),
    }
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::ResourceRequest = decode(body)?;
    tx.allow(KIND, "delete")?;
    let name = request.name.as_str();
    if name == cluster::local_name(tx) {
        return Err(Status::invalid(format!(
            "trusted cluster {} is the name of this root cluster and cannot be removed.",
            quoted(name)
        )));
    }
    if tx.stored(KIND, name).is_none() {
        return Err(Status::not_found(format!("trusted cluster {} is not found", quoted(name))));
    }
    tx.remove(KIND, name);
    Ok(empty())
}

fn name_of(cluster: &types::TrustedClusterV2) -> String {
    cluster.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default()
}

fn revision_of(cluster: &types::TrustedClusterV2) -> &str {
    cluster.metadata.as_ref().map_or("", |metadata| metadata.revision.as_str())
}

/// Checks a sent trusted cluster and sets the defaults.
fn prepare(
    tx: &Tx<'_>,
    cluster: Option<types::TrustedClusterV2>,
) -> Result<types::TrustedClusterV2, Status> {
    let mut cluster = cluster.ok_or_else(|| Status::invalid("missing trusted cluster"))?;
    KIND.clone_into(&mut cluster.kind);
    "v2".clone_into(&mut cluster.version);
    let metadata = cluster.metadata.get_or_insert_default();
    metadata::check(metadata)?;
    let name = metadata.name.clone();
    let spec = cluster.spec.get_or_insert_default();
    if !spec.roles.is_empty() && !spec.role_map.is_empty() {
        return Err(Status::invalid("should set either 'roles' or 'role_map', not both"));
    }
    if spec.reverse_tunnel_address.is_empty() {
        spec.reverse_tunnel_address.clone_from(&spec.proxy_address);
    }
    if spec.roles.is_empty() && spec.role_map.is_empty() {
        return Err(Status::invalid("missing 'role_map' parameter"));
    }
    role_map::check(&spec.role_map)?;
    for (local, mapping) in role_map::local_roles(&spec.role_map) {
        if !role::exists(tx, local) {
            return Err(Status::not_found(format!(
                "a role {} referenced in a mapping {mapping} is not defined",
                quoted(local)
            )));
        }
    }
    metadata::check_backend_key(&format!("/trustedclusters/{name}"), &name)?;
    Ok(cluster)
}

/// Creates the trust: asks the root, then stores.
fn establish(
    tx: &mut Tx<'_>,
    cluster: types::TrustedClusterV2,
    find: Find,
) -> Result<Vec<u8>, Status> {
    let name = name_of(&cluster);
    let address = cluster.spec.as_ref().map_or("", |spec| spec.proxy_address.as_str());
    ask_root(tx.settings.trust, address, find)?;
    if name == cluster::local_name(tx) {
        return Err(Status::invalid(
            "remote cluster name can not be the same as local cluster name",
        ));
    }
    if tx.stored(KIND, &name).is_some() {
        return Err(Status::exists(format!(
            "trusted cluster {} and/or one or more of its cert authorities already exists",
            quoted(&name)
        )));
    }
    Ok(put(tx, &name, cluster))
}

fn ask_root(trust: Trust, address: &str, find: Find) -> Result<(), Status> {
    match (find, address.is_empty(), trust) {
        (Find::First, true, Trust::Simulated | Trust::Unreachable) => {
            Err(Status::invalid("webclient config: missing parameter ProxyAddr"))
        }
        (Find::Skipped, true, Trust::Simulated | Trust::Unreachable) => {
            Err(Status::unavailable("http: no Host in request URL"))
        }
        (Find::First, false, Trust::Unreachable) => Err(Status::unknown(format!(
            "Get \"https://{address}/webapi/find\": dial tcp {address}: connect: connection refused"
        ))),
        (Find::Skipped, false, Trust::Unreachable) => {
            Err(Status::unavailable(format!("dial tcp {address}: connect: connection refused")))
        }
        (Find::First | Find::Skipped, false, Trust::Simulated) => Ok(()),
    }
}

/// Changes an existing trust, as far as it can be changed; the root is not asked.
fn change(
    tx: &mut Tx<'_>,
    existing: &types::TrustedClusterV2,
    cluster: types::TrustedClusterV2,
) -> Result<Vec<u8>, Status> {
    let old = existing.spec.clone().unwrap_or_default();
    let new = cluster.spec.clone().unwrap_or_default();
    let fixed = [
        ("token", old.token != new.token),
        ("web_proxy_address", old.proxy_address != new.proxy_address),
        ("tunnel_addr", old.reverse_tunnel_address != new.reverse_tunnel_address),
        ("roles", old.roles != new.roles),
    ];
    if let Some((field, _)) = fixed.into_iter().find(|(_, differs)| *differs) {
        return Err(Status::invalid(format!(
            "can not update {field} for existing leaf cluster, delete and re-create this leaf \
             cluster with updated {field}"
        )));
    }
    let name = name_of(&cluster);
    Ok(put(tx, &name, cluster))
}

/// Stores the trusted cluster and encodes the answer.
fn put(tx: &mut Tx<'_>, name: &str, mut cluster: types::TrustedClusterV2) -> Vec<u8> {
    let metadata = cluster.metadata.get_or_insert_default();
    metadata.revision.clear();
    let expiry = Expiry::of(metadata.expires.as_ref());
    let revision = tx.put(KIND, name, &cluster, expiry);
    cluster.metadata.get_or_insert_default().revision = revision;
    cluster.encode_to_vec()
}
