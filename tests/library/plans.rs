//! Plans: what is wanted, what there is and what is ours, against what comes out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_raw_string_hashes,
    clippy::needless_pass_by_value,
    reason = "test code; `expect!` writes its strings with hashes and is passed by value"
)]

mod guards;
mod properties;
mod renderings;
mod steps;
mod violations;
pub(crate) mod world;
