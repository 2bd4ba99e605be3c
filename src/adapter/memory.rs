//! A journal that is forgotten with the process: for throw-away runs and tests.

use std::sync::{Mutex, PoisonError};

use crate::journal::{Record, State};
use crate::port::{Storage, StorageError};

/// Records in memory.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    records: Vec<Record>,
}

impl Memory {
    /// Everything that was appended, in order.
    pub fn records(&self) -> Vec<Record> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).records.clone()
    }
}

impl Storage for Memory {
    fn append(&self, records: &[Record]) -> Result<(), StorageError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // All or nothing, as on disk.
        let mut state = inner.state.clone();
        for record in records {
            state.replay(record).map_err(|damage| StorageError { message: damage.to_string() })?;
        }
        inner.state = state;
        inner.records.extend_from_slice(records);
        Ok(())
    }

    fn load(&self) -> Result<State, StorageError> {
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner).state.clone())
    }
}
