//! The plane's own database: one `SQLite` file, one table of items.
//!
//! Each call's changes are one transaction, in the file before the answer is sent (`WAL`,
//! synchronous `NORMAL`). The file is locked for as long as it is open.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::store::{Change, Item, Key};
use crate::model::Timestamp;

/// The schema that this program writes. Raise it with every change of the tables.
const SCHEMA: i64 = 1;

/// `rcpl`, so that another program's database is not taken for ours.
const APPLICATION: i64 = 0x7263_706c;

/// Mode of the file: its owner only.
const PRIVATE: u32 = 0o600;

const TABLES: &str = "
    CREATE TABLE items (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        value BLOB NOT NULL,
        revision TEXT NOT NULL,
        expires INTEGER, -- milliseconds since 1970, or never
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
";

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// What `SQLite` says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made, or not be kept from others.
    #[error("the file cannot be opened for its owner only")]
    File(#[source] std::io::Error),
    /// Written by a newer program.
    #[error("schema {found} is newer than this program's schema {SCHEMA}")]
    Newer {
        /// The file's schema.
        found: i64,
    },
    /// Another program's database.
    #[error("not a control plane's database")]
    Foreign,
}

/// Makes the file if it is missing, and readable for its owner only: it holds private keys and
/// tokens. `SQLite` gives its other files the same mode.
fn keep_private(path: &Path) -> Result<(), DiskError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(PRIVATE);
    let file = file.open(path).map_err(DiskError::File)?;
    file.set_permissions(Permissions::from_mode(PRIVATE)).map_err(DiskError::File)
}

/// Whether there is nothing in it yet.
fn check(connection: &Connection) -> Result<bool, DiskError> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |it| it.get(0))?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |it| it.get(0))?;
    let tables: Option<i64> = connection
        .query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0))
        .optional()?;
    if tables.is_some() && application != APPLICATION {
        return Err(DiskError::Foreign);
    }
    if found > SCHEMA {
        return Err(DiskError::Newer { found });
    }
    Ok(tables.is_none())
}

/// An open database.
#[derive(Debug)]
pub struct Disk {
    connection: Connection,
}

impl Disk {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// A file that is locked, damaged, newer, or another program's.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        keep_private(path)?;
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let is_empty = check(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The file survives a killed process whole. A power cut may take the last commits, never
        // a part of one: as with any cluster that came back from a backup, the agent sees it and
        // does them again. FULL would cost each call of the plane two milliseconds of disk.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let mut disk = Self { connection };
        if is_empty {
            disk.create()?;
        }
        Ok(disk)
    }

    /// Reads everything that is stored in a file that somebody opened for reading.
    ///
    /// # Errors
    /// A file that is damaged, newer, or another program's.
    pub fn look(connection: Connection) -> Result<Vec<(Key, Item)>, DiskError> {
        if check(&connection)? { Ok(Vec::new()) } else { Self { connection }.load() }
    }

    fn create(&mut self) -> Result<(), DiskError> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()?;
        Ok(())
    }

    /// Everything that is stored.
    ///
    /// # Errors
    /// What `SQLite` says.
    pub fn load(&self) -> Result<Vec<(Key, Item)>, DiskError> {
        let mut select =
            self.connection.prepare("SELECT kind, name, value, revision, expires FROM items")?;
        let rows = select.query_map([], |row| {
            let value: Vec<u8> = row.get(2)?;
            let expires: Option<i64> = row.get(4)?;
            let item = Item {
                value: value.into(),
                revision: row.get(3)?,
                expires: expires.map(Timestamp),
            };
            Ok((Key { kind: row.get(0)?, name: row.get(1)? }, item))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes the changes; when it returns, they outlive this process.
    ///
    /// # Errors
    /// What `SQLite` says. Whether the changes are stored is then unknown until the next opening.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), DiskError> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        for Change { key, before: _, after } in changes {
            match after {
                Some(item) => transaction
                    .prepare_cached("INSERT OR REPLACE INTO items VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![
                        key.kind,
                        key.name,
                        item.value.as_ref(),
                        item.revision,
                        item.expires.map(|at| at.0)
                    ])?,
                None => transaction
                    .prepare_cached("DELETE FROM items WHERE kind = ?1 AND name = ?2")?
                    .execute(params![key.kind, key.name])?,
            };
        }
        transaction.commit()?;
        Ok(())
    }
}
