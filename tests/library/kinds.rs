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

mod calls;
mod checks;
mod found;
mod keyed;
mod lossless;
mod meanings;
mod messages;
mod recorded;
mod secrets;
mod table;
mod vectors;
