//! Plans: what is wanted, what there is and what is ours, against what comes out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod guards;
mod properties;
mod renderings;
mod steps;
mod violations;
mod world;
