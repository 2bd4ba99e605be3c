//! Who a certificate of Teleport says its holder is: the subject's attributes.

use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::tls::SERVER_NAME;
use crate::model::Timestamp;

/// Common name: the user.
const COMMON_NAME: &str = "2.5.4.3";
/// Organization, repeated: the roles.
const ORGANIZATION: &str = "2.5.4.10";
/// Teleport's own attribute: the cluster that the user comes from.
const CLUSTER: &str = "1.3.9999.1.7";
/// Teleport's own attribute: the bot that the user belongs to.
const BOT: &str = "1.3.9999.2.18";

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The user; `bot-NAME` for a bot.
    pub user: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The cluster that signed it.
    pub cluster: String,
    /// The bot, if it is one's.
    pub bot: Option<String>,
    /// Not to be used before.
    pub not_before: Timestamp,
    /// Nor after.
    pub not_after: Timestamp,
}

impl Names {
    /// Reads a certificate.
    ///
    /// # Errors
    /// What is missing or cannot be read, for people.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
        let certificate = certificate.tbs_certificate();
        let subject = certificate.subject();
        let first = |name: &Name, oid: &str| attributes(name, oid).into_iter().next();
        let user = first(subject, COMMON_NAME).ok_or("it names no user")?;
        let roles = attributes(subject, ORGANIZATION);
        if roles.is_empty() {
            return Err("it names no role".to_owned());
        }
        let cluster = first(subject, CLUSTER)
            .or_else(|| first(certificate.issuer(), COMMON_NAME))
            .ok_or("it names no cluster")?;
        let validity = certificate.validity();
        Ok(Self {
            user,
            roles,
            cluster,
            bot: first(subject, BOT),
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
        })
    }
}

/// The cluster of which a certificate says that it is a host: who signed it, if it bears the
/// name of an Auth Service. `None` for a proxy's certificate for browsers, say.
pub(super) fn host_of(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let certificate = certificate.tbs_certificate();
    let (_, alternatives) = certificate.get_extension::<SubjectAltName>().ok()??;
    let is_host = alternatives
        .0
        .iter()
        .any(|name| matches!(name, GeneralName::DnsName(name) if name.as_str() == SERVER_NAME));
    let cluster = attributes(certificate.issuer(), COMMON_NAME).into_iter().next();
    cluster.filter(|_| is_host)
}

/// Whether a certificate may sign others: its own word for it.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn may_sign(der: &[u8]) -> Result<bool, String> {
    let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
    let constraints = certificate
        .tbs_certificate()
        .get_extension::<x509_cert::ext::pkix::BasicConstraints>()
        .map_err(|error| error.to_string())?;
    Ok(constraints.is_some_and(|(_, constraints)| constraints.ca))
}

fn attributes(name: &Name, oid: &str) -> Vec<String> {
    name.iter()
        .filter(|attribute| attribute.oid.to_string() == oid)
        .map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

fn timestamp(time: x509_cert::time::Time) -> Timestamp {
    Timestamp(i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX))
}
