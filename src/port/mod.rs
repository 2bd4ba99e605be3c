//! The outside world as a few small traits. Deliberately absent: implementations.

pub mod calls;
mod commands;
mod pages;
pub mod servers;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::journal::{Record, State};
use crate::manifest::Snapshot;
use crate::model::Now;

pub use self::commands::{Commands, NotText, RunError};

/// Time.
pub trait Clock: Send + Sync {
    /// Monotonic and calendar time.
    fn now(&self) -> Now;
}

/// Randomness, one stream per purpose, so that a new draw here does not shift another there.
pub trait Entropy: Send + Sync {
    /// The stream of that purpose.
    fn stream(&self, purpose: &'static str) -> fastrand::Rng;
}

/// The source directory.
pub trait Files: Send + Sync {
    /// Reads everything that is included, and proves that nothing moved meanwhile.
    ///
    /// # Errors
    /// Why no consistent reading could be had: wait and read again, it does not mean empty.
    fn read(&self) -> impl Future<Output = Result<Snapshot, NotYet>> + Send;
}

/// Why the source cannot be read just now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotYet {
    /// For people, lower case.
    pub reason: String,
}

/// The journal's disk.
pub trait Storage: Send + Sync {
    /// Appends, in one transaction; durable when it returns.
    ///
    /// # Errors
    /// The disk's. The engine stops writing to the cluster.
    fn append(&self, records: &[Record]) -> Result<(), StorageError>;

    /// Whether it is still where everybody looks for it. Asked now and then while nothing is
    /// written.
    ///
    /// # Errors
    /// It is not; what to do.
    fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// The fold of everything on disk.
    ///
    /// # Errors
    /// A damaged or newer state.
    fn load(&self) -> Result<State, StorageError>;
}

/// What the disk said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    /// With the path.
    pub message: String,
}

/// A control plane: Teleport, or the embedded one.
pub trait Cluster: Send + Sync {
    /// One unary call: path, request bytes, answer bytes.
    ///
    /// # Errors
    /// The server's status, or that there was no answer.
    fn call(
        &self,
        path: &'static str,
        request: Bytes,
        deadline: Duration,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send;

    /// Whether the server at the other end of this connection was found to lack a method.
    fn lacks(&self, _path: &'static str) -> bool {
        false
    }

    /// Remembers that it does, for as long as the connection lasts.
    fn found_lacking(&self, _path: &'static str) {}
}

/// gRPC codes, and the one that is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallCode {
    /// 1, 4, or the connection broke: the call may or may not have happened.
    NoAnswer,
    /// 2: anything; may or may not have happened.
    Unknown,
    /// 3: the author must act.
    InvalidArgument,
    /// 5.
    NotFound,
    /// 6.
    AlreadyExists,
    /// 7.
    PermissionDenied,
    /// 8.
    ResourceExhausted,
    /// 9: the revision moved.
    FailedPrecondition,
    /// 12.
    Unimplemented,
    /// 14 before the request was sent.
    Unavailable,
    /// Nothing was sent, and nothing will be before a person has acted: the server is of another
    /// cluster or cannot be trusted, or the identity is over.
    Barred,
    /// 13, 15, 16, 10, 11: may or may not have happened.
    Internal,
}

impl CallCode {
    /// What becomes of a write that ended so, and what a person can do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NoAnswer | Self::Unknown | Self::Internal => {
                "whether it happened is read back before anything is tried again"
            }
            Self::InvalidArgument => {
                "it waits for its author: correct the manifest, which is tried at once; as it is, \
                 it is tried again every 10 minutes or so"
            }
            Self::PermissionDenied => {
                "one of the identity's roles must allow it (`reconciler doctor` prints the rule \
                 that is missing); it is tried again every 10 minutes or so"
            }
            Self::Unimplemented => {
                "this server does not have the call: a newer one, or no such manifest; it is \
                 tried again every 10 minutes or so"
            }
            Self::AlreadyExists => "what exists is read before anything else is done",
            Self::NotFound | Self::FailedPrecondition => {
                "it changed meanwhile: it is read and planned again"
            }
            Self::ResourceExhausted | Self::Unavailable => "it is tried again later",
            Self::Barred => "nothing is sent until that is mended",
        }
    }
}

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct CallError {
    /// Decide by this.
    pub code: CallCode,
    /// The server's text; for people only.
    pub message: String,
}
