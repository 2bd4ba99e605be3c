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
        self.digits(secret, SHOWN_BYTES)
    }

    /// `(secret 1a2b3c4d5e6f7081)`, for a name that is a secret. It stands where the name would,
    /// and what is told apart by its name must stay apart: so it has 64 bits, of which the first
    /// 32 are those of [`Self::show`].
    pub fn show_name(&self, name: &str) -> String {
        self.digits(name, NAME_BYTES)
    }

    fn digits(&self, secret: &str, bytes: usize) -> String {
        // HMAC takes a key of any length, so that the other arm is never taken; it shows nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return "(secret)".to_owned();
        };
        mac.update(secret.as_bytes());
        let digest = mac.finalize().into_bytes();
        let digits: Vec<String> =
            digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect();
        format!("{SHOWN_BEGIN}{}{SHOWN_END}", digits.concat())
    }
}

/// Bytes of a fingerprint that is only compared by eye.
const SHOWN_BYTES: usize = 4;

/// Bytes of a fingerprint that stands for a name: among ten thousand names, two are alike with a
/// chance of one in 10^11.
const NAME_BYTES: usize = 8;

/// Before and after the digits.
const SHOWN_BEGIN: &str = "(secret ";
const SHOWN_END: &str = ")";

/// Whether a text is written like a fingerprint. A name that is written like one is never taken
/// for a plain name, so that nobody can name something after a secret's fingerprint.
pub fn is_fingerprint(text: &str) -> bool {
    text.starts_with(SHOWN_BEGIN)
}

/// Whether a text is a fingerprint as we show it: put where a secret belongs, it was copied from
/// our own output.
pub fn is_shown(text: &str) -> bool {
    let digits = digits_of(text.trim()).unwrap_or_default();
    [SHOWN_BYTES, NAME_BYTES].contains(&(digits.len() / 2))
        && digits.len().is_multiple_of(2)
        && digits.chars().all(|c| c.is_ascii_hexdigit())
}

/// The digits of a fingerprint.
pub fn digits_of(fingerprint: &str) -> Option<&str> {
    fingerprint.strip_prefix(SHOWN_BEGIN)?.strip_suffix(SHOWN_END)
}

/// The fingerprint of a name, from its digits as a person types them.
pub fn fingerprint_of_digits(typed: &str) -> Option<String> {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (typed.len() == 2 * NAME_BYTES && typed.chars().all(is_digit))
        .then(|| format!("{SHOWN_BEGIN}{typed}{SHOWN_END}"))
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}
