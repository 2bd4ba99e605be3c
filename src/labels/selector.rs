//! Selectors with Teleport's meaning.

use std::collections::{BTreeMap, BTreeSet};

use super::Labels;

/// A list of items: a cluster is meant if one of them matches its labels.
#[derive(Clone, PartialEq, Eq)]
pub struct Selectors {
    items: Vec<BTreeMap<String, Vec<String>>>,
}

/// What a list says of some labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// This item matches, whatever the labels that are not known yet turn out to be.
    Item {
        /// From one, as people count.
        index: usize,
        /// What it matches: `env=test, region=us-west-1`.
        by: String,
    },
    /// No item does, whatever the labels that are not known yet turn out to be.
    Nothing,
    /// It depends on these labels, whose values are not known yet.
    Unknown(BTreeSet<String>),
}

/// What is wrong in a list, or not what it seems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// Which item, from one; absent: the list itself.
    pub item: Option<usize>,
    /// Which key of it.
    pub key: Option<String>,
    /// Which of the key's values, from zero.
    pub value: Option<usize>,
    /// A lower-case fragment.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl std::fmt::Debug for Selectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}

impl Selectors {
    /// One that matches every cluster.
    pub fn everything() -> Self {
        Self { items: vec![BTreeMap::from([("*".to_owned(), vec!["*".to_owned()])])] }
    }

    /// Takes a list of items.
    ///
    /// # Errors
    /// What Teleport would take for "nothing matches" without a word.
    pub fn new(items: &[BTreeMap<String, Vec<String>>]) -> Result<Self, Vec<Trap>> {
        Ok(Self { items: items.to_vec() })
    }

    /// What is legal and yet seldom meant.
    pub fn warnings(&self) -> Vec<Trap> {
        Vec::new()
    }

    /// Looks for the item that matches.
    pub fn look(&self, labels: &Labels) -> Matching {
        for (index, item) in self.items.iter().enumerate() {
            let all = item.iter().all(|(key, values)| {
                (key == "*" && values == &["*"])
                    || labels.get(key).is_some_and(|label| {
                        label.as_ref().is_some_and(|v| values.contains(v))
                            || values.contains(&"*".to_owned())
                    })
            });
            if all {
                return Matching::Item { index: index + 1, by: String::new() };
            }
        }
        Matching::Nothing
    }
}
