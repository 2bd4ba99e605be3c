//! Certificates for callers. The subject repeats attributes, one `O` for each role, which the
//! maker of certificates cannot write: it is put in afterwards and the result signed again.

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SigningKey as _,
};
use x509_cert::der::asn1::{Any, BitString, ObjectIdentifier, Utf8StringRef};
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _, ErrorKind, pem::LineEnding};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};

use super::{Authority, CaError};

/// Which element of a certificate's content the subject is: version, serial number, algorithm,
/// issuer and validity come first (RFC 5280, 4.1).
const SUBJECT: usize = 5;

/// What Teleport's leaves say of their key, whoever bears them.
pub(super) fn use_for_tls(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
}

/// A certificate, PEM, for `key` whose subject is those attributes in that order.
pub(super) fn sign(
    authority: &Authority,
    params: &CertificateParams,
    key: &KeyPair,
    subject: &[(ObjectIdentifier, String)],
) -> Result<String, CaError> {
    let draft = params.signed_by(key, &authority.issuer())?;
    let draft = Vec::<Any>::from_der(draft.der())?;
    let [content, algorithm, _signature] = draft.as_slice() else {
        return Err(x509_cert::der::Error::from(ErrorKind::Failed).into());
    };
    let mut fields = Vec::<Any>::from_der(&content.to_der()?)?;
    if let Some(field) = fields.get_mut(SUBJECT) {
        *field = Any::encode_from(&name(subject)?)?;
    }
    let content = fields.to_der()?;
    let signature = BitString::from_bytes(&authority.key.sign(&content)?)?;
    let parts = vec![Any::from_der(&content)?, algorithm.clone(), Any::encode_from(&signature)?];
    let signed = x509_cert::Certificate::from_der(&parts.to_der()?)?;
    Ok(signed.to_pem(LineEnding::LF)?)
}

fn name(subject: &[(ObjectIdentifier, String)]) -> Result<RdnSequence, CaError> {
    let mut name = RdnSequence::default();
    for (oid, value) in subject {
        let mut part = RelativeDistinguishedName::default();
        part.insert(x509_cert::attr::AttributeTypeAndValue {
            oid: *oid,
            value: Any::from(Utf8StringRef::new(value)?),
        })?;
        name.push(part);
    }
    Ok(name)
}
