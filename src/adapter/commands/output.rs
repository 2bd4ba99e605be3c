//! What a command prints, up to a limit, and whether it is a value.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::port::NotText;

/// Most bytes that a command may print. Label values of Teleport have no limit of their own;
/// this is far more than people read.
pub const OUTPUT_MAX: usize = 4096;

/// Most bytes of the standard error stream that are logged: its end.
const TAIL_MAX: usize = 1024;

/// Most reads of a pipe whose writer is gone: what a pipe holds (64 KiB), in steps of
/// [`OUTPUT_MAX`]. A writer that is not gone does not keep us longer.
const DRAIN_READS_MAX: usize = 16;

/// One end of a pipe.
#[derive(Debug)]
struct Pipe(Option<Receiver>);

impl Pipe {
    fn open(end: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Self(end.map(Receiver::from_owned_fd).transpose()?))
    }

    /// Waits for more. Never ready after the end. Nothing is lost when dropped.
    async fn more(&mut self, into: &mut Vec<u8>) {
        let Some(pipe) = &mut self.0 else {
            return std::future::pending().await;
        };
        if !matches!(pipe.read_buf(into).await, Ok(1..)) {
            self.0 = None;
        }
    }

    /// One read without waiting; false when nothing is there. Asks the kernel: the run time may
    /// not have heard yet of what came just before the end.
    fn now(&mut self, into: &mut Vec<u8>) -> bool {
        let mut room = [0; OUTPUT_MAX];
        let Some(pipe) = &self.0 else { return false };
        match rustix::io::read(pipe, &mut room) {
            Ok(count @ 1..) => {
                into.extend(room.iter().take(count));
                true
            }
            Err(Errno::INTR) => true,
            Ok(0) | Err(_) => {
                self.0 = None;
                false
            }
        }
    }
}

/// The standard output: its beginning counts, and whether there was too much.
#[derive(Debug)]
pub(super) struct Said {
    pipe: Pipe,
    bytes: Vec<u8>,
}

impl Said {
    /// Begins to listen; without a pipe it is at its end.
    pub(super) fn open(end: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Self { pipe: Pipe::open(end)?, bytes: Vec::new() })
    }

    /// Waits for more.
    pub(super) async fn more(&mut self) {
        self.pipe.more(&mut self.bytes).await;
    }

    /// Takes what is there, until there is too much.
    pub(super) fn drain(&mut self) {
        while !self.overflowed() && self.pipe.now(&mut self.bytes) {}
    }

    /// More than a value may have.
    pub(super) const fn overflowed(&self) -> bool {
        self.bytes.len() > OUTPUT_MAX
    }

    /// One line of text, white space around it removed as Teleport does (Go's `TrimSpace`, which
    /// takes the same characters). Nothing at all is the empty value, as there.
    pub(super) fn value(&self) -> Result<String, NotText> {
        let text = str::from_utf8(&self.bytes).map_err(|_position| NotText::Encoding)?.trim();
        if text.chars().any(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')) {
            return Err(NotText::Lines);
        }
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(NotText::Control);
        }
        Ok(text.to_owned())
    }
}

/// The standard error stream: only its end is kept.
#[derive(Debug)]
pub(super) struct Complaints {
    pipe: Pipe,
    tail: Vec<u8>,
}

impl Complaints {
    /// Begins to listen; without a pipe there are none.
    pub(super) fn open(end: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Self { pipe: Pipe::open(end)?, tail: Vec::new() })
    }

    /// Waits for more.
    pub(super) async fn more(&mut self) {
        self.pipe.more(&mut self.tail).await;
        self.shorten();
    }

    /// Takes what is there.
    pub(super) fn drain(&mut self) {
        for _ in 0..DRAIN_READS_MAX {
            if !self.pipe.now(&mut self.tail) {
                return;
            }
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        let surplus = self.tail.len().saturating_sub(TAIL_MAX);
        self.tail.drain(..surplus);
    }

    /// The end on one line; `None` if there is nothing.
    pub(super) fn line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.tail);
        let line: String =
            text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        (!line.is_empty()).then_some(line)
    }
}
