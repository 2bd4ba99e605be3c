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
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(secret.as_bytes());
        let mut shown = String::from("(secret ");
        for byte in mac.finalize().into_bytes().iter().take(4) {
            shown.push_str(&format!("{byte:02x}"));
        }
        shown.push(')');
        shown
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}
