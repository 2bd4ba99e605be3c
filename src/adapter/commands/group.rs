//! One process group: started, watched, and gone when this is done with it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::environment::Environment;
use super::place::Place;
use super::reaper::{Reaper, Watched};
use crate::labels::value::Command;
use crate::port::RunError;

/// How often a leader is looked at where the system cannot say when it ends (before Linux 5.3).
const POLL: Duration = Duration::from_millis(20);

/// Pauses between looks at a killed group, and how many. Only a process that the kernel cannot
/// end (stuck in a device or a network file system) lasts longer; it is left to end by itself.
const KILLED_POLL: Duration = Duration::from_millis(1);
const KILLED_POLLS_MAX: u32 = 500;

/// Looks at a group that is ended because nobody waits for its result any more. They block, so
/// they are few; a thread of its own waits for the rest.
const DROPPED_POLLS_MAX: u32 = 20;

/// How a leader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// The system does not say.
    Unknown,
}

/// A running command. Its leader is not reaped before the group was killed, so that the group's
/// number cannot belong to somebody else by then.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    leader: Pid,
    exit: Option<AsyncFd<OwnedFd>>,
    reaped: bool,
    /// Dropped after the group was ended.
    _watched: Option<Watched>,
}

impl Group {
    /// Starts the command as the leader of a group of its own. Takes about as long as the
    /// kernel needs to load the program: the standard library uses `posix_spawn` here, which
    /// copies none of the agent's memory.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn start(
        place: &Place,
        command: &Command,
        environment: &Environment,
        reaper: Option<&Arc<Reaper>>,
    ) -> Result<Self, RunError> {
        let mut process = Process::new(&place.program);
        if let Some((name, arguments)) = command.argv.split_first() {
            process.arg0(name).args(arguments);
        }
        let complaints =
            if tracing::enabled!(tracing::Level::DEBUG) { Stdio::piped() } else { Stdio::null() };
        process
            .current_dir(&place.dir)
            .env_clear()
            .envs(environment.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .process_group(0);
        let child =
            process.spawn().map_err(|error| RunError::NotStarted { reason: words(&error) })?;
        let leader = Pid::from_child(&child);
        let watched = reaper.map(|reaper| reaper.watch(leader));
        Ok(Self { exit: exit_of(leader), child, leader, reaped: false, _watched: watched })
    }

    /// The reading end of its standard output; once.
    pub(super) fn stdout(&mut self) -> Option<OwnedFd> {
        self.child.stdout.take().map(OwnedFd::from)
    }

    /// The reading end of its standard error stream, if anybody wants to know; once.
    pub(super) fn stderr(&mut self) -> Option<OwnedFd> {
        self.child.stderr.take().map(OwnedFd::from)
    }

    /// Waits until the leader ends. May be dropped and asked again.
    pub(super) async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.look() {
                return ended;
            }
            match &self.exit {
                Some(exit) => match exit.readable().await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => sleep(POLL).await,
                },
                None => sleep(POLL).await,
            }
        }
    }

    /// How the leader ended, without reaping it.
    fn look(&self) -> Option<Ended> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match waitid(WaitId::Pid(self.leader), options) {
            Ok(status) => status.as_ref().map(ended_by),
            Err(Errno::INTR) => None,
            // Somebody else reaped it: how it ended is not known, so there is no value.
            Err(_) => Some(Ended::Unknown),
        }
    }

    /// Asks all of the group to end.
    pub(super) fn ask_to_end(&self) {
        // It fails only if there is nobody left.
        kill_process_group(self.leader, Signal::TERM).ok();
    }

    /// Ends all of the group and waits until it is gone.
    pub(super) async fn end(mut self) {
        self.kill();
        for _ in 0..KILLED_POLLS_MAX {
            if self.reap() {
                return;
            }
            sleep(KILLED_POLL).await;
        }
    }

    fn kill(&self) {
        if !self.reaped {
            kill_process_group(self.leader, Signal::KILL).ok();
            // A leader can move to another group of its session.
            kill_process(self.leader, Signal::KILL).ok();
        }
    }

    /// Reaps the leader and those of its group that became our children (they do if the agent is
    /// the first process of a container); whether all are gone.
    fn reap(&mut self) -> bool {
        let all = [WaitId::Pid(self.leader), WaitId::Pgid(Some(self.leader))];
        self.reaped = all.into_iter().all(|some| {
            loop {
                match waitid(some.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                    Ok(Some(_)) | Err(Errno::INTR) => {}
                    Ok(None) => return false,
                    Err(_) => return true,
                }
            }
        });
        self.reaped
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.kill();
        for _ in 0..DROPPED_POLLS_MAX {
            if self.reap() {
                return;
            }
            thread::sleep(KILLED_POLL);
        }
        let leader = self.leader;
        // Without a thread it stays a zombie until the agent ends.
        drop(thread::Builder::new().name("reaper".to_owned()).spawn(move || {
            waitid(WaitId::Pid(leader), WaitIdOptions::EXITED).ok();
        }));
    }
}

fn ended_by(status: &WaitIdStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Unknown,
    }
}

/// A descriptor that becomes readable when the process ends.
#[cfg(target_os = "linux")]
#[expect(
    deprecated,
    reason = "its successor is `unsafe`, against descriptors that change while they are registered; \
              an `OwnedFd` does not"
)]
fn exit_of(leader: Pid) -> Option<AsyncFd<OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    use tokio::io::Interest;

    let descriptor = pidfd_open(leader, PidfdFlags::NONBLOCK)
        .or_else(|_older_kernel| pidfd_open(leader, PidfdFlags::empty()))
        .ok()?;
    AsyncFd::with_interest(descriptor, Interest::READABLE).ok()
}

#[cfg(not(target_os = "linux"))]
fn exit_of(_leader: Pid) -> Option<AsyncFd<OwnedFd>> {
    None
}

fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOEXEC) => "it is no program, and has no line `#!…`".to_owned(),
        Some(Errno::NOENT) => "it or the interpreter in its line `#!…` does not exist".to_owned(),
        Some(Errno::TXTBSY) => "somebody is writing the file".to_owned(),
        _ => error.to_string(),
    }
}
