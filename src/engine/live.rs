//! The cluster's side: lists, the watch, and what follows from both.

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::backoff;
use super::config::{Planted, RETRY_FIRST, RETRY_MAX};
use super::machine::{Engine, Life};
use super::{Effect, Level};
use crate::live::{Coverage, ListFailure, LiveState, Observed};
use crate::model::{Cluster, KindName, Live, Readiness, ResourceId, Revision};

/// What coverage goes by.
pub(super) type KindKey = (Cluster, KindName);

/// Everything known of the cluster, and how it comes to be known.
#[derive(Debug, Default)]
pub(super) struct LiveSide {
    /// What the planner sees.
    pub state: LiveState,
    /// How each kind in use is followed.
    pub kinds: BTreeMap<KindKey, KindLive>,
    /// Where the watch stands.
    pub watch: Watch,
    /// Watches in a row that failed or did not last.
    pub watch_failures: u32,
    /// When the watch was opened last, monotonic.
    pub watch_opened: Duration,
    /// What we wrote and a read showed before the watch did: its news may still be older.
    pub ahead: BTreeMap<ResourceId, Option<Revision>>,
}

/// Where the watch stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Watch {
    /// No kind in use can be watched.
    #[default]
    None,
    /// Asked for.
    Opening,
    /// It tells of every change.
    Open,
    /// It ended; why.
    Lost(String),
}

/// How one kind is followed.
#[derive(Debug, Default)]
pub(super) struct KindLive {
    /// The list under way.
    pub listing: Option<Listing>,
    /// List once more when it is through.
    pub again: bool,
    /// When it is listed next.
    pub next: Option<Duration>,
    /// Lists that failed in a row.
    pub failures: u32,
    /// When the first of them failed.
    pub failing_since: Option<Duration>,
    /// The ticket after which the watch confirmed the kind.
    pub confirmed: Option<u64>,
    /// Listed since the watch confirmed it: nothing was missed.
    pub followed: bool,
    /// Ticket of the last complete list.
    pub listed: Option<u64>,
    /// When that list began, monotonic.
    pub listed_from: Duration,
}

/// A list under way.
#[derive(Debug)]
pub(super) struct Listing {
    pub ticket: u64,
    /// Since when, monotonic.
    pub begun: Duration,
    /// It began before everything was in doubt: what it shows is true, and proves nothing.
    pub too_early: bool,
    /// What was learned meanwhile; newer than the list.
    pub buffer: Vec<Change>,
}

/// One piece of news.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(Live),
    Gone(ResourceId),
}

impl Change {
    fn apply(self, observed: &mut Observed) {
        match self {
            Self::Put(live) => observed.put(live),
            Self::Gone(id) => observed.remove(&id),
        }
    }

    fn id(&self) -> &ResourceId {
        match self {
            Self::Put(live) => &live.id,
            Self::Gone(id) => id,
        }
    }
}

impl LiveSide {
    /// When the next list is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.kinds.values().filter(|it| it.listing.is_none()).filter_map(|it| it.next).min()
    }

    /// Which lists are due.
    pub(super) fn due(&self, now: Duration) -> Vec<KindKey> {
        let is_due =
            |kind: &KindLive| kind.listing.is_none() && kind.next.is_some_and(|next| next <= now);
        self.kinds.iter().filter(|(_, it)| is_due(it)).map(|(key, _)| key.clone()).collect()
    }

    /// Whether each kind in use was answered at least once.
    pub(super) fn is_known(&self) -> bool {
        self.kinds.keys().all(|key| self.state.kinds.contains_key(key))
    }

    /// Whether something of this kind is on its way to being ready.
    fn is_waiting(&self, key: &KindKey) -> bool {
        self.state.kinds.get(key).is_some_and(|observed| {
            observed.seen().any(|live| matches!(live.readiness, Readiness::Waiting(_)))
        })
    }

    /// Whether this kind is wholly known and nothing about it was missed since that ticket.
    pub(super) fn is_current(&self, id: &ResourceId, since: u64) -> bool {
        let key = (id.cluster.clone(), id.kind);
        let whole = self
            .state
            .kinds
            .get(&key)
            .is_some_and(|observed| *observed.coverage() == Coverage::Complete);
        whole
            && self.kinds.get(&key).is_some_and(|kind| {
                kind.followed || kind.listed.is_some_and(|ticket| ticket > since)
            })
    }

    /// Whether a whole list of this kind began after that ticket.
    pub(super) fn is_listed_since(&self, id: &ResourceId, since: u64) -> bool {
        let key = (id.cluster.clone(), id.kind);
        let listed = self.kinds.get(&key).and_then(|kind| kind.listed);
        since == 0 || listed.is_some_and(|ticket| ticket > since)
    }

    /// Everything may have been missed: deletes need a new list.
    pub(super) fn invalidate(&mut self) {
        for kind in self.kinds.values_mut() {
            kind.followed = false;
            kind.listed = None;
            if let Some(listing) = &mut kind.listing {
                listing.too_early = true;
            }
        }
    }

    /// Whether the server said that it does not have the kind.
    pub(super) fn is_unheard_of(&self, key: &KindKey) -> bool {
        self.state.kinds.get(key).and_then(Observed::lack) == Some(ListFailure::NoSuchKind)
    }

    /// Whether the watch tells of this kind, be it from a moment after the last list only.
    pub(super) fn is_watched(&self, id: &ResourceId) -> bool {
        let kind = self.kinds.get(&(id.cluster.clone(), id.kind));
        self.watch == Watch::Open && kind.is_some_and(|kind| kind.confirmed.is_some())
    }

    /// Whether the watch shows what happens to this kind.
    pub(super) fn is_followed(&self, id: &ResourceId) -> bool {
        self.kinds.get(&(id.cluster.clone(), id.kind)).is_some_and(|kind| kind.followed)
    }
}

impl Engine {
    /// Lists every kind in use.
    pub(super) fn list_everything(&mut self) {
        for key in self.live.kinds.keys().cloned().collect::<Vec<_>>() {
            self.list(&key);
        }
    }

    /// Lists one kind; once more if a list is under way.
    pub(super) fn list(&mut self, key: &KindKey) {
        if self.life != Life::Running {
            return;
        }
        let ticket = self.ticket();
        let Some(kind) = self.live.kinds.get_mut(key) else { return };
        kind.next = None;
        if kind.listing.is_some() {
            kind.again = true;
            return;
        }
        kind.listing = Some(Listing {
            ticket,
            begun: self.now.monotonic,
            too_early: false,
            buffer: Vec::new(),
        });
        let (cluster, kind) = key.clone();
        self.out.push(Effect::List { cluster, kind, ticket });
    }

    /// Lists one kind at the latest then.
    pub(super) fn list_by(&mut self, key: &KindKey, at: Duration) {
        if let Some(kind) = self.live.kinds.get_mut(key) {
            kind.next = Some(kind.next.map_or(at, |before| before.min(at)));
        }
    }

    pub(super) fn listed(&mut self, key: &KindKey, ticket: u64, mut observed: Observed) {
        self.veil_list(&mut observed);
        if self.planted(Planted::PartialIsComplete) {
            let seen: Vec<Live> = observed.seen().map(|live| Live::clone(live)).collect();
            observed = Observed::new(seen, Coverage::Complete);
        }
        let Some(kind) = self.live.kinds.get_mut(key) else { return };
        if kind.listing.as_ref().is_none_or(|listing| listing.ticket != ticket) {
            return;
        }
        let Some(Listing { ticket, begun, too_early, buffer }) = kind.listing.take() else {
            return;
        };
        let failed = match observed.coverage() {
            Coverage::Complete => None,
            Coverage::Partial(reason) => Some(reason.clone()),
        };
        if let Some(reason) = &failed {
            kind.failures = kind.failures.saturating_add(1);
            kind.failing_since.get_or_insert(self.now.monotonic);
            let first = kind.failures == 1;
            let before = self.live.state.kinds.get(key);
            let lack = observed.lack().unwrap_or(ListFailure::Transient);
            let is_news = first || before.and_then(Observed::lack) != Some(lack);
            observed = observed.over(before, reason, lack);
            let level = match lack {
                ListFailure::Transient => Level::Warn,
                ListFailure::NotAllowed | ListFailure::NoSuchKind | ListFailure::Barred => {
                    Level::Error
                }
            };
            if is_news {
                self.say(level, None, format!("cannot list all of {}: {reason}", key.1));
            }
        } else {
            kind.failing_since = None;
            if std::mem::take(&mut kind.failures) > 0 {
                self.say(Level::Info, None, format!("{} can be listed again", key.1));
            }
            if !too_early {
                self.complete(key, ticket, begun);
            }
        }
        for change in buffer {
            change.apply(&mut observed);
        }
        // What was learned meanwhile may be older than what is known of its name.
        observed.put_under(&self.veil);
        self.replace(key, observed);
        if failed.is_none() {
            self.forget_names(key.1);
        }
        self.supersede(|id| (&id.cluster, id.kind) == (&key.0, key.1));
        self.settle_listed(key, ticket, failed.is_none());
        self.schedule_list(key);
    }

    fn complete(&mut self, key: &KindKey, ticket: u64, begun: Duration) {
        let before = self.live.kinds.get(key).and_then(|kind| kind.listed);
        let is_caught_up = self.caught_up.is_some_and(|warm| ticket > warm && before <= Some(warm));
        // A list without news may be all that something waits for.
        if is_caught_up || self.is_waited_for(key) {
            self.replan();
        }
        let open = self.live.watch == Watch::Open;
        if let Some(kind) = self.live.kinds.get_mut(key) {
            kind.listed = Some(ticket);
            kind.listed_from = begun;
            kind.followed = open && kind.confirmed.is_some_and(|opened| ticket > opened);
        }
    }

    /// Takes what a list gave; asks for a plan when it says anything new.
    fn replace(&mut self, key: &KindKey, observed: Observed) {
        let news = self.live.state.kinds.get(key) != Some(&observed);
        self.live.state.kinds.insert(key.clone(), observed);
        if news || self.planned.is_none() {
            self.replan();
        }
    }

    fn schedule_list(&mut self, key: &KindKey) {
        let now = self.now.monotonic;
        let waiting = self.live.is_waiting(key);
        let jitter = self.rng.f64();
        let (poll, fast) = (self.config.poll, self.config.poll_waiting);
        let never = self.live.is_unheard_of(key);
        let Some(kind) = self.live.kinds.get_mut(key) else { return };
        let failures = kind.failures;
        let again = std::mem::take(&mut kind.again);
        if never {
            // A resync asks again, and a new watch: the server may be a newer one by then.
        } else if failures > 0 {
            let delay = backoff(RETRY_FIRST, RETRY_MAX.min(poll), failures, jitter);
            self.list_by(key, now + delay);
        } else if again {
            self.list(key);
        } else if !kind.followed {
            self.list_by(key, now + if waiting { fast.min(poll) } else { poll });
        }
    }

    /// Takes one piece of news, now and over the list under way.
    pub(super) fn learn(&mut self, change: Change) {
        let id = change.id().clone();
        let key = (id.cluster.clone(), id.kind);
        if let Some(listing) = self.live.kinds.get_mut(&key).and_then(|kind| kind.listing.as_mut())
        {
            listing.buffer.push(change.clone());
        }
        // Before the first list there is nothing to put it into; the buffer has it.
        let Some(observed) = self.live.state.kinds.get_mut(&key) else { return };
        let before = observed.look(&id).present().cloned();
        change.apply(observed);
        let news = before.as_ref() != observed.look(&id).present();
        if news && !self.slots.get(&id).is_some_and(|slot| slot.condition.is_busy()) {
            self.replan();
        }
    }

    /// Answers that are still on their way are older than what we know now.
    pub(super) fn supersede(&mut self, is_meant: impl Fn(&ResourceId) -> bool) {
        for (id, superseded) in self.fetching.values_mut() {
            *superseded |= is_meant(id);
        }
    }
}
