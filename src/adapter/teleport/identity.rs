//! Credentials: identity files as `tctl auth sign` and `tbot` write them, or a certificate, its
//! key and the authorities in three files.
//!
//! Every way in which they can be wrong has its own message with what to do; none holds a byte
//! of the key.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys, RootCertStore};

use super::names::{self, Names};
use super::pem::{self, Block, PemError};
use super::tls;
use crate::model::{Digest, Timestamp};

/// Largest credential file that is read, in bytes. A real one has 4 kB; a bundle of authorities
/// in rotation a few more.
const SIZE_MAX: u64 = 1024 * 1024;

/// Permission bits of everybody else; a key that they can read or replace is nobody's secret.
const MODE_OTHERS: u32 = 0o007;
/// Permission bits of the group; tolerated for reading when root owns the file, which is how a
/// daemon is usually handed its credential.
const MODE_GROUP: u32 = 0o070;
/// Permission bit: the group may read.
const MODE_GROUP_READ: u32 = 0o040;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One identity file.
    File(PathBuf),
    /// `tctl auth sign --format=tls`: three files.
    Triple {
        /// The client certificate.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
        /// The cluster's host authorities.
        ca: PathBuf,
    },
}

impl Source {
    /// The files.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::File(path) => vec![path],
            Self::Triple { certificate, key, ca } => vec![certificate, key, ca],
        }
    }
}

/// Credentials that hold together: the key belongs to the certificate, the authorities are
/// authorities, the time is right.
pub struct Identity {
    /// Who we are.
    pub names: Names,
    /// Certificate and key, for handshakes.
    pub certified: Arc<CertifiedKey>,
    /// What the server is verified against.
    pub roots: Arc<RootCertStore>,
    /// SHA-256 of each authority's certificate, sorted. Several while they are rotated.
    pub authorities: Vec<Digest>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Why credentials cannot be used: which file, what about it, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("identity `{}`: {problem}; {}", path.display(), problem.remedy())]
pub struct IdentityError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such file.
    #[error("there is no such file")]
    Missing,
    /// The system's message.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
    /// Others than the owner can read or change it.
    #[error("others may read or change it (mode {0:04o})")]
    TooOpen(u32),
    /// Larger than any credential.
    #[error("it is larger than {} KiB", SIZE_MAX / 1024)]
    TooLarge,
    /// It is being written, or was cut.
    #[error("it is not whole: {0}")]
    Torn(String),
    /// A PEM block that cannot be read.
    #[error("{0}")]
    Pem(PemError),
    /// A form of key that cannot be used outside its own program.
    #[error("its key is of the form `{0}`, which cannot be used here")]
    KeyForm(String),
    /// Not a key of any known form.
    #[error("its private key cannot be read as PKCS#8, PKCS#1 or SEC1")]
    Key,
    /// The certificate.
    #[error("its certificate cannot be used: {0}")]
    Certificate(String),
    /// Key and certificate are of different pairs.
    #[error("its key belongs to another certificate")]
    KeyOfAnother,
    /// Over.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// Not begun.
    #[error("it is not valid before {0}")]
    NotYetValid(Timestamp),
    /// An authority.
    #[error("its certificate authority cannot be used: {0}")]
    Authority(String),
}

impl Problem {
    /// What a person does about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Missing => {
                "`control_plane.identity_file` names the file that `tbot` or \
                 `tctl auth sign --format=file` writes"
            }
            Self::Unreadable(_) => "the agent's user must be able to read it",
            Self::TooOpen(_) => {
                "`chmod 600` it; only a file of root's may be readable by its group"
            }
            Self::TooLarge => "it does not look like a credential",
            Self::Torn(_) | Self::Pem(_) => {
                "if `tbot` is writing it just now, start again in a moment; else sign a new one"
            }
            Self::KeyForm(_) | Self::Key => {
                "sign a new one with `tctl auth sign --format=file` or `tbot`"
            }
            Self::Certificate(_) => "sign a new one for a user or bot of this cluster",
            Self::KeyOfAnother => "certificate and key must come from the same run of the signer",
            Self::Expired(_) => "sign a new one, or see why `tbot` does not renew it",
            Self::NotYetValid(_) => "compare this machine's clock with the server's",
            Self::Authority(_) => {
                "the authorities are the cluster's host CA: `tctl auth export --type=tls-host`"
            }
        }
    }
}

impl Identity {
    /// Reads and judges credentials.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(source: &Source, now: Timestamp) -> Result<Self, IdentityError> {
        match source {
            Source::File(path) => {
                let text = read(path, Holds::Key)?;
                let blocks = parse(path, &text)?;
                Self::from_blocks(path, blocks, now)
            }
            Source::Triple { certificate, key, ca } => {
                let mut blocks = vec![only(key, parse(key, &read(key, Holds::Key)?)?)?];
                blocks.push(only(
                    certificate,
                    parse(certificate, &read(certificate, Holds::NoSecret)?)?,
                )?);
                let authorities = parse(ca, &read(ca, Holds::NoSecret)?)?;
                if authorities.is_empty() {
                    let problem = Problem::Authority("there is none in the file".to_owned());
                    return Err(IdentityError { path: ca.clone(), problem });
                }
                blocks.extend(authorities);
                Self::from_blocks(certificate, blocks, now)
            }
        }
    }

    /// The name of the control plane that a state is bound to: cluster and authorities.
    pub fn control_plane(&self) -> String {
        let authorities: Vec<String> = self.authorities.iter().map(ToString::to_string).collect();
        format!("teleport:{}:{}", self.names.cluster, authorities.join("+"))
    }

    /// First the key, then the certificate, then authorities; labels prove nothing.
    fn from_blocks(path: &Path, blocks: Vec<Block>, now: Timestamp) -> Result<Self, IdentityError> {
        let wrong = |problem| IdentityError { path: path.to_owned(), problem };
        let mut blocks = blocks.into_iter();
        let (Some(key), Some(certificate)) = (blocks.next(), blocks.next()) else {
            let what = "a private key and a certificate are expected".to_owned();
            return Err(wrong(Problem::Torn(what)));
        };
        let authorities: Vec<Block> = blocks.collect();
        if authorities.is_empty() {
            let what = "no certificate authority follows the certificate".to_owned();
            return Err(wrong(Problem::Torn(what)));
        }
        let names = Names::read(&certificate.der)
            .map_err(|problem| wrong(Problem::Certificate(problem)))?;
        let certified = certify(key, certificate).map_err(wrong)?;
        if now >= names.not_after {
            return Err(wrong(Problem::Expired(names.not_after)));
        }
        if now < names.not_before {
            return Err(wrong(Problem::NotYetValid(names.not_before)));
        }
        let mut roots = RootCertStore::empty();
        let mut digests = Vec::new();
        for Block { label: _, der } in authorities {
            let bad = |text: String| wrong(Problem::Authority(text));
            if !names::may_sign(&der).map_err(bad)? {
                return Err(bad("it may not sign other certificates".to_owned()));
            }
            digests.push(Digest::of(&der));
            roots.add(CertificateDer::from(der)).map_err(|error| bad(error.to_string()))?;
        }
        digests.sort_unstable();
        digests.dedup();
        Ok(Self {
            names,
            certified: Arc::new(certified),
            roots: Arc::new(roots),
            authorities: digests,
        })
    }
}

fn certify(key: Block, certificate: Block) -> Result<CertifiedKey, Problem> {
    if key.label.contains("OPENSSH") || key.label.contains("PIV") {
        return Err(Problem::KeyForm(key.label));
    }
    let provider = tls::provider();
    let forms: [PrivateKeyDer<'static>; 3] = [
        PrivatePkcs8KeyDer::from(key.der.clone()).into(),
        PrivatePkcs1KeyDer::from(key.der.clone()).into(),
        PrivateSec1KeyDer::from(key.der).into(),
    ];
    let signer = forms
        .into_iter()
        .find_map(|form| provider.key_provider.load_private_key(form).ok())
        .ok_or(Problem::Key)?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(certificate.der)], signer);
    match certified.keys_match() {
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(TlsError::InconsistentKeys(_)) => Err(Problem::KeyOfAnother),
        Err(error) => Err(Problem::Certificate(error.to_string())),
    }
}

/// Whether a file must be kept from others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Key,
    NoSecret,
}

fn read(path: &Path, holds: Holds) -> Result<String, IdentityError> {
    let wrong = |problem| IdentityError { path: path.to_owned(), problem };
    let failed = |error: std::io::Error| {
        wrong(if error.kind() == ErrorKind::NotFound {
            Problem::Missing
        } else {
            Problem::Unreadable(error.to_string())
        })
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(wrong(Problem::Unreadable("it is not a file".to_owned())));
    }
    if holds == Holds::Key && too_open(meta.mode(), meta.uid()) {
        return Err(wrong(Problem::TooOpen(meta.mode() & 0o7777)));
    }
    let mut bytes = Vec::new();
    file.take(SIZE_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SIZE_MAX {
        return Err(wrong(Problem::TooLarge));
    }
    String::from_utf8(bytes).map_err(|_| wrong(Problem::Torn("it is not text".to_owned())))
}

const fn too_open(mode: u32, owner: u32) -> bool {
    let group = mode & MODE_GROUP;
    mode & MODE_OTHERS != 0 || (group != 0 && !(owner == 0 && group == MODE_GROUP_READ))
}

fn parse(path: &Path, text: &str) -> Result<Vec<Block>, IdentityError> {
    pem::blocks(text).map_err(|error| IdentityError {
        path: path.to_owned(),
        problem: match error {
            PemError::Torn => Problem::Torn(error.to_string()),
            PemError::Base64(_) | PemError::Encrypted(_) => Problem::Pem(error),
        },
    })
}

/// The first block of a file of a triple.
fn only(path: &Path, blocks: Vec<Block>) -> Result<Block, IdentityError> {
    blocks.into_iter().next().ok_or_else(|| IdentityError {
        path: path.to_owned(),
        problem: Problem::Torn("there is no PEM block in it".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::too_open;

    #[test]
    fn whose_files_may_be_how_open() {
        let table = [
            (0o600, 1000, false),
            (0o400, 0, false),
            (0o640, 0, false),
            (0o440, 0, false),
            (0o640, 1000, true),
            (0o660, 0, true),
            (0o604, 0, true),
            (0o644, 0, true),
            (0o602, 1000, true),
        ];
        for (mode, owner, expected) in table {
            assert_eq!(too_open(mode, owner), expected, "{mode:o} of {owner}");
        }
    }
}
