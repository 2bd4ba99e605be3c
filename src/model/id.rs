//! Names of things.

use std::fmt;
use std::sync::Arc;

use super::secret::{self, FingerprintKey};

/// Which Teleport cluster a resource lives in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cluster {
    /// The cluster that the agent is pointed at.
    Parent,
    /// A workload cluster of that name, created by the parent.
    Child(Arc<str>),
}

/// A resource kind as written in manifests: one of the rows of `kind::KINDS`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName {
    text: &'static str,
    secret_names: bool,
}

impl KindName {
    /// Names a kind. Only the files in `kind/` call this.
    pub const fn new(name: &'static str) -> Self {
        Self { text: name, secret_names: false }
    }

    /// Names a kind some of whose resources are secret by name: whoever knows the name may use
    /// it (see `kind::Kind::secret_name`). Ids of those are veiled ([`ResourceId::veiled`]);
    /// names of the kind that are not veiled never appear in `Debug` output either, because one
    /// may come from a place that cannot tell.
    pub const fn with_secret_names(name: &'static str) -> Self {
        Self { text: name, secret_names: true }
    }

    /// The text in manifests, `kube_cluster`.
    pub const fn as_str(self) -> &'static str {
        self.text
    }

    /// Whether names of this kind can be secrets.
    pub const fn has_secret_names(self) -> bool {
        self.secret_names
    }
}

impl fmt::Debug for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KindName").field(&self.text).finish()
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

/// The key of everything: coverage, journal, guards and status go by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Where it lives.
    pub cluster: Cluster,
    /// What it is.
    pub kind: KindName,
    /// `metadata.name`, or, where that is a secret, its fingerprint: what goes by this id then
    /// never holds the name, and the name itself is taken from the resource.
    pub name: Arc<str>,
}

impl ResourceId {
    /// A resource of the parent cluster.
    pub fn parent(kind: KindName, name: &str) -> Self {
        Self { cluster: Cluster::Parent, kind, name: name.into() }
    }

    /// Whether a fingerprint stands for the name.
    pub fn is_veiled(&self) -> bool {
        self.kind.has_secret_names() && secret::is_fingerprint(&self.name)
    }

    /// The same with the fingerprint of its name in the name's place; itself where it is veiled
    /// already, and where names are no secrets.
    #[must_use]
    pub fn veiled(&self, key: &FingerprintKey) -> Self {
        if !self.kind.has_secret_names() || self.is_veiled() {
            return self.clone();
        }
        Self { name: key.show_name(&self.name).into(), ..self.clone() }
    }

    /// The name, or that it may be a secret.
    fn told_name(&self) -> &str {
        if self.kind.has_secret_names() && !self.is_veiled() { "(secret)" } else { &self.name }
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceId")
            .field("cluster", &self.cluster)
            .field("kind", &self.kind)
            .field("name", &self.told_name())
            .finish()
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cluster {
            Cluster::Parent => write!(f, "{}/{}", self.kind, self.name),
            Cluster::Child(child) => write!(f, "{child}:{}/{}", self.kind, self.name),
        }
    }
}

/// A server's opaque version of one resource. Compared for equality only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
