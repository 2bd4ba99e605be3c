//! Manifests through the whole wire: read, planned, encoded, sent to a plane, listed, decoded and
//! planned again; and what the client does when the other side misbehaves.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod edits;
mod fixtures;
mod listing;
mod remote;
mod roles;
mod server;
mod servers;
mod stack;
mod writing;
