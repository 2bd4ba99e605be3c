//! Identities as `tctl auth sign` writes them: one file, or certificate, key and roots apart.

use std::fmt;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::{EcdsaPublicKey, KeyData};

use super::{Authorities, CaError, leaf, random, set_validity, subject};
use crate::model::Timestamp;

/// Bytes of an SSH certificate's nonce.
const NONCE_BYTES: usize = 16;

/// What an identity is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The user's name.
    pub user: String,
    /// Roles by name; at least one.
    pub roles: Vec<String>,
    /// Valid for so long.
    pub ttl: Duration,
}

/// Key and certificates of one caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The private key, PKCS#8 PEM. **Secret.**
    pub key: String,
    /// The TLS certificate, PEM, signed by the user authority.
    pub certificate: String,
    /// The SSH certificate for the same key, one line.
    pub ssh_certificate: String,
    /// `@cert-authority` line of the host authority.
    pub ssh_authority: String,
    /// Certificates by which the server is verified, PEM.
    pub roots: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// The one file: key, SSH certificate, TLS certificate, SSH authority, roots. **Secret.**
    pub fn file(&self) -> String {
        let Self { key, certificate, ssh_certificate, ssh_authority, roots } = self;
        [key, ssh_certificate, certificate, ssh_authority, roots]
            .into_iter()
            .map(|part| part.trim_end().to_owned() + "\n")
            .collect()
    }
}

impl Authorities {
    /// Makes a key and its certificates.
    ///
    /// # Errors
    /// No randomness.
    pub fn mint(&self, now: Timestamp, wanted: &Wanted) -> Result<Identity, CaError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, now, wanted.ttl);
        leaf::use_for_tls(&mut params);
        let one = |oid, text: &str| (oid, text.to_owned());
        let mut subject = vec![one(subject::COMMON_NAME, &wanted.user)];
        subject.extend(wanted.roles.iter().map(|role| one(subject::ORGANIZATION, role)));
        subject.push(one(subject::LOCALITY, &wanted.user));
        subject.push(one(subject::STREET, &self.cluster));
        subject.push(one(subject::POSTAL_CODE, "{}"));
        subject.push(one(subject::CLUSTER, &self.cluster));
        subject.push(one(subject::USER_TYPE, "local"));
        let certificate = leaf::sign(&self.user, &params, &key, &subject)?;
        Ok(Identity {
            ssh_certificate: self.ssh(now, wanted, &key)?,
            key: key.serialize_pem(),
            certificate,
            ssh_authority: format!(
                "@cert-authority {0},*.{0} {1} type=host",
                self.cluster,
                self.host.ssh_public().trim_end()
            ),
            roots: self.host.certificate().to_owned(),
        })
    }

    /// The SSH certificate; Teleport's own clients take no identity without one.
    fn ssh(&self, now: Timestamp, wanted: &Wanted, key: &KeyPair) -> Result<String, CaError> {
        let public = KeyData::Ecdsa(EcdsaPublicKey::from_sec1_bytes(key.der_bytes())?);
        let seconds = |at: Timestamp| u64::try_from(at.0 / 1000).unwrap_or_default();
        let nonce: [u8; NONCE_BYTES] = random()?;
        let (from, until) = (seconds(now), seconds(now.plus(wanted.ttl)));
        let mut builder = Builder::new(nonce, public, from.saturating_sub(60), until)?;
        builder.cert_type(CertType::User)?.key_id(wanted.user.as_str())?;
        builder.valid_principal(wanted.user.as_str())?;
        let roles = serde_json::json!({ "version": "v1", "roles": wanted.roles });
        builder.extension("permit-pty", "")?;
        builder.extension("teleport-roles", roles.to_string())?;
        builder.extension("teleport-route-to-cluster", self.cluster.as_str())?;
        Ok(builder.sign(&self.user.ssh)?.to_openssh()?)
    }
}
