//! The cluster itself: its name, and Ping.

use prost::Message as _;

use super::{Expiry, NAMESPACE, Rules, Tx, decode, read, uuid};
use crate::plane::status::Status;
use crate::wire::message::{proto, types};

/// The version that the plane answers as.
pub(in crate::plane) const SERVER_VERSION: &str = "18.0.0";

/// Seconds of Go's zero time, year 1, since 1970.
const GO_ZERO_SECONDS: i64 = -62_135_596_800;

const KIND: &str = "cluster_name";
const NAME: &str = "cluster-name";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/proto.AuthService/Ping", ping),
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
}

/// The cluster's name.
pub(super) fn local_name(tx: &Tx<'_>) -> String {
    let spec = load(tx).ok().and_then(|name| name.spec);
    spec.map_or_else(|| tx.settings.cluster_name.clone(), |spec| spec.cluster_name)
}

fn load(tx: &Tx<'_>) -> Result<types::ClusterNameV2, Status> {
    let item = tx.stored(KIND, NAME);
    let item = item.ok_or_else(|| Status::not_found("cluster name is not found"))?;
    let mut name: types::ClusterNameV2 = decode(&item.value)?;
    name.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(name)
}

fn ping(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    decode::<proto::PingRequest>(body)?;
    let on = || proto::EntitlementInfo { enabled: true, limit: 0 };
    let entitlements = ["App", "DB", "Desktop", "JoinActiveSessions", "K8s"];
    let answer = proto::PingResponse {
        cluster_name: local_name(tx),
        server_version: SERVER_VERSION.to_owned(),
        server_features: Some(proto::Features {
            entitlements: entitlements.into_iter().map(|it| (it.to_owned(), on())).collect(),
            policy: Some(proto::PolicyFeature::default()),
            support_type: proto::SupportType::Free.into(),
            ..Default::default()
        }),
        signature_algorithm_suite: types::SignatureAlgorithmSuite::BalancedV1.into(),
        license_expiry: Some(prost_types::Timestamp { seconds: GO_ZERO_SECONDS, nanos: 0 }),
        ..Default::default()
    };
    Ok(answer.encode_to_vec())
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
