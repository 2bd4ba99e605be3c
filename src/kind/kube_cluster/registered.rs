//! What Kubernetes Services see of a registered cluster.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::KUBE_CLUSTER;
use crate::kind::ORIGIN_LABEL;
use crate::kind::canonical::WireError;
use crate::kind::kube_server::Registered;
use crate::wire::message::types;

/// Reads the message.
pub(super) fn of_wire(wire: Bytes) -> Result<Registered, WireError> {
    let cluster = types::KubernetesClusterV3::decode(wire);
    let unreadable =
        |error: prost::DecodeError| WireError::new(KUBE_CLUSTER.message, &error.to_string());
    cluster.map(of_message).map_err(unreadable)
}

/// The same of a decoded message.
pub(in crate::kind) fn of_message(cluster: types::KubernetesClusterV3) -> Registered {
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
