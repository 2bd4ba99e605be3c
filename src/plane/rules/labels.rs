//! Whether labels satisfy a selector, as roles and Kubernetes Services ask.

use std::collections::BTreeMap;

use super::go_regex;
use crate::wire::message::wrappers;

/// Matches everything, as a key with itself as value, and any value of a key.
const WILDCARD: &str = "*";

/// Keys, each with the values that a label may have; made once for many labels.
///
/// No key matches nothing, and `*: *` everything. A value with `*` in it is a glob; between `^`
/// and `$` it is a regular expression.
#[derive(Debug)]
pub struct Selector {
    everything: bool,
    keys: BTreeMap<String, Vec<Value>>,
}

#[derive(Debug)]
enum Value {
    Any,
    Text(String),
    Expression(regex::Regex),
    Unreadable,
}

impl Selector {
    /// The selector of these keys and values.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a String, &'a Vec<String>)>) -> Self {
        let mut everything = false;
        let keys = keys.into_iter().map(|(key, values)| {
            everything |= key == WILDCARD && *values == [WILDCARD];
            (key.clone(), values.iter().map(|it| Value::of(it)).collect())
        });
        let keys = keys.collect();
        Self { everything, keys }
    }

    /// The selector that a message carries.
    pub(super) fn of(labels: Option<&wrappers::LabelValues>) -> Self {
        let keys = labels.into_iter().flat_map(|labels| &labels.values);
        Self::new(keys.map(|(key, values)| (key, &values.values)))
    }

    /// Whether the labels have every key, with one of its values. None: before that was known, a
    /// value came that cannot be read.
    pub fn check(&self, labels: &BTreeMap<String, String>) -> Option<bool> {
        if self.everything {
            return Some(true);
        }
        for (key, values) in &self.keys {
            let Some(text) = labels.get(key) else { return Some(false) };
            let any = values.iter().any(|it| matches!(it, Value::Any));
            if !any && !one_matches(values, text)? {
                return Some(false);
            }
        }
        Some(!self.keys.is_empty())
    }

    /// Whether the labels match; a value that cannot be read matches nothing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.check(labels) == Some(true)
    }
}

/// The values in order, up to the first that matches or cannot be read.
fn one_matches(values: &[Value], text: &str) -> Option<bool> {
    for value in values {
        let matches = match value {
            Value::Any => true,
            Value::Text(it) => it == text,
            Value::Expression(it) => it.is_match(text),
            Value::Unreadable => return None,
        };
        if matches {
            return Some(true);
        }
    }
    Some(false)
}

impl Value {
    fn of(value: &str) -> Self {
        if value == WILDCARD {
            return Self::Any;
        }
        let expression = if value.starts_with('^') && value.ends_with('$') {
            go_regex::compile(value)
        } else if value.contains(WILDCARD) {
            // `*` stands for any run of characters without line breaks. The rest is escaped, so
            // that no dialect matters.
            let parts: Vec<String> = value.split(WILDCARD).map(regex::escape).collect();
            regex::Regex::new(&format!("^{}$", parts.join("(.*)"))).ok()
        } else {
            return Self::Text(value.to_owned());
        };
        expression.map_or(Self::Unreadable, Self::Expression)
    }
}

/// Whether one of several selectors matches, as a Kubernetes Service asks. It looks at them in
/// order; an empty one, or one that cannot be read, ends the search.
pub fn any_matches(selectors: &[Selector], labels: &BTreeMap<String, String>) -> bool {
    for selector in selectors {
        match selector.check(labels) {
            Some(true) => return true,
            Some(false) if !selector.keys.is_empty() => {}
            Some(false) | None => return false,
        }
    }
    false
}
