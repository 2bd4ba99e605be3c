//! HTTP/2 for any service on any connection. What a server is made of is large, and would be
//! compiled again for each pair of the two.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tower::util::BoxCloneService;

/// Answers every request, failures included.
pub type Service = BoxCloneService<http::Request<Body>, http::Response<Body>, Infallible>;

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Duplex for IO {}

/// A connection, whatever it is made of.
pub(super) type Connection = Box<dyn Duplex>;

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
#[error("the gRPC server ended")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Serves connections until the stream or `shutdown` ends, then lets running calls finish.
///
/// # Errors
/// What the transport says.
pub async fn serve_connections<IO>(
    service: Service,
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let boxed = |accepted: io::Result<IO>| accepted.map(|it| Box::new(it) as Connection);
    let incoming: Incoming<'_> = Box::pin(incoming.map(boxed));
    let shutdown: Shutdown<'_> = Box::pin(shutdown);
    Ok(Server::builder().serve_with_incoming_shutdown(service, incoming, shutdown).await?)
}

type Incoming<'a> = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send + 'a>>;

type Shutdown<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
