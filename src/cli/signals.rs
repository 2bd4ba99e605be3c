//! What signals ask of a process that runs for long.
//!
//! SIGINT, SIGTERM and SIGHUP ask it to end when what is in flight is finished; a second SIGINT or
//! SIGTERM, to end at once. A service manager or `timeout` often sends one wish twice, to the
//! process and to its group, or a SIGHUP behind a SIGTERM: that is no second wish.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;
use crate::adapter::clock::System;
use crate::port::Clock as _;

/// A signal of the same kind within this time of the last one is the same wish.
const ECHO: Duration = Duration::from_secs(1);

/// What the kernel says of this process; on other systems there is no such file.
const STATUS: &str = "/proc/self/status";

/// Which signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interrupt,
    Terminate,
    Hangup,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// Finish what is in flight, and end.
    End,
    /// End now.
    AtOnce,
}

/// Listens to the signals.
#[derive(Debug)]
pub(super) struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
    /// Absent under `nohup`, which has it ignored.
    hangup: Option<Signal>,
    clock: System,
    heard: Heard,
}

impl ShutdownSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn listen(clock: &System) -> Result<Self, CliError> {
        let failed =
            |error: std::io::Error| CliError::new(format!("cannot wait for signals: {error}"));
        let status = std::fs::read_to_string(STATUS).unwrap_or_default();
        let hangup = (!ignores_hangup(&status)).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hangup: hangup.transpose().map_err(failed)?,
            clock: *clock,
            heard: Heard::default(),
        })
    }

    /// Waits for the next wish.
    pub(super) async fn next(&mut self) -> Shutdown {
        loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            let kind = tokio::select! {
                _ = self.interrupt.recv() => Kind::Interrupt,
                _ = self.terminate.recv() => Kind::Terminate,
                _ = hangup => Kind::Hangup,
            };
            if let Some(wish) = self.heard.take(kind, self.clock.now().monotonic) {
                return wish;
            }
        }
    }
}

/// What was heard before.
#[derive(Debug, Default)]
struct Heard {
    last: Option<(Kind, Duration)>,
}

impl Heard {
    fn take(&mut self, kind: Kind, now: Duration) -> Option<Shutdown> {
        match self.last {
            None => {
                self.last = Some((kind, now));
                Some(Shutdown::End)
            }
            Some((last, at)) => {
                let is_echo = last == kind && now.saturating_sub(at) < ECHO;
                (kind != Kind::Hangup && !is_echo).then_some(Shutdown::AtOnce)
            }
        }
    }
}

/// Whether SIGHUP was ignored when the process began; installing a handler would undo that.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is signal 1, the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal, its second, what is taken from it.
    type Case = (Kind, f64, Option<Shutdown>);

    #[test]
    fn a_wish_is_heard_once() {
        use Kind::{Hangup, Interrupt, Terminate};
        let seconds = Duration::from_secs_f64;
        let (end, now) = (Some(Shutdown::End), Some(Shutdown::AtOnce));
        let table: &[&[Case]] = &[
            // `timeout`: to the process, then to the group.
            &[(Terminate, 5.0, end), (Terminate, 5.002, None)],
            &[(Interrupt, 5.0, end), (Interrupt, 6.0, now)],
            &[(Interrupt, 5.0, end), (Terminate, 5.1, now)],
            // systemd's `SendSIGHUP=`, and a terminal that closes.
            &[(Terminate, 5.0, end), (Hangup, 9.0, None)],
            &[(Hangup, 5.0, end), (Hangup, 9.0, None)],
            &[(Hangup, 5.0, end), (Terminate, 5.1, now)],
            &[(Interrupt, 5.0, end), (Interrupt, 5.5, None), (Interrupt, 6.1, now)],
        ];
        for heard in table {
            let mut before = Heard::default();
            for (kind, at, wish) in *heard {
                assert_eq!(before.take(*kind, seconds(*at)), *wish, "{heard:?} at {at}");
            }
        }
    }

    #[test]
    fn nohup_is_respected() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("SigBlk:\t1\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
