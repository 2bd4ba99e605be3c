//! Connections: TCP or through an HTTP proxy, TLS, and WebSocket where a load balancer asks for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error as TlsError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::{HttpProxy, joined};
use super::identity::Identity;
use super::tls::{self, SERVER_NAME, Through};
use super::websocket::{WebSocket, read_head, status_of};

/// Longest wait for one of the steps of a connection: TCP, a proxy's answer, a handshake.
const STEP_MAX: Duration = Duration::from_secs(10);

/// Any connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection, whatever it is made of.
pub(super) type Boxed = Box<dyn Stream>;

/// How the Auth Service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its own port.
    Direct,
    /// A proxy that multiplexes TLS by ALPN.
    Proxy,
    /// A proxy behind a load balancer that ends TLS: WebSocket inside HTTPS.
    Upgrade,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// TCP, or a step that took too long.
    #[error("{address}: {message}")]
    Network {
        /// Where to.
        address: String,
        /// The system's words.
        message: String,
    },
    /// The HTTP proxy on the way.
    #[error("the HTTP proxy {proxy}: {message}")]
    HttpProxy {
        /// Which.
        proxy: String,
        /// What it said.
        message: String,
    },
    /// The server says that it is of another cluster than the identity.
    #[error(
        "{address} says that it is the cluster `{found}`, and the identity belongs to `{wanted}`; \
         correct `control_plane.address`, or sign an identity for `{found}`"
    )]
    OtherCluster {
        /// Where to.
        address: String,
        /// What it calls itself; not verified.
        found: String,
        /// What the identity says.
        wanted: String,
    },
    /// The server is not one of the identity's cluster.
    #[error(
        "{address}: its certificate is not signed by the authorities of the identity; it is \
         another cluster, or its authority was rotated: sign a new identity"
    )]
    OtherAuthority {
        /// Where to.
        address: String,
    },
    /// Whatever it is, it does not even claim to be an Auth Service.
    #[error(
        "{address}: its certificate is neither signed by the authorities of the identity nor that \
         of an Auth Service"
    )]
    NoAuthService {
        /// Where to.
        address: String,
    },
    /// The proxy's HTTPS is not trusted.
    #[error(
        "{address}: its HTTPS certificate is not trusted ({message}); `control_plane.ca_file` \
         names the authorities if they are not the system's"
    )]
    Untrusted {
        /// Where to.
        address: String,
        /// Why.
        message: String,
    },
    /// Any other failure of TLS.
    #[error("{address}: TLS: {message}")]
    Tls {
        /// Where to.
        address: String,
        /// Why.
        message: String,
    },
    /// The server speaks TLS but not HTTP/2.
    #[error("{address}: it does not speak HTTP/2")]
    NotHttp2 {
        /// Where to.
        address: String,
    },
}

impl DialError {
    /// Whether trying again is of no use before a person has acted.
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::OtherCluster { .. }
            | Self::OtherAuthority { .. }
            | Self::NoAuthService { .. }
            | Self::Untrusted { .. }
            | Self::NotHttp2 { .. } => true,
            // A server that is just being started breaks off a handshake, too.
            Self::Network { .. } | Self::HttpProxy { .. } | Self::Tls { .. } => false,
        }
    }
}

/// What a connection is made with.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) proxy: &'a HttpProxy,
    pub(super) roots: &'a Arc<rustls::RootCertStore>,
}

impl Target<'_> {
    pub(super) fn address(&self) -> String {
        joined(self.host, self.port)
    }

    /// A connection to the Auth Service that is ready for HTTP/2.
    pub(super) async fn connect(&self, way: Way, identity: &Identity) -> Result<Boxed, DialError> {
        let through = match way {
            Way::Direct => Through::Nothing,
            Way::Proxy | Way::Upgrade => Through::Proxy(&identity.names.cluster),
        };
        let stranger = Arc::default();
        let config = tls::inner(identity, through, &stranger).map_err(|error| self.tls(&error))?;
        let stream = match way {
            Way::Direct | Way::Proxy => self.tcp().await?,
            Way::Upgrade => self.upgraded().await?,
        };
        let stream = self.handshake(stream, SERVER_NAME, config).await.map_err(|error| {
            match (self.judged(&error, Layer::Inner), stranger.cluster()) {
                (DialError::OtherAuthority { address }, Some(found))
                    if found != identity.names.cluster =>
                {
                    DialError::OtherCluster {
                        address,
                        found,
                        wanted: identity.names.cluster.clone(),
                    }
                }
                (DialError::OtherAuthority { address }, None) if way == Way::Direct => {
                    DialError::NoAuthService { address }
                }
                (error, _) => error,
            }
        })?;
        if stream.get_ref().1.alpn_protocol() != Some(tls::ALPN_H2) {
            return Err(DialError::NotHttp2 { address: self.address() });
        }
        Ok(Box::new(stream))
    }

    /// What a proxy makes of a protocol that only proxies know: whether a load balancer in
    /// front of it ends TLS, so that the connection must be upgraded.
    pub(super) async fn needs_upgrade(&self) -> Result<bool, DialError> {
        /// What is offered; every proxy that multiplexes TLS takes it.
        const OFFERED: &[u8] = b"teleport-reversetunnel";
        let config = tls::outer(self.roots, &[OFFERED]).map_err(|error| self.tls(&error))?;
        let stream = self.tcp().await?;
        match self.handshake(stream, self.host, config).await {
            Ok(stream) => Ok(stream.get_ref().1.alpn_protocol() != Some(OFFERED)),
            Err(error) => match tls_error(&error) {
                Some(TlsError::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
                    Ok(true)
                }
                Some(TlsError::PeerMisbehaved(
                    rustls::PeerMisbehaved::SelectedUnofferedApplicationProtocol,
                )) => Ok(true),
                Some(_) | None => Ok(false),
            },
        }
    }

    async fn upgraded(&self) -> Result<Boxed, DialError> {
        let config = tls::outer(self.roots, &[]).map_err(|error| self.tls(&error))?;
        let stream = self.tcp().await?;
        let stream = self
            .handshake(stream, self.host, config)
            .await
            .map_err(|error| self.judged(&error, Layer::Outer))?;
        let address = self.address();
        match step(WebSocket::upgrade(stream, &address)).await {
            Ok(socket) => Ok(Box::new(socket)),
            Err(error) => Err(self.network(&error)),
        }
    }

    async fn handshake(
        &self,
        stream: Boxed,
        name: &str,
        config: ClientConfig,
    ) -> io::Result<TlsStream<Boxed>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        step(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// TCP, through the HTTP proxy if one leads there.
    async fn tcp(&self) -> Result<Boxed, DialError> {
        let Some(via) = self.proxy.to(self.host, self.port) else {
            let stream = step(TcpStream::connect((self.host, self.port)))
                .await
                .and_then(without_delay)
                .map_err(|error| self.network(&error))?;
            return Ok(Box::new(stream));
        };
        let proxy = joined(&via.host, via.port);
        let failed = |error: io::Error| DialError::HttpProxy {
            proxy: proxy.clone(),
            message: error.to_string(),
        };
        let stream = step(TcpStream::connect((via.host.as_str(), via.port)))
            .await
            .and_then(without_delay)
            .map_err(failed)?;
        let mut stream: Boxed = if via.tls {
            let config = tls::outer(self.roots, &[]).map_err(|error| self.tls(&error))?;
            let stream = self.handshake(Box::new(stream), &via.host, config).await;
            Box::new(stream.map_err(failed)?)
        } else {
            Box::new(stream)
        };
        let to = self.address();
        let asked = ask_proxy(&mut stream, &to, via.authorization.as_deref());
        step(asked).await.map_err(failed)?;
        Ok(stream)
    }

    fn network(&self, error: &io::Error) -> DialError {
        DialError::Network { address: self.address(), message: error.to_string() }
    }

    fn tls(&self, error: &TlsError) -> DialError {
        DialError::Tls { address: self.address(), message: error.to_string() }
    }

    fn judged(&self, error: &io::Error, layer: Layer) -> DialError {
        let address = self.address();
        let untrusted = |error: &TlsError| {
            matches!(
                error,
                TlsError::InvalidCertificate(
                    CertificateError::UnknownIssuer
                        | CertificateError::BadSignature
                        | CertificateError::NotValidForName
                        | CertificateError::NotValidForNameContext { .. }
                )
            )
        };
        match (tls_error(error), layer) {
            (Some(error), Layer::Inner) if untrusted(error) => {
                DialError::OtherAuthority { address }
            }
            (Some(error @ TlsError::InvalidCertificate(_)), Layer::Outer) => {
                DialError::Untrusted { address, message: error.to_string() }
            }
            (Some(error), _) => self.tls(error),
            (None, _) => self.network(error),
        }
    }
}

/// Whose TLS.
#[derive(Clone, Copy)]
enum Layer {
    Inner,
    Outer,
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

fn without_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn step<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(STEP_MAX, work).await.unwrap_or_else(|_| {
        let message = format!("no answer within {STEP_MAX:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    })
}

async fn ask_proxy(stream: &mut Boxed, to: &str, authorization: Option<&str>) -> io::Result<()> {
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(authorization) = authorization {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let (head, early) = read_head(stream).await?;
    match status_of(&head) {
        // In TLS the client speaks first: nothing can have come yet.
        Some(200) if early.is_empty() => Ok(()),
        Some(200) => Err(io::Error::other("it sent bytes of its own")),
        Some(status) => Err(io::Error::other(format!("it refused with status {status}"))),
        None => Err(io::Error::other("its answer is no HTTP")),
    }
}
