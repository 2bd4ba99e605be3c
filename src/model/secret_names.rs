//! Which names are secrets, when not everybody who has the name can tell.
//!
//! Whether a name is a secret stands in the resource (`kind::Kind::secret_name`). The manifest
//! and the live resource may disagree about it, because somebody changed one of them, and a watch
//! that tells of a deletion has nothing but the name. A name is a secret as soon as one of them,
//! or the journal, says so; from then on all of them mean the same id.

use std::collections::BTreeSet;

use super::{FingerprintKey, KindName, ResourceId};

/// The secret names that are known, as veiled ids.
#[derive(Debug, Clone)]
pub struct SecretNames {
    key: FingerprintKey,
    known: BTreeSet<ResourceId>,
}

impl SecretNames {
    /// Knows none.
    pub fn new(key: &FingerprintKey) -> Self {
        Self { key: key.clone(), known: BTreeSet::new() }
    }

    /// Takes in the veiled ones of these; whether one of them was new.
    pub fn learn<'a>(&mut self, ids: impl IntoIterator<Item = &'a ResourceId>) -> bool {
        let mut grown = false;
        for id in ids {
            if id.is_veiled() && !self.known.contains(id) {
                grown |= self.known.insert(id.clone());
            }
        }
        grown
    }

    /// Forgets those of a kind that nobody speaks of any more.
    pub fn retain(&mut self, kind: KindName, is_known: impl Fn(&ResourceId) -> bool) {
        self.known.retain(|id| id.kind != kind || is_known(id));
    }

    /// The id that a plain one stands for, if its name is known to be a secret.
    pub fn over(&self, id: &ResourceId) -> Option<ResourceId> {
        if self.known.is_empty() || !id.kind.has_secret_names() || id.is_veiled() {
            return None;
        }
        let veiled = id.veiled(&self.key);
        self.known.contains(&veiled).then_some(veiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_veiled_once_it_is_known_for_a_secret() {
        let key = FingerprintKey([7; 32]);
        let (tokens, roles) = (KindName::with_secret_names("token"), KindName::new("role"));
        let plain = ResourceId::parent(tokens, "hunter2");
        let veiled = plain.veiled(&key);
        assert!(veiled.is_veiled() && !veiled.to_string().contains("hunter2"), "{veiled}");
        assert_eq!(veiled.veiled(&key), veiled);
        let mut veil = SecretNames::new(&key);
        assert_eq!(veil.over(&plain), None);
        assert!(!veil.learn([&plain, &ResourceId::parent(roles, "(secret 00)")]));
        assert!(veil.learn([&veiled]) && !veil.learn([&veiled]));
        assert_eq!(veil.over(&plain), Some(veiled.clone()));
        assert_eq!(veil.over(&veiled), None);
        veil.retain(roles, |_| false);
        assert_eq!(veil.over(&plain), Some(veiled.clone()), "it is of another kind");
        veil.retain(tokens, |id| *id == veiled);
        assert_eq!(veil.over(&plain), Some(veiled.clone()), "it is spoken of");
        assert_eq!(veil.over(&ResourceId::parent(tokens, "other")), None);
        assert_eq!(veil.over(&ResourceId::parent(roles, "hunter2")), None);
        assert!(!format!("{veil:?} {plain:?}").contains("hunter2"));
        veil.retain(tokens, |_| false);
        assert_eq!(veil.over(&plain), None, "nobody speaks of it any more");
    }
}
