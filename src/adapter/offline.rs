//! Reading a state without changing one byte of its directory.
//!
//! Even a reader of `SQLite` may create `-shm` files, recover a journal or check-point, so the
//! files are copied away and the copy is opened.

use std::fs;
use std::io;
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

    /// The last `limit` records of its history, newest first, of one resource if `id` is given.
    /// `None`: there is no state.
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
    let Some(copy) = copy(path)? else { return Ok(None) };
    sqlite::read_copy(copy.path(), Whose::Ours, limit, id).map(Some).map_err(|error| failed(&error))
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
    let Some(parts) = settled_parts(path).map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    let scratch = Scratch::make().map_err(|error| failed(&error))?;
    let file = scratch.0.join("copy.db");
    for (suffix, bytes) in PARTS.iter().zip(parts) {
        if let Some(bytes) = bytes {
            fs::write(with_suffix(&file, suffix), bytes).map_err(|error| failed(&error))?;
        }
    }
    Ok(Some(Copied { file, _scratch: scratch }))
}

type Parts = [Option<Vec<u8>>; 3];

/// The bytes of all parts, from a moment in which none of them moved.
fn settled_parts(path: &Path) -> io::Result<Option<Parts>> {
    for _ in 0..ATTEMPTS_MAX {
        let before = stamps(path)?;
        let first = read_parts(path)?;
        // Time stamps are coarser than writes: the bytes must be the same twice as well.
        if first == read_parts(path)? && before == stamps(path)? {
            return Ok(first.first().is_some_and(Option::is_some).then_some(first));
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process keeps writing to it"))
}

fn read_parts(path: &Path) -> io::Result<Parts> {
    let mut parts = Parts::default();
    for (part, suffix) in parts.iter_mut().zip(PARTS) {
        *part = present(fs::read(with_suffix(path, suffix)))?;
    }
    Ok(parts)
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
