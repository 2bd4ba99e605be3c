//! Rows of the state database, each way.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::error::RowError;
use crate::journal::{
    Deleted, Entry, Identity, OpId, Open, Outcome, Record, RunId, State, Touched, parse_id,
};
use crate::labels::value::Command;
use crate::model::{FingerprintKey, Timestamp, Verb};

/// One operation, approval or adoption, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What was recorded first; never [`Record::Settled`].
    pub record: Record,
    /// How it ended; absent for what is in doubt, and for what is no operation.
    pub outcome: Option<Outcome>,
}

/// [`Open`] as it stands in its row.
#[derive(Serialize, Deserialize)]
struct Intent {
    id: String,
    verb: Verb,
    entry: Option<Entry>,
    before: Option<String>,
    /// Absent in what versions before 3 wrote.
    #[serde(default)]
    approved: bool,
    at: Timestamp,
}

/// The columns that history is searched by.
struct Columns {
    at: Timestamp,
    run: Option<RunId>,
    op: Option<OpId>,
    id: Option<String>,
    verb: Option<Verb>,
    outcome: Option<&'static str>,
}

fn json<T: for<'a> Deserialize<'a>>(text: &str, table: &str) -> Result<T, RowError> {
    // The text of serde's error may quote the cell, which may hold what people typed.
    serde_json::from_str(text).map_err(|error| {
        RowError::Cell(format!("a row of `{table}` is not readable at column {}", error.column()))
    })
}

fn to_json<T: Serialize>(value: &T) -> Result<String, RowError> {
    serde_json::to_string(value).map_err(|error| RowError::Cell(error.to_string()))
}

fn meta<T: rusqlite::types::FromSql>(
    connection: &Connection,
    key: &str,
) -> Result<Option<T>, RowError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

fn set_meta(connection: &Connection, key: &str, value: &[u8]) -> Result<(), RowError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
    Ok(())
}

fn number(connection: &Connection, key: &str) -> Result<u64, RowError> {
    match meta::<Vec<u8>>(connection, key)? {
        None => Ok(0),
        Some(bytes) => bytes
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| RowError::Cell(format!("`{key}` in `meta` is not a number"))),
    }
}

pub(super) fn set_key_once(connection: &Connection, key: &FingerprintKey) -> Result<(), RowError> {
    connection.execute(
        "INSERT OR IGNORE INTO meta (key, value) VALUES ('fingerprint_key', ?1)",
        params![key.0.as_slice()],
    )?;
    Ok(())
}

pub(super) fn set_control_plane(connection: &Connection, name: &str) -> Result<(), RowError> {
    set_meta(connection, "control_plane", name.as_bytes())
}

pub(super) fn identity(connection: &Connection) -> Result<Identity, RowError> {
    let key: Vec<u8> = meta(connection, "fingerprint_key")?
        .ok_or_else(|| RowError::Cell("the fingerprint key is missing".to_owned()))?;
    let key = key
        .try_into()
        .map_err(|_| RowError::Cell("the fingerprint key has not 32 bytes".to_owned()))?;
    let control_plane = meta::<Vec<u8>>(connection, "control_plane")?
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| RowError::Cell("the control plane's name is not text".to_owned()))?;
    Ok(Identity { key: FingerprintKey(key), control_plane })
}

/// Reads the fold.
pub(super) fn load(connection: &Connection) -> Result<State, RowError> {
    let mut state = State {
        next_op: number(connection, "next_op")?,
        next_run: number(connection, "next_run")?,
        ..State::default()
    };
    let mut statement = connection.prepare("SELECT id, entry FROM inventory")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let entry: Entry =
            json(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, "inventory")?;
        match parse_id(&id) {
            Some(known) => state.inventory.insert(known, entry),
            None => state.unknown.insert(id, entry),
        };
    }
    let mut statement = connection.prepare("SELECT op, intent FROM open")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let op = OpId(u64::try_from(row.get::<_, i64>(0)?)?);
        let Intent { id, verb, entry, before, approved, at } =
            json(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, "open")?;
        if op.0 >= state.next_op {
            return Err(RowError::Cell(format!(
                "operation {} is open but was never numbered",
                op.0
            )));
        }
        state.open.insert(op, Open { id, verb, entry, before, approved, at });
    }
    let mut statement = connection.prepare("SELECT command, known FROM labels")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cell = |index| row.get_ref(index)?.as_str().map_err(rusqlite::Error::from);
        let command: Command = json(cell(0)?, "labels")?;
        state.labels.insert(Arc::new(command), json(cell(1)?, "labels")?);
    }
    let mut statement = connection.prepare("SELECT hash, expires FROM approvals")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        state.approvals.insert(row.get(0)?, Timestamp(row.get(1)?));
    }
    let mut statement = connection.prepare("SELECT op, id, at FROM deleted")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let op = OpId(u64::try_from(row.get::<_, i64>(0)?)?);
        state.deleted.insert(op, Deleted { id: row.get(1)?, at: Timestamp(row.get(2)?) });
    }
    Ok(state)
}

/// Writes the rows that `touched` names, and the counters.
pub(super) fn write_state(
    connection: &Connection,
    state: &State,
    touched: &Touched,
) -> Result<(), RowError> {
    let Touched { inventory, open, approvals, deleted, labels } = touched;
    write_deleted(connection, state, deleted)?;
    for command in labels {
        let key = to_json(command)?;
        match state.labels.get(command) {
            Some(known) => connection
                .prepare_cached("INSERT OR REPLACE INTO labels (command, known) VALUES (?1, ?2)")?
                .execute(params![key, to_json(known)?])?,
            None => connection
                .prepare_cached("DELETE FROM labels WHERE command = ?1")?
                .execute([key])?,
        };
    }
    for id in inventory {
        match state.entry(id) {
            Some(entry) => connection
                .prepare_cached("INSERT OR REPLACE INTO inventory (id, entry) VALUES (?1, ?2)")?
                .execute(params![id, to_json(entry)?])?,
            None => {
                connection.prepare_cached("DELETE FROM inventory WHERE id = ?1")?.execute([id])?
            }
        };
    }
    for op in open {
        match state.open.get(op) {
            Some(Open { id, verb, entry, before, approved, at }) => {
                let intent = Intent {
                    id: id.clone(),
                    verb: *verb,
                    entry: entry.clone(),
                    before: before.clone(),
                    approved: *approved,
                    at: *at,
                };
                connection
                    .prepare_cached("INSERT OR REPLACE INTO open (op, intent) VALUES (?1, ?2)")?
                    .execute(params![i64::try_from(op.0)?, to_json(&intent)?])?
            }
            None => connection
                .prepare_cached("DELETE FROM open WHERE op = ?1")?
                .execute([i64::try_from(op.0)?])?,
        };
    }
    for hash in approvals {
        match state.approvals.get(hash) {
            Some(expires) => connection
                .prepare_cached("INSERT OR REPLACE INTO approvals (hash, expires) VALUES (?1, ?2)")?
                .execute(params![hash, expires.0])?,
            None => connection
                .prepare_cached("DELETE FROM approvals WHERE hash = ?1")?
                .execute([hash])?,
        };
    }
    set_meta(connection, "next_op", &state.next_op.to_be_bytes())?;
    set_meta(connection, "next_run", &state.next_run.to_be_bytes())
}

/// Writes these rows of what was deleted lately.
fn write_deleted(
    connection: &Connection,
    state: &State,
    deleted: &BTreeSet<OpId>,
) -> Result<(), RowError> {
    for op in deleted {
        let key = i64::try_from(op.0)?;
        match state.deleted.get(op) {
            Some(Deleted { id, at }) => connection
                .prepare_cached("INSERT OR REPLACE INTO deleted (op, id, at) VALUES (?1, ?2, ?3)")?
                .execute(params![key, id, at.0])?,
            None => {
                connection.prepare_cached("DELETE FROM deleted WHERE op = ?1")?.execute([key])?
            }
        };
    }
    Ok(())
}

/// Adds to the history. `before` is the state that the record meets.
pub(super) fn insert_record(
    connection: &Connection,
    record: &Record,
    before: &State,
) -> Result<(), RowError> {
    if matches!(record, Record::Label { .. }) {
        return Ok(());
    }
    let Columns { at, run, op, id, verb, outcome } = columns(connection, record, before)?;
    let mut record = record.clone();
    if let Record::Intended { entry, .. } = &mut record {
        // It stands in the inventory, or in the open operation; history needs it no third time.
        *entry = None;
    }
    connection
        .prepare_cached(
            "INSERT INTO records (at, run, op, id, verb, outcome, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            at.0,
            run.map(|run| i64::try_from(run.0)).transpose()?,
            op.map(|op| i64::try_from(op.0)).transpose()?,
            id,
            verb.map(|verb| verb.to_string()),
            outcome,
            to_json(&record)?
        ])?;
    Ok(())
}

fn columns(connection: &Connection, record: &Record, before: &State) -> Result<Columns, RowError> {
    let none =
        |at: Timestamp| Columns { at, run: None, op: None, id: None, verb: None, outcome: None };
    Ok(match record {
        Record::Intended { op, run, id, verb, reason: _, before: _, entry: _, approval: _, at } => {
            Columns {
                run: Some(*run),
                op: Some(*op),
                id: Some(id.clone()),
                verb: Some(*verb),
                ..none(*at)
            }
        }
        Record::Settled { op, outcome, at } => {
            let open = before.open.get(op);
            Columns {
                run: run_of(connection, *op)?,
                op: Some(*op),
                id: open.map(|open| open.id.clone()),
                verb: open.map(|open| open.verb),
                outcome: Some(match outcome {
                    Outcome::Done { revision: _ } => "done",
                    Outcome::Refused { error: _ } => "refused",
                    Outcome::NotDone => "not_done",
                }),
                ..none(*at)
            }
        }
        Record::Adopted { id, entry: _, at } => Columns {
            id: Some(id.clone()),
            verb: Some(Verb::Adopt),
            outcome: Some("done"),
            ..none(*at)
        },
        Record::Forgotten { id, at } => Columns { id: Some(id.clone()), ..none(*at) },
        Record::Approved { hash: _, expires: _, at } => none(*at),
        Record::Label { command: _, known: _ } => none(Timestamp(0)),
    })
}

/// The run of an operation's intent; absent when history no longer reaches back to it.
fn run_of(connection: &Connection, op: OpId) -> Result<Option<RunId>, RowError> {
    let run: Option<i64> = connection
        .prepare_cached("SELECT run FROM records WHERE op = ?1 AND run IS NOT NULL")?
        .query_row([i64::try_from(op.0)?], |row| row.get(0))
        .optional()?;
    Ok(run.map(u64::try_from).transpose()?.map(RunId))
}

/// Drops the oldest lines beyond `keep`.
pub(super) fn cut_history(connection: &Connection, keep: u64) -> Result<(), RowError> {
    connection
        .prepare_cached(
            "DELETE FROM records WHERE seq <= (SELECT coalesce(max(seq), 0) FROM records) - ?1",
        )?
        .execute([i64::try_from(keep)?])?;
    Ok(())
}

/// Counts operations, not records: what settles one may lie far behind what began it.
pub(super) fn history(
    connection: &Connection,
    limit: u32,
    id: Option<&str>,
) -> Result<Vec<Line>, RowError> {
    let mut statement = connection.prepare(
        "SELECT at, record,
                (SELECT record FROM records AS end WHERE end.op = begun.op AND end.outcome IS NOT NULL)
         FROM records AS begun
         WHERE (op IS NULL OR outcome IS NULL) AND (?1 IS NULL OR id = ?1)
         ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![id, limit])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let record: String = row.get(1)?;
        let end: Option<String> = row.get(2)?;
        let outcome = match end.map(|text| json(&text, "records")).transpose()? {
            Some(Record::Settled { outcome, .. }) => Some(outcome),
            Some(_) | None => None,
        };
        let at = Timestamp(row.get(0)?);
        lines.push(Line { at, record: json(&record, "records")?, outcome });
    }
    Ok(lines)
}
