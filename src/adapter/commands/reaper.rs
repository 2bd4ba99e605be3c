//! A small process beside the agent that ends running commands when the agent cannot any more:
//! after SIGKILL, or when the system is out of memory.
//!
//! It is this program again, and knows nothing but numbers of process groups, which it is told on
//! a socket. When the socket closes, for whatever reason, it kills the groups that are left, and
//! ends. (The kernel's own signal at a parent's death is bound to the thread that started the
//! command, reaches the leader of a group only, and would need code between `fork` and `exec`.)
//!
//! A command is told about right after it was started. An agent that is killed between the two
//! leaves that one command behind.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Longest line that the process takes, in bytes: a sign and a number.
const LINE_MAX: u64 = 16;

/// Starts the process when the first command runs, and tells it of each.
#[derive(Debug)]
pub struct Reaper {
    program: PathBuf,
    argument: &'static str,
    running: Mutex<State>,
}

#[derive(Debug)]
enum State {
    NotYet,
    Running {
        tell: UnixStream,
        child: Child,
    },
    /// It cannot be started; that was said.
    Without,
}

/// A group that the process knows; dropped when the group is gone.
#[derive(Debug)]
pub(super) struct Watched {
    reaper: Arc<Reaper>,
    leader: Pid,
}

impl Reaper {
    /// One that will run a program with one argument, which calls [`serve`].
    pub const fn new(program: PathBuf, argument: &'static str) -> Self {
        Self { program, argument, running: Mutex::new(State::NotYet) }
    }

    pub(super) fn watch(self: &Arc<Self>, leader: Pid) -> Watched {
        self.tell('+', leader);
        Watched { reaper: Arc::clone(self), leader }
    }

    fn tell(&self, sign: char, leader: Pid) {
        let mut state = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::NotYet) && sign == '+' {
            *state = self.start().unwrap_or_else(|error| {
                tracing::warn!("label commands will outlive a killed agent: {error}");
                State::Without
            });
        }
        let State::Running { tell, child } = &mut *state else { return };
        let line = format!("{sign}{}\n", leader.as_raw_nonzero());
        // A process that reads no more is no help. The next command starts another.
        if tell.write_all(line.as_bytes()).is_err() {
            tell.shutdown(Shutdown::Both).ok();
            child.kill().ok();
            child.wait().ok();
            *state = State::NotYet;
        }
    }

    /// In a group of its own, so that the terminal's Ctrl-C does not reach it before the agent is
    /// done, and with nothing of ours open.
    fn start(&self) -> io::Result<State> {
        let (tell, told) = UnixStream::pair()?;
        tell.set_nonblocking(true)?;
        let child = Command::new(&self.program)
            .arg(self.argument)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(told)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(State::Running { tell, child })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        let state = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Running { tell, child } = state {
            // It ends at the end of what it is told.
            tell.shutdown(Shutdown::Both).ok();
            child.wait().ok();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.reaper.tell('-', self.leader);
    }
}

/// The process itself: listens until the end, then kills what is left.
pub fn serve(told: impl Read) {
    for leader in listen(told).into_iter().filter_map(Pid::from_raw) {
        kill_process_group(leader, Signal::KILL).ok();
        // A leader can move to another group of its session.
        kill_process(leader, Signal::KILL).ok();
    }
}

/// The groups that were begun and not ended.
fn listen(told: impl Read) -> BTreeSet<i32> {
    let mut told = BufReader::new(told);
    let mut running = BTreeSet::new();
    let mut line = String::new();
    while (&mut told).take(LINE_MAX).read_line(&mut line).is_ok_and(|length| length > 0) {
        let number = |digits: &str| digits.trim_end().parse().ok().filter(|number| *number > 0);
        if let Some(leader) = line.strip_prefix('+').and_then(number) {
            running.insert(leader);
        } else if let Some(leader) = line.strip_prefix('-').and_then(number) {
            running.remove(&leader);
        }
        line.clear();
    }
    running
}

#[cfg(test)]
mod tests {
    use super::listen;

    #[test]
    fn what_was_begun_and_not_ended_is_left() {
        let table: [(&str, &[i32]); 5] = [
            ("", &[]),
            ("+7\n+8\n-7\n+9\n", &[8, 9]),
            ("+7\n-7\n+7\n", &[7]),
            ("-7\nnonsense\n+\n+0\n+-5\n+x\n+8\n", &[8]),
            ("+99999999999999999999999\n+8\n", &[8]),
        ];
        for (told, left) in table {
            let found: Vec<i32> = listen(told.as_bytes()).into_iter().collect();
            assert_eq!(found, left, "{told:?}");
        }
    }
}
