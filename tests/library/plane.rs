//! The embedded control plane: against recordings of a real server, and by itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "test code"
)]

mod access;
mod ages;
mod behaviour;
mod calls;
mod names;
mod predictions;
mod random;
mod recorded;
mod refusals;
mod servers;
mod services;
mod shell;
mod support;
mod users;
mod watches;
mod workload;
