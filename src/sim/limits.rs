//! How many deletes go without asking, and what persons let through, by the oracle's own count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::oracle::Violation;
use super::source::universe;
use super::truth::Version;
use crate::engine::{Config, Event, Status};
use crate::journal::{OpId, Outcome, Record, State};
use crate::kind;
use crate::live::Seen;
use crate::model::{Live, Now, ResourceId, Timestamp, Verb};

/// Between an intent, from which the engine counts, and its write, from which we do.
const SLACK: Duration = Duration::from_secs(15);

/// The moment at which a write is sent.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub at: Duration,
    /// When approvals are judged: a minute of grace for what was under way.
    pub intended: Timestamp,
    pub disk: &'a State,
    pub config: &'a Config,
    /// Whether the server has it.
    pub present: bool,
}

/// A delete without approval.
#[derive(Debug)]
struct Sent {
    /// Until when it counts, for sure.
    until: Duration,
    /// When the disk has it done, by the calendar; from one life to the next that decides.
    done: Option<Timestamp>,
    op: OpId,
    id: ResourceId,
}

/// Deletes without approval, of all lives of the engine.
#[derive(Debug, Default)]
pub(super) struct Limits {
    deletes: Vec<Sent>,
    /// How many resources were ours with those that we deleted, and when.
    managed: Vec<(Duration, usize)>,
}

impl Limits {
    /// What was deleted counts as if it were still ours: the share is one of both together.
    pub(super) fn managed(&mut self, at: Duration, disk: &State) {
        let deleted = self.deletes.iter().map(|it| &it.id);
        let all: BTreeSet<_> = disk.inventory.keys().chain(deleted).collect();
        self.managed.push((at, all.len()));
    }

    /// The disk says what became of it: what was not done does not count.
    pub(super) fn settled(&mut self, op: OpId, done: Option<Timestamp>) {
        match done {
            Some(_) => {
                self.deletes.iter_mut().filter(|it| it.op == op).for_each(|it| it.done = done);
            }
            None => self.deletes.retain(|it| it.op != op),
        }
    }

    /// Another life begins: how long what is done still counts, it knows by the calendar alone,
    /// which may have jumped.
    pub(super) fn restarted(&mut self, config: &Config, now: Now) {
        for it in &mut self.deletes {
            let Some(done) = it.done else { continue };
            let left = config.resync.saturating_sub(now.wall.since(done));
            it.until = it.until.min((now.monotonic + left).saturating_sub(SLACK));
        }
        self.deletes.retain(|it| it.until > now.monotonic);
    }

    /// Counts one more delete: how many different resources go within one window, and how many
    /// were ours at most meanwhile.
    pub(super) fn count(&mut self, now: &Scene<'_>, op: OpId, id: &ResourceId) -> (usize, usize) {
        let window = now.config.resync.saturating_sub(SLACK);
        let is_recent = |at: &Duration| *at + window > now.at;
        let until = now.at + window;
        self.deletes.push(Sent { until, done: None, op, id: id.clone() });
        self.deletes.retain(|it| it.until > now.at);
        let deletes: BTreeSet<_> = self.deletes.iter().map(|it| &it.id).collect();
        // What was ours when the window began counts until the next change.
        let first = self.managed.iter().rposition(|(at, _)| !is_recent(at)).unwrap_or(0);
        self.managed.drain(..first);
        (deletes.len(), self.managed.iter().map(|(_, count)| *count).max().unwrap_or(0))
    }
}

/// What a person let through.
#[derive(Debug)]
pub(super) struct Given {
    pub expires: Timestamp,
    ids: BTreeSet<String>,
}

/// What somebody else made of a resource.
#[derive(Debug)]
struct Taken {
    /// `None`: it is gone.
    version: Option<Version>,
    /// When the engine was told so.
    told: Option<Duration>,
}

/// What persons let through.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    pub given: BTreeMap<String, Given>,
    /// The sets that were recorded, without what is done.
    used: BTreeMap<String, BTreeSet<String>>,
    open: BTreeMap<OpId, (String, String)>,
    /// Recorded by this life of the engine and not done: until when nobody may be asked again.
    pub granted: BTreeMap<ResourceId, Timestamp>,
    /// What somebody else last made of each.
    taken: BTreeMap<ResourceId, Taken>,
    /// When the engine was last told of each as wanted, or as nobody knows what.
    wanted: BTreeMap<ResourceId, Duration>,
    /// When the last two transactions left the engine: one waits for the other, so that what is
    /// in the second was decided after the first had left.
    left: (Duration, Duration),
}

impl Approvals {
    /// A person approves what the status shows.
    pub(super) fn give(&mut self, hash: &str, expires: Timestamp, status: &Status) {
        let asked = status.held.iter().filter(|held| held.guard != "prune-delay");
        let ids: BTreeSet<String> = asked.map(|held| held.id.clone()).collect();
        match self.given.get_mut(hash) {
            // Approved already, and waiting for its time.
            Some(given) if ids.is_empty() => given.expires = expires,
            Some(_) | None => {
                self.given.insert(hash.to_owned(), Given { expires, ids });
            }
        }
    }

    /// Of what the status shows, what was approved before.
    pub(super) fn asked_again(&self, now: Timestamp, status: &Status) -> Option<String> {
        let asked: Vec<_> = status.held.iter().filter(|held| held.guard != "prune-delay").collect();
        // What a newly held delete still refers to waits with it.
        let waits = asked.iter().any(|held| held.id.starts_with("trusted_cluster"));
        let again = |id: &str| {
            let id = crate::journal::parse_id(id)?;
            let is_role = id.kind.as_str() == "role";
            let until = self.granted.get(&id).filter(|until| **until > now)?;
            (!(waits && is_role)).then(|| format!("{id}, approved until {until}"))
        };
        asked.iter().find_map(|held| again(&held.id))
    }

    /// One transaction reached the disk: a set is recorded as a whole, by one transaction, and
    /// each of it goes once.
    pub(super) fn on_disk(&mut self, records: &[Record]) -> Vec<Violation> {
        let mut named: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
        for record in records {
            match record {
                Record::Intended { op, id, approval: Some(hash), verb: Verb::Delete, .. } => {
                    named.entry(hash).or_default().insert(id.clone());
                    self.open.insert(*op, (hash.clone(), id.clone()));
                }
                Record::Approved { hash, .. } => {
                    self.used.remove(hash);
                }
                Record::Settled { op, outcome: Outcome::Done { .. }, .. } => {
                    if let Some((hash, id)) = self.open.remove(op)
                        && let Some(used) = self.used.get_mut(&hash)
                    {
                        used.remove(&id);
                    }
                }
                Record::Intended { .. }
                | Record::Settled { .. }
                | Record::Adopted { .. }
                | Record::Label { .. }
                | Record::Forgotten { .. } => {}
            }
        }
        named.into_iter().filter_map(|(hash, ids)| self.record(hash, ids)).collect()
    }

    /// Somebody else wrote to it: what was approved is not what is there.
    pub(super) fn taken(&mut self, id: &ResourceId, version: Option<Version>) {
        self.granted.remove(id);
        self.taken.insert(id.clone(), Taken { version, told: None });
    }

    /// The engine is told something of what there is.
    pub(super) fn heard(&mut self, at: Duration, event: &Event) {
        for (id, taken) in &mut self.taken {
            if says(event, id, taken.version.as_ref()) {
                taken.told.get_or_insert(at);
            }
        }
    }

    /// A transaction leaves the engine for the disk.
    pub(super) fn leaves(&mut self, at: Duration) {
        self.left = (self.left.1, at);
    }

    /// The engine is told what is wanted: the approval of what is no more wanted gone is over.
    pub(super) fn told(&mut self, at: Duration, is_unwanted: impl Fn(&ResourceId) -> bool) {
        self.granted.retain(|id, _| is_unwanted(id));
        let wanted = universe().iter().filter(|id| !is_unwanted(id));
        self.wanted.extend(wanted.map(|id| (id.clone(), at)));
    }

    fn record(&mut self, hash: &str, ids: BTreeSet<String>) -> Option<Violation> {
        let given = self.given.get(hash)?;
        let detail = format!("{hash}: {ids:?} of {:?}", given.ids);
        if let Some(used) = self.used.get(hash) {
            let violation = Violation { name: "approval_stretched", detail };
            return (!ids.is_subset(used)).then_some(violation);
        }
        let violation = Violation { name: "approval_split", detail };
        let split = (ids != given.ids).then_some(violation);
        let expires = given.expires;
        // What was told while the approval was on its way to the disk was not approved.
        let decided = self.left.0;
        let is_same = |id: &ResourceId| {
            self.taken.get(id).is_none_or(|taken| taken.told.is_some_and(|told| told < decided))
        };
        let granted = ids.iter().filter_map(|id| crate::journal::parse_id(id));
        let is_gone = |id: &ResourceId| self.wanted.get(id).is_none_or(|it| *it < decided);
        let granted: Vec<_> = granted.filter(|id| is_same(id) && is_gone(id)).collect();
        self.granted.extend(granted.into_iter().map(|id| (id, expires)));
        self.used.insert(hash.to_owned(), ids);
        split
    }
}

/// Whether an event says that a resource is like this, or gone.
fn says(event: &Event, id: &ResourceId, version: Option<&Version>) -> bool {
    let is = |live: Option<&Live>| match (live, version) {
        (Some(live), Some(version)) => version.is_of(live),
        (live, version) => live.is_none() && version.is_none(),
    };
    match event {
        Event::Listed { kind, observed, .. } if *kind == id.kind => match observed.look(id) {
            Seen::Present(live) => is(Some(live)),
            Seen::Absent => is(None),
            Seen::Unknown(_) => false,
        },
        Event::Put(live) if live.id == *id => is(Some(live)),
        Event::Gone(gone) if gone == id => is(None),
        Event::Fetched { id: fetched, result: Ok(seen), .. } if fetched == id => is(seen.as_ref()),
        Event::Listed { .. }
        | Event::Put(_)
        | Event::Gone(_)
        | Event::Fetched { .. }
        | Event::Started(_)
        | Event::Ran { .. }
        | Event::WatchOpened(_)
        | Event::WatchLost(_)
        | Event::Wrote { .. }
        | Event::Journaled(_)
        | Event::JournalFailed(_)
        | Event::Deadline
        | Event::SourceChanged
        | Event::SourceRead(_)
        | Event::Renewed
        | Event::Server(_)
        | Event::Approve { .. }
        | Event::Stop => false,
    }
}

pub(super) fn keeps_labels(id: &ResourceId) -> bool {
    kind::row(id.kind).is_some_and(|kind| kind.keeps_labels)
}
