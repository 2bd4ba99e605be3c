//! What each kind's calls do: one file and one row per kind.
//!
//! Handlers get a `Tx` and the request's bytes. A handler that fails leaves nothing behind, so
//! it may write before it is sure. Deliberately absent: transport, persistence.

mod access;
mod authority;
mod bot;
mod cluster;
mod go_regex;
mod go_regex_class;
mod kube_cluster;
mod kube_server;
mod kube_service;
pub mod labels;
mod metadata;
mod page;
mod presets;
mod programs;
mod remote_cluster;
mod role;
mod role_defaults;
mod role_grants;
mod role_kubernetes;
mod role_map;
mod role_rules;
mod semaphore;
mod servers;
mod token;
mod token_methods;
mod token_rules;
mod trusted_cluster;
mod user;
mod user_token;
mod workload_cluster;

use prost::Message;

pub(super) use self::cluster::{SERVER_VERSION, local_name};
pub(super) use self::kube_cluster::KIND as KUBE_CLUSTER;
pub(super) use self::kube_server::KIND as KUBE_SERVER;
pub(super) use self::kube_service::Playing;
pub(super) use self::workload_cluster::TOMBSTONE as BLOCKED_NAME;
use super::core::not_a_message;
use super::settings::{Caller, Settings};
use super::status::Status;
use super::store::{Change, Item, Key, Store, View};
use crate::model::{Now, Timestamp};
use crate::wire::message::{proto, types};

/// The only namespace there is.
pub(super) const NAMESPACE: &str = "default";

/// How often this store was opened; an internal item.
const OPENINGS: &str = "plane_openings";

type Handler = fn(&mut Tx<'_>, &[u8]) -> Result<Vec<u8>, Status>;

/// Whether a method may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Get, List, Ping.
    Read,
    /// Everything else.
    Write,
}

/// One method of the API.
#[derive(Debug)]
pub(super) struct Method {
    /// Of gRPC, with a leading slash; or `GET` and a path without its version, of HTTP.
    path: &'static str,
    pub(super) effect: Effect,
    pub(super) run: Handler,
}

/// A method that only reads.
const fn read(path: &'static str, run: Handler) -> Method {
    Method { path, effect: Effect::Read, run }
}

/// A method that may write.
const fn write(path: &'static str, run: Handler) -> Method {
    Method { path, effect: Effect::Write, run }
}

/// How a kind appears in watches.
#[derive(Debug)]
struct Events {
    /// What a deletion says.
    version: &'static str,
    /// The resource of a PUT; none if the stored bytes cannot be read.
    put: fn(&Item) -> Option<proto::event::Resource>,
}

/// One kind: a row, and a file of this folder.
#[derive(Debug)]
struct Rules {
    kind: &'static str,
    methods: &'static [Method],
    events: Option<Events>,
    /// When an item's time is over, instead of removing it.
    expire: Option<fn(&mut Tx<'_>, &Key)>,
}

/// The one list.
static RULES: &[&Rules] = &[
    &cluster::RULES,
    &programs::RULES,
    &servers::RULES,
    &authority::RULES,
    &role::RULES,
    &user::RULES,
    &user_token::RULES,
    &token::RULES,
    &bot::RULES,
    &semaphore::RULES,
    &remote_cluster::RULES,
    &kube_cluster::RULES,
    &kube_server::RULES,
    &trusted_cluster::RULES,
    &workload_cluster::RULES,
    &workload_cluster::PROVISIONING,
];

/// What a handler has: the time, the caller, the store.
#[derive(Debug)]
pub(super) struct Tx<'a> {
    pub(super) now: Now,
    pub(super) caller: &'a Caller,
    pub(super) store: &'a mut Store,
    pub(super) rng: &'a mut fastrand::Rng,
    pub(super) settings: &'a Settings,
}

impl Tx<'_> {
    /// Refuses a caller whose roles do not have the verb on the kind.
    pub(super) fn allow(&self, kind: &str, verb: &str) -> Result<(), Status> {
        access::check(self, kind, &[verb])
    }

    /// Refuses a caller whose roles lack one of the verbs; the text names these in this order.
    fn allow_all(&self, kind: &str, verbs: &[&str]) -> Result<(), Status> {
        access::check(self, kind, verbs)
    }

    /// The item as reads see it.
    fn cached(&self, kind: &str, name: &str) -> Option<&Item> {
        self.store.get(View::Cache, &Key::new(kind, name), self.now)
    }

    /// The item as it is.
    fn stored(&self, kind: &str, name: &str) -> Option<&Item> {
        self.store.get(View::Backend, &Key::new(kind, name), self.now)
    }

    /// Stores a value under a new revision, which it returns.
    fn put(&mut self, kind: &str, name: &str, value: &impl Message, until: Expiry) -> String {
        let revision = uuid(self.rng);
        let item = Item {
            value: value.encode_to_vec().into(),
            revision: revision.clone(),
            expires: until.0,
        };
        self.store.write(self.now, Key::new(kind, name), Some(item));
        revision
    }

    /// Removes an item.
    fn remove(&mut self, kind: &str, name: &str) {
        self.store.write(self.now, Key::new(kind, name), None);
    }
}

/// When a stored item vanishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expiry(Option<Timestamp>);

impl Expiry {
    const NEVER: Self = Self(None);

    fn of(expires: Option<&prost_types::Timestamp>) -> Self {
        // Go's zero time, year 1, means that none is set.
        let set = expires.filter(|at| at.seconds > 0);
        Self(set.map(|at| {
            let millis = i64::from(at.nanos) / 1_000_000;
            Timestamp(at.seconds.saturating_mul(1000).saturating_add(millis))
        }))
    }
}

/// The method of that path.
pub(super) fn find(path: &str) -> Option<&'static Method> {
    RULES.iter().flat_map(|rules| rules.methods).find(|method| method.path == path)
}

/// Every path that is answered, for tests and help.
pub fn paths() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rules| rules.methods).map(|method| method.path)
}

/// Whether some path belongs to that service.
pub(super) fn knows_service(service: &str) -> bool {
    paths().filter_map(|path| path.strip_prefix('/')?.split_once('/')).any(|(it, _)| it == service)
}

/// The event that a change is to watches; none for kinds that are not watched.
pub(super) fn event_of(change: &Change) -> Option<proto::Event> {
    let rules = RULES.iter().find(|rules| rules.kind == change.key.kind)?;
    let events = rules.events.as_ref()?;
    let (operation, resource) = if let Some(item) = &change.after {
        (proto::Operation::Put, (events.put)(item)?)
    } else {
        // A server's key is its host and its name; a deletion tells the host as a description.
        let (host, name) = match rules.kind {
            kube_server::KIND => kube_server::parts(&change.key.name),
            _ => ("", change.key.name.as_str()),
        };
        let header = types::ResourceHeader {
            kind: rules.kind.to_owned(),
            version: events.version.to_owned(),
            metadata: Some(types::Metadata {
                name: name.to_owned(),
                namespace: NAMESPACE.to_owned(),
                description: host.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        (proto::Operation::Delete, proto::event::Resource::ResourceHeader(header))
    };
    Some(proto::Event { r#type: operation.into(), resource: Some(resource) })
}

/// Ends an item whose time is over.
pub(super) fn expire(tx: &mut Tx<'_>, key: Key) {
    let rules = RULES.iter().find(|rules| rules.kind == key.kind);
    if let Some(hook) = rules.and_then(|rules| rules.expire) {
        hook(tx, &key);
    }
    tx.store.write(tx.now, key, None);
}

/// How often this store was opened before.
pub(super) fn openings(store: &Store, now: Now) -> u64 {
    let item = store.get(View::Backend, &Key::new(OPENINGS, ""), now);
    item.and_then(|item| u64::decode(item.value.clone()).ok()).unwrap_or(0)
}

/// Notes the opening; makes a new cluster of an empty store.
pub(super) fn open(tx: &mut Tx<'_>, openings: u64) {
    if openings == 0 {
        cluster::found(tx);
        if tx.settings.presets {
            presets::create(tx);
        }
    }
    tx.put(OPENINGS, "", &openings.saturating_add(1), Expiry::NEVER);
}

/// The request, or the status for bytes that are none.
fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(|error| not_a_message(&error))
}

/// A moment as messages write it.
fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.0.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: at.0.div_euclid(1000), nanos }
}

/// Go's zero time, year 1: what the real server writes where no time is set.
const fn go_zero() -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: -62_135_596_800, nanos: 0 }
}

/// A leaf joins this cluster: there is no call for it.
pub(super) fn join(tx: &mut Tx<'_>, leaf: &str) {
    remote_cluster::join(tx, leaf);
}

/// Refuses a caller one of whose roles is not there.
pub(super) fn admit(tx: &Tx<'_>) -> Result<(), Status> {
    access::admit(tx)
}

/// Refuses a watch on a kind that the caller may not read.
pub(super) fn allow_watch(tx: &Tx<'_>, kind: &types::WatchKind) -> Result<(), Status> {
    let without_secrets = kind.kind == "cert_authority" && !kind.load_secrets;
    tx.allow(&kind.kind, if without_secrets { access::READ_NO_SECRETS } else { "read" })
}

/// The answer `google.protobuf.Empty`.
const fn empty() -> Vec<u8> {
    Vec::new()
}

/// Random text in the shape of a UUID of version 4.
fn uuid(rng: &mut fastrand::Rng) -> String {
    let high = (rng.u64(..) & !0xf000) | 0x4000;
    let low = (rng.u64(..) & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
