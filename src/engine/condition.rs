//! The one state of each resource.

use std::sync::Arc;
use std::time::Duration;

use super::config::REFUSED_BACKOFF;
use crate::journal::{Entry, OpId};
use crate::model::{Digest, Revision, Verb};
use crate::plan::Step;

/// What the engine holds about one resource beyond source, live and inventory.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The one state.
    pub condition: Condition,
    /// Failures in a row; zero after a success.
    pub failures: u32,
    /// The last of them.
    pub error: Option<String>,
    /// When the engine looks at it again, monotonic; mirrored in `Engine::wakes`.
    pub wake: Option<Duration>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { condition: Condition::Idle, failures: 0, error: None, wake: None }
    }
}

/// The one state.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// Nothing is under way.
    Idle,
    /// Approved; its intent is recorded, its turn has not come.
    Approved(Approved),
    /// The last look before a delete or an unconditional update.
    Checking(Checking),
    /// Its intent is on its way to the disk.
    Intending(Sending),
    /// Sent, not answered.
    Writing(Sending),
    /// Written; not seen yet.
    Settling(Settling),
    /// Nobody knows whether the write happened.
    InDoubt(Doubt),
    /// Waits before the next attempt.
    BackingOff(BackingOff),
}

impl Condition {
    /// Whether the planner must leave it alone.
    pub(super) const fn is_busy(&self) -> bool {
        match self {
            Self::Idle | Self::BackingOff(_) => false,
            Self::Approved(_)
            | Self::Checking(_)
            | Self::Intending(_)
            | Self::Writing(_)
            | Self::Settling(_)
            | Self::InDoubt(_) => true,
        }
    }

    /// Whether it takes one of the places for writes.
    pub(super) const fn is_in_flight(&self) -> bool {
        match self {
            Self::Checking(_) | Self::Intending(_) | Self::Writing(_) => true,
            Self::Idle
            | Self::Approved(_)
            | Self::Settling(_)
            | Self::InDoubt(_)
            | Self::BackingOff(_) => false,
        }
    }

    /// One word or two, for the status.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Approved(_) => "approved",
            Self::Checking(_) => "checking",
            Self::Intending(_) => "intending",
            Self::Writing(_) => "writing",
            Self::Settling(settling) if !settling.done => "refused",
            Self::Settling(_) => "settling",
            Self::InDoubt(_) => "in doubt",
            Self::BackingOff(_) => "backing off",
        }
    }
}

/// See [`Condition::Approved`].
#[derive(Debug, Clone)]
pub(super) struct Approved {
    /// Its number.
    pub op: OpId,
    /// What will be sent.
    pub step: Arc<Step>,
    /// The plan it belongs to.
    pub run: u64,
    /// Whether it is still wanted gone.
    pub valid: bool,
    /// Whether its intent is on disk.
    pub on_disk: bool,
}

/// See [`Condition::Checking`].
#[derive(Debug, Clone)]
pub(super) struct Checking {
    /// Of the fetch.
    pub ticket: u64,
    /// What will be sent.
    pub step: Arc<Step>,
    /// The plan it belongs to.
    pub run: u64,
    /// The approval that lets it through.
    pub approval: Option<String>,
    /// Whether what it was planned from still holds.
    pub valid: bool,
    /// Its number, if its intent is on disk already.
    pub intended: Option<OpId>,
}

/// See [`Condition::Intending`] and [`Condition::Writing`].
#[derive(Debug, Clone)]
pub(super) struct Sending {
    /// Its number.
    pub op: OpId,
    /// What is sent.
    pub step: Arc<Step>,
    /// Whether what it was planned from still holds.
    pub valid: bool,
}

/// See [`Condition::Settling`].
#[derive(Debug, Clone)]
pub(super) struct Settling {
    /// What a read must show.
    pub want: Want,
    /// Since when, for the deadline.
    pub since: Duration,
    /// Only a list with a greater ticket began later than the write ended.
    pub after: u64,
    /// Reads so far.
    pub reads: u32,
    /// The fetch under way.
    pub ticket: Option<u64>,
    /// Whether the write succeeded (else we wait to see why not).
    pub done: bool,
}

/// See [`Condition::InDoubt`].
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// The operation.
    pub op: OpId,
    /// What it was.
    pub verb: Verb,
    /// What a read must show if it happened.
    pub want: Want,
    /// Since when.
    pub since: Duration,
    /// Reads so far.
    pub reads: u32,
    /// The fetch under way.
    pub ticket: Option<u64>,
    /// What the server said.
    pub error: String,
}

/// See [`Condition::BackingOff`].
#[derive(Debug, Clone)]
pub(super) struct BackingOff {
    /// Until when, monotonic.
    pub until: Duration,
    /// What was wanted when the server refused it: a change of it ends the waiting.
    pub refused: Option<Refused>,
}

/// What the server refused: the digest of what was wanted; none: its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub Option<Digest>);

/// What a read must show for a write to be over.
#[derive(Debug, Clone)]
pub(super) enum Want {
    /// This content, or this revision.
    Content {
        /// SHA-256 of the canonical form.
        digest: Digest,
        /// What the write returned.
        revision: Option<Revision>,
    },
    /// What an earlier life of the program intended: its canonical form, secrets as fingerprints.
    Applied(Entry),
    /// Nothing.
    Gone,
    /// Anything (a create met what the list did not show).
    Present,
    /// Anything but this revision (a conditional write met another one).
    Moved(Option<Revision>),
}

/// How long the server's word against a resource counts, between three quarters and five quarters
/// of it by `jitter` (0 to 1).
pub(super) fn refused_backoff(jitter: f64) -> Duration {
    REFUSED_BACKOFF.mul_f64(0.75 + jitter / 2.0)
}

/// The delay after so many failures: doubling from `first` to `most`, between half and all of
/// it by `jitter` (0 to 1).
pub(super) fn backoff(first: Duration, most: Duration, failures: u32, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32 << failures.saturating_sub(1).min(16));
    doubled.min(most).mul_f64(0.5 + jitter / 2.0)
}
