//! Which commands may be run: patterns over the whole command line.

/// The patterns of `allow`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    patterns: Vec<String>,
}

/// A pattern that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which, from zero.
    pub index: usize,
    /// A lower-case fragment.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Allow {
    /// Takes patterns.
    ///
    /// # Errors
    /// Those that are no pattern, or let anything run.
    pub fn new(patterns: &[String]) -> Result<Self, Vec<Refused>> {
        Ok(Self { patterns: patterns.to_vec() })
    }

    /// Whether a command may be run.
    pub fn permits(&self, argv: &[String]) -> bool {
        self.patterns.contains(&argv.join(" "))
    }

    /// The pattern that permits this command and no other, as it is written in the configuration.
    pub fn line_to_add(argv: &[String]) -> String {
        format!("{:?}", argv.join(" "))
    }
}
