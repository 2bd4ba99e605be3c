//! Names of things.

use std::fmt;
use std::sync::Arc;

/// Which Teleport cluster a resource lives in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cluster {
    /// The cluster that the agent is pointed at.
    Parent,
    /// A workload cluster of that name, created by the parent.
    Child(Arc<str>),
}

/// A resource kind as written in manifests: one of the rows of `kind::KINDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName(&'static str);

impl KindName {
    /// Names a kind. Only the files in `kind/` call this.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The text in manifests, `kube_cluster`.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// The key of everything: coverage, journal, guards and status go by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Where it lives.
    pub cluster: Cluster,
    /// What it is.
    pub kind: KindName,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ResourceId {
    /// A resource of the parent cluster.
    pub fn parent(kind: KindName, name: &str) -> Self {
        Self { cluster: Cluster::Parent, kind, name: name.into() }
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
