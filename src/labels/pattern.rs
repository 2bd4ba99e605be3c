//! One value of a selector.

use regex::Regex;

use super::re2::{self, Expression};

/// The only wildcard.
const WILDCARD: char = '*';

/// A value as it is compared.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// This text.
    Text(String),
    /// A text with wildcards; none of them covers a line break.
    Glob(Regex),
    /// `^…$`.
    Expression(Expression),
    /// `^…$`, and Go refuses it.
    Invalid(String),
}

impl Pattern {
    /// Reads a value. Between `^` and `$` it is a regular expression, else `*` is all that is
    /// special.
    pub(super) fn new(value: &str) -> Self {
        if value.starts_with('^') && value.ends_with('$') {
            return re2::compile(value).map_or_else(Self::Invalid, Self::Expression);
        }
        if !value.contains(WILDCARD) {
            return Self::Text(value.to_owned());
        }
        let parts: Vec<String> = value.split(WILDCARD).map(regex::escape).collect();
        match Regex::new(&format!(r"\A{}\z", parts.join(r"[^\n]*"))) {
            Ok(regex) => Self::Glob(regex),
            Err(_) => Self::Invalid("too long".to_owned()),
        }
    }

    /// Whether a label's value is meant; absent: there is no telling, the pattern is invalid.
    pub(super) fn matches(&self, value: &str) -> Option<bool> {
        match self {
            Self::Text(text) => Some(text == value),
            Self::Glob(regex) => Some(regex.is_match(value)),
            Self::Expression(expression) => Some(expression.regex.is_match(value)),
            Self::Invalid(_) => None,
        }
    }
}
