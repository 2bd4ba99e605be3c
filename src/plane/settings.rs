//! What a plane can be told, and who calls it.

use std::collections::BTreeMap;
use std::time::Duration;

/// The embedded plane's own cluster name, unless told otherwise.
pub const DEFAULT_CLUSTER_NAME: &str = "embedded.local";

/// From `creating` to `active`, unless told otherwise: long enough to be seen, short enough to try.
pub const DEFAULT_PROVISIONING: Duration = Duration::from_secs(5);

/// Where a plane says that its web pages are, unless told otherwise.
pub const DEFAULT_PROXY_ADDRESS: &str = "localhost:3080";

/// The public half of one certificate authority. The private half stays with the serving shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// Certificates, one PEM block each.
    pub tls: Vec<Vec<u8>>,
    /// Public keys, each a line as in `authorized_keys`.
    pub ssh: Vec<Vec<u8>>,
    /// Public keys for signed tokens, one PEM block each.
    pub jwt: Vec<Vec<u8>>,
}

/// A Kubernetes Service that the plane plays: it serves the clusters that its selectors match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubeService {
    /// Its host's name; the host's id follows from it.
    pub name: String,
    /// `kubernetes_service.resources`: keys and values of each item, in order.
    pub resources: Vec<BTreeMap<String, Vec<String>>>,
}

/// What becomes of the `kube_server` of a cluster that its service serves no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dropped {
    /// It goes at once.
    #[default]
    Gone,
    /// It stays, heartbeat and all, until the services begin anew: so it was seen with 18.0.0.
    Lingers,
}

/// What answers when a trusted cluster is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Trust {
    /// A root is pretended to answer at any address, to accept any token, and to bear the name
    /// that the trusted cluster has.
    #[default]
    Simulated,
    /// Nobody answers: the connection is refused.
    Unreachable,
}

/// How a plane behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The cluster's name. It is kept in the store; a stored one wins.
    pub cluster_name: String,
    /// Whether a new cluster has the roles `access`, `editor` and `auditor`.
    pub presets: bool,
    /// How far reads are behind writes. Get, List, the reads that Update and Delete begin with,
    /// and watches see a write this much later. Real servers: 0 to about 1 s.
    pub lag: Duration,
    /// From `creating` to `active` of a workload cluster.
    pub provisioning: Duration,
    /// What answers when a trusted cluster is created.
    pub trust: Trust,
    /// Whether `workload_cluster` exists; if not, every call is refused as by a self-hosted server.
    pub workload_clusters: bool,
    /// Whether role options of the enterprise edition are accepted.
    pub enterprise: bool,
    /// The Kubernetes Services that serve its clusters.
    pub services: Vec<KubeService>,
    /// What becomes of a cluster that a service serves no longer.
    pub dropped: Dropped,
    /// `HOST:PORT` of the web pages, in invitations and in the answer to Ping.
    pub proxy_address: String,
    /// The cluster's certificate authorities by Teleport's names of their types: `host`, `user`
    /// and so on. A type that is not here has no authority.
    pub authorities: BTreeMap<String, Authority>,
    /// Where revisions and ids come from. The same seed, state and calls give the same answers.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_name: DEFAULT_CLUSTER_NAME.to_owned(),
            presets: true,
            lag: Duration::ZERO,
            provisioning: DEFAULT_PROVISIONING,
            trust: Trust::Simulated,
            workload_clusters: true,
            enterprise: false,
            services: Vec::new(),
            dropped: Dropped::default(),
            proxy_address: DEFAULT_PROXY_ADDRESS.to_owned(),
            authorities: BTreeMap::new(),
            seed: 0,
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's or bot's name.
    pub name: String,
    /// Roles by name.
    pub roles: Vec<String>,
    /// Everything is allowed, whatever the roles say.
    pub admin: bool,
}

impl Caller {
    /// The one behind the plane's own socket: may do everything.
    pub fn admin() -> Self {
        Self { name: "admin".to_owned(), roles: Vec::new(), admin: true }
    }
}
