//! The engine in a box: virtual time, one seed, the plane's own core, faults, and an oracle
//! that sees the truth.
//!
//! Three phases: *chaos*, in which only safety is judged; *calm*, in which nothing happens any
//! more and the engine's own timers must bring everything home; *silence*, in which nothing
//! may be written.
//!
//! Deliberately absent: tokio, real clocks, real randomness.

mod chaos;
mod cluster;
mod futile;
mod identity;
mod item;
mod labels;
mod limits;
mod once;
mod oracle;
mod perform;
mod source;
mod told;
mod truth;
mod world;

use std::collections::BTreeMap;

pub use oracle::Violation;

use crate::engine::Planted;
use crate::model::{Digest, FingerprintKey};

/// Key of the fingerprints.
const KEY: FingerprintKey = FingerprintKey([7; 32]);
/// The ownership mark of the simulation's agent.
const AGENT: &str = "sim";

/// What one run gave.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where it came from.
    pub seed: u64,
    /// What was broken, in order; empty: nothing.
    pub violations: Vec<Violation>,
    /// How often each fault, step kind and guard occurred.
    pub counts: BTreeMap<String, u64>,
    /// Over every event and effect: equal seeds give equal traces. Zero unless it was told.
    pub trace: u64,
    /// The last lines of the log, for people; none unless it was told.
    pub log: Vec<String>,
}

/// What is run of a seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// A bug in the engine, to show that the oracle sees it.
    pub planted: Option<Planted>,
    /// Up to some moment only, and then a single pass ([`crate::engine::Mode::Once`]), which must
    /// end by itself and say the truth.
    pub once: bool,
    /// Puts everything that happens into words. Nothing else happens for it.
    pub told: bool,
}

/// Runs one seed.
pub fn simulate(seed: u64, run: Run) -> Report {
    let world = world::World::new(seed, run);
    if run.once { world.run_once() } else { world.run() }
}

/// The stream of randomness of one purpose: a new draw in one does not shift another.
fn stream(seed: u64, purpose: &str) -> fastrand::Rng {
    let digest = Digest::of_parts([seed.to_be_bytes().as_slice(), purpose.as_bytes()]);
    let bytes = digest.as_bytes().iter().take(8);
    fastrand::Rng::with_seed(bytes.fold(0, |all, byte| (all << 8) | u64::from(*byte)))
}
