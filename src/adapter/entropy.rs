//! Randomness: a tree of streams below one seed, and bytes for keys.

use std::io::{self, Read as _};

use crate::model::{Digest, FingerprintKey};
use crate::port::Entropy;

/// Streams that follow from one seed and the purpose's name, so that a new purpose or one more
/// draw does not shift the others.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    seed: u64,
}

impl Seeded {
    /// The same streams every time.
    pub const fn fixed(seed: u64) -> Self {
        Self { seed }
    }

    /// Streams that differ in every process.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn from_system() -> io::Result<Self> {
        Ok(Self { seed: u64::from_be_bytes(random()?) })
    }
}

impl Entropy for Seeded {
    fn stream(&self, purpose: &'static str) -> fastrand::Rng {
        let digest = Digest::of_parts([self.seed.to_be_bytes().as_slice(), purpose.as_bytes()]);
        let seed =
            digest.as_bytes().iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte));
        fastrand::Rng::with_seed(seed)
    }
}

/// A fingerprint key for a new state: 256 bits from the operating system, not from a stream,
/// because whoever guesses it can try short secrets against a published plan.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn new_key() -> io::Result<FingerprintKey> {
    random().map(FingerprintKey)
}

fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
