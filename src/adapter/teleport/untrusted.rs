//! Who a refused server claims to be: the Auth Service of another cluster can be told from a
//! broken one, though not a word of it is trusted.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::identity::Identity;
use super::names;
use super::tls::provider;

/// Longest name that is shown, in characters.
const SHOWN_MAX: usize = 200;

/// The cluster that a refused server claims to be of.
#[derive(Debug, Default)]
pub(super) struct UntrustedServer {
    cluster: Mutex<Option<String>>,
}

impl UntrustedServer {
    /// Its name, if one was refused that says so. Printable, but not to be believed.
    pub(super) fn cluster(&self) -> Option<String> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, certificate: &CertificateDer<'_>) {
        let claimed = names::host_of(certificate).map(|name| {
            let printable = name.chars().filter(|c| !c.is_control() && *c != '`');
            printable.take(SHOWN_MAX).collect()
        });
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = claimed;
    }
}

/// Verifies as rustls does, and remembers whom it refused.
#[derive(Debug)]
pub(super) struct CertificateObserver {
    judge: Arc<WebPkiServerVerifier>,
    stranger: Arc<UntrustedServer>,
}

impl CertificateObserver {
    /// Trusts the authorities of the identity.
    ///
    /// # Errors
    /// An identity without authorities.
    pub(super) fn new(identity: &Identity, stranger: &Arc<UntrustedServer>) -> Result<Self, Error> {
        let roots = Arc::clone(&identity.roots);
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { judge, stranger: Arc::clone(stranger) })
    }
}

impl ServerCertVerifier for CertificateObserver {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .inspect_err(|_| self.stranger.remember(end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
