//! The plane's own authorities: one for users, one for hosts, each with a TLS and an SSH key.
//!
//! Made at the first need and kept among the plane's items. Deliberately absent: sockets, and
//! who may ask for a certificate.

mod identity;
mod leaf;
mod subject;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use ssh_key::private::{Ed25519Keypair, KeypairData};

pub use identity::{Identity, Wanted};
pub(in crate::plane) use subject::names;
pub use subject::{Subject, SubjectError};

use crate::model::Timestamp;
use crate::plane::settings::Authority as Published;

/// Where the authorities are among the plane's items; internal, never listed.
pub(in crate::plane) const KIND: &str = "plane_authority";

/// The name that every Auth Service's certificate has.
pub const SERVER_NAME: &str = "teleport.cluster.local";

/// How long an authority is valid, as Teleport's own.
const CA_TTL: Duration = Duration::from_hours(10 * 365 * 24);

/// How long the server's certificate is valid. It is made anew at each start.
const SERVER_TTL: Duration = Duration::from_hours(365 * 24);

/// Certificates are valid from a minute ago, for clocks that are behind.
const BACKDATED: Duration = Duration::from_mins(1);

/// Bytes of the SSH key's seed.
const SEED_BYTES: usize = 32;

/// Why keys or certificates cannot be made or read. Never holds a key.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The maker of certificates refuses.
    #[error("a certificate cannot be made")]
    X509(#[from] rcgen::Error),
    /// The encoding of a certificate.
    #[error("a certificate cannot be encoded")]
    Der(#[from] x509_cert::der::Error),
    /// The SSH part.
    #[error("an SSH key or certificate cannot be made")]
    Ssh(#[from] ssh_key::Error),
    /// The stored item is not what this program writes.
    #[error("the stored authority `{0}` cannot be read")]
    Stored(&'static str),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// What an authority signs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Servers: the plane itself, agents.
    Host,
    /// People and programs that call.
    User,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Host, Self::User];

    /// As Teleport names it, and the item's name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
        }
    }
}

/// One authority as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(in crate::plane) struct Stored {
    /// Its self-signed certificate.
    #[prost(string, tag = "1")]
    pub(in crate::plane) tls_cert_pem: String,
    /// PKCS#8. Secret.
    #[prost(string, tag = "2")]
    tls_key_pem: String,
    /// Seed of the Ed25519 key. Secret.
    #[prost(bytes = "vec", tag = "3")]
    ssh_seed: Vec<u8>,
    /// The subject's serial number, which tells two authorities of one cluster apart.
    #[prost(string, tag = "4")]
    serial: String,
    /// The public SSH key as `authorized_keys` has it.
    #[prost(string, tag = "5")]
    pub(in crate::plane) ssh_public: String,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// One authority with its keys.
pub struct Authority {
    stored: Stored,
    key: KeyPair,
    ssh: ssh_key::PrivateKey,
    params: CertificateParams,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stored.fmt(f)
    }
}

impl Authority {
    /// Makes one, with new keys.
    ///
    /// # Errors
    /// No randomness.
    pub fn make(cluster: &str, now: Timestamp) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let seed: [u8; SEED_BYTES] = random()?;
        let serial = u128::from_be_bytes(random()?).to_string();
        let mut params = params(cluster, &serial)?;
        set_validity(&mut params, now, CA_TTL);
        let tls_cert_pem = params.self_signed(&key)?.pem();
        let ssh = ssh_of(&seed)?;
        let stored = Stored {
            tls_cert_pem,
            tls_key_pem: key.serialize_pem(),
            ssh_seed: seed.to_vec(),
            serial,
            ssh_public: ssh.public_key().to_openssh()?,
        };
        Ok(Self { stored, key, ssh, params })
    }

    /// Reads a stored one.
    ///
    /// # Errors
    /// Bytes that are not an authority of this cluster.
    pub fn read(role: Role, cluster: &str, bytes: &[u8]) -> Result<Self, CaError> {
        let unreadable = CaError::Stored(role.name());
        let Ok(stored) = Stored::decode(bytes) else { return Err(unreadable) };
        let Ok(seed) = <[u8; SEED_BYTES]>::try_from(stored.ssh_seed.as_slice()) else {
            return Err(unreadable);
        };
        let key = KeyPair::from_pem(&stored.tls_key_pem)?;
        let params = params(cluster, &stored.serial)?;
        Ok(Self { ssh: ssh_of(&seed)?, params, key, stored })
    }

    /// What is to be stored. **With the keys.**
    pub fn to_bytes(&self) -> Vec<u8> {
        self.stored.encode_to_vec()
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.stored.tls_cert_pem
    }

    /// Its public SSH key, as `authorized_keys` has it.
    pub fn ssh_public(&self) -> &str {
        &self.stored.ssh_public
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// Both authorities of a cluster.
#[derive(Debug)]
pub struct Authorities {
    /// The cluster's name.
    pub cluster: String,
    /// For servers.
    pub host: Authority,
    /// For callers.
    pub user: Authority,
}

/// A certificate of the server, with its key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// The one certificate; its issuer is in every identity file.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Authorities {
    /// Their public halves by Teleport's names.
    pub fn published(&self) -> BTreeMap<String, Published> {
        let both = [(Role::Host, &self.host), (Role::User, &self.user)];
        let public = |(role, authority): (Role, &Authority)| {
            let published = Published {
                tls: vec![authority.certificate().into()],
                ssh: vec![authority.ssh_public().into()],
                ..Published::default()
            };
            (role.name().to_owned(), published)
        };
        both.into_iter().map(public).collect()
    }

    /// Makes a certificate for the server: an Auth Service's names, and this machine's.
    ///
    /// # Errors
    /// No randomness, or a cluster's name that is no part of a DNS name.
    pub fn server(&self, now: Timestamp) -> Result<ServerCertificate, CaError> {
        let hex = host_of_cluster(&self.cluster);
        let wild = format!("*.{SERVER_NAME}");
        let mut names = vec![SERVER_NAME, &wild, "localhost", "127.0.0.1", "::1"];
        // A DNS label holds 63 bytes; longer names match the wildcard's spirit, not its letter.
        if hex.split('.').all(|label| label.len() <= 63) {
            names.push(&hex);
        }
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names)?;
        set_validity(&mut params, now, SERVER_TTL);
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, format!("auth.{}", self.cluster));
        subject.push(DnType::OrganizationName, "Auth");
        params.distinguished_name = subject;
        leaf::use_for_tls(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.host.issuer())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(ServerCertificate { chain: vec![certificate.der().clone()], key })
    }
}

/// The name by which a cluster is asked for in SNI and ALPN: hexadecimal, below [`SERVER_NAME`].
pub fn host_of_cluster(cluster: &str) -> String {
    let hex: Vec<String> = cluster.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{SERVER_NAME}", hex.concat())
}

fn params(cluster: &str, serial: &str) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, cluster);
    name.push(DnType::CommonName, cluster);
    let serial = DnValue::PrintableString(serial.try_into()?);
    name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), serial);
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    Ok(params)
}

fn ssh_of(seed: &[u8; SEED_BYTES]) -> Result<ssh_key::PrivateKey, CaError> {
    let pair = KeypairData::from(Ed25519Keypair::from_seed(seed));
    Ok(ssh_key::PrivateKey::new(pair, "")?)
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], CaError> {
    let mut bytes = [0; LENGTH];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| CaError::Random)?;
    Ok(bytes)
}

/// Makes it valid from a minute ago, for that long from now.
fn set_validity(params: &mut CertificateParams, now: Timestamp, ttl: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let calendar =
        |at: Timestamp| epoch + Duration::from_millis(u64::try_from(at.0).unwrap_or_default());
    let backdated = i64::try_from(BACKDATED.as_millis()).unwrap_or_default();
    params.not_before = calendar(Timestamp(now.0.saturating_sub(backdated)));
    params.not_after = calendar(now.plus(ttl));
}
