//! Kubernetes Services that the plane plays: they serve the clusters that their selectors match.
//!
//! They go by the stored labels alone, with the stored results of commands: a real service matches
//! on these too, whatever its own run of the command says. They run no commands, and publish the
//! stored results.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::labels::{Selector, any_matches};
use super::metadata::{ORIGIN, quoted};
use super::{NAMESPACE, SERVER_VERSION, Tx, go_zero, kube_cluster, kube_server, timestamp};
use crate::model::{Digest, Timestamp};
use crate::plane::settings::{Dropped, KubeService};
use crate::plane::store::View;
use crate::wire::message::types;

/// How long a heartbeat counts, as seen with 18.0.0: what a dead service served is listed no
/// longer than this.
const ANNOUNCE_TTL: Duration = Duration::from_mins(15);

/// Between two heartbeats: two thirds of that. Real ones come with some jitter.
const ANNOUNCE_PERIOD: Duration = Duration::from_mins(10);

/// One service at work.
#[derive(Debug)]
pub(in crate::plane) struct Playing {
    name: String,
    host_id: String,
    selectors: Vec<Selector>,
    /// Clusters that match and cannot be served, with the error that ends each round.
    failed: BTreeMap<String, String>,
    /// When the first heartbeat is due; none while nothing is served.
    due: Option<Timestamp>,
}

impl Playing {
    /// Begins; nothing is served before the first look.
    pub(in crate::plane) fn new(service: &KubeService) -> Self {
        Self {
            name: service.name.clone(),
            host_id: host_id(&service.name),
            selectors: service.resources.iter().map(Selector::new).collect(),
            failed: BTreeMap::new(),
            due: None,
        }
    }

    /// What it is called.
    pub(in crate::plane) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key of a `kube_server` is one of its own.
    pub(in crate::plane) fn is_host_of(&self, key: &str) -> bool {
        kube_server::parts(key).0 == self.host_id
    }

    /// What its last round could not serve, by cluster. One error and the whole round counts as
    /// failed, though the other clusters are served.
    pub(in crate::plane) fn failed(&self) -> &BTreeMap<String, String> {
        &self.failed
    }

    /// When it wants to look at everything without a reason.
    pub(in crate::plane) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Looks at these clusters.
    pub(in crate::plane) fn look(&mut self, tx: &mut Tx<'_>, names: &BTreeSet<String>) {
        self.look_at(tx, names, tx.settings.dropped);
    }

    fn look_at(&mut self, tx: &mut Tx<'_>, names: &BTreeSet<String>, dropped: Dropped) {
        for name in names {
            if let Some(due) = self.one(tx, name, dropped) {
                self.due = Some(self.due.map_or(due, |first| first.min(due)));
            }
        }
    }

    /// Begins to serve; what it lists from an earlier life and serves no longer goes.
    pub(in crate::plane) fn start(&mut self, tx: &mut Tx<'_>) {
        self.all(tx, Dropped::Gone);
    }

    /// Looks at every cluster, and renews the heartbeats that are due.
    pub(in crate::plane) fn look_at_all(&mut self, tx: &mut Tx<'_>) {
        self.all(tx, tx.settings.dropped);
    }

    fn all(&mut self, tx: &mut Tx<'_>, dropped: Dropped) {
        let start = kube_server::key(&self.host_id, "");
        let clusters = tx.store.list(View::Cache, kube_cluster::KIND, "", tx.now);
        let mut names: BTreeSet<String> = clusters.map(|(name, _)| name.to_owned()).collect();
        let served = tx.store.list(View::Backend, kube_server::KIND, &start, tx.now);
        let served = served.map_while(|(key, _)| key.strip_prefix(&start).map(str::to_owned));
        names.extend(served);
        self.due = None;
        self.look_at(tx, &names, dropped);
    }

    /// Serves one cluster, or no longer. The time of the next heartbeat, if it is served.
    fn one(&mut self, tx: &mut Tx<'_>, name: &str, dropped: Dropped) -> Option<Timestamp> {
        self.failed.remove(name);
        let key = kube_server::key(&self.host_id, name);
        let old = tx.stored(kube_server::KIND, &key).and_then(|it| kube_server::load(it).ok());
        let cluster = tx.cached(kube_cluster::KIND, name);
        let cluster = cluster.and_then(|item| kube_cluster::load(item).ok());
        if let Some(old) = &old {
            let theirs = origin(old.spec.as_ref().and_then(|spec| spec.cluster.as_ref()));
            // A static cluster has no origin. It stays, and hides a dynamic one of its name; and
            // no cluster changes its origin under way.
            if theirs.is_empty() || cluster.is_some() && theirs != origin(cluster.as_ref()) {
                return None;
            }
        }
        let wanted =
            cluster.filter(|it| any_matches(&self.selectors, &kube_cluster::all_labels(it)));
        let Some(cluster) = wanted else {
            let old = old?;
            if dropped == Dropped::Gone {
                tx.remove(kube_server::KIND, &key);
                return None;
            }
            let last = old.spec.as_ref()?.cluster.clone()?;
            return Some(self.announce(tx, name, Some(&old), last));
        };
        let served = if kube_cluster::has_credentials(&cluster) {
            without_secrets(cluster)
        } else {
            let verb = if old.is_some() { "update" } else { "create" };
            let text = format!(
                "failed to {verb} kube_cluster {name}: authentication method provided for cluster \
                 {} not supported",
                quoted(name)
            );
            self.failed.insert(name.to_owned(), text);
            // What it served before it serves still.
            old.as_ref()?.spec.as_ref()?.cluster.clone()?
        };
        Some(self.announce(tx, name, old.as_ref(), served))
    }

    /// Sends a heartbeat if there is news or it is time. The time of the next.
    fn announce(
        &self,
        tx: &mut Tx<'_>,
        name: &str,
        old: Option<&types::KubernetesServerV3>,
        cluster: types::KubernetesClusterV3,
    ) -> Timestamp {
        let mut server = self.server(name, cluster);
        let at = old.and_then(|it| it.metadata.as_ref()?.expires);
        if let (Some(old), Some(at)) = (old, at) {
            let metadata = server.metadata.get_or_insert_default();
            metadata.expires = Some(at);
            metadata.revision =
                old.metadata.as_ref().map(|it| it.revision.clone()).unwrap_or_default();
            let millis = at.seconds.saturating_mul(1000) + i64::from(at.nanos / 1_000_000);
            let left = Timestamp(millis).since(tx.now.wall);
            let early = ANNOUNCE_TTL.saturating_sub(ANNOUNCE_PERIOD);
            if *old == server && left > early && left <= ANNOUNCE_TTL {
                return tx.now.wall.plus(left.saturating_sub(early));
            }
        }
        let expires = timestamp(tx.now.wall.plus(ANNOUNCE_TTL));
        server.metadata.get_or_insert_default().expires = Some(expires);
        kube_server::put(tx, server);
        tx.now.wall.plus(ANNOUNCE_PERIOD)
    }

    fn server(&self, name: &str, cluster: types::KubernetesClusterV3) -> types::KubernetesServerV3 {
        let never = Some(go_zero());
        let schedule = types::RotationSchedule {
            update_clients: never,
            update_servers: never,
            standby: never,
        };
        types::KubernetesServerV3 {
            kind: kube_server::KIND.to_owned(),
            version: "v3".to_owned(),
            metadata: Some(types::Metadata {
                name: name.to_owned(),
                namespace: NAMESPACE.to_owned(),
                ..Default::default()
            }),
            spec: Some(types::KubernetesServerSpecV3 {
                version: SERVER_VERSION.to_owned(),
                hostname: self.name.clone(),
                host_id: self.host_id.clone(),
                rotation: Some(types::Rotation {
                    started: never,
                    last_rotated: never,
                    schedule: Some(schedule),
                    ..Default::default()
                }),
                cluster: Some(cluster),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// The id of a service's host: always the same for the same name, in the shape of a UUID.
pub(in crate::plane) fn host_id(service: &str) -> String {
    let digest = Digest::of_parts([b"kubernetes service host".as_slice(), service.as_bytes()]);
    let seed = digest.as_bytes().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
    super::uuid(&mut fastrand::Rng::with_seed(seed))
}

fn origin(cluster: Option<&types::KubernetesClusterV3>) -> String {
    let metadata = cluster.and_then(|it| it.metadata.as_ref());
    metadata.and_then(|it| it.labels.get(ORIGIN)).cloned().unwrap_or_default()
}

/// What a heartbeat tells of a cluster: no credentials of any kind.
fn without_secrets(mut cluster: types::KubernetesClusterV3) -> types::KubernetesClusterV3 {
    let spec = cluster.spec.take().unwrap_or_default();
    cluster.spec = Some(types::KubernetesClusterSpecV3 {
        dynamic_labels: spec.dynamic_labels,
        azure: Some(types::KubeAzure::default()),
        aws: Some(types::KubeAws::default()),
        gcp: Some(types::KubeGcp::default()),
        ..Default::default()
    });
    cluster
}
