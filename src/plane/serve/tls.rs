//! Mutual TLS as an Auth Service has it: a certificate is optional, a wrong one ends the handshake.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::listen::ListenError;
use crate::model::Timestamp;
use crate::plane::ca::{self, Authorities, Subject};
use crate::plane::settings::Caller;

/// What clients may ask for by ALPN, the best first. The last one is what Teleport's clients try
/// a proxy with: it is accepted and nothing is answered, so that they see a proxy that needs no
/// upgrade of the connection.
const PROTOCOLS: [&[u8]; 3] = [H2, b"http/1.1", REVERSE_TUNNEL];

/// HTTP/2, which gRPC needs.
const H2: &[u8] = b"h2";

/// SSH inside of TLS, which is not spoken here.
pub(super) const REVERSE_TUNNEL: &[u8] = b"teleport-reversetunnel";

/// The server's side of TLS.
pub(super) fn config(
    authorities: &Authorities,
    now: Timestamp,
) -> Result<Arc<ServerConfig>, ListenError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = authorities.server(now)?;
    let verifier = Callers::new(authorities, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(server.chain, server.key)?;
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    // An expired certificate must not live on in a resumed session.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Who is at the other end. `None`: nobody, no certificate was shown.
pub(super) fn caller(certificates: Option<&[CertificateDer<'_>]>) -> Option<Caller> {
    let subject = Subject::of(certificates?.first()?).ok()?;
    // A host's are roles of servers, not of this API: by them it may do what everybody may.
    let roles = if subject.host { Vec::new() } else { subject.roles };
    Some(Caller { name: subject.user, roles, admin: false })
}

/// Verifies what callers show: users by the user authority, hosts by the host authority.
#[derive(Debug)]
struct Callers {
    signatures: Arc<dyn ClientCertVerifier>,
    host: x509_cert::name::Name,
    cluster: String,
}

impl Callers {
    fn new(authorities: &Authorities, provider: &Arc<CryptoProvider>) -> Result<Self, ListenError> {
        let mut roots = RootCertStore::empty();
        let pem = authorities.host.certificate();
        let host = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let pem = authorities.user.certificate();
        let user = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let (_, host_name) = ca::names(&host)?;
        roots.add(host)?;
        roots.add(user)?;
        let signatures =
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                .allow_unauthenticated()
                .build()?;
        Ok(Self { signatures, host: host_name, cluster: authorities.cluster.clone() })
    }

    /// Whether a certificate with a good signature is somebody's whom we know.
    fn known(&self, certificate: &CertificateDer<'_>) -> bool {
        let (Ok(subject), Ok((issuer, _))) = (Subject::of(certificate), ca::names(certificate))
        else {
            return false;
        };
        subject.cluster == self.cluster && subject.host == (issuer == self.host)
    }
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signatures.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.signatures.verify_client_cert(end_entity, intermediates, now)?;
        if intermediates.is_empty() && self.known(end_entity) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}
