//! What asks for a key, with one and the same.

use bytes::Bytes;
use reconciler::kind::canonical::{self, WireError};
use reconciler::kind::{Kind, List, call};
use reconciler::manifest::{Reading, Snapshot};
use reconciler::model::{Cluster, FingerprintKey, Live, Resource, Value};

pub(crate) const KEY: FingerprintKey = FingerprintKey([7; 32]);

pub(crate) fn decode(kind: &Kind, cluster: Cluster, wire: Bytes) -> Result<Live, WireError> {
    canonical::decode(kind, cluster, wire, &KEY)
}

pub(crate) fn resource(kind: &Kind, cluster: Cluster, name: &str, value: Value) -> Resource {
    canonical::resource(kind, cluster, name, value, &KEY)
}

pub(crate) fn listed(
    kind: &Kind,
    list: &List,
    cluster: &Cluster,
    answer: Bytes,
) -> Result<call::ListPage, WireError> {
    call::listed(kind, list, cluster, answer, &KEY)
}

pub(crate) fn watched(cluster: &Cluster, event: Bytes) -> Result<call::Watched, WireError> {
    call::watched(cluster, event, &KEY)
}

pub(crate) fn read(snapshot: &Snapshot) -> Reading {
    reconciler::manifest::decode::read(snapshot, &KEY)
}
