//! PEM blocks by position, as identity files hold them. Labels are kept but prove nothing:
//! older programs wrote PKCS#8 under `RSA PRIVATE KEY` and the other way round.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Opens a block.
const BEGIN: &str = "-----BEGIN ";
/// Closes a block.
const END: &str = "-----END ";
/// Ends both lines.
const DASHES: &str = "-----";
/// Header that says that a key is encrypted.
const ENCRYPTED: &str = "ENCRYPTED";

/// One block.
pub(super) struct Block {
    /// What its first line calls it.
    pub(super) label: String,
    /// Its contents.
    pub(super) der: Vec<u8>,
}

/// Why blocks cannot be read. Holds nothing of what stands in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A block begins and does not end: the file is being written, or was cut.
    #[error("it ends in the middle of a PEM block")]
    Torn,
    /// Contents that are no base64.
    #[error("the {0}. PEM block is not base64")]
    Base64(usize),
    /// A pass phrase would be needed.
    #[error("the {0}. PEM block is encrypted")]
    Encrypted(usize),
}

/// All blocks in order. Other lines (SSH certificates and authorities) are skipped.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, PemError> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        let number = blocks.len().saturating_add(1);
        match &mut open {
            None => {
                let label = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES));
                if let Some(label) = label {
                    open = Some((label.to_owned(), String::new()));
                } else if line.starts_with(DASHES) {
                    return Err(PemError::Torn);
                }
            }
            Some((label, body)) => {
                if line.starts_with(END) {
                    if line != format!("{END}{label}{DASHES}") {
                        return Err(PemError::Torn);
                    }
                    let der = STANDARD.decode(&*body).map_err(|_| PemError::Base64(number))?;
                    if label.contains(ENCRYPTED) {
                        return Err(PemError::Encrypted(number));
                    }
                    blocks.push(Block { label: std::mem::take(label), der });
                    open = None;
                } else if line.starts_with(BEGIN) {
                    return Err(PemError::Torn);
                } else if line.contains(':') {
                    if line.contains(ENCRYPTED) {
                        return Err(PemError::Encrypted(number));
                    }
                } else {
                    body.push_str(line);
                }
            }
        }
    }
    if open.is_some() {
        return Err(PemError::Torn);
    }
    Ok(blocks)
}
