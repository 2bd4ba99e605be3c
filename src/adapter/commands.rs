//! Commands of dynamic labels: started without a shell, watched, ended with all of their process
//! group. Deliberately absent: when to run what, and how many at once.
//!
//! What remains possible: a descendant that makes a session of its own (`setsid`) leaves the
//! group, and nothing here finds it again. The service manager's control group does; so does the
//! end of a container. If the agent itself is killed (SIGKILL), the reaper ends its commands.
//!
//! The standard error stream is not part of any result, because programs print credentials there
//! when they fail. It is read, and its end is logged, at the level `debug` only.

mod environment;
mod group;
mod output;
mod place;
mod reaper;

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

pub use self::environment::Environment;
use self::group::{Ended, Group};
pub use self::output::OUTPUT_MAX;
use self::output::{Complaints, Said};
use self::place::Place;
pub use self::reaper::{Reaper, serve as end_orphans};
use crate::labels::allow::Allow;
use crate::labels::value::Command;
use crate::port::{Commands, RunError};

/// How long a group that ran too long may tidy up between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Runs commands below one source directory.
#[derive(Debug)]
pub struct Runner {
    source: PathBuf,
    allow: Allow,
    environment: Environment,
    reaper: Option<Arc<Reaper>>,
}

impl Runner {
    /// A runner for the manifests below `source`.
    pub const fn new(source: PathBuf, allow: Allow, environment: Environment) -> Self {
        Self { source, allow, environment, reaper: None }
    }

    /// The same, with somebody who ends its commands when this process cannot.
    #[must_use]
    pub fn with_reaper(self, reaper: Reaper) -> Self {
        Self { reaper: Some(Arc::new(reaper)), ..self }
    }

    /// The engine has asked `allow` already; here it is asked once more, about the program that
    /// is really started, because this is the last place before it runs.
    fn place(&self, command: &Command) -> Result<Place, RunError> {
        let refused = || RunError::NotAllowed { line: Allow::line_to_add(&command.argv) };
        if self.allow.permits(&command.argv) {
            return Place::find(&self.source, command, self.environment.path());
        }
        // Whether a program of that name exists here is not told about commands that may not run.
        let place = Place::find(&self.source, command, self.environment.path())
            .map_err(|_not_told| refused())?;
        let mut resolved = command.argv.clone();
        if let (Some(first), Some(program)) = (resolved.first_mut(), place.program.to_str()) {
            program.clone_into(first);
        }
        if self.allow.permits(&resolved) { Ok(place) } else { Err(refused()) }
    }
}

impl Commands for Runner {
    async fn run(&self, command: &Command, timeout: Duration) -> Result<String, RunError> {
        let place = self.place(command)?;
        let mut group = Group::start(&place, command, &self.environment, self.reaper.as_ref())?;
        let mut streams = Streams::of(&mut group)
            .map_err(|error| RunError::NotStarted { reason: error.to_string() })?;
        let ended = watch(&group, &mut streams, timeout).await;
        group.end().await;
        // What was written before the end is still in the pipes.
        streams.said.drain();
        streams.complaints.drain();
        if let Some(line) = streams.complaints.line() {
            debug!(program = %place.program.display(), stderr = line, "a label's command complains");
        }
        if streams.said.overflowed() {
            return Err(RunError::TooMuch { most: OUTPUT_MAX });
        }
        match ended? {
            Ended::Code(0) => streams.said.value().map_err(RunError::NotText),
            Ended::Code(code) => Err(RunError::Failed { code }),
            Ended::Signal(signal) => Err(RunError::Killed { signal }),
            Ended::Unknown => {
                Err(RunError::NotStarted { reason: "how it ended is not known".to_owned() })
            }
        }
    }
}

struct Streams {
    said: Said,
    complaints: Complaints,
}

impl Streams {
    fn of(group: &mut Group) -> io::Result<Self> {
        Ok(Self {
            said: Said::open(group.stdout())?,
            complaints: Complaints::open(group.stderr())?,
        })
    }

    async fn more(&mut self) {
        tokio::select! {
            () = self.said.more() => {}
            () = self.complaints.more() => {}
        }
    }
}

/// Reads until the leader is gone, the output is too long or the time is over.
async fn watch(group: &Group, streams: &mut Streams, timeout: Duration) -> Result<Ended, RunError> {
    let mut over = pin!(sleep(timeout));
    loop {
        tokio::select! {
            biased;
            ended = group.ended() => return Ok(ended),
            () = streams.more() => {}
            () = &mut over => break,
        }
        if streams.said.overflowed() {
            return Err(RunError::TooMuch { most: OUTPUT_MAX });
        }
    }
    group.ask_to_end();
    let mut grace = pin!(sleep(GRACE));
    loop {
        tokio::select! {
            biased;
            _late = group.ended() => break,
            // A program that says farewell must not hang on a full pipe.
            () = streams.more() => {}
            () = &mut grace => break,
        }
        if streams.said.overflowed() {
            break;
        }
    }
    Err(RunError::TimedOut { after: timeout })
}
