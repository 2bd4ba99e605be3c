//! The way through a list that comes in pages.

use std::collections::BTreeSet;

/// Where the next page begins. A list that does not end, or that leads back to a page it has
/// shown, is broken.
#[derive(Debug)]
pub(super) struct Pages {
    token: String,
    shown: BTreeSet<String>,
    max: usize,
}

impl Pages {
    /// Before the first page of so many at most.
    pub(super) const fn new(max: usize) -> Self {
        Self { token: String::new(), shown: BTreeSet::new(), max }
    }

    /// The token to ask for the next page by; empty for the first.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether no page was shown yet.
    pub(super) fn is_at_first(&self) -> bool {
        self.shown.is_empty()
    }

    /// A page was shown that leads to `next`. Whether there is one; empty: it was the last.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub(super) fn turn(&mut self, next: String) -> Result<bool, String> {
        self.shown.insert(std::mem::replace(&mut self.token, next));
        if self.token.is_empty() {
            return Ok(false);
        }
        if self.shown.contains(&self.token) {
            return Err("a page came twice".to_owned());
        }
        if self.shown.len() >= self.max {
            return Err(format!("it has more than {} pages", self.max));
        }
        Ok(true)
    }
}
