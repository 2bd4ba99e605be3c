//! The journal on disk: `SQLite`, one file, 0600.
//!
//! `inventory`, `open`, `approvals`, `deleted` and `meta` are the fold of all records; `records` is
//! history for people and is cut at [`HISTORY_MAX`]. Both change in one transaction.

mod error;
mod rows;
mod schema;

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::error::RowError;
pub use self::rows::Line;
use crate::journal::{Identity, Record, State, Touched};
use crate::model::FingerprintKey;
use crate::port::{Storage, StorageError};

/// Records kept as history. A record takes about 1 kB (it holds the applied spec), so the file
/// stays near 100 MB; the inventory does not depend on them.
pub const HISTORY_MAX: u64 = 100_000;

/// How long a statement waits for another process's lock on the file, which only tools such as
/// `sqlite3` can hold: the agent itself holds [`super::lock::Lock`].
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A state database, opened for writing.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// What is on disk; absent after a failed append, until it is read again.
    state: Option<State>,
}

impl Sqlite {
    /// Opens the database, or makes it (directory 0700, file 0600) with `key` as its fingerprint
    /// key; an existing one keeps its own. Brings an older schema forward.
    ///
    /// The caller holds [`super::lock::Lock`] for this path.
    ///
    /// # Errors
    /// The disk's; a damaged database; one with a newer schema, or of another program.
    pub fn open(path: &Path, key: &FingerprintKey) -> Result<Self, StorageError> {
        let failed = |error: &dyn std::fmt::Display| at(path, error);
        create_private(path).map_err(|error| failed(&error))?;
        // No URI names, no symbolic links: the path means one file.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| failed(&error))?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
            )
            .map_err(|error| failed(&error))?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(&error))?;
        schema::migrate(&transaction, schema::STEPS).map_err(|error| failed(&error))?;
        rows::set_key_once(&transaction, key).map_err(|error| failed(&error))?;
        transaction.commit().map_err(|error| failed(&error))?;
        sync_parent(path).map_err(|error| failed(&error))?;
        let state = rows::load(&connection).map_err(|error| failed(&error))?;
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(Inner { connection, state: Some(state) }),
        })
    }

    /// What belongs to this state for ever.
    ///
    /// # Errors
    /// The disk's.
    pub fn identity(&self) -> Result<Identity, StorageError> {
        self.with(|inner| rows::identity(&inner.connection))
    }

    /// Whether the state is free, or belongs to this control plane. Writes nothing: an identity
    /// that has not reached its server proves nothing.
    ///
    /// # Errors
    /// It belongs to another one; the message says what to do.
    pub fn belongs(&self, control_plane: &str) -> Result<(), StorageError> {
        self.with(|inner| bound(&inner.connection, control_plane).map(|_| ()))
    }

    /// Binds the state to a control plane whose server has answered, the first time; from then on
    /// only that one is right.
    ///
    /// # Errors
    /// The state belongs to another control plane; the message says what to do.
    pub fn claim(&self, control_plane: &str) -> Result<(), StorageError> {
        self.with(|inner| match bound(&inner.connection, control_plane)? {
            Some(bound) if bound == control_plane => Ok(()),
            // While its authorities are rotated, the new ones count as well from now on.
            Some(_) | None => rows::set_control_plane(&inner.connection, control_plane),
        })
    }

    /// The last `limit` operations, approvals and adoptions, newest first, of one resource if `id`
    /// is given.
    ///
    /// # Errors
    /// The disk's.
    pub fn history(&self, limit: u32, id: Option<&str>) -> Result<Vec<Line>, StorageError> {
        self.with(|inner| rows::history(&inner.connection, limit, id))
    }

    fn with<T>(
        &self,
        job: impl FnOnce(&mut Inner) -> Result<T, RowError>,
    ) -> Result<T, StorageError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        job(&mut inner).map_err(|error| at(&self.path, &error))
    }
}

impl Storage for Sqlite {
    fn append(&self, records: &[Record]) -> Result<(), StorageError> {
        self.with(|inner| {
            // Taken out: whatever goes wrong below, the next use reads the disk again.
            let mut state = match inner.state.take() {
                Some(state) => state,
                None => rows::load(&inner.connection)?,
            };
            let transaction =
                inner.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut touched = Touched::default();
            for record in records {
                rows::insert_record(&transaction, record, &state)?;
                touched.merge(state.replay(record)?);
            }
            rows::write_state(&transaction, &state, &touched)?;
            rows::cut_history(&transaction, HISTORY_MAX)?;
            transaction.commit()?;
            inner.state = Some(state);
            Ok(())
        })
    }

    fn load(&self) -> Result<State, StorageError> {
        self.with(|inner| {
            let state = rows::load(&inner.connection)?;
            inner.state = Some(state.clone());
            Ok(state)
        })
    }
}

/// What the state is bound to, unless that is another control plane.
fn bound(connection: &Connection, wanted: &str) -> Result<Option<String>, RowError> {
    match rows::identity(connection)?.control_plane {
        Some(bound) if !same_control_plane(&bound, wanted) => {
            Err(RowError::OtherControlPlane { bound, wanted: wanted.to_owned() })
        }
        bound => Ok(bound),
    }
}

/// Whether two names mean one control plane: `KIND:NAME:AUTHORITIES` with `+` between the
/// authorities, of which one in common is enough, because they are rotated one by one.
pub fn same_control_plane(bound: &str, wanted: &str) -> bool {
    let (Some((bound_name, bound)), Some((name, wanted))) =
        (bound.rsplit_once(':'), wanted.rsplit_once(':'))
    else {
        return bound == wanted;
    };
    bound_name == name && bound.split('+').any(|one| wanted.split('+').any(|other| one == other))
}

/// Opens a database for reading only, beside a process that may write to it: `SQLite`'s locks are
/// kept.
pub(super) fn shared(path: &Path) -> Result<Connection, String> {
    for_reading(path, "mode=ro").map_err(|error| RowError::from(error).to_string())
}

/// Opens a database for reading only that nobody has open, as far as is known. There are no locks,
/// which would be a trace, and the index of its log, if it has one, is in memory.
pub(super) fn still(path: &Path, has_log: bool) -> Result<Connection, String> {
    let how = if has_log { "mode=ro&vfs=unix-none" } else { "mode=ro&immutable=1" };
    let exclusive =
        |it: Connection| it.pragma_update(None, "locking_mode", "EXCLUSIVE").map(|()| it);
    let opened = for_reading(path, how).and_then(exclusive);
    opened.map_err(|error| RowError::from(error).to_string())
}

fn for_reading(path: &Path, parameters: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, parameters), flags)?;
    // Whoever closes a database last copies its log back and removes it. Without locks everybody
    // is the last, and it would be the log of an agent that has begun meanwhile, which then writes
    // into a file without a name.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Reads a database that was opened by [`shared`] or [`still`].
pub(super) fn read(
    connection: Connection,
    limit: u32,
    id: Option<&str>,
) -> Result<(Identity, State, Vec<Line>), String> {
    read_rows(connection, limit, id).map_err(|error| error.to_string())
}

fn read_rows(
    mut connection: Connection,
    limit: u32,
    id: Option<&str>,
) -> Result<(Identity, State, Vec<Line>), RowError> {
    if schema::is_older(&connection)? {
        connection = in_memory(&connection)?;
    }
    let transaction = connection.transaction()?;
    schema::migrate(&transaction, schema::STEPS)?;
    Ok((
        rows::identity(&transaction)?,
        rows::load(&transaction)?,
        rows::history(&transaction, limit, id)?,
    ))
}

/// A copy that can be brought forward. The original stays as it is.
fn in_memory(connection: &Connection) -> Result<Connection, rusqlite::Error> {
    let unique: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
    let name = format!("file:/{unique}?vfs=memdb");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI;
    // It lives as long as somebody has it open.
    let copy = Connection::open_with_flags(&name, flags)?;
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(copy)
}

/// The name by which `SQLite` opens a file with these parameters.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            uri.push(char::from(*byte));
        } else {
            let digits = [byte >> 4, byte & 0xf].into_iter();
            uri.push('%');
            uri.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
        }
    }
    format!("{uri}?{parameters}")
}

/// Makes the directory of `path`, with its parents, for the owner alone.
pub(super) fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)
        }
        Some(_) | None => Ok(()),
    }
}

fn create_private(path: &Path) -> io::Result<()> {
    make_parent(path)?;
    // SQLite gives its `-wal` and `-shm` files the mode of the database.
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

/// A new file is durable only when its directory is.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    std::fs::File::open(parent)?.sync_all()
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> StorageError {
    StorageError { message: format!("state `{}`: {error}", path.display()) }
}
