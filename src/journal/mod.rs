//! Intents, outcomes, inventory, history. Pure: storage is a port.

pub mod fold;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::labels::value::{Command, Known, Values};
use crate::model::{FingerprintKey, ResourceId, Timestamp, Verb};

pub use fold::{DELETED_KEPT, Damaged, Touched, parse_id};

/// How long an approval is good for: long enough to see a run through, too short to be
/// forgotten about.
pub const APPROVAL_LIFETIME: Duration = Duration::from_hours(1);

/// Whether an approval with that end is good now. An end further away than a whole lifetime was
/// reckoned by a clock that has been set back since.
#[must_use]
pub fn approval_holds(expires: Timestamp, now: Timestamp) -> bool {
    now < expires && expires <= now.plus(APPROVAL_LIFETIME)
}

/// Number of one operation, growing for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// Number of one executed plan.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RunId(pub u64);

/// What the journal knows of a resource that is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was last applied: canonical JSON, secrets as fingerprints. Shared, because it is most
    /// of what a state holds, and mostly the very text that is declared.
    #[serde(serialize_with = "text_out", deserialize_with = "text_in")]
    pub applied: Arc<str>,
    /// Whether we made it or found it.
    pub adopted: bool,
    /// File that declared it last.
    pub path: String,
    /// `reconciler/prune: "false"` stood in it.
    pub keep: bool,
}

fn text_out<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn text_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Into::into)
}

/// One line of the journal. Ids are written as [`ResourceId`] shows itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// On disk before the write is sent.
    Intended {
        /// Its number.
        op: OpId,
        /// The plan it belongs to.
        run: RunId,
        /// To what.
        id: String,
        /// What.
        verb: Verb,
        /// Why, for people.
        reason: String,
        /// Revision that the write is bound to, if any.
        before: Option<String>,
        /// What the inventory says if it succeeds; absent for a delete.
        entry: Option<Entry>,
        /// Approval that lets it through, consumed by this.
        approval: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// What became of it.
    Settled {
        /// Which.
        op: OpId,
        /// How it ended.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
    /// Taken into the inventory without a write.
    Adopted {
        /// What.
        id: String,
        /// As what.
        entry: Entry,
        /// When.
        at: Timestamp,
    },
    /// Gone without us, and not wanted: no longer in the inventory.
    Forgotten {
        /// What.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// What is known of a label's command; absent: no manifest names it any more. Kept as it is
    /// now, without history: there may be many, and each says all there is to know.
    Label {
        /// Which.
        command: Command,
        /// What.
        known: Option<Known>,
    },
    /// A person let a pending set through.
    Approved {
        /// Hash of the pending set.
        hash: String,
        /// Until when.
        expires: Timestamp,
        /// When.
        at: Timestamp,
    },
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The server did it.
    Done {
        /// The new revision, if it told.
        revision: Option<String>,
    },
    /// The server did not, and said so.
    Refused {
        /// gRPC code and text.
        error: String,
    },
    /// Never sent, or read back and not there.
    NotDone,
}

/// An operation whose outcome is not on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// To what.
    pub id: String,
    /// What.
    pub verb: Verb,
    /// See [`Record::Intended`].
    pub entry: Option<Entry>,
    /// See [`Record::Intended`].
    pub before: Option<String>,
    /// A person let it through.
    pub approved: bool,
    /// When it was intended.
    pub at: Timestamp,
}

/// A delete that was done and that nobody had approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Of what, as in [`Record::Intended`].
    pub id: String,
    /// When it was known to be done.
    pub at: Timestamp,
}

/// The fold of all records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Ours, by id.
    pub inventory: BTreeMap<ResourceId, Entry>,
    /// Ours too, by the id's text, but of a kind (or a form of id) that this version does not
    /// know. Kept as they are; nothing is planned for them.
    pub unknown: BTreeMap<String, Entry>,
    /// In doubt.
    pub open: BTreeMap<OpId, Open>,
    /// Approvals not yet used, with their expiry.
    pub approvals: BTreeMap<String, Timestamp>,
    /// What was deleted lately without asking, for the delete share. See [`DELETED_KEPT`].
    pub deleted: BTreeMap<OpId, Deleted>,
    /// What the commands of dynamic labels last said.
    pub labels: Values,
    /// The next operation's number.
    pub next_op: u64,
    /// The next run's number. Runs count from 1; 0: there was none yet.
    pub next_run: u64,
}

impl State {
    /// What was last applied under an id.
    pub fn applied(&self, id: &ResourceId) -> Option<&Arc<str>> {
        self.inventory.get(id).map(|entry| &entry.applied)
    }
}

/// What belongs to one state for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Key of the fingerprints.
    pub key: FingerprintKey,
    /// Which control plane the state belongs to: its cluster name and a fingerprint of its CA
    /// (`embedded` has none).
    pub control_plane: Option<String>,
}
