//! Which clusters are meant, by their labels; which commands may be run to find a label's value.
//!
//! Deliberately absent: running a command, clocks, files. And the embedded plane's own matcher,
//! which is written a second time on purpose: the recorded vectors judge both.

pub mod allow;
mod candidate;
pub mod explain;
pub mod findings;
pub mod lint;
mod pattern;
pub mod preview;
mod programs;
mod re2;
mod re2_class;
pub mod resolve;
pub mod selector;
pub mod serve;
pub mod value;

use std::collections::BTreeMap;

/// A cluster's labels. Absent value: neither the key's value nor whether it is there at all is
/// known yet.
pub type Labels = BTreeMap<String, Option<String>>;

/// What becomes of `spec.dynamic_labels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// We run the commands, and their results become static labels.
    #[default]
    Resolve,
    /// The commands go to Teleport as written, with our last good result beside them.
    Forward,
}

/// What becomes of a dynamic label whose command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Its last good value stays.
    #[default]
    KeepLast,
    /// It loses its value until the command works again. What never had one stays unknown.
    Drop,
}
