//! The plane behind gRPC: any path, raw bytes, unary but for the one method that streams.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::once;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response};

use super::transport::{ServeError, Service, serve_connections};
use super::{Caller, MINT, Plane, Reply, Status};
use crate::plane::core::WATCH_EVENTS;
use crate::plane::rules::SERVER_VERSION;
use crate::wire::codec::BytesCodec;

/// Bytes that an in-process connection holds in each direction.
const PIPE: usize = 64 * 1024;

/// Connections that may wait to be taken in.
const PIPES: usize = 16;

/// Largest message that is taken, in bytes: what a server written in Go takes when nobody says.
const MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// What the in-process endpoint is called; nothing is looked up.
const IN_PROCESS: &str = "http://plane.in-process";

impl Plane {
    /// The plane as a service for HTTP/2 servers, for callers who may do everything: the
    /// program's own socket and pipe. It answers every path, so that what stands beside it on a
    /// socket comes first.
    pub fn service(&self) -> Service {
        Service::new(self.service_as(Caller::admin()))
    }

    /// The plane as a service for one authenticated caller.
    pub(super) fn service_as(&self, caller: Caller) -> PlaneService {
        PlaneService { plane: self.clone(), caller }
    }

    /// A channel to the plane through a pipe in this process, connected when first used.
    ///
    /// # Errors
    /// Never in practice; the endpoint's name is fixed.
    pub fn in_process(&self) -> Result<Channel, ServeError> {
        let (connect, connections) = mpsc::channel::<io::Result<DuplexStream>>(PIPES);
        let service = self.service();
        let stop = self.shared.stop.clone();
        self.shared.tasks.spawn(async move {
            let incoming = ReceiverStream::new(connections);
            // Nobody listens for the outcome: each caller sees its own connection break.
            let _ended = serve_connections(service, incoming, stop.cancelled()).await;
        });
        let connector = tower::service_fn(move |_: Uri| {
            let connect = connect.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(PIPE);
                let closed = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
                connect.send(Ok(theirs)).await.map_err(closed)?;
                Ok::<_, io::Error>(TokioIo::new(ours))
            }
        });
        Ok(Endpoint::from_shared(IN_PROCESS)?.connect_with_connector_lazy(connector))
    }
}

/// The plane as a tower service; see [`Plane::service`].
#[derive(Debug, Clone)]
pub(super) struct PlaneService {
    plane: Plane,
    caller: Caller,
}

impl<B> tower::Service<http::Request<B>> for PlaneService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut response = if request.uri().path() == WATCH_EVENTS {
                service.stream(request).await
            } else {
                service.unary(request).await
            };
            response.headers_mut().insert("version", HeaderValue::from_static(SERVER_VERSION));
            Ok(response)
        })
    }
}

/// Marks the response to an answer that is to be dropped.
#[derive(Debug, Clone, Copy)]
struct Drop;

impl PlaneService {
    /// Answers a method of HTTP; `None`: the answer is to be dropped.
    pub(super) async fn get(&self, method: &str) -> Option<Result<Vec<u8>, Status>> {
        match self.plane.answer(&self.caller, method, &[]).await {
            Reply::Answer(answer) => Some(answer),
            Reply::Dropped => None,
        }
    }

    async fn unary<B>(self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let path = request.uri().path().to_owned();
        let answer = tower::service_fn(move |request: Request<Bytes>| {
            let (service, path) = (self.clone(), path.clone());
            async move {
                if path == MINT && service.caller.admin {
                    let minted = service.plane.mint_json(request.get_ref()).map_err(status)?;
                    return Ok(Response::new(Bytes::from(minted)));
                }
                let reply = service.plane.answer(&service.caller, &path, request.get_ref()).await;
                match reply {
                    Reply::Answer(Ok(bytes)) => Ok(Response::new(Bytes::from(bytes))),
                    Reply::Answer(Err(failed)) => Err(status(failed)),
                    Reply::Dropped => {
                        let mut response = Response::new(Bytes::new());
                        response.extensions_mut().insert(Drop);
                        Ok(response)
                    }
                }
            }
        });
        let response = within(
            Grpc::new(BytesCodec)
                .max_decoding_message_size(MESSAGE_MAX)
                .unary(answer, request)
                .await,
        );
        if response.extensions().get::<Drop>().is_some() {
            return broken();
        }
        response
    }

    async fn stream<B>(self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let watch = tower::service_fn(move |request: Request<Bytes>| {
            let service = self.clone();
            async move {
                let events = service.plane.watch(&service.caller, request.get_ref());
                events.map(|events| Response::new(ReceiverStream::new(events))).map_err(status)
            }
        });
        within(
            Grpc::new(BytesCodec)
                .max_decoding_message_size(MESSAGE_MAX)
                .server_streaming(watch, request)
                .await,
        )
    }
}

/// Says of a message that is too large what a server written in Go says; tonic has a code and a
/// text of its own for it. The plane itself never answers `OutOfRange`.
fn within(response: http::Response<Body>) -> http::Response<Body> {
    let refused = tonic::Status::from_header_map(response.headers())
        .filter(|status| status.code() == tonic::Code::OutOfRange);
    let Some(refused) = refused else { return response };
    let digits = refused.message().split(|c: char| !c.is_ascii_digit()).find(|it| !it.is_empty());
    let found = digits.unwrap_or("more");
    let text = format!("grpc: received message larger than max ({found} vs. {MESSAGE_MAX})");
    tonic::Status::resource_exhausted(text).into_http()
}

/// A response whose body breaks off before there is an answer.
pub(super) fn broken() -> http::Response<Body> {
    let failure = io::Error::from(io::ErrorKind::ConnectionReset);
    let frames = once(Err::<Frame<Bytes>, _>(tonic::Status::from_error(failure.into())));
    let mut response = http::Response::new(Body::new(StreamBody::new(frames)));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// The status as tonic has it.
pub(super) fn status(status: Status) -> tonic::Status {
    tonic::Status::new(tonic::Code::from_i32(status.code), status.message)
}
