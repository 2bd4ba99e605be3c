//! Reading a state without changing one byte of its directory.
//!
//! Even a reader of `SQLite` may create `-shm` files, recover a journal or check-point, and a copy
//! elsewhere would outlive a command that is interrupted, secrets and all. So the files are read
//! where they lie, without locks and shared memory, at a moment in which none of them moves.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::lock::{Lock, beside};
use super::sqlite::{self, Line};
use crate::journal::{Identity, State};
use crate::port::StorageError;

/// How often a reading is tried while another process writes.
const ATTEMPTS_MAX: u32 = 40;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(25);

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// How long ago the last write must be. Longer than a tick of any kernel, which is how exact
/// the time of a write is.
const STILL_NANOS: i128 = 100_000_000;

/// A state as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// What belongs to it for ever.
    pub identity: Identity,
    /// The fold.
    pub state: State,
}

impl Offline {
    /// Reads a state that an agent may or may not have open. `None`: there is none.
    ///
    /// # Errors
    /// A file that cannot be read, a damaged or newer state.
    pub fn read(path: &Path) -> Result<Option<Self>, StorageError> {
        Ok(read(path, 0, None)?.map(|(identity, state, _)| Self { identity, state }))
    }

    /// The last `limit` operations, approvals and adoptions of its history, newest first, of one
    /// resource if `id` is given. `None`: there is no state.
    ///
    /// # Errors
    /// As [`Offline::read`].
    pub fn history(
        path: &Path,
        limit: u32,
        id: Option<&str>,
    ) -> Result<Option<Vec<Line>>, StorageError> {
        Ok(read(path, limit, id)?.map(|(_, _, lines)| lines))
    }
}

type Contents = (Identity, State, Vec<Line>);

fn read(path: &Path, limit: u32, id: Option<&str>) -> Result<Option<Contents>, StorageError> {
    let mut said = String::new();
    for _ in 0..ATTEMPTS_MAX {
        if Lock::holder(path).is_none() {
            return look(path, |connection| sqlite::read(connection, limit, id));
        }
        // An agent writes to it all the time, so that no quiet moment may come; `SQLite` lets us
        // read beside it, but for the moment at which the agent makes or removes the log.
        match sqlite::shared(path).and_then(|connection| sqlite::read(connection, limit, id)) {
            Ok(contents) => return Ok(Some(contents)),
            Err(error) => said = error,
        }
        std::thread::sleep(PAUSE);
    }
    Err(failed(path, &said))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> StorageError {
    StorageError { message: format!("state `{}`: {error}", path.display()) }
}

/// Reads a database where it lies, without a copy and without a trace, at a moment in which
/// nobody writes to it. `None`: there is none.
///
/// `read` gets it opened for reading only. It may be called again; what it returned before does
/// not count.
///
/// # Errors
/// Files that cannot be read, or that keep moving; what `read` says.
pub fn look<T>(
    path: &Path,
    read: impl Fn(Connection) -> Result<T, String>,
) -> Result<Option<T>, StorageError> {
    let mut said = None;
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let before = stamps(path).map_err(|error| failed(path, &error))?;
        let [Some(file), log, journal] = &before else { return Ok(None) };
        if journal.is_some() {
            return Err(failed(path, &UNFINISHED));
        }
        // A write of the same tick of the kernel's clock could not be told from none.
        if ![Some(file), log.as_ref()].into_iter().flatten().all(Stamp::is_still) {
            continue;
        }
        let result = sqlite::still(path, log.is_some()).and_then(&read);
        if stamps(path).map_err(|error| failed(path, &error))? == before {
            return result.map(Some).map_err(|error| failed(path, &error));
        }
        said = result.err();
    }
    let moving = "another process keeps writing to it".to_owned();
    Err(failed(path, &said.unwrap_or(moving)))
}

/// Only a process that writes can take it back.
const UNFINISHED: &str = "a write to it was cut off before the first agent ran; start the agent, \
                          or run `reconciler --once`";

/// What changes with every write to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    /// Since 1970, of the last change.
    nanos: i128,
}

impl Stamp {
    /// Whether the last write was long enough ago. One of tomorrow was made under another clock.
    fn is_still(&self) -> bool {
        let now = i128::try_from(super::clock::since_1970().as_nanos()).unwrap_or(i128::MAX);
        (now - self.nanos).abs() >= STILL_NANOS
    }
}

/// The database, its write-ahead log, its rollback journal.
fn stamps(path: &Path) -> io::Result<[Option<Stamp>; 3]> {
    let stamp = |suffix| {
        let stat = present(fs::metadata(beside(path, suffix)))?;
        io::Result::Ok(stat.map(|stat| Stamp {
            inode: stat.ino(),
            size: stat.size(),
            nanos: i128::from(stat.mtime()) * NANOS_PER_SECOND + i128::from(stat.mtime_nsec()),
        }))
    };
    Ok([stamp("")?, stamp("-wal")?, stamp("-journal")?])
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::adapter::sqlite::Sqlite;
    use crate::model::FingerprintKey;

    #[test]
    fn a_database_is_read_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        // Each of these means something in the name that the database is opened by.
        let path = dir.path().join("a b?c#d%41ä.db");
        let key = FingerprintKey([7; 32]);
        assert!(look(&path, |connection| sqlite::read(connection, 0, None)).unwrap().is_none());
        let storage = Sqlite::open(&path, &key).unwrap();
        storage.claim("embedded").unwrap();
        // As a killed process leaves it: all that was written is in the log.
        let left = dir.path().join("left.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&left, suffix)).unwrap();
        }
        drop(storage);
        // As a reader beside a writer leaves it that ended meanwhile: the log is empty. An agent
        // that begins now goes on with that file.
        let empty = dir.path().join("empty.db");
        fs::copy(&path, &empty).unwrap();
        fs::write(beside(&empty, "-wal"), "").unwrap();
        for path in [path, left, empty] {
            let before = everything(dir.path());
            let read = look(&path, |connection| sqlite::read(connection, 0, None)).unwrap();
            let (identity, _, _) = read.unwrap();
            assert_eq!(identity.key, key);
            assert_eq!(identity.control_plane.as_deref(), Some("embedded"));
            assert_eq!(everything(dir.path()), before);
        }
    }

    #[test]
    fn what_moves_meanwhile_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let run = |sql| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        run("CREATE TABLE a (x INTEGER)");
        let calls = std::cell::Cell::new(0);
        let read = look(&path, |_| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 {
                run("CREATE TABLE b (y INTEGER)");
            }
            Ok(calls.get())
        });
        assert_eq!(read.unwrap(), Some(2), "the first reading does not count");
        fs::write(dir.path().join("state.db-journal"), "x").unwrap();
        let error = look(&path, |_| Ok(())).unwrap_err();
        assert!(error.message.contains("reconciler --once"), "{error}");
    }

    fn everything(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        all.sort();
        all
    }
}
