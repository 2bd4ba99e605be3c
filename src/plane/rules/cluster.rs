//! The cluster itself: its name.

use prost::Message as _;

use super::{Expiry, NAMESPACE, Rules, Tx, decode, programs, read, uuid};
use crate::plane::status::Status;
use crate::wire::message::{proto, types};

/// The version that the plane answers as.
pub(in crate::plane) const SERVER_VERSION: &str = "18.0.0";

const KIND: &str = "cluster_name";
const NAME: &str = "cluster-name";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/GetDomainName", domain_name),
        read("/teleport.clusterconfig.v1.ClusterConfigService/GetClusterName", cluster_name),
    ],
    events: None,
    expire: None,
};

/// Gives a new cluster its name and id.
pub(super) fn found(tx: &mut Tx<'_>) {
    let name = types::ClusterNameV2 {
        kind: KIND.to_owned(),
        version: "v2".to_owned(),
        metadata: Some(types::Metadata {
            name: NAME.to_owned(),
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        }),
        spec: Some(types::ClusterNameSpecV2 {
            cluster_name: tx.settings.cluster_name.clone(),
            cluster_id: uuid(tx.rng),
        }),
        ..Default::default()
    };
    tx.put(KIND, NAME, &name, Expiry::NEVER);
    programs::found(tx);
}

/// The cluster's name.
pub(in crate::plane) fn local_name(tx: &Tx<'_>) -> String {
    let spec = load(tx).ok().and_then(|name| name.spec);
    spec.map_or_else(|| tx.settings.cluster_name.clone(), |spec| spec.cluster_name)
}

pub(super) fn load(tx: &Tx<'_>) -> Result<types::ClusterNameV2, Status> {
    let item = tx.stored(KIND, NAME);
    let item = item.ok_or_else(|| Status::not_found("cluster name is not found"))?;
    let mut name: types::ClusterNameV2 = decode(&item.value)?;
    name.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(name)
}

fn domain_name(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    Ok(proto::GetDomainNameResponse { domain_name: local_name(tx) }.encode_to_vec())
}

fn cluster_name(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<()>(body)?;
    tx.allow(KIND, "read")?;
    Ok(load(tx)?.encode_to_vec())
}
