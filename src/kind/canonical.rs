//! Between YAML's view of a resource, its canonical form and the wire.

use bytes::Bytes;

use super::Kind;
use crate::live::Live;
use crate::manifest::Resource;
use crate::model::{Cluster, FingerprintKey, Value};

/// A message that cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// What is wrong, with the message's name.
    pub message: String,
}

/// Makes the canonical form: strips what is server-owned and every `reconciler/` label and the
/// ownership mark, drops nulls and what is empty, sorts unordered lists, applies
/// `Kind::normalize`.
pub fn resource(_kind: &Kind, _cluster: Cluster, _name: &str, _value: Value) -> Resource {
    todo!("kinds helper")
}

/// Reads a message from the server. Unknown fields are kept in `Live::wire`.
///
/// # Errors
/// Bytes that are not such a message, or one without a name.
pub fn decode(_kind: &Kind, _cluster: Cluster, _wire: Bytes) -> Result<Live, WireError> {
    todo!("kinds helper")
}

/// Makes the message to send: the wanted fields, our ownership mark where the kind keeps labels,
/// and, over a `base`, its revision, its server-owned labels (`teleport.dev/`,
/// `teleport.internal/`) and every field that we don't know.
///
/// # Errors
/// A canonical form that does not fit the message.
pub fn encode(
    _kind: &Kind,
    _resource: &Resource,
    _base: Option<&Live>,
    _owner: &str,
) -> Result<Bytes, WireError> {
    todo!("kinds helper")
}

/// The same value with every secret replaced by its fingerprint.
pub fn mask(_kind: &Kind, _value: &Value, _key: &FingerprintKey) -> Value {
    todo!("kinds helper")
}
