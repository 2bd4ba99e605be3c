//! One process per state: an advisory lock that names its holder.
//!
//! The lock belongs to the open file, so the kernel releases it however the process ends. The
//! text in the file is for people only. A file that was removed or replaced locks nobody out any
//! more: [`Guarded`] writes to a journal only while lock and journal are found by their names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::clock;
use crate::journal::{Record, State};
use crate::port::{Storage, StorageError};

/// Longest text about a holder that is read back, in bytes; a command line may be long.
const HOLDER_MAX: u64 = 4096;

/// How often the lock is tried, and the time between: who asks for its holder has it himself for
/// a moment.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// The lock on one state; released when dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "the state `{}` is in use by {holder}; stop it first, or use another `state.path`",
        state.display()
    )]
    Held {
        /// The state.
        state: PathBuf,
        /// Process id, command and since when, as the holder wrote it.
        holder: String,
    },
    /// The file system's.
    #[error(
        "lock `{}`: {source}; it must be writable here, or use another `state.path` (`--state`)",
        path.display()
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock `<state>.lock`, whose directory is made (0700) if it is missing, and writes
    /// process id, `command` and the time into it. Waits a tenth of a second at most.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process, or another [`Lock`] of this one, has it.
    pub fn take(state: &Path, command: &str) -> Result<Self, LockError> {
        let path = lock_path(state);
        let failed = |source: io::Error| LockError::Io { path: path.clone(), source };
        super::sqlite::make_parent(state).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut tries = 1;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(failed(error.into()));
            }
            if tries == TRIES {
                let holder = read_holder(&mut file);
                return Err(LockError::Held { state: state.to_owned(), holder });
            }
            tries += 1;
            std::thread::sleep(PAUSE);
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        write!(
            file,
            "process {} (`{}`) since {}",
            std::process::id(),
            command.escape_debug(),
            clock::wall()
        )
        .map_err(failed)?;
        Ok(Self { file, path })
    }

    /// Whether the lock's name still means the file that is locked.
    fn is_there(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|held| identity(&self.path) == Some((held.dev(), held.ino())))
    }

    /// Who holds the lock now; `None`: nobody. Changes nothing, not even an access to a missing
    /// file.
    pub fn holder(state: &Path) -> Option<String> {
        let mut file = File::open(lock_path(state)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => Some(read_holder(&mut file)),
            Ok(()) | Err(_) => None,
        }
    }
}

/// Device and inode of what a name means now.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|stat| (stat.dev(), stat.ino()))
}

/// A journal that is written only while it, its write-ahead log and its lock are where everybody
/// looks for them.
pub struct Guarded {
    disk: Arc<dyn Storage>,
    lock: Arc<Lock>,
    state: PathBuf,
    identity: Option<(u64, u64)>,
    /// `SQLite` keeps one log for as long as a database is open.
    log: Option<(u64, u64)>,
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guarded({})", self.state.display())
    }
}

impl Guarded {
    /// Guards an open journal, whose file is `state`, by the lock that was taken for it.
    pub fn new(disk: Arc<dyn Storage>, state: &Path, lock: Arc<Lock>) -> Self {
        let log = identity(&beside(state, "-wal"));
        Self { disk, lock, state: state.to_owned(), identity: identity(state), log }
    }
}

impl Storage for Guarded {
    fn append(&self, records: &[Record]) -> Result<(), StorageError> {
        self.check()?;
        self.disk.append(records)
    }

    fn check(&self) -> Result<(), StorageError> {
        let now = identity(&self.state);
        let is_there = now.is_some() && now == self.identity;
        let log = identity(&beside(&self.state, "-wal"));
        if is_there && self.log.is_none_or(|it| log == Some(it)) && self.lock.is_there() {
            return Ok(());
        }
        let what = if is_there {
            "its log (`-wal`) or its lock was removed or replaced while this process had it open, \
             so that a crash would lose what is written, or another agent could start beside it; \
             start again"
        } else {
            "it was removed or replaced while this process had it open, so that another agent \
             could start beside it; put it back from a copy, or start again without it: what bears \
             our mark and is declared is ours again, and nothing else is deleted"
        };
        let message = format!("state `{}`: {what}", self.state.display());
        Err(StorageError { message })
    }

    fn load(&self) -> Result<State, StorageError> {
        self.disk.load()
    }
}

fn lock_path(state: &Path) -> PathBuf {
    beside(state, ".lock")
}

/// The file whose name is this one's with `suffix` behind it, whatever dots are in it: `X` and
/// `.lock` make `X.lock`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(HOLDER_MAX).read_to_string(&mut text);
    match read {
        Ok(_) if !text.is_empty() => text,
        // The other process has the lock but has not written yet.
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}
