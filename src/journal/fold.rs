//! From records to [`State`]. Pure and total: a damaged journal is an error, never a panic.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Deleted, Entry, OpId, Open, Outcome, Record, RunId, State, approval_holds};
use crate::kind;
use crate::labels::value::{Command, Known};
use crate::model::{Cluster, ResourceId, Timestamp, Verb};

/// How long a delete that nobody approved is remembered, by the calendar. The delete share counts
/// those of the last `source.resync`; with a longer one, a restart forgets what is older than this.
pub const DELETED_KEPT: Duration = Duration::from_hours(24);

/// Which rows of the state a record changed, so that a storage writes only those.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Inventory, by the id's text; the row is gone when [`State::entry`] has none.
    pub inventory: BTreeSet<String>,
    /// Open operations; the row is gone when [`State::open`] has none.
    pub open: BTreeSet<OpId>,
    /// Approvals, by hash; the row is gone when [`State::approvals`] has none.
    pub approvals: BTreeSet<String>,
    /// Deletes without approval; the row is gone when [`State::deleted`] has none.
    pub deleted: BTreeSet<OpId>,
    /// Commands of labels; the row is gone when [`State::labels`] has none.
    pub labels: BTreeSet<Command>,
}

impl Touched {
    /// Adds what another record changed.
    pub fn merge(&mut self, other: Self) {
        let Self { inventory, open, approvals, deleted, labels } = other;
        self.deleted.extend(deleted);
        self.labels.extend(labels);
        self.inventory.extend(inventory);
        self.open.extend(open);
        self.approvals.extend(approvals);
    }
}

/// A record that cannot follow what stands before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// The number was used before.
    #[error("operation {} was intended twice", .0.0)]
    IntendedTwice(OpId),
    /// There is no such open operation.
    #[error("operation {} was settled but is not open", .0.0)]
    NotOpen(OpId),
    /// A number at the end of the range; no number can follow it.
    #[error("number {0} leaves no next number")]
    NumberTooLarge(u64),
}

impl State {
    /// Takes in one record that this process made itself.
    ///
    /// # Panics
    /// When the record breaks an invariant of our own ([`Damaged`]): that is a bug in the caller,
    /// and going on would write to the cluster on a wrong account. Records from a disk go through
    /// [`State::replay`].
    pub fn apply(&mut self, record: &Record) -> Touched {
        let applied = self.replay(record);
        assert!(applied.is_ok(), "a record of this run follows from the state: {applied:?}");
        applied.unwrap_or_default()
    }

    /// Takes in one record that may come from anywhere. On an error nothing has changed.
    ///
    /// # Errors
    /// The record cannot follow what stands before it.
    pub fn replay(&mut self, record: &Record) -> Result<Touched, Damaged> {
        match record {
            Record::Intended { op, run, id, verb, reason: _, before, entry, approval, at } => {
                let open = Open {
                    id: id.clone(),
                    verb: *verb,
                    entry: entry.clone(),
                    before: before.clone(),
                    approved: approval.is_some(),
                    at: *at,
                };
                self.intended(*op, *run, open, approval.as_ref())
            }
            Record::Settled { op, outcome, at } => self.settled(*op, outcome, *at),
            Record::Adopted { id, entry, at: _ } => Ok(self.put(id, entry.clone())),
            Record::Forgotten { id, at: _ } => Ok(self.take(id)),
            Record::Label { command, known } => Ok(self.label(command, known.as_ref())),
            Record::Approved { hash, expires, at } => Ok(self.approved(hash, *expires, *at)),
        }
    }

    /// Folds records from the beginning of a journal.
    ///
    /// # Errors
    /// The position (from zero) of the first record that cannot follow, and why.
    pub fn fold<'a>(
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Self, (usize, Damaged)> {
        let mut state = Self::default();
        for (position, record) in records.into_iter().enumerate() {
            state.replay(record).map_err(|damage| (position, damage))?;
        }
        Ok(state)
    }

    /// Operations whose outcome is not on record, oldest first. They are read back before
    /// anything else is planned.
    pub fn in_doubt(&self) -> impl Iterator<Item = (OpId, &Open)> {
        self.open.iter().map(|(op, open)| (*op, open))
    }

    /// The inventory's entry of an id as written in a record, of known and unknown kinds.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        match parse_id(id) {
            Some(id) => self.inventory.get(&id),
            None => self.unknown.get(id),
        }
    }

    fn intended(
        &mut self,
        op: OpId,
        run: RunId,
        open: Open,
        approval: Option<&String>,
    ) -> Result<Touched, Damaged> {
        if op.0 < self.next_op {
            return Err(Damaged::IntendedTwice(op));
        }
        let next_op = op.0.checked_add(1).ok_or(Damaged::NumberTooLarge(op.0))?;
        let next_run = run.0.checked_add(1).ok_or(Damaged::NumberTooLarge(run.0))?;
        self.next_op = next_op;
        self.next_run = self.next_run.max(next_run);
        self.open.insert(op, open);
        let mut touched = Touched { open: [op].into(), ..Touched::default() };
        // All steps of one approved set name its hash; the first uses it up.
        if let Some(hash) = approval
            && self.approvals.remove(hash).is_some()
        {
            touched.approvals.insert(hash.clone());
        }
        Ok(touched)
    }

    fn settled(&mut self, op: OpId, outcome: &Outcome, at: Timestamp) -> Result<Touched, Damaged> {
        let Open { id, verb, entry, before: _, approved, at: _ } =
            self.open.remove(&op).ok_or(Damaged::NotOpen(op))?;
        let mut touched = match outcome {
            Outcome::Done { revision: _ } => match (verb, entry) {
                (Verb::Delete, _) => {
                    let asked = approved.then(BTreeSet::new);
                    let deleted = asked.unwrap_or_else(|| self.count_delete(op, &id, at));
                    Touched { deleted, ..self.take(&id) }
                }
                (Verb::Create | Verb::Update | Verb::Adopt, Some(entry)) => self.put(&id, entry),
                (Verb::Create | Verb::Update | Verb::Adopt, None) => Touched::default(),
            },
            Outcome::Refused { error: _ } | Outcome::NotDone => Touched::default(),
        };
        touched.open.insert(op);
        Ok(touched)
    }

    fn count_delete(&mut self, op: OpId, id: &str, at: Timestamp) -> BTreeSet<OpId> {
        let mut touched = BTreeSet::from([op]);
        self.deleted.retain(|old, it| {
            let keep = at.since(it.at) < DELETED_KEPT;
            if !keep {
                touched.insert(*old);
            }
            keep
        });
        self.deleted.insert(op, Deleted { id: id.to_owned(), at });
        touched
    }

    /// Deletes that nobody approved, of the last `window` by the calendar, and how much of the
    /// window is left for each. What lies in the future was done before the clock was set back:
    /// it counts as done now.
    pub fn deleted_within(
        &self,
        window: Duration,
        wall: Timestamp,
    ) -> impl Iterator<Item = (OpId, ResourceId, Duration)> {
        self.deleted.iter().filter_map(move |(op, it)| {
            let left = window.checked_sub(wall.since(it.at)).filter(|left| !left.is_zero())?;
            Some((*op, parse_id(&it.id)?, left))
        })
    }

    fn approved(&mut self, hash: &str, expires: Timestamp, at: Timestamp) -> Touched {
        // Approvals that nobody used would stay for ever.
        let mut touched = Touched::default();
        self.approvals.retain(|old, until| {
            let keep = approval_holds(*until, at);
            if !keep {
                touched.approvals.insert(old.clone());
            }
            keep
        });
        self.approvals.insert(hash.to_owned(), expires);
        touched.approvals.insert(hash.to_owned());
        touched
    }

    fn label(&mut self, command: &Command, known: Option<&Known>) -> Touched {
        match known {
            Some(known) => self.labels.insert(Arc::new(command.clone()), known.clone()),
            None => self.labels.remove(command),
        };
        Touched { labels: [command.clone()].into(), ..Touched::default() }
    }

    fn put(&mut self, id: &str, entry: Entry) -> Touched {
        match parse_id(id) {
            Some(known) => self.inventory.insert(known, entry),
            None => self.unknown.insert(id.to_owned(), entry),
        };
        Touched { inventory: [id.to_owned()].into(), ..Touched::default() }
    }

    fn take(&mut self, id: &str) -> Touched {
        match parse_id(id) {
            Some(known) => self.inventory.remove(&known),
            None => self.unknown.remove(id),
        };
        Touched { inventory: [id.to_owned()].into(), ..Touched::default() }
    }
}

/// Reads what [`ResourceId`] shows: `kind/name` or `child:kind/name`.
///
/// `None` for a text of another form and for a kind that this version does not know. Names of
/// children and kinds hold neither `/` nor `:`, so a resource's name may hold both.
pub fn parse_id(text: &str) -> Option<ResourceId> {
    let (place, name) = text.split_once('/')?;
    if name.is_empty() {
        return None;
    }
    let (cluster, kind) = match place.split_once(':') {
        Some(("", _)) => return None,
        Some((child, kind)) => (Cluster::Child(child.into()), kind),
        None => (Cluster::Parent, place),
    };
    let kind = kind::find(kind)?.name;
    Some(ResourceId { cluster, kind, name: name.into() })
}
