//! Tables of the state database, one step per version.
//!
//! A published step never changes; a new version is one more row, and one more fixture database
//! in `tests/data/journal`.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

/// Steps from an empty file: the first makes version 1, and so on.
pub(super) const STEPS: &[&str] = &[V1, V2, V3];

const V1: &str = "
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  run     INTEGER,
  op      INTEGER,
  id      TEXT,
  verb    TEXT,
  outcome TEXT,
  record  TEXT NOT NULL
) STRICT;
CREATE INDEX records_by_id ON records (id, seq);
CREATE INDEX records_by_op ON records (op);
CREATE TABLE inventory (
  id    TEXT PRIMARY KEY,
  entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE open (
  op     INTEGER PRIMARY KEY,
  intent TEXT NOT NULL
) STRICT;
CREATE TABLE approvals (
  hash    TEXT PRIMARY KEY,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

// A table without row ids keeps at most 1,002 bytes of a row in its tree and gives the rest a page
// of its own, 4 kB: entries of 1.3 kB took three times their size on disk, and in each commit.
// Values of dynamic labels; `command` is the JSON of a `labels::value::Command`.
const V2: &str = "
CREATE TABLE inventory_2 (
  id    TEXT PRIMARY KEY,
  entry TEXT NOT NULL
) STRICT;
INSERT INTO inventory_2 (id, entry) SELECT id, entry FROM inventory;
DROP TABLE inventory;
ALTER TABLE inventory_2 RENAME TO inventory;
CREATE TABLE labels (
  command TEXT PRIMARY KEY,
  known   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

// What was deleted without asking during the last day (`journal::DELETED_KEPT`), so that the delete
// share outlives the process. A clock that was set back does not hide the newest.
const V3: &str = "
CREATE TABLE deleted (
  op INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
INSERT INTO deleted (op, id, at)
  SELECT begun.op, begun.id, done.at
  FROM records AS begun JOIN records AS done ON done.op = begun.op AND done.outcome = 'done'
  WHERE begun.outcome IS NULL AND begun.verb = 'delete'
    AND json_extract(begun.record, '$.approval') IS NULL
    AND done.at > (SELECT max(at) FROM records WHERE outcome = 'done' AND verb = 'delete') - 86400000;
";

/// What a schema check found wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    /// The database's.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Written by a later program.
    #[error(
        "the state has schema version {found}, this program knows versions up to {known}; \
         use the newer `reconciler` that wrote it"
    )]
    Newer {
        /// In the file.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// There are tables, but not ours.
    #[error("this is a database of another program, not a state of `reconciler`")]
    Foreign,
}

/// The version in the file; `None` for an empty one.
pub(super) fn version(connection: &Connection) -> Result<Option<u32>, SchemaError> {
    let tables: u32 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(None);
    }
    let ours: u32 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'",
        [],
        |row| row.get(0),
    )?;
    if ours == 0 {
        return Err(SchemaError::Foreign);
    }
    connection
        .query_row("SELECT version FROM schema_version", [], |row| row.get(0))
        .optional()?
        .map_or(Err(SchemaError::Foreign), |version| Ok(Some(version)))
}

/// Whether the file is to be brought forward.
pub(super) fn is_older(connection: &Connection) -> Result<bool, SchemaError> {
    let found = version(connection)?.map(|found| usize::try_from(found).unwrap_or(usize::MAX));
    Ok(found.is_none_or(|found| found < STEPS.len()))
}

/// Brings the file to the newest of `steps`, inside the caller's transaction.
pub(super) fn migrate(transaction: &Transaction<'_>, steps: &[&str]) -> Result<(), SchemaError> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let found = version(transaction)?;
    if found.is_some_and(|found| found > known) {
        return Err(SchemaError::Newer { found: found.unwrap_or(u32::MAX), known });
    }
    if found == Some(known) {
        return Ok(());
    }
    if found.is_none() {
        transaction.execute_batch(
            "CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
             INSERT INTO schema_version VALUES (0);",
        )?;
    }
    let done = usize::try_from(found.unwrap_or(0)).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.execute("UPDATE schema_version SET version = ?1", [known])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_once_each_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        let one: &[&str] = &["CREATE TABLE a (x INTEGER)"];
        let three: &[&str] = &[
            "CREATE TABLE a (x INTEGER)",
            "INSERT INTO a VALUES (1)",
            "UPDATE a SET x = x + 41; CREATE TABLE b (y INTEGER)",
        ];
        for steps in [one, one, three, three] {
            let transaction = connection.transaction().unwrap();
            migrate(&transaction, steps).unwrap();
            transaction.commit().unwrap();
        }
        assert_eq!(version(&connection).unwrap(), Some(3));
        let x: u32 = connection.query_row("SELECT x FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 42);
        let transaction = connection.transaction().unwrap();
        let error = migrate(&transaction, one).unwrap_err();
        assert!(matches!(error, SchemaError::Newer { found: 3, known: 1 }), "{error}");
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE music (title TEXT)").unwrap();
        let transaction = connection.transaction().unwrap();
        let error = migrate(&transaction, STEPS).unwrap_err();
        assert!(matches!(error, SchemaError::Foreign), "{error}");
    }
}
