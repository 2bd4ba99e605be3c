//! What the engine is told once, and its limits.

use std::time::Duration;

use crate::labels::resolve::Rules;
use crate::plan::Policy;

/// Writes (and the reads that prepare them) under way at once. A real server gains nothing
/// from more: 1,000 creates take it 4.1 s one at a time and 2.3 s with 64 in flight.
pub const MAX_IN_FLIGHT: usize = 64;
/// Label commands under way at once. Enough for hundreds of short commands a second; one that
/// hangs holds a place until its timeout.
pub const MAX_COMMANDS: usize = 32;
/// Shortest time between two runs of a label's command; manifests with less are refused.
pub(super) const PERIOD_MIN: Duration = Duration::from_secs(1);
/// At the start, commands whose last value is known run within this time.
pub(super) const COMMANDS_SPREAD: Duration = Duration::from_secs(10);
/// Quiet time before planning after a label's value changed: many commands end at a time, and
/// each plan looks at everything.
pub(super) const VALUE_QUIET: Duration = Duration::from_millis(250);
/// How old the time may be, in the journal, at which a value was last seen. Thousands of values
/// that do not change must cost no writing.
pub(super) const SEEN_MAX: Duration = Duration::from_hours(1);
/// How long the value of a command that no manifest names any more is kept.
pub(super) const UNUSED_MAX: Duration = Duration::from_hours(7 * 24);
/// First delay after a failure of one resource; doubles with each further one.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest delay between two attempts at one resource.
pub const RETRY_MAX: Duration = Duration::from_mins(5);
/// Delay after an answer that only the author can do something about.
pub const REFUSED_BACKOFF: Duration = Duration::from_mins(10);
/// A write that lasts so long was not in vain. What is changed back later is changed anew by
/// somebody; what is changed back sooner, again and again, is a fight.
pub const LASTING: Duration = Duration::from_mins(5);
/// Writes in a row that were never seen and left the same difference, until the next one is
/// held. One may be bad luck, and the second shows that the first was not.
pub const FUTILE_MAX: u32 = 3;
/// How long our own write may stay unseen before planning resumes without it. Reads of a real
/// server lag by a second at worst: ten times that is no lag any more, and a person who waits
/// for the next plan does not wait long.
pub const SETTLE_DEADLINE: Duration = Duration::from_secs(10);
/// How long reads are asked for what a refused create is said to have met: three times the
/// longest lag of a real server. Some names are held by what is not there any more.
pub(super) const MET_DEADLINE: Duration = Duration::from_secs(3);
/// How long a lost answer is looked for before the write counts as not done. Long enough for a
/// request that was on its way when the answer was given up (seconds) and for the lag of the
/// read that would show it (a second); after kill -9 everything in doubt waits this long.
pub const DOUBT_DEADLINE: Duration = Duration::from_secs(10);
/// First delay between two reads of one settling resource; doubles up to `READ_MAX`.
pub(super) const READ_FIRST: Duration = Duration::from_millis(250);
/// Longest delay between two reads of one settling resource.
pub(super) const READ_MAX: Duration = Duration::from_secs(5);
/// First delay for a resource that the watch is expected to show anyway.
pub(super) const READ_WATCHED: Duration = Duration::from_secs(3);
/// How long a watch must live for its end to count as the first one again. One that is accepted
/// and ended at once, each time, is asked for ever more seldom.
pub(super) const WATCH_LASTING: Duration = Duration::from_mins(1);
/// How long the first lists wait for the watch.
pub(super) const WATCH_PATIENCE: Duration = Duration::from_secs(10);
/// So long after the start reads may still miss what an earlier life wrote; what the journal
/// knows and a read does not show is not made again before. Reads of a real server lag by a
/// second at worst, and here nothing is on its way any more (that would be in doubt): three
/// times that suffices.
pub const START_LAG: Duration = Duration::from_secs(3);
/// Quiet time before planning, so that a burst of events costs one plan.
pub(super) const PLAN_QUIET: Duration = Duration::from_millis(5);
/// How much calendar and monotonic time may drift apart between two steps.
pub(super) const CLOCK_JUMP: Duration = Duration::from_secs(5);
/// Hexadecimal digits of an approval's hash that a person must type at least.
pub const APPROVAL_DIGITS: usize = 8;
/// How long a single pass waits for a source that cannot be read: longer than a `git pull` or a
/// mount takes, shorter than the patience of whoever waits for its end.
pub(super) const ONCE_SOURCE: Duration = Duration::from_mins(1);
/// Attempts at one resource before a single pass gives it up.
pub(super) const ONCE_ATTEMPTS: u32 = 5;
/// How long an engine that is told to stop waits for what is in flight. The journal knows of it.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a single pass waits for the outcome of an operation in doubt. What can be read is
/// decided at [`DOUBT_DEADLINE`].
pub(super) const ONCE_DOUBT: Duration = Duration::from_secs(20);
/// How long lists of one kind may fail in a row, two at least, before a single pass gives the kind
/// up. A server that is restarted is back by then; a person or a job is waiting.
pub(super) const ONCE_UNREACHABLE: Duration = Duration::from_secs(15);

/// Everything that the engine is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// For ever, or until converged.
    pub mode: Mode,
    /// Quiet time in the source before a reading.
    pub settle: Duration,
    /// A reading happens at the latest this long after the first hint, however busy the source.
    pub settle_max: Duration,
    /// Everything is read and listed again this often. The delete share counts what was deleted
    /// during the last such period, too.
    pub resync: Duration,
    /// Kinds that no watch follows are listed this often.
    pub poll: Duration,
    /// The same while something in the kind is not ready yet.
    pub poll_waiting: Duration,
    /// How long a resource may be on its way to being ready before a single pass gives it up.
    pub ready_timeout: Duration,
    /// A delete waits this long; restoring the file meanwhile cancels it.
    pub prune_delay: Duration,
    /// For planner and guards.
    pub policy: Policy,
    /// Which resources are meant, by label.
    pub labels: Rules,
    /// Longest run of a label's command.
    pub command_timeout: Duration,
    /// A bug put in on purpose, so that the simulator can show that it would find it. Nothing
    /// but tests sets it; it is a value rather than a compile-time feature so that the tests
    /// run the very code that ships.
    #[doc(hidden)]
    pub planted: Option<Planted>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Run,
            settle: Duration::from_millis(250),
            settle_max: Duration::from_secs(5),
            resync: Duration::from_mins(5),
            poll: Duration::from_secs(30),
            poll_waiting: Duration::from_secs(5),
            ready_timeout: Duration::from_mins(15),
            prune_delay: Duration::from_secs(10),
            policy: Policy {
                agent: "reconciler".to_owned(),
                max_delete_percent: 30,
                max_delete_free: 3,
                confirm: Vec::new(),
            },
            labels: Rules::default(),
            command_timeout: Duration::from_secs(30),
            planted: None,
        }
    }
}

/// When the engine ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only when told to.
    Run,
    /// When everything is as wanted, or cannot become so without a person.
    Once,
}

/// How it ended, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not.
    Running,
    /// Everything is as wanted.
    Converged,
    /// What is left waits for a person's approval.
    NeedsApproval,
    /// Some resources could not be brought to what is wanted; the status names them.
    Incomplete,
    /// The journal's disk failed.
    StorageFailed,
    /// It was told to stop.
    Stopped,
}

/// Bugs that the simulator must catch.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// Sends a write without waiting for its intent to be on disk.
    WriteBeforeIntent,
    /// Deletes without the last look.
    NoLookBeforeDelete,
    /// Plans what has not been seen yet.
    PlanSettling,
    /// Takes a lost answer for a failure.
    DoubtIsFailure,
    /// Deletes at once.
    NoPruneDelay,
    /// Takes a cut list for the whole.
    PartialIsComplete,
    /// Runs what the guards hold.
    NoGuard,
    /// Goes on with steps of an older reading.
    KeepStalePlan,
    /// Does not list again after a lost watch.
    IgnoreWatchLoss,
    /// Never tries again.
    NoRetry,
    /// Shows what it writes.
    SayContent,
    /// Takes everything live for its own.
    EverythingIsOurs,
    /// Takes a document that could not be read for a missing one.
    FrozenIsAbsent,
    /// Writes one resource twice at a time.
    TwoAtOnce,
    /// Does not count the deletes of earlier plans.
    ForgetDeletes,
    /// Does not count the deletes of earlier lives.
    ForgetAtStart,
    /// Records the intents of an approved set one by one.
    SplitApproval,
    /// Asks again for what is left of an approved set.
    ForgetGrants,
    /// Tells what the server said, word by word.
    TellErrors,
    /// Takes a label whose value is not known for one that does not match.
    UnknownIsUnmatched,
    /// Registers what no selector matches.
    RegisterUnmatched,
    /// Deletes what a label's value has brought back meanwhile.
    IgnoreFlap,
    /// Runs a command that is running.
    RunTwice,
    /// A single pass takes its first plan's end for the end.
    EndEarly,
    /// Writes against whoever undoes it, as fast as it can.
    NoDamping,
}
