//! A server that does what a test tells it, on a pipe in this process.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use hyper_util::rt::TokioIo;
use reconciler::adapter::cluster::Remote;
use reconciler::plane::serve::{Service, serve_connections};
use reconciler::wire::codec::BytesCodec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{StreamExt as _, once};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

/// What one call is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A message.
    Message(Bytes),
    /// A status.
    Fail(Status),
    /// The page of some proxy, with its HTTP status.
    Page(u16),
    /// Nothing, ever.
    Nothing,
    /// The connection breaks after the headers.
    Broken,
    /// A stream: messages, then its end.
    Stream(Vec<Bytes>, End),
}

/// How a stream ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// In order.
    Closed,
    /// With a status.
    Failed(Status),
    /// Not at all.
    Open,
}

type Script = Arc<dyn Fn(usize, &str, &Bytes) -> Reply + Send + Sync>;

/// A scripted server: each call is answered by the script, from its number, path and bytes.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Script,
    calls: Arc<AtomicUsize>,
    versions: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub(crate) fn new(
        script: impl Fn(usize, &str, &Bytes) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self { script: Arc::new(script), calls: Arc::default(), versions: Arc::default() }
    }

    /// One answer for everything.
    pub(crate) fn always(reply: Reply) -> Self {
        Self::new(move |_, _, _| reply.clone())
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The `version` metadata of each call.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.versions.lock().unwrap().clone()
    }

    /// A client of it.
    pub(crate) fn connect(&self) -> Remote<Channel> {
        let (connect, pipes) = mpsc::channel::<io::Result<DuplexStream>>(4);
        let service = self.clone();
        tokio::spawn(async move {
            let incoming = ReceiverStream::new(pipes);
            serve_connections(Service::new(service), incoming, std::future::pending()).await
        });
        remote(move |ours, theirs| {
            let connect = connect.clone();
            async move {
                connect.send(Ok(theirs)).await.map_err(io::Error::other)?;
                Ok(ours)
            }
        })
    }

    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        let path = request.uri().path().to_owned();
        let version = request.headers().get("version");
        let version = version.and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        self.versions.lock().unwrap().push(version);
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let (told, tell) = (Arc::new(Mutex::new(None)), self.script);
        let seen = Arc::clone(&told);
        // The first pass reads the request whole; what the script says decides the second.
        let reader = tower::service_fn(move |request: Request<Bytes>| {
            let reply = tell(number, &path, request.get_ref());
            *seen.lock().unwrap() = Some(reply.clone());
            async move {
                match reply {
                    Reply::Message(bytes) => Ok(Response::new(bytes)),
                    Reply::Fail(status) => Err(status),
                    Reply::Nothing => std::future::pending().await,
                    Reply::Page(_) | Reply::Broken | Reply::Stream(..) => {
                        Ok(Response::new(Bytes::new()))
                    }
                }
            }
        });
        let answer = Grpc::new(BytesCodec).unary(reader, request).await;
        let told = told.lock().unwrap().take();
        match told {
            Some(Reply::Page(status)) => page(status),
            Some(Reply::Broken) => broken(),
            Some(Reply::Stream(messages, end)) => stream(messages, end).await,
            Some(Reply::Message(_) | Reply::Fail(_) | Reply::Nothing) | None => answer,
        }
    }
}

fn page(status: u16) -> http::Response<Body> {
    let text = "<html><body>Sign in to go on</body></html>";
    let mut response = http::Response::new(Body::new(Full::from(text)));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
    response
}

fn broken() -> http::Response<Body> {
    let failure = io::Error::from(io::ErrorKind::ConnectionReset);
    let frames = once(Err::<Frame<Bytes>, _>(Status::from_error(failure.into())));
    let mut response = http::Response::new(Body::new(StreamBody::new(frames)));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

async fn stream(messages: Vec<Bytes>, end: End) -> http::Response<Body> {
    let service = tower::service_fn(move |_: Request<Bytes>| {
        let messages = tokio_stream::iter(messages.clone().into_iter().map(Ok));
        let tail: Pin<Box<dyn tokio_stream::Stream<Item = Result<Bytes, Status>> + Send>> =
            match end.clone() {
                End::Closed => Box::pin(tokio_stream::empty()),
                End::Failed(status) => Box::pin(once(Err(status))),
                End::Open => Box::pin(tokio_stream::pending()),
            };
        std::future::ready(Ok::<_, Status>(Response::new(messages.chain(tail))))
    });
    // An empty request message, framed.
    let request = http::Request::new(Full::new(Bytes::from_static(&[0; 5])));
    Grpc::new(BytesCodec).server_streaming(service, request).await
}

impl tower::Service<http::Request<Body>> for Scripted {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// A client whose connections are made by `open`, from the two ends of a new pipe.
fn remote<F>(
    open: impl Fn(DuplexStream, DuplexStream) -> F + Send + Sync + 'static,
) -> Remote<Channel>
where
    F: Future<Output = io::Result<DuplexStream>> + Send + 'static,
{
    let open = Arc::new(open);
    let connector = tower::service_fn(move |_: Uri| {
        let open = Arc::clone(&open);
        async move {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            Ok::<_, io::Error>(TokioIo::new(open(ours, theirs).await?))
        }
    });
    let endpoint = Endpoint::from_static("http://scripted.in-process");
    Remote::new(endpoint.connect_with_connector_lazy(connector))
}

/// What goes wrong below gRPC.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// Nobody listens.
    Refused,
    /// The connection is closed before a byte is read.
    AtOnce,
    /// The connection is closed when the request has been read.
    AfterRequest,
    /// It is an HTTP/1 server, and answers in its own way.
    Http1,
    /// The connection is made and nothing is ever said.
    Silent,
}

pub(crate) fn cut(how: Cut) -> Remote<Channel> {
    remote(move |ours, mut theirs| async move {
        match how {
            Cut::Refused => return Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            Cut::AtOnce => drop(theirs),
            Cut::AfterRequest | Cut::Http1 | Cut::Silent => {
                tokio::spawn(async move {
                    let mut got = Vec::new();
                    while !got.windows(PATH_END.len()).any(|it| it == PATH_END) {
                        let mut some = [0; 1024];
                        let count = theirs.read(&mut some).await?;
                        got.extend_from_slice(&some[..count]);
                        match how {
                            Cut::Http1 => theirs.write_all(BAD_REQUEST).await?,
                            Cut::Silent => std::future::pending::<()>().await,
                            // Settings first, else the client sends nothing more.
                            _other => theirs.write_all(SETTINGS).await?,
                        }
                        if count == 0 {
                            break;
                        }
                    }
                    theirs.shutdown().await
                });
            }
        }
        Ok(ours)
    })
}

/// The last bytes of a request: the body that [`super::remote`] sends.
pub(crate) const PATH_END: &[u8] = b"the end of the request";

/// An empty HTTP/2 SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\n\r\n<html>400</html>";
