//! `KIND` and `KIND/NAME` on the command line, as tctl takes them.

use crate::kind::{self, KINDS, Kind};
use crate::model::ResourceId;

/// Reads `KIND` or `KIND/NAME`.
///
/// # Errors
/// A word that is no kind; lists those that are.
pub(super) fn parse(text: &str) -> Result<(&'static Kind, Option<ResourceId>), String> {
    let (word, name) = match text.split_once('/') {
        Some((word, name)) => (word, Some(name)),
        None => (text, None),
    };
    let Some(kind) = kind::find_word(word) else {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name.as_str()).collect();
        return Err(format!("unknown kind `{word}`; known are {}", known.join(", ")));
    };
    match name {
        None => Ok((kind, None)),
        Some("") => Err(format!("`{text}` names no resource; write {}/NAME", kind.name)),
        Some(name) => Ok((kind, Some(ResourceId::parent(kind.name, name)))),
    }
}

/// Reads `KIND/NAME`.
///
/// # Errors
/// As [`parse`], and a kind alone.
pub(super) fn parse_one(text: &str) -> Result<(&'static Kind, ResourceId), String> {
    match parse(text)? {
        (kind, Some(id)) => Ok((kind, id)),
        (kind, None) => Err(format!("`{text}` names no resource; write {}/NAME", kind.name)),
    }
}
