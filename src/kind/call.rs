//! The bytes of calls, from the rows of the table. Sans I/O: whoever has a
//! `port::Cluster` sends them.

use bytes::Bytes;

use super::Kind;
use super::canonical::WireError;
use crate::live::Live;
use crate::model::{Cluster, KindName, ResourceId, Revision};

/// A call ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// gRPC path.
    pub path: &'static str,
    /// The encoded request.
    pub body: Bytes,
}

/// Asks for a page of a kind; `token` empty: the first.
pub fn list(_kind: &Kind, _token: &str) -> Request {
    todo!("kinds helper")
}

/// One page: resources that could be read, what was wrong with the others, the next token
/// (empty at the end).
#[derive(Debug)]
pub struct ListPage {
    /// Readable ones.
    pub items: Vec<Live>,
    /// One entry for each that was not.
    pub broken: Vec<WireError>,
    /// Empty at the end.
    pub next: String,
}

/// Reads the answer to [`list`].
///
/// # Errors
/// Bytes that are not such an answer.
pub fn listed(_kind: &Kind, _cluster: &Cluster, _answer: Bytes) -> Result<ListPage, WireError> {
    todo!("kinds helper")
}

/// Asks for one resource.
pub fn get(_kind: &Kind, _name: &str) -> Request {
    todo!("kinds helper")
}

/// Reads the answer to [`get`].
///
/// # Errors
/// Bytes that are not such an answer.
pub fn got(_kind: &Kind, _cluster: &Cluster, _answer: Bytes) -> Result<Live, WireError> {
    todo!("kinds helper")
}

/// Creates from an encoded resource.
pub fn create(_kind: &Kind, _message: Bytes) -> Request {
    todo!("kinds helper")
}

/// Updates with an encoded resource; `None` for a kind without an update.
pub fn update(_kind: &Kind, _message: Bytes) -> Option<Request> {
    todo!("kinds helper")
}

/// Deletes by name.
pub fn delete(_kind: &Kind, _name: &str) -> Request {
    todo!("kinds helper")
}

/// The revision in the answer to a create or update, where the call returns the resource.
pub fn revision(_kind: &Kind, _answer: &[u8]) -> Option<Revision> {
    todo!("kinds helper")
}

/// Asks to watch all kinds that can be watched. Path `/proto.AuthService/WatchEvents`.
pub fn watch(_kinds: &[&Kind]) -> Request {
    todo!("kinds helper")
}

/// One event of a watch.
#[derive(Debug)]
pub enum Watched {
    /// The first: these kinds are confirmed.
    Opened(Vec<KindName>),
    /// It is like this now.
    Put(Live),
    /// It is gone.
    Gone(ResourceId),
    /// Nothing of ours.
    Other,
}

/// Reads one event.
///
/// # Errors
/// Bytes that are not an event, or a resource in it that cannot be read: list again.
pub fn watched(_cluster: &Cluster, _event: Bytes) -> Result<Watched, WireError> {
    todo!("kinds helper")
}
