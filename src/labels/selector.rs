//! Selectors with Teleport's meaning.
//!
//! A list of items is asked from the first to the last; one that matches decides. An item is a
//! conjunction over keys, a key's values are alternatives. Two things turn a whole list off from
//! where they stand: an item without keys, and an expression that Go refuses, once it is reached.
//!
//! Choice: where Teleport looks at an item's keys in random order, absent keys come first here and
//! the others in alphabetical order.

use std::collections::{BTreeMap, BTreeSet};

use super::Labels;
use super::lint::{self, Lint};
use super::pattern::Pattern;

/// The word that means any value, and as a key with itself as its only value, any labels.
pub(super) const ANY: &str = "*";

/// An item as it is written: keys, and for each the values that are meant.
pub type Item = BTreeMap<String, Vec<String>>;

/// A list of items: a cluster is meant if one of them matches its labels.
#[derive(Clone)]
pub struct Selectors {
    written: Vec<Item>,
    items: Vec<Compiled>,
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
    /// It depends on (some of) these labels, whose values are not known yet.
    Unknown(BTreeSet<String>),
}

#[derive(Debug, Clone)]
enum Compiled {
    Everything,
    /// Turns the list off.
    Empty,
    Keys(BTreeMap<String, Values>),
}

#[derive(Debug, Clone)]
enum Values {
    Any,
    OneOf(Vec<Pattern>),
}

/// How an item can turn out, over all values of the labels that are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Outcomes {
    matches: bool,
    fails: bool,
    turns_off: bool,
}

impl PartialEq for Selectors {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Selectors {}

impl std::fmt::Debug for Selectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.written).finish()
    }
}

impl Selectors {
    /// One that matches every cluster.
    pub fn everything() -> Self {
        Self::as_teleport(&[BTreeMap::from([(ANY.to_owned(), vec![ANY.to_owned()])])])
    }

    /// Takes a list that means what it seems to mean.
    ///
    /// # Errors
    /// Everything that Teleport takes without a word for "nothing matches".
    pub fn new(items: &[Item]) -> Result<Self, Vec<Lint>> {
        let traps = lint::refused(items);
        if traps.is_empty() { Ok(Self::as_teleport(items)) } else { Err(traps) }
    }

    /// Takes any list, with the meaning that Teleport gives it.
    pub fn as_teleport(items: &[Item]) -> Self {
        Self { written: items.to_vec(), items: items.iter().map(compile).collect() }
    }

    /// What is legal and seldom meant.
    pub fn warnings(&self) -> Vec<Lint> {
        lint::warnings(&self.written)
    }

    /// The items as they were written.
    pub fn items(&self) -> &[Item] {
        &self.written
    }

    /// Looks for the item that matches. An answer other than [`Matching::Unknown`] holds for all
    /// values of the labels that are not known, absence included.
    pub fn look(&self, labels: &Labels) -> Matching {
        let (mut may_match, mut may_be_off) = (false, false);
        let mut decisive = BTreeSet::new();
        for (index, item) in (1..).zip(&self.items) {
            let outcomes = item.outcomes(labels);
            if outcomes.matches && !outcomes.fails && !may_be_off {
                return Matching::Item { index, by: item.by(labels) };
            }
            if outcomes.matches || outcomes.turns_off {
                decisive.extend(item.unknown(labels));
            }
            may_match |= outcomes.matches;
            may_be_off |= outcomes.turns_off;
            if !outcomes.fails {
                break;
            }
        }
        if may_match { Matching::Unknown(decisive) } else { Matching::Nothing }
    }
}

fn compile(item: &Item) -> Compiled {
    if item.is_empty() {
        return Compiled::Empty;
    }
    if item.get(ANY).is_some_and(|values| values.as_slice() == [ANY]) {
        return Compiled::Everything;
    }
    let values = |values: &Vec<String>| {
        if values.iter().any(|value| value == ANY) {
            Values::Any
        } else {
            Values::OneOf(values.iter().map(|value| Pattern::new(value)).collect())
        }
    };
    Compiled::Keys(item.iter().map(|(key, of)| (key.clone(), values(of))).collect())
}

impl Compiled {
    fn outcomes(&self, labels: &Labels) -> Outcomes {
        let keys = match self {
            Self::Everything => return Outcomes { matches: true, ..Outcomes::default() },
            Self::Empty => return Outcomes { turns_off: true, ..Outcomes::default() },
            Self::Keys(keys) => keys,
        };
        let mut outcomes = Outcomes::default();
        if keys.keys().any(|key| !labels.contains_key(key)) {
            outcomes.fails = true;
            return outcomes;
        }
        // One that is not known may turn out to be absent, which comes first.
        outcomes.fails = keys.keys().any(|key| labels.get(key).is_some_and(Option::is_none));
        for (key, values) in keys {
            let value = labels.get(key).and_then(Option::as_deref);
            let of_key = value.map_or_else(|| values.any_value(), |value| values.of(value));
            outcomes.fails |= of_key.fails;
            outcomes.turns_off |= of_key.turns_off;
            if !of_key.matches {
                return outcomes;
            }
        }
        outcomes.matches = true;
        outcomes
    }

    /// Its keys whose values are not known.
    fn unknown(&self, labels: &Labels) -> BTreeSet<String> {
        let unknown = |key: &&String| labels.get(*key).is_some_and(Option::is_none);
        match self {
            Self::Everything | Self::Empty => BTreeSet::new(),
            Self::Keys(keys) => keys.keys().filter(unknown).cloned().collect(),
        }
    }

    /// The labels that it matches.
    fn by(&self, labels: &Labels) -> String {
        let Self::Keys(keys) = self else { return "*=*".to_owned() };
        let pair = |key: &String| {
            let value = labels.get(key).and_then(Option::as_deref).unwrap_or_default();
            format!("{key}={}", shown(value))
        };
        keys.keys().map(pair).collect::<Vec<_>>().join(", ")
    }
}

impl Values {
    /// For one value.
    fn of(&self, value: &str) -> Outcomes {
        let yes = Outcomes { matches: true, ..Outcomes::default() };
        let Self::OneOf(patterns) = self else { return yes };
        for pattern in patterns {
            match pattern.matches(value) {
                Some(true) => return yes,
                Some(false) => {}
                None => return Outcomes { turns_off: true, ..Outcomes::default() },
            }
        }
        Outcomes { fails: true, ..Outcomes::default() }
    }

    /// Over all values. A pattern is taken to match something: one that matches nothing at all
    /// makes the answer open where it need not be, which is the safe side.
    fn any_value(&self) -> Outcomes {
        // The key may turn out to be absent.
        let mut outcomes = Outcomes { fails: true, ..Outcomes::default() };
        match self {
            Self::Any => outcomes.matches = true,
            Self::OneOf(patterns) => {
                for pattern in patterns {
                    if matches!(pattern, Pattern::Invalid(_)) {
                        outcomes.turns_off = true;
                        break;
                    }
                    outcomes.matches = true;
                }
            }
        }
        outcomes
    }
}

/// On one line, whatever is in it.
fn shown(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
