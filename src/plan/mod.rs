//! What is to be done, as data: desired + live + inventory → [`Plan`].
//!
//! The way through: [`planner::plan`] → [`check::check`] → [`guard::guard`] → `render`.
//! Deliberately absent: async, clocks, writes.

pub mod check;
pub mod diff;
pub mod guard;
mod input;
pub mod planner;
pub mod render;
pub mod serving;

mod digest;
mod kinds_in_use;
mod order;
mod unmatched;
mod wording;

pub use input::{Input, LabelInput};
pub use kinds_in_use::{in_use, kinds};
pub use planner::plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::live::Coverage;
use crate::model::{
    Cluster, Digest, FieldPath, KindName, Live, Place, Release, Resource, ResourceId, Timestamp,
    Value, Verb,
};

/// A complete, immutable plan. Executing it needs no further choice.
#[derive(Debug, Clone)]
#[must_use]
pub struct Plan {
    /// In the order they may run. Steps of one phase are independent of each other.
    pub steps: Vec<Step>,
    /// What was left alone, and why. Not part of what is executed.
    pub deferred: Vec<Deferred>,
    /// Of `deferred`, what is wanted and stays undone until a person does something.
    pub not_applied: BTreeSet<ResourceId>,
    /// What the inventory knows, nobody declares and the cluster has no more (or has, but we
    /// never delete its kind): to be dropped from the inventory. Sorted.
    pub forget: Vec<ResourceId>,
    /// What is declared, matches no selector and is not ours: nothing is done about it. Sorted.
    pub unmatched: Vec<Unmatched>,
    /// Whether each side was wholly known.
    pub coverage: BTreeMap<(Cluster, KindName), Coverage>,
    /// Whether every document was understood; while not, nothing is pruned.
    pub source_whole: bool,
    /// How many resources were found in sync.
    pub unchanged: usize,
    /// Over steps, deferred, live revisions, coverage and policy; contents enter under the
    /// installation's key, so that a short secret cannot be guessed from it.
    pub digest: Digest,
}

impl Plan {
    /// The deferred of [`Plan::not_applied`], with the reasons.
    pub fn blocked(&self) -> impl Iterator<Item = &Deferred> {
        self.deferred.iter().filter(|it| self.not_applied.contains(&it.id))
    }

    /// Whether the whole live side was seen. If not, the plan may lack steps.
    pub fn is_live_whole(&self) -> bool {
        self.coverage.values().all(|coverage| *coverage == Coverage::Complete)
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// To what.
    pub id: ResourceId,
    /// What.
    pub action: Action,
    /// For people and logs. The engine goes by it only where it asks for patience: what seems to
    /// have vanished, what drifts again and again.
    pub reason: Reason,
    /// More about why, for people: `matches item 2: env=test`, `label region changed …`.
    pub note: Option<String>,
    /// Where it was declared; absent for what is no longer declared.
    pub at: Option<Place>,
    /// Steps of this plan that must have succeeded first (references).
    pub after: Vec<ResourceId>,
}

/// What to do with one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is not there.
    Create {
        /// What it shall be.
        after: Arc<Resource>,
    },
    /// It differs.
    Update {
        /// What it is, with the revision that the write is bound to.
        before: Arc<Live>,
        /// What it shall be.
        after: Arc<Resource>,
        /// Where they differ.
        changes: Vec<FieldChange>,
    },
    /// It is as wanted, but the journal does not know it yet, or knows an older
    /// `reconciler/prune`. Or no selector matches it, it bears our mark, and the journal was lost:
    /// what is ours is known before it is unregistered. Writes the journal alone.
    Adopt {
        /// What it is.
        live: Arc<Live>,
        /// What was declared, or what stands there where no selector matches (equal to it).
        after: Arc<Resource>,
    },
    /// It is ours and no longer declared.
    Delete {
        /// What it is, with the revision that was planned from.
        before: Arc<Live>,
    },
}

impl Action {
    /// `create`, `update`, `adopt`, `delete`.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Create { after: _ } => Verb::Create,
            Self::Update { before: _, after: _, changes: _ } => Verb::Update,
            Self::Adopt { live: _, after: _ } => Verb::Adopt,
            Self::Delete { before: _ } => Verb::Delete,
        }
    }
}

/// Why a step is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Declared and not there.
    Missing,
    /// Declared, applied before, and gone without us.
    Vanished,
    /// The declaration changed since it was last applied.
    Edited,
    /// The live side changed since it was last applied.
    Drifted,
    /// Both did.
    EditedAndDrifted,
    /// It was there before us; from now on it is ours.
    Adopted,
    /// It bears our mark, but the journal was lost.
    Reclaimed,
    /// No longer declared.
    Pruned,
    /// Declared, but no selector matches its labels any more.
    Unmatched,
}

/// Something declared that no selector matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// What.
    pub id: ResourceId,
    /// Its labels, `env=prod, region=eu-1`.
    pub labels: String,
    /// Where it is declared.
    pub at: Place,
}

/// One difference. Holds no secret in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where.
    pub path: FieldPath,
    /// Live; absent: unset.
    pub before: Option<Value>,
    /// Wanted; absent: unset.
    pub after: Option<Value>,
    /// Whether the values are fingerprints of secrets.
    pub secret: bool,
}

/// Something that was not planned although it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// What.
    pub id: ResourceId,
    /// Why.
    pub why: DeferReason,
    /// Where it is declared, if it is.
    pub at: Option<Place>,
}

/// Why something waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeferReason {
    /// Its document is in doubt (broken, or declared twice).
    Frozen,
    /// Not declared any more, but some document could not be understood.
    SourceUnknown,
    /// The live side of its kind is not wholly known; the list's error.
    LiveUnknown(String),
    /// A write of ours has not been seen yet, or its outcome is in doubt.
    Settling,
    /// Whether a selector matches it depends on these labels, whose values are not known yet.
    LabelUnknown(BTreeSet<String>),
    /// `reconciler/paused-until`.
    PausedUntil(Timestamp),
    /// `metadata.expires` has passed: Teleport would take it away again at once.
    Expired(Timestamp),
    /// `reconciler/prune: "false"`.
    KeepDirective,
    /// Marked by another agent.
    OwnedBy(String),
    /// Kept by another program (`teleport.dev/origin`).
    ForeignOrigin(String),
    /// Made by Teleport itself.
    Preset,
    /// Ours by the journal, but it no longer has our owner label, so we don't delete it.
    Unmarked,
    /// `reconciler/adopt: never`, and it exists.
    NotAdopted,
    /// These fields cannot change; what differs. Delete and create it again to change them.
    Immutable(Vec<FieldPath>),
    /// The server's version does not have these fields: it would drop them without a word, and
    /// with them what they forbid.
    TooNew(Vec<FieldPath>, Release),
    /// Declared and not there, but only Teleport itself makes this kind.
    NotMadeByUs,
    /// What it refers to is neither there nor planned.
    MissingReference(ResourceId),
    /// Still referred to by something that stays.
    ReferencedBy(ResourceId),
}

impl DeferReason {
    /// Whether it leaves something undone that is wanted, so that somebody must look at it; else
    /// it is as somebody wants it.
    /// `is_meant`: it is declared, and no selector leaves it out.
    pub const fn is_left(&self, is_meant: bool) -> bool {
        match self {
            Self::Frozen
            | Self::SourceUnknown
            | Self::LiveUnknown(_)
            | Self::Settling
            | Self::Immutable(_)
            | Self::TooNew(_, _)
            | Self::NotMadeByUs
            | Self::LabelUnknown(_)
            | Self::MissingReference(_) => true,
            // What is meant for us was refused; what we merely had goes its own way.
            Self::OwnedBy(_) | Self::ForeignOrigin(_) | Self::Preset | Self::NotAdopted => is_meant,
            Self::PausedUntil(_)
            | Self::Expired(_)
            | Self::KeepDirective
            | Self::Unmarked
            | Self::ReferencedBy(_) => false,
        }
    }

    /// Whether it stays so until a person does something.
    pub const fn is_refused(&self) -> bool {
        match self {
            Self::OwnedBy(_)
            | Self::ForeignOrigin(_)
            | Self::Preset
            | Self::NotAdopted
            | Self::Immutable(_)
            | Self::NotMadeByUs
            | Self::TooNew(_, _)
            | Self::MissingReference(_) => true,
            Self::Frozen
            | Self::SourceUnknown
            | Self::LiveUnknown(_)
            | Self::Settling
            | Self::LabelUnknown(_)
            | Self::PausedUntil(_)
            | Self::Expired(_)
            | Self::KeepDirective
            | Self::Unmarked
            | Self::ReferencedBy(_) => false,
        }
    }
}

/// What the planner may and may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The ownership mark.
    pub agent: String,
    /// More deletes in one plan than the greater of `max_delete_free` and this share (in per
    /// cent) of what we manage wait for approval.
    pub max_delete_percent: u32,
    /// See `max_delete_percent`.
    pub max_delete_free: usize,
    /// Kinds whose deletion always waits for approval.
    pub confirm: Vec<KindName>,
}
