//! `KIND` and `KIND/NAME` on the command line, as tctl takes them. Where a name is a secret, the
//! digits of its fingerprint stand for it, so that it need not be typed into a shell's history.

use crate::kind::{self, KINDS, Kind};
use crate::model::{FingerprintKey, ResourceId, secret};

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
        return Err(format!("unknown kind `{word}`; known kinds: {}", known.join(", ")));
    };
    match name {
        None => Ok((kind, None)),
        Some("") => Err(format!("`{text}` does not name a resource; write {}/NAME", kind.name)),
        Some(name) => {
            let digits = Some(name).filter(|_| kind.name.has_secret_names());
            let veiled = digits.and_then(secret::fingerprint_of_digits);
            let name = veiled.as_deref().unwrap_or(name);
            Ok((kind, Some(ResourceId::parent(kind.name, name))))
        }
    }
}

/// What else a person may have meant: digits that were read as a fingerprint can be a plain name,
/// and what was typed as a name can be a secret one.
pub(super) fn other_meaning(id: &ResourceId, key: &FingerprintKey) -> Option<ResourceId> {
    if !id.kind.has_secret_names() {
        return None;
    }
    if id.is_veiled() {
        return secret::digits_of(&id.name).map(|name| ResourceId::parent(id.kind, name));
    }
    Some(id.veiled(key))
}

/// Reads `KIND/NAME`.
///
/// # Errors
/// As [`parse`], and a kind alone.
pub(super) fn parse_one(text: &str) -> Result<(&'static Kind, ResourceId), String> {
    match parse(text)? {
        (kind, Some(id)) => Ok((kind, id)),
        (kind, None) => Err(format!("`{text}` does not name a resource; write {}/NAME", kind.name)),
    }
}
