//! The plane on a TCP port, where everything may arrive: mutual TLS with gRPC inside, web
//! questions with and without TLS, SSH, and nonsense.
//!
//! Each connection has a task of its own and limits of its own: whoever is slow waits alone.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;

use super::connection_limit::{Place, Room};
use super::grpc::PlaneService;
use super::transport::Connection;
use super::web::{self, Web};
use super::{Plane, PlaneError, tls};
use crate::plane::ca::CaError;

/// Longest time from the first byte that is awaited to the end of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Longest life of a connection without a certificate: one question, one answer.
const ANONYMOUS: Duration = Duration::from_secs(30);

/// How long running calls may take to end when the server does.
const GRACE: Duration = Duration::from_secs(3);

/// Wait after a failed accept: the system is out of files, and trying harder does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Between two signs of life on a quiet connection, as Teleport's servers do.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// Silence after a sign of life that ends the connection.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_mins(3);

/// Streams of one connection at a time, as Teleport's servers allow.
const STREAMS_MAX: u32 = 1000;

/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 22;

/// Why the plane cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The plane failed.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// A certificate could not be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// TLS refuses the configuration.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The verifier refuses the authorities.
    #[error("TLS cannot verify callers")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A stored certificate is not PEM.
    #[error("a stored certificate cannot be read")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The socket.
    #[error("the listening socket")]
    Socket(#[from] io::Error),
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    plane: Plane,
    acceptor: TlsAcceptor,
    web: Web,
}

impl Plane {
    /// Serves mutual TLS on a socket until [`Plane::close`]. The caller's name and roles come from
    /// the client's certificate; without one, only `/webapi/find` and `/webapi/ping` answer.
    ///
    /// # Errors
    /// No authorities, or a socket that has no address. A connection's failure ends only itself.
    pub async fn serve_tls(&self, listener: TcpListener) -> Result<(), ListenError> {
        let authorities = self.authorities()?;
        let config = tls::config(&authorities, (self.shared.clock)().wall)?;
        let address = listener.local_addr()?.to_string();
        let published = authorities.published();
        self.with_core(|core| core.publish(&address, published)).map_err(PlaneError::Failed)?;
        let server = Server {
            plane: self.clone(),
            acceptor: TlsAcceptor::from(config),
            web: Web { cluster: authorities.cluster.clone(), address },
        };
        let room = Room::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.shared.stop.cancelled() => return Ok(()),
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    room.failed(&error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = room.enter(peer).await else { continue };
            let server = server.clone();
            self.shared.tasks.spawn(async move {
                tokio::select! {
                    () = server.connection(stream, peer, &place) => {}
                    () = place.wanted() => tracing::debug!("{peer} makes room for another"),
                }
                drop(place);
            });
        }
    }
}

impl Server {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: &Place) {
        // Small answers go at once.
        let _unsupported = stream.set_nodelay(true).is_err();
        let stop = self.plane.shared.stop.clone();
        let known = tokio::select! {
            known = tokio::time::timeout(HANDSHAKE, self.open(stream)) => known,
            () = stop.cancelled() => return,
        };
        let ended = match known {
            Ok(Ok(Opened::Caller(stream, service))) => {
                place.keep();
                self.http(stream, Some(service)).await
            }
            Ok(Ok(Opened::Anonymous(stream))) => self.anonymous(stream).await,
            Ok(Ok(Opened::Nothing)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("no handshake in time".into()),
        };
        if let Err(error) = ended {
            tracing::debug!("connection from {peer}: {error}");
        }
    }

    /// Finds out what a connection is, by its first byte and by the handshake.
    async fn open(&self, stream: TcpStream) -> io::Result<Opened> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(Opened::Nothing);
        }
        match first {
            [TLS_HANDSHAKE] => {}
            // No method of HTTP begins so: SSH does.
            [b'S'] => return Ok(Opened::Nothing),
            [_] => return Ok(Opened::Anonymous(Box::new(stream))),
        }
        let stream = self.acceptor.accept(stream).await?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() == Some(tls::REVERSE_TUNNEL) {
            return Ok(Opened::Nothing);
        }
        Ok(match tls::caller(session.peer_certificates()) {
            Some(caller) => {
                let service = self.plane.service_as(caller);
                Opened::Caller(Box::new(stream), service)
            }
            None => Opened::Anonymous(Box::new(stream)),
        })
    }

    async fn anonymous(&self, stream: Connection) -> Result<(), Failure> {
        match tokio::time::timeout(ANONYMOUS, self.http(stream, None)).await {
            Ok(ended) => ended,
            Err(_) => Err("its time is over".into()),
        }
    }

    /// Speaks HTTP until either side ends it.
    async fn http(&self, stream: Connection, service: Option<PlaneService>) -> Result<(), Failure> {
        let front = Front { web: self.web.clone(), service };
        let service = TowerToHyperService::new(tower::service_fn(move |request| {
            let front = front.clone();
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        }));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).keep_alive(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .max_concurrent_streams(STREAMS_MAX);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.plane.shared.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        match tokio::time::timeout(GRACE, connection).await {
            Ok(ended) => ended,
            Err(_) => Err("it did not end in time".into()),
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a connection turned out to be.
enum Opened {
    /// Mutual TLS, and HTTP of either version: 2 for gRPC, 1.1 for what was never moved there.
    Caller(Connection, PlaneService),
    /// TLS without a certificate, or no TLS.
    Anonymous(Connection),
    /// Nothing that is answered here.
    Nothing,
}

/// Answers one request: web questions to everybody, the rest to those who are known.
#[derive(Clone)]
struct Front {
    web: Web,
    service: Option<PlaneService>,
}

impl Front {
    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Failure> + Send,
    {
        if let Some(answer) = self.web.answer(request.method(), request.uri().path()) {
            return answer;
        }
        let Some(service) = self.service else {
            return if is_grpc(&request) {
                tonic::Status::permission_denied("access denied: a client certificate is needed")
                    .into_http()
            } else {
                web::not_found()
            };
        };
        if !is_grpc(&request) {
            return web::ask(&service, request.method(), request.uri().path()).await;
        }
        match tower::ServiceExt::oneshot(service, request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    request.version() == http::Version::HTTP_2
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
