//! Which command lines may run.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns over whole command lines. `*` crosses spaces and `/`.
#[derive(Debug, Clone)]
pub struct Allow {
    set: GlobSet,
}

impl Default for Allow {
    /// Nothing may run.
    fn default() -> Self {
        Self { set: GlobSet::empty() }
    }
}

impl Allow {
    /// Compiles patterns.
    ///
    /// # Errors
    /// Every pattern that is none, and why.
    pub fn new(patterns: &[String]) -> Result<Self, Vec<String>> {
        let mut set = GlobSetBuilder::new();
        let mut wrong = Vec::new();
        for pattern in patterns {
            match GlobBuilder::new(pattern).build() {
                Ok(glob) => {
                    set.add(glob);
                }
                Err(error) => wrong.push(error.to_string()),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        set.build().map(|set| Self { set }).map_err(|error| vec![error.to_string()])
    }

    /// Whether a pattern matches the whole command line.
    pub fn permits(&self, argv: &[String]) -> bool {
        self.set.is_match(argv.join(" "))
    }

    /// The entry of `allow` that would let exactly this command line run.
    pub fn line_to_add(argv: &[String]) -> String {
        let mut escaped = String::new();
        for c in argv.join(" ").chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
                escaped.extend(['[', c, ']']);
            } else {
                escaped.push(c);
            }
        }
        format!("{escaped:?}")
    }
}
