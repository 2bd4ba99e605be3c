//! Lists that do not mean what they seem to mean.

use super::pattern::Pattern;
use super::selector::{ANY, Item};

/// What is wrong in a list, or not what it seems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
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

impl std::fmt::Display for Lint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(item) = self.item {
            write!(f, "item {item}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Where the traps of one item are gathered.
struct At<'a> {
    item: usize,
    traps: &'a mut Vec<Lint>,
}

impl At<'_> {
    fn add(&mut self, key: Option<&str>, value: Option<usize>, message: String, hint: &str) {
        self.traps.push(Lint {
            item: Some(self.item),
            key: key.map(str::to_owned),
            value,
            message,
            hint: Some(hint.to_owned()),
        });
    }
}

/// What makes Teleport match nothing without a word.
pub(super) fn refused(items: &[Item]) -> Vec<Lint> {
    let mut traps = Vec::new();
    if items.is_empty() {
        let hint = "write { labels = { \"*\" = \"*\" } } for every cluster";
        traps.push(Lint {
            item: None,
            key: None,
            value: None,
            message: "an empty list matches no cluster".to_owned(),
            hint: Some(hint.to_owned()),
        });
    }
    for (item, keys) in (1..).zip(items) {
        let mut at = At { item, traps: &mut traps };
        if keys.is_empty() {
            let message = "an item without labels turns off itself and all items after it";
            at.add(None, None, message.to_owned(), "write { \"*\" = \"*\" } for every cluster");
        }
        for (key, values) in keys {
            if values.is_empty() {
                let message = format!("`{key}` has no values, so this item matches nothing");
                at.add(Some(key), None, message, "write \"*\" for any value");
            }
            for (index, value) in values.iter().enumerate() {
                if let Pattern::Invalid(why) = Pattern::new(value) {
                    let message = format!("`{value}` is no regular expression: {why}");
                    let hint = "Go's syntax counts here, and Teleport would turn off this item \
                                and all items after it";
                    at.add(Some(key), Some(index), message, hint);
                }
            }
        }
    }
    traps
}

/// What is legal and seldom meant.
pub(super) fn warnings(items: &[Item]) -> Vec<Lint> {
    let mut traps = Vec::new();
    for (item, keys) in (1..).zip(items) {
        let mut at = At { item, traps: &mut traps };
        let everything = keys.get(ANY).is_some_and(|values| values.as_slice() == [ANY]);
        if everything && keys.len() > 1 {
            let message = "`\"*\" = \"*\"` matches every cluster, the other keys are ignored";
            at.add(Some(ANY), None, message.to_owned(), "remove one or the other");
        }
        if everything {
            continue;
        }
        for (key, values) in keys {
            odd_key(&mut at, key);
            let any = values.iter().any(|value| value == ANY);
            if any && values.len() > 1 {
                let message = format!("`{key}` takes any value, its other values are ignored");
                at.add(Some(key), None, message, "remove `*` or the others");
            }
            for (index, value) in values.iter().enumerate() {
                if let Some((message, hint)) = odd_value(value) {
                    at.add(Some(key), Some(index), message, &hint);
                }
            }
        }
    }
    traps
}

fn odd_key(at: &mut At<'_>, key: &str) {
    if key == ANY {
        let message = "`*` with values other than a single `*` is a label of that name";
        at.add(Some(key), None, message.to_owned(), "write `\"*\" = \"*\"` for every cluster");
    } else if key.contains('*') {
        let message = format!("`{key}` is a label of exactly that name: keys have no wildcards");
        at.add(Some(key), None, message, "name each label");
    } else if !is_key(key) {
        let message = format!("`{key}` can be no label's name, so this item matches nothing");
        let hint = "names take letters, digits and `/._:*-`";
        at.add(Some(key), None, message, hint);
    }
}

/// Whether Teleport takes a text as a label's name.
pub fn is_key(text: &str) -> bool {
    let good =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | ':' | '*' | '-');
    !text.is_empty() && text.chars().all(good)
}

/// Characters that mean something in other pattern languages, and nothing here.
const ELSEWHERE: &[char] = &['?', '[', ']', '{', '}', '(', ')', '|', '+', '\\'];

fn odd_value(value: &str) -> Option<(String, String)> {
    match Pattern::new(value) {
        Pattern::Expression(expression) if !expression.whole => {
            let inner = value.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
            let hint = format!("write `^({})$`", inner.unwrap_or(value));
            let message = if expression.alternatives {
                "each `|` stands outside of `^` and `$`: a value also matches that only begins \
                 or ends so"
            } else {
                "a value also matches that has this only in a part of it"
            };
            Some((format!("`{value}`: {message}"), hint))
        }
        Pattern::Expression(_) | Pattern::Invalid(_) => None,
        Pattern::Text(_) | Pattern::Glob(_) => {
            let (open, close) = (value.starts_with('^'), value.ends_with('$'));
            if open || close {
                let message = format!("`{value}` is no regular expression, but this very text");
                let bare = value.trim_start_matches('^').trim_end_matches('$');
                let hint = if open {
                    format!("write `^{bare}.*$` for what begins so")
                } else {
                    format!("write `^.*{bare}$` for what ends so")
                };
                return Some((message, hint));
            }
            let special = value.chars().find(|c| ELSEWHERE.contains(c))?;
            let message = format!("`{special}` in `{value}` is itself: only `*` is a wildcard");
            Some((message, "write `^…$` for a regular expression".to_owned()))
        }
    }
}
