//! TLS: one provider of cryptography, the inner mutual TLS to the Auth Service, and the outer
//! HTTPS to a proxy.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::identity::Identity;
use super::pem;
use super::untrusted::{CertificateObserver, UntrustedServer};
use crate::adapter::bounded_read;

/// The name that every Auth Service's certificate bears.
pub const SERVER_NAME: &str = "teleport.cluster.local";

/// Largest file of authorities that is read, in bytes; a system's whole bundle has 250 kB.
const BUNDLE_MAX: u64 = 8 * 1024 * 1024;

/// HTTP/2.
pub(super) const ALPN_H2: &[u8] = b"h2";

/// What a proxy that multiplexes TLS passes on to the Auth Service of a cluster.
const ALPN_AUTH: &str = "teleport-auth@";

/// The one provider.
pub fn provider() -> Arc<CryptoProvider> {
    static RING: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&RING)
}

/// Which protocols the inner handshake offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through<'a> {
    /// Nothing is in between.
    Nothing,
    /// A proxy, which is told the cluster's name.
    Proxy(&'a str),
}

/// Mutual TLS to the Auth Service: our certificate always, its roots from the identity. If the
/// server is refused, `stranger` says who it claims to be.
///
/// # Errors
/// What `rustls` says of the combination of versions and provider: none with ours.
pub(super) fn inner(
    identity: &Identity,
    through: Through<'_>,
    stranger: &Arc<UntrustedServer>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = CertificateObserver::new(identity, stranger)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous() // It verifies all that rustls does, and remembers whom it refused.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
            &identity.certified,
        ))));
    // A resumed session would go on with the certificate of the old one.
    config.resumption = Resumption::disabled();
    if let Through::Proxy(cluster) = through {
        config.alpn_protocols.push(alpn_of(cluster).into_bytes());
    }
    config.alpn_protocols.push(ALPN_H2.to_vec());
    Ok(config)
}

/// `teleport-auth@` and the cluster's name in lower-case hexadecimal digits.
pub fn alpn_of(cluster: &str) -> String {
    let mut name = String::from(ALPN_AUTH);
    for byte in cluster.bytes() {
        name.extend(
            [byte >> 4, byte & 0xF]
                .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')),
        );
    }
    name.push('.');
    name.push_str(SERVER_NAME);
    name
}

/// HTTPS to a proxy: verified against `roots`, no certificate of ours.
///
/// # Errors
/// As [`inner`].
pub(super) fn outer(
    roots: &Arc<RootCertStore>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The roots for HTTPS: those of `ca_file`, else the system's.
///
/// # Errors
/// A `ca_file` that cannot be read or holds no certificate, for people. A system without roots
/// is none: the handshake will say that the issuer is unknown.
pub fn outer_roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let wrong = |text: String| format!("`control_plane.ca_file` `{}`: {text}", path.display());
    let text = bounded_read::text(path, BUNDLE_MAX).map_err(|error| wrong(error.to_string()))?;
    let blocks = pem::blocks(&text).map_err(|error| wrong(error.to_string()))?;
    // A bundle of many authorities may hold one of an old form; the others count.
    let certificates = blocks.into_iter().map(|block| CertificateDer::from(block.der));
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(wrong("there is no certificate authority in it".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::alpn_of;

    #[test]
    fn the_proxy_is_told_the_cluster_in_hexadecimal_digits() {
        assert_eq!(alpn_of("root.test"), "teleport-auth@726f6f742e74657374.teleport.cluster.local");
    }
}
