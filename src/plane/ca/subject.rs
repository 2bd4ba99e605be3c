//! Who a certificate says that its bearer is: Teleport's use of the subject's attributes.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::name::Name;

use super::CaError;

pub(super) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(super) const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
pub(super) const STREET: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.9");
pub(super) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
pub(super) const POSTAL_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.17");
pub(super) const CLUSTER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.7");
pub(super) const USER_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.9999.1.20");

/// Roles of servers, as they stand in a certificate's `O`. Whoever has one is a host.
const SYSTEM_ROLES: &[&str] =
    &["Auth", "Proxy", "Node", "Admin", "Kube", "App", "Db", "Bot", "Discovery", "Instance"];

/// Who a certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The user's or bot's name.
    pub user: String,
    /// Roles by name, at least one.
    pub roles: Vec<String>,
    /// The cluster that it comes from.
    pub cluster: String,
    /// The cluster whose authority signed it.
    pub issuer: String,
    /// Whether it is a server, whose certificate must come from the host authority.
    pub host: bool,
}

/// Why a certificate that an authority signed is still nobody's.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// Not a certificate, or attributes that are no text.
    #[error("access denied: the client certificate cannot be read")]
    Unreadable(#[from] x509_cert::der::Error),
    /// An empty common name.
    #[error("missing identity username")]
    NoUser,
    /// No organization.
    #[error("missing identity groups")]
    NoRoles,
    /// It is restricted to another use, or comes from another cluster.
    #[error("access denied: invalid client certificate")]
    Invalid,
}

impl Subject {
    /// Reads a certificate whose signature was checked.
    ///
    /// # Errors
    /// What is missing in it, or not for us.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, SubjectError> {
        let certificate = Certificate::from_der(certificate)?;
        let (subject, issuer) =
            (certificate.tbs_certificate().subject(), certificate.tbs_certificate().issuer());
        let first = |name: &Name, oid| Ok::<_, SubjectError>(texts(name, oid)?.into_iter().next());
        let user = first(subject, COMMON_NAME)?.filter(|user| !user.is_empty());
        let user = user.ok_or(SubjectError::NoUser)?;
        let roles = texts(subject, ORGANIZATION)?;
        if roles.is_empty() {
            return Err(SubjectError::NoRoles);
        }
        if !texts(subject, UNIT)?.is_empty() {
            return Err(SubjectError::Invalid);
        }
        let issuer = first(issuer, ORGANIZATION)?.unwrap_or_default();
        let cluster = first(subject, CLUSTER)?.unwrap_or_else(|| issuer.clone());
        if cluster != issuer {
            return Err(SubjectError::Invalid);
        }
        let host = roles.iter().any(|role| SYSTEM_ROLES.contains(&role.as_str()));
        Ok(Self { user, roles, cluster, issuer, host })
    }
}

/// The names of a certificate's issuer and subject.
pub(in crate::plane) fn names(certificate: &CertificateDer<'_>) -> Result<(Name, Name), CaError> {
    let certificate = Certificate::from_der(certificate)?;
    let content = certificate.tbs_certificate();
    Ok((content.issuer().clone(), content.subject().clone()))
}

/// Every value of one attribute, in order.
fn texts(name: &Name, oid: ObjectIdentifier) -> Result<Vec<String>, x509_cert::der::Error> {
    let mut found = Vec::new();
    for attribute in name.iter().filter(|attribute| attribute.oid == oid) {
        let value = &attribute.value;
        let text = match value.decode_as::<Utf8StringRef<'_>>() {
            Ok(text) => text.as_str().to_owned(),
            Err(_) => value.decode_as::<PrintableStringRef<'_>>()?.as_str().to_owned(),
        };
        found.push(text);
    }
    Ok(found)
}
