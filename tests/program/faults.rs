//! The faults of a network, with real sockets and mutual TLS: a proxy of the tests stands between
//! the agent and a plane on a port, and does what a bad network does. Every test ends in the
//! wanted state, with each write done once and nothing deleted, counted at the plane.
//!
//! What sockets need not show is simulated (`tests/sim.rs`) or scripted (`tests/library/wire`): the
//! table [`covered::FAULTS`] has every fault of lists, watches, writes, connections and
//! credentials, and where it is covered; a test reads it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod bench;
mod covered;
mod cuts;
mod proxy;
mod restarts;
