//! The words of the program: ids, places, values, findings, time.
//!
//! Deliberately absent: I/O, clocks, async.

pub mod diagnostic;
pub mod digest;
pub mod duration;
pub mod id;
pub mod parallel;
pub mod place;
pub mod release;
pub mod resource;
pub mod secret;
pub mod secret_names;
pub mod terminal;
pub mod time;
pub mod tree;
pub mod value;
pub mod verb;

pub use diagnostic::{Code, Diagnostic, Findings, Severity};
pub use digest::Digest;
pub use id::{Cluster, KindName, ResourceId, Revision};
pub use place::{FieldPath, Place, Segment};
pub use release::Release;
pub use resource::{Live, Readiness, Resource};
pub use secret::FingerprintKey;
pub use secret_names::SecretNames;
pub use terminal::clean;
pub use time::{Now, Timestamp};
pub use tree::{Node, Scalar, ScalarStyle};
pub use value::Value;
pub use verb::Verb;
