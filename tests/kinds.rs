//! The table of kinds against what a real server was sent and answered.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::wildcard_enum_match_arm,
    clippy::string_slice,
    reason = "test code"
)]

#[path = "kinds/calls.rs"]
mod calls;
#[path = "kinds/checks.rs"]
mod checks;
#[path = "kinds/found.rs"]
mod found;
#[path = "kinds/keyed.rs"]
mod keyed;
#[path = "kinds/lossless.rs"]
mod lossless;
#[path = "kinds/meanings.rs"]
mod meanings;
#[path = "kinds/messages.rs"]
mod messages;
#[path = "kinds/recorded.rs"]
mod recorded;
#[path = "kinds/secrets.rs"]
mod secrets;
#[path = "kinds/table.rs"]
mod table;
#[path = "kinds/vectors.rs"]
mod vectors;
