//! The reconcile state machine: `step(now, event) -> effects`.
//!
//! One file per concern. `machine` takes an event apart; `config` holds settings and delays,
//! `clocks` what is due when. `source`, `live`, `watch` and `secret_names` keep what is known,
//! `kinds_in_use` says which kinds matter, `labels` runs the commands of labels, `desired` asks
//! selectors. `planning` turns it into steps, `prune_delay` and `damping` hold some of them back,
//! `approved` keeps what a person let through. `write` sends, `outcome` and `read` see what came
//! of it, `condition` is the one state of each resource. `completion` says when the engine is
//! through, `status` and `shown` show it all.
//!
//! Deliberately absent: async, I/O, clocks, tasks.

mod approved;
mod clocks;
mod completion;
mod condition;
mod config;
mod damping;
mod desired;
mod kinds_in_use;
mod labels;
mod live;
mod machine;
mod outcome;
mod planning;
mod prune_delay;
mod read;
mod secret_names;
mod shown;
mod source;
pub mod status;
mod watch;
mod write;

pub use config::{
    APPROVAL_DIGITS, DOUBT_DEADLINE, FUTILE_MAX, LASTING, MAX_COMMANDS, MAX_IN_FLIGHT,
    REFUSED_BACKOFF, RETRY_MAX, SETTLE_DEADLINE, START_LAG,
};
pub use config::{Config, Mode, Outcome, Planted};
pub use machine::Engine;
pub use status::{
    HeldStatus, KindStatus, LabelStatus, NotApplied, PendingStatus, ResourceStatus, Status,
};

use std::sync::Arc;
use std::time::Duration;

use crate::journal::{OpId, Record, State};
use crate::labels::value::Command;
use crate::live::{Observed, Written};
use crate::manifest::Reading;
use crate::model::{Cluster, KindName, Live, Release, ResourceId};
use crate::plan::Step;
use crate::port::{CallError, NotYet, RunError};

/// Everything that can happen. A closed list.
#[derive(Debug, Clone)]
pub enum Event {
    /// The journal was loaded; the first event of all.
    Started(State),
    /// The time that `deadline()` asked for has come.
    Deadline,
    /// Something moved in the source. A hint, nothing more.
    SourceChanged,
    /// The answer to [`Effect::ReadSource`].
    SourceRead(Result<Arc<Reading>, NotYet>),
    /// The answer to [`Effect::List`].
    Listed {
        /// Where.
        cluster: Cluster,
        /// What.
        kind: KindName,
        /// Of which request.
        ticket: u64,
        /// What was seen; partial when it failed.
        observed: Observed,
    },
    /// The server has this version.
    Server(Release),
    /// The watch confirmed these kinds; what follows is gapless until [`Event::WatchLost`].
    WatchOpened(Vec<KindName>),
    /// The watch ended; anything may have been missed.
    WatchLost(String),
    /// The watch says that this is how it is now.
    Put(Live),
    /// The watch says that it is gone.
    Gone(ResourceId),
    /// Another identity is in force, or none any more: the watch is still on the old connection.
    Renewed,
    /// The records of that ticket are on disk.
    Journaled(u64),
    /// They are not; the disk's error. No further write is sent.
    JournalFailed(String),
    /// The answer to [`Effect::Write`].
    Wrote {
        /// Which.
        op: OpId,
        /// How it ended, as far as known.
        result: Result<Written, CallError>,
    },
    /// The answer to [`Effect::Fetch`].
    Fetched {
        /// Of which request.
        ticket: u64,
        /// What.
        id: ResourceId,
        /// How it is now; `None`: the server says that it is not there (which proves nothing
        /// while something is settling).
        result: Result<Option<Live>, CallError>,
    },
    /// The answer to [`Effect::Run`].
    Ran {
        /// Of which request.
        ticket: u64,
        /// What it printed, without white space around it.
        result: Result<String, RunError>,
    },
    /// `reconciler approve HASH`.
    Approve {
        /// As the person typed it; a unique prefix of at least eight digits is enough.
        hash: String,
        /// Whom to answer.
        request: u64,
    },
    /// Finish what is in flight and stop.
    Stop,
}

/// Everything that can be done. A closed list.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Take a snapshot and read it.
    ReadSource,
    /// Open a watch on these kinds, instead of the one there is: nothing of that one is told
    /// any more.
    Watch {
        /// What. Not empty.
        kinds: Vec<KindName>,
    },
    /// List one kind.
    List {
        /// Where.
        cluster: Cluster,
        /// What.
        kind: KindName,
        /// To tell answers apart.
        ticket: u64,
    },
    /// Read one resource.
    Fetch {
        /// To tell answers apart.
        ticket: u64,
        /// What.
        id: ResourceId,
    },
    /// Put these on disk, in one transaction.
    Journal {
        /// To tell answers apart.
        ticket: u64,
        /// What.
        records: Vec<Record>,
    },
    /// Send one write. Its intent is on disk.
    Write {
        /// Which.
        op: OpId,
        /// What to do; never [`crate::plan::Action::Adopt`].
        step: Arc<Step>,
    },
    /// Run a label's command. Never asked for in a preview.
    Run {
        /// To tell answers apart.
        ticket: u64,
        /// What.
        command: Arc<Command>,
        /// How long it may take.
        timeout: Duration,
    },
    /// Answer a person's request.
    Answer {
        /// Which.
        request: u64,
        /// What was done, or why not.
        text: Result<String, String>,
    },
    /// Tell the log.
    Say(Notice),
    /// Nothing is in flight any more: the program may end.
    Stopped,
}

/// A log line as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: Level,
    /// About what, if about one resource.
    pub id: Option<ResourceId>,
    /// What happened, `created kube_cluster/mycluster (missing)`. Never a secret.
    pub text: String,
}

/// How loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something a person must look at.
    Error,
    /// Something a person should know.
    Warn,
    /// What was done.
    Info,
    /// For debugging.
    Debug,
}
