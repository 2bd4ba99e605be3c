//! What goes wrong with a state database.

use rusqlite::ErrorCode;

use crate::journal::Damaged;

/// What went wrong with a row.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// The database's.
    #[error("{0}{code}", code = code(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// The tables'.
    #[error(transparent)]
    Schema(#[from] super::schema::SchemaError),
    /// A record that cannot follow.
    #[error(transparent)]
    Record(#[from] Damaged),
    /// A cell that we never write so.
    #[error("damaged: {0}")]
    Cell(String),
    /// A number beyond what the file can hold.
    #[error("a number is beyond 63 bits")]
    Number(#[from] std::num::TryFromIntError),
    /// [`super::Sqlite::claim`].
    #[error(
        "it belongs to the control plane `{bound}`, not to `{wanted}`; to manage `{wanted}`, give it \
         a state of its own (`state.path`), or move this one away first"
    )]
    OtherControlPlane {
        /// In the state.
        bound: String,
        /// Asked for.
        wanted: String,
    },
}

/// `SQLite` says "disk I/O error" of some thirty things; which one is in its extended code.
fn code(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(it) if it.code == ErrorCode::SystemIoFailure => format!(" ({})", it.extended_code),
        Some(_) | None => String::new(),
    }
}
