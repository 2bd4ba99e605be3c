//! The words of the program: ids, places, values, findings, time.
//!
//! Deliberately absent: I/O, clocks, async.

pub mod clean;
pub mod diagnostic;
pub mod digest;
pub mod duration;
pub mod id;
pub mod place;
pub mod release;
pub mod resource;
pub mod secret;
pub mod share;
pub mod time;
pub mod tree;
pub mod value;
pub mod veil;
pub mod verb;

pub use clean::clean;
pub use diagnostic::{Code, Diagnostic, Findings, Severity};
pub use digest::Digest;
pub use id::{Cluster, KindName, ResourceId, Revision};
pub use place::{FieldPath, Place, Segment};
pub use release::Release;
pub use resource::{Live, Readiness, Resource};
pub use secret::FingerprintKey;
pub use time::{Now, Timestamp};
pub use tree::{Node, Scalar, ScalarStyle};
pub use value::Value;
pub use veil::Veil;
pub use verb::Verb;
