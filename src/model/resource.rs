//! A resource as it is wanted, and as it is live.

use std::sync::Arc;

use bytes::Bytes;

use super::{Digest, ResourceId, Revision};

/// A resource in canonical form.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its key.
    pub id: ResourceId,
    /// Canonical JSON (`kind`, `version`, `metadata`, `spec`; no directives, no ownership
    /// mark, nothing server-owned). **Holds secrets in clear**: show it through
    /// `kind::canonical::mask` only.
    pub canonical: Arc<str>,
    /// SHA-256 of `canonical`. Never leaves the process: it covers short secrets.
    pub digest: Digest,
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resource({})", self.id)
    }
}

/// One live resource.
#[derive(Clone, PartialEq, Eq)]
pub struct Live {
    /// Its key.
    pub id: ResourceId,
    /// The server's version of it; some kinds have none.
    pub revision: Option<Revision>,
    /// In the form of `Resource::canonical`, **secrets in clear**.
    pub canonical: Arc<str>,
    /// SHA-256 of `canonical`.
    pub digest: Digest,
    /// The ownership mark, if it bears one.
    pub owner: Option<String>,
    /// `teleport.dev/origin`, if it says one.
    pub origin: Option<String>,
    /// Whether others may build on it.
    pub readiness: Readiness,
    /// The message as it came, so that an update keeps the fields that we don't know. Empty:
    /// not kept, because nothing is going to be written over it.
    pub wire: Bytes,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live({:?} at {:?})", self.id, self.revision)
    }
}

/// Whether a resource can be built upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Not yet; what it says of itself (`creating`).
    Waiting(String),
}
