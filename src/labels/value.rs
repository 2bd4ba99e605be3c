//! What label commands last said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// The key of a run: labels with the same command line and directory share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Command {
    /// The directory of the manifest, below the source; empty: the source itself.
    #[serde(with = "shared")]
    pub dir: Arc<str>,
    /// Program and arguments.
    pub argv: Vec<String>,
}

impl Command {
    /// The command of a label that a manifest of this path declares.
    pub fn beside(path: &str, argv: &[String]) -> Self {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        Self { dir: dir.into(), argv: argv.to_vec() }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::allow::line(&self.argv))
    }
}

/// What is known of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What it last printed.
    pub good: Option<Good>,
    /// It has failed since then.
    pub failing: Option<Failing>,
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    /// Without white space around it.
    pub value: String,
    /// When it was last seen so.
    pub seen: Timestamp,
}

/// A command that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Since when, without a success in between.
    pub since: Timestamp,
    /// What was wrong the first time, for people. Never a label's value.
    pub why: String,
}

/// By command.
pub type Values = BTreeMap<Arc<Command>, Known>;

/// What is known of one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Say {
    /// Its value.
    Value(String),
    /// It had one and has none, because its command fails and failures drop it.
    Dropped,
    /// Nobody knows.
    Unknown,
}

/// Text that is shared, as text.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}
