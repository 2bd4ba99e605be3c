//! Reading a state without changing one byte of its directory.
//!
//! Even a reader of `SQLite` may create `-shm` files, recover a journal or check-point. A file
//! that lies still is opened as one that cannot change; all else is copied away, and the copy is
//! opened.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::sqlite::{self, Line, Whose};
use crate::journal::{Identity, State};
use crate::port::StorageError;

/// How often a copy is tried while another process writes.
const ATTEMPTS_MAX: u32 = 20;

/// Files that make up one database.
const PARTS: [&str; 3] = ["", "-wal", "-journal"];

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
    let failed = |error: &dyn std::fmt::Display| StorageError {
        message: format!("state `{}`: {error}", path.display()),
    };
    if Lock::holder(path).is_some() {
        // An agent writes to it all the time, so that no quiet moment for a copy may come.
        return sqlite::read_copy(path, Whose::Agents, limit, id)
            .map(Some)
            .map_err(|error| failed(&error));
    }
    if let Some(contents) = read_still(path, limit, id) {
        return Ok(Some(contents));
    }
    let Some(copy) = copy(path)? else { return Ok(None) };
    sqlite::read_copy(copy.path(), Whose::Ours, limit, id).map(Some).map_err(|error| failed(&error))
}

/// Reads a database where it lies, if nobody writes to it: one file without its companions,
/// opened as one that cannot change, so that `SQLite` makes no file, takes no lock and recovers
/// nothing. `None` for all else, say one that moved meanwhile or has an older schema: a copy
/// will tell.
fn read_still(path: &Path, limit: u32, id: Option<&str>) -> Option<Contents> {
    let before = stamps(path).ok()?;
    let [Some(stamp), None, None] = before.as_slice() else { return None };
    // A write of the same tick of the kernel's clock could not be told from none.
    let now = i128::try_from(super::clock::since_1970().as_nanos()).ok()?;
    let written = i128::from(stamp.2) * NANOS_PER_SECOND + i128::from(stamp.3);
    if now - written < STILL_NANOS {
        return None;
    }
    let contents = sqlite::read_copy(path, Whose::Nobodys, limit, id).ok()?;
    let is_still = Lock::holder(path).is_none() && stamps(path).ok()? == before;
    is_still.then_some(contents)
}

/// A database that was copied away; removed when dropped.
#[derive(Debug)]
pub struct Copied {
    file: PathBuf,
    _scratch: Scratch,
}

impl Copied {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file
    }
}

/// Copies a database that nobody writes to just now. `None`: there is none.
///
/// # Errors
/// Files that cannot be read, or that keep moving.
pub fn copy(path: &Path) -> Result<Option<Copied>, StorageError> {
    let failed = |error: &dyn std::fmt::Display| StorageError {
        message: format!("state `{}`: {error}", path.display()),
    };
    let scratch = Scratch::make().map_err(|error| failed(&error))?;
    let file = scratch.0.join("copy.db");
    if copy_settled(path, &file).map_err(|error| failed(&error))? {
        return Ok(Some(Copied { file, _scratch: scratch }));
    }
    Ok(None)
}

/// Copies all parts as they are at a moment in which none of them moves. False: there are none.
/// Streams: a database of an embedded plane is larger than all else that a preview holds.
fn copy_settled(from: &Path, to: &Path) -> io::Result<bool> {
    for _ in 0..ATTEMPTS_MAX {
        let before = stamps(from)?;
        if before.first().is_none_or(Option::is_none) {
            return Ok(false);
        }
        let mut same = true;
        for suffix in PARTS {
            let (from, to) = (with_suffix(from, suffix), with_suffix(to, suffix));
            present(fs::remove_file(&to))?;
            present(fs::copy(&from, &to))?;
            // Time stamps are coarser than writes: the bytes must be the same twice as well.
            same = same && is_same(&from, &to)?;
        }
        if same && before == stamps(from)? {
            return Ok(true);
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process keeps writing to it"))
}

/// Whether two files have the same bytes, or are both missing.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = match (present(File::open(one))?, present(File::open(other))?) {
        (Some(one), Some(other)) => (one, other),
        (None, None) => return Ok(true),
        (Some(_), None) | (None, Some(_)) => return Ok(false),
    };
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let both = left.len().min(right.len());
        if left.get(..both) != right.get(..both) {
            return Ok(false);
        }
        if both == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        one.consume(both);
        other.consume(both);
    }
}

/// Inode, size, time of change.
type Stamp = (u64, u64, i64, i64);

fn stamps(path: &Path) -> io::Result<Vec<Option<Stamp>>> {
    PARTS
        .iter()
        .map(|suffix| {
            let stat = present(fs::metadata(with_suffix(path, suffix)))?;
            Ok(stat.map(|stat| (stat.ino(), stat.size(), stat.mtime(), stat.mtime_nsec())))
        })
        .collect()
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// A private directory that is removed again.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> io::Result<Self> {
        let name: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
        let path = std::env::temp_dir().join(format!("reconciler-{name}"));
        // Fails if it exists: nobody can prepare it for us.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!("could not remove `{}`: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::sqlite::Sqlite;
    use crate::model::FingerprintKey;

    #[test]
    fn what_lies_still_is_read_in_place_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        // Each of these means something in the name that the database is opened by.
        let path = dir.path().join("a b?c#d%41ä.db");
        let key = FingerprintKey([7; 32]);
        assert!(read_still(&path, 0, None).is_none(), "there is none");
        let storage = Sqlite::open(&path, &key).unwrap();
        storage.claim("embedded").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert!(read_still(&path, 0, None).is_none(), "there is a log beside it");
        drop(storage);
        assert!(read_still(&path, 0, None).is_none(), "it was written just now");
        std::thread::sleep(std::time::Duration::from_millis(150));
        let files = fs::read_dir(dir.path()).unwrap().count();
        let (identity, _, _) = read_still(&path, 0, None).unwrap();
        assert_eq!(identity.key, key);
        assert_eq!(identity.control_plane.as_deref(), Some("embedded"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files);
    }
}
