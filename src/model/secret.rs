//! Showing that two secrets are equal without showing them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The key of the fingerprints of this installation: 32 random bytes kept with the state, so
/// that a short secret cannot be guessed from a published plan.
#[derive(Clone, PartialEq, Eq)]
pub struct FingerprintKey(pub [u8; 32]);

impl FingerprintKey {
    /// `(secret 1a2b3c4d)`: 32 bits of HMAC-SHA-256, equal for equal secrets.
    pub fn show(&self, secret: &str) -> String {
        // HMAC takes a key of any length, so that the other arm is never taken; it shows nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return "(secret)".to_owned();
        };
        mac.update(secret.as_bytes());
        let digest = mac.finalize().into_bytes();
        let digits: Vec<String> = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("(secret {})", digits.concat())
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}
