//! The plane as one synchronous state machine: time, caller and bytes in, bytes and changes out.
//!
//! No clock, no disk, no task: the shell (`serve`) and the simulator drive the same core.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;

use super::faults::Faults;
use super::rules::{self, Effect, Playing, Tx};
use super::settings::{Authority, Caller, Settings};
use super::status::Status;
use super::store::{Change, Item, Key, Store, View};
use super::watch::Watches;
use crate::model::{Digest, Now};
use crate::wire::message::proto;

/// Our own method beside Teleport's: how often each method was called, as text.
pub const CALLS: &str = "/reconciler.plane.v1.Plane/Calls";

/// What calls of methods that there are not are counted under, whatever their names.
const UNKNOWN: &str = "(unimplemented)";
/// Our own method: what the Kubernetes Services serve, and what they cannot, as text.
pub const SERVICES: &str = "/reconciler.plane.v1.Plane/Services";

/// The one method that streams.
pub const WATCH_EVENTS: &str = "/proto.AuthService/WatchEvents";

/// The most kinds that one watch may name: Teleport has fewer, and each costs time per event.
const WATCH_KINDS_MAX: usize = 256;

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the changes must be persisted before the answer is sent"]
pub struct Answer {
    /// The encoded answer, or why there is none.
    pub result: Result<Vec<u8>, Status>,
    /// To be persisted, in this order, before the answer is sent. A failed call has changes too
    /// when something expired meanwhile.
    pub changes: Vec<Change>,
}

/// Names an open watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(pub(super) u64);

/// What a watch has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchPoll {
    /// Encoded `proto.Event`s, in order.
    pub events: Vec<Vec<u8>>,
    /// The watch is over after these events.
    pub ended: Option<Status>,
}

/// How often a method was called since the plane began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that arrived.
    pub calls: u64,
    /// Of these, writes that changed something.
    pub writes: u64,
}

/// The control plane.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    store: Store,
    watches: Watches,
    rng: fastrand::Rng,
    faults: Faults,
    counters: BTreeMap<String, Counters>,
    services: Vec<Playing>,
}

impl Core {
    /// A plane over the stored items; over none, a new cluster. The changes must be persisted.
    pub fn open(
        settings: Settings,
        now: Now,
        stored: impl IntoIterator<Item = (Key, Item)>,
    ) -> (Self, Vec<Change>) {
        let store = Store::new(settings.lag, stored);
        let openings = rules::openings(&store, now);
        // Each opening has its own stream, or a restart would give old revisions to new writes.
        let digest = Digest::of_parts([
            settings.seed.to_be_bytes().as_slice(),
            openings.to_be_bytes().as_slice(),
        ]);
        let seed =
            digest.as_bytes().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
        let mut core = Self {
            services: settings.services.iter().map(Playing::new).collect(),
            settings,
            store,
            watches: Watches::default(),
            rng: fastrand::Rng::with_seed(seed),
            faults: Faults::default(),
            counters: BTreeMap::new(),
        };
        rules::open(&mut core.tx(now, &Caller::admin()), openings);
        // What a new cluster begins with is seen at once, whatever the lag.
        core.store.settle();
        core.for_services(now, Playing::start);
        let changes = core.store.take_written();
        core.store.settle();
        (core, changes)
    }

    /// Answers one unary call. Never panics, whatever the bytes are.
    pub fn call(&mut self, now: Now, caller: &Caller, method: &str, body: &[u8]) -> Answer {
        self.advance(now);
        let ours = match method {
            CALLS => Some(self.calls_text()),
            SERVICES => Some(self.services_text(now)),
            _ => None,
        };
        if let Some(text) = ours {
            return Answer { result: Ok(text.into_bytes()), changes: self.store.take_written() };
        }
        if let Some(status) = self.faults.take_failure(method) {
            self.count(method, false);
            return Answer { result: Err(status), changes: self.store.take_written() };
        }
        let Some(found) = rules::find(method) else {
            self.count(UNKNOWN, false);
            let changes = self.store.take_written();
            return Answer { result: Err(unknown_method(method)), changes };
        };
        let mark = self.store.mark();
        let mut tx = self.tx(now, caller);
        let result = rules::admit(&tx).and_then(|()| (found.run)(&mut tx, body));
        if result.is_err() || found.effect == Effect::Read {
            self.store.undo_to(mark);
        }
        self.count(method, self.store.mark() > mark);
        Answer { result, changes: self.store.take_written() }
    }

    /// A line `CALLS METHOD` for each method that was called since the plane was opened.
    fn calls_text(&self) -> String {
        let line =
            |(method, counters): (&String, &Counters)| format!("{} {method}\n", counters.calls);
        self.counters.iter().map(line).collect()
    }

    /// A line for each service, and one for each cluster that makes its rounds fail.
    fn services_text(&self, now: Now) -> String {
        let mut lines = Vec::new();
        for service in &self.services {
            let served = self.store.list(View::Cache, rules::KUBE_SERVER, "", now);
            let served = served.filter(|(key, _)| service.is_host_of(key)).count();
            lines.push(format!("{}: serves {served}\n", service.name()));
            let failed = service.failed().values();
            lines.extend(failed.map(|error| format!("{}: {error}\n", service.name())));
        }
        lines.concat()
    }

    /// Why the rounds of the Kubernetes Services fail: service, cluster and error.
    pub fn service_failures(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.services.iter().flat_map(|service| {
            let failed = service.failed().iter();
            failed.map(|(name, why)| (service.name(), name.as_str(), why.as_str()))
        })
    }

    /// Opens a watch; `body` is a `proto.Watch`.
    ///
    /// # Errors
    /// A kind that cannot be watched, no kinds at all, or bytes that are no message.
    pub fn subscribe(&mut self, now: Now, caller: &Caller, body: &[u8]) -> Result<WatchId, Status> {
        self.advance(now);
        self.count(WATCH_EVENTS, false);
        if let Some(status) = self.faults.take_failure(WATCH_EVENTS) {
            return Err(status);
        }
        let mut request = proto::Watch::decode(body).map_err(|error| not_a_message(&error))?;
        let asked = request.kinds.len();
        if asked > WATCH_KINDS_MAX {
            return Err(Status::invalid(format!("a watch has at most {WATCH_KINDS_MAX} kinds")));
        }
        let tx = self.tx(now, caller);
        rules::admit(&tx)?;
        if request.allow_partial_success {
            request.kinds.retain(|kind| rules::allow_watch(&tx, kind).is_ok());
            if asked > 0 && request.kinds.is_empty() {
                return Err(Status::invalid("none of the requested kinds can be watched"));
            }
        }
        for kind in &request.kinds {
            rules::allow_watch(&tx, kind)?;
        }
        self.watches.open(request)
    }

    /// A leaf joins this cluster: from then on it is a `remote_cluster`. There is no call for it.
    /// The changes must be persisted.
    #[must_use = "the changes must be persisted"]
    pub fn join(&mut self, now: Now, leaf: &str) -> Vec<Change> {
        self.advance(now);
        rules::join(&mut self.tx(now, &Caller::admin()), leaf);
        self.store.take_written()
    }

    /// Takes the events that a watch has.
    pub fn poll_watch(&mut self, now: Now, id: WatchId) -> WatchPoll {
        self.advance(now);
        self.watches.poll(id)
    }

    /// Forgets a watch.
    pub fn close_watch(&mut self, id: WatchId) {
        self.watches.close(id);
    }

    /// Ends all watches, as a real server does now and then; clients must list again.
    pub fn reset_watches(&mut self) {
        self.watches.reset();
    }

    /// Whether some watch has events that were not taken yet.
    pub fn watches_ready(&self) -> bool {
        self.watches.any_ready()
    }

    /// How long until something happens without a call: a change becomes visible, something
    /// expires, a cluster becomes active. Call [`Self::tick`] then.
    pub fn next_wakeup(&self, now: Now) -> Option<Duration> {
        let stored = self.store.next_wakeup(now);
        let due = self.services.iter().filter_map(Playing::due).map(|at| at.since(now.wall));
        stored.into_iter().chain(due).min()
    }

    /// Does what is due. The changes must be persisted.
    #[must_use = "the changes must be persisted"]
    pub fn tick(&mut self, now: Now) -> Vec<Change> {
        self.advance(now);
        self.store.take_written()
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Changes the faults in force.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Calls and writes per method, since the plane began.
    pub fn counters(&self) -> &BTreeMap<String, Counters> {
        &self.counters
    }

    /// How the plane behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes how far reads are behind, from the next write on.
    pub fn set_lag(&mut self, lag: Duration) {
        self.settings.lag = lag;
        self.store.set_lag(lag);
    }

    /// The truth, for oracles: every item of a kind by name.
    pub fn items<'a>(
        &'a self,
        kind: &'a str,
        now: Now,
    ) -> impl Iterator<Item = (&'a str, &'a Item)> {
        self.store.list(View::Backend, kind, "", now)
    }

    /// Grows whenever a read of the kind may give something else than before; what
    /// is due by [`Self::next_wakeup`] does not count yet.
    pub fn version(&self, kind: &str) -> u64 {
        self.store.version(kind)
    }

    /// Whether this is the name of a deleted workload cluster that nobody can have yet.
    pub fn is_blocked(&self, name: &str, now: Now) -> bool {
        self.store.get(View::Backend, &Key::new(rules::BLOCKED_NAME, name), now).is_some()
    }

    /// The cluster's name, as it is stored.
    pub fn cluster_name(&mut self, now: Now) -> String {
        rules::local_name(&self.tx(now, &Caller::admin()))
    }

    /// Tells clients how the cluster is reached and by what its certificates are verified.
    pub fn publish(&mut self, proxy_address: &str, authorities: BTreeMap<String, Authority>) {
        proxy_address.clone_into(&mut self.settings.proxy_address);
        self.settings.authorities = authorities;
    }

    /// Keeps something of the shell's own beside the resources, where no call lists it. The
    /// changes must be persisted.
    #[must_use = "the changes must be persisted"]
    pub fn keep(&mut self, now: Now, key: Key, value: Vec<u8>) -> Vec<Change> {
        let item = Item { value: value.into(), revision: String::new(), expires: None };
        self.store.write(now, key, Some(item));
        self.store.take_written()
    }

    fn tx<'a>(&'a mut self, now: Now, caller: &'a Caller) -> Tx<'a> {
        Tx { now, caller, store: &mut self.store, rng: &mut self.rng, settings: &self.settings }
    }

    /// Lets time pass: the cache catches up, watches and services hear of it, what is over ends.
    fn advance(&mut self, now: Now) {
        let mut clusters = self.catch_up(now);
        if self.services.iter().filter_map(Playing::due).any(|at| at <= now.wall) {
            self.serve_all(now);
            clusters.clear();
        }
        if !clusters.is_empty() {
            self.for_services(now, |service, tx| service.look(tx, &clusters));
        }
        // Without a lag, what the services wrote just now is seen now.
        self.catch_up(now);
        for key in self.store.expired(now) {
            rules::expire(&mut self.tx(now, &Caller::admin()), key);
        }
    }

    /// Lets the cache see what is due and tells the watches. The Kubernetes clusters among it.
    fn catch_up(&mut self, now: Now) -> BTreeSet<String> {
        let mut clusters = BTreeSet::new();
        for change in self.store.catch_up(now) {
            self.watches.publish(&change);
            if change.key.kind == rules::KUBE_CLUSTER {
                clusters.insert(change.key.name);
            }
        }
        clusters
    }

    /// Lets every service look at everything.
    fn serve_all(&mut self, now: Now) {
        self.for_services(now, Playing::look_at_all);
    }

    fn for_services(&mut self, now: Now, mut look: impl FnMut(&mut Playing, &mut Tx<'_>)) {
        let mut services = std::mem::take(&mut self.services);
        for service in &mut services {
            look(service, &mut self.tx(now, &Caller::admin()));
        }
        self.services = services;
    }

    fn count(&mut self, method: &str, wrote: bool) {
        let counters = self.counters.entry(method.to_owned()).or_default();
        counters.calls += 1;
        counters.writes += u64::from(wrote);
    }
}

fn unknown_method(path: &str) -> Status {
    let (service, method) = path.trim_start_matches('/').rsplit_once('/').unwrap_or((path, ""));
    if rules::knows_service(service) {
        Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        Status::unimplemented(format!("unknown service {service}"))
    }
}

/// The status for bytes that are no message.
pub(super) fn not_a_message(error: &prost::DecodeError) -> Status {
    Status::internal(format!("grpc: error unmarshalling request: {error}"))
}
