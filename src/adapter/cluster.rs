//! A control plane behind gRPC: bytes out, bytes in, errors as [`CallCode`].

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body::Body as HttpBody;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, ConnectError, Request, Status};

use super::limit::Limit;
use super::teleport::ConnectError as TeleportError;
use crate::model::Release;
use crate::port::{CallCode, CallError, Cluster};
use crate::wire::codec::BytesCodec;

/// Largest answer that is taken, in bytes. A page of 1,000 resources with kubeconfigs passes
/// tonic's own 4 MiB.
pub const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// The client version that we tell in the `version` metadata: the server refuses majors that are
/// too old, and downgrades roles for them.
pub const CLIENT_VERSION: &str = "18.0.0";

/// Longest wait until a watch is accepted. The stream itself has no limit.
const WATCH_OPEN: Duration = Duration::from_secs(30);

/// A control plane behind any gRPC transport.
#[derive(Debug, Clone)]
pub struct Remote<S> {
    service: S,
    limit: Arc<Limit>,
    /// Methods that the server of this connection does not have.
    lacking: Arc<Mutex<BTreeSet<&'static str>>>,
    /// The version that the last answer told.
    release: Arc<Mutex<Option<Release>>>,
}

impl<S> Remote<S> {
    /// Speaks through `service`, a `tonic::transport::Channel` for example. Clones share one
    /// limit of calls in flight.
    pub fn new(service: S) -> Self {
        let (limit, lacking, release) = (Arc::default(), Arc::default(), Arc::default());
        Self { service, limit, lacking, release }
    }

    /// The same control plane through another form of its transport.
    pub fn map<T>(self, form: impl FnOnce(S) -> T) -> Remote<T> {
        let Self { service, limit, lacking, release } = self;
        Remote { service: form(service), limit, lacking, release }
    }

    /// Its transport.
    pub const fn service(&self) -> &S {
        &self.service
    }

    /// The connection was another one, or will be: what its server lacks is found out anew.
    pub fn forget_lacking(&self) {
        self.lacking().clear();
    }

    /// The server's version, as its last answer told it.
    pub fn release(&self) -> Option<Release> {
        *self.release.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every answer of an Auth Service tells its version.
    fn note_release(&self, metadata: &MetadataMap) {
        let told = metadata.get("version").and_then(|value| value.to_str().ok());
        if let Some(release) = told.and_then(Release::parse) {
            *self.release.lock().unwrap_or_else(PoisonError::into_inner) = Some(release);
        }
    }

    fn lacking(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Remote<S>
where
    S: GrpcService<Body> + Clone + Send + Sync,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Opens a stream of messages, `WatchEvents`. Ends with an error, or when the server ends it.
    ///
    /// # Errors
    /// The server's status, or that there was no answer.
    pub async fn watch(
        &self,
        path: &'static str,
        request: Bytes,
    ) -> Result<impl Stream<Item = Result<Bytes, CallError>> + Send + use<S>, CallError> {
        let mut grpc = self.grpc();
        ready(&mut grpc, WATCH_OPEN).await?;
        let path = PathAndQuery::from_static(path);
        let opening = grpc.server_streaming(tagged(request), path, BytesCodec);
        let stream = match tokio::time::timeout(WATCH_OPEN, opening).await {
            Ok(answer) => {
                let answer = answer.map_err(|status| call_error(&status))?;
                self.note_release(answer.metadata());
                answer.into_inner()
            }
            Err(_) => return Err(no_answer(WATCH_OPEN)),
        };
        Ok(stream.map(|message| message.map_err(|status| call_error(&status))))
    }

    fn grpc(&self) -> Grpc<S> {
        Grpc::new(self.service.clone())
            .max_decoding_message_size(ANSWER_MAX)
            .max_encoding_message_size(ANSWER_MAX)
    }
}

impl<S> Cluster for Remote<S>
where
    S: GrpcService<Body> + Clone + Send + Sync,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn call(
        &self,
        path: &'static str,
        request: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let turn = self.limit.turn().await;
        tracing::debug!("call {path}");
        let mut grpc = self.grpc();
        if let Err(error) = ready(&mut grpc, deadline).await {
            self.forget_lacking();
            return Err(error);
        }
        let mut request = tagged(request);
        request.set_timeout(deadline);
        let call = grpc.unary(request, PathAndQuery::from_static(path), BytesCodec);
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => {
                turn.went_well();
                self.note_release(answer.metadata());
                Ok(answer.into_inner())
            }
            Ok(Err(status)) => {
                let error = call_error(&status);
                match error.code {
                    CallCode::ResourceExhausted => turn.was_too_much(),
                    // Whoever answers next may be another server.
                    CallCode::NoAnswer | CallCode::Unavailable | CallCode::Barred => {
                        self.forget_lacking();
                    }
                    CallCode::Unknown
                    | CallCode::InvalidArgument
                    | CallCode::NotFound
                    | CallCode::AlreadyExists
                    | CallCode::PermissionDenied
                    | CallCode::FailedPrecondition
                    | CallCode::Unimplemented
                    | CallCode::Internal => {}
                }
                Err(error)
            }
            Err(_) => Err(no_answer(deadline)),
        }
    }

    fn lacks(&self, path: &'static str) -> bool {
        self.lacking().contains(path)
    }

    fn found_lacking(&self, path: &'static str) {
        self.lacking().insert(path);
    }
}

/// Waits until the transport takes a request. Nothing is sent before.
async fn ready<S>(grpc: &mut Grpc<S>, deadline: Duration) -> Result<(), CallError>
where
    S: GrpcService<Body>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    match tokio::time::timeout(deadline, grpc.ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let error = error.into();
            let code = unsent(error.as_ref()).unwrap_or(CallCode::Unavailable);
            Err(CallError { code, message: chain(error.as_ref()) })
        }
        Err(_) => {
            let message = format!("no connection within {deadline:?}");
            Err(CallError { code: CallCode::Unavailable, message })
        }
    }
}

/// What an error of our own side says, if there was no connection.
fn unsent(error: &(dyn StdError + 'static)) -> Option<CallCode> {
    let mut code = None;
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<TeleportError>() {
            Some(error) if error.is_final() => return Some(CallCode::Barred),
            Some(_) => code = Some(CallCode::Unavailable),
            None if error.is::<ConnectError>() => code = Some(CallCode::Unavailable),
            None => {}
        }
        next = error.source();
    }
    code
}

fn tagged(bytes: Bytes) -> Request<Bytes> {
    let mut request = Request::new(bytes);
    request.metadata_mut().insert("version", MetadataValue::from_static(CLIENT_VERSION));
    request
}

fn no_answer(deadline: Duration) -> CallError {
    CallError { code: CallCode::NoAnswer, message: format!("no answer within {deadline:?}") }
}

/// How the text begins when one of the caller's own roles is gone. The code is then that of a
/// missing resource, whatever was asked, and must not be taken for one.
const NO_ROLE: &str = "access denied\n";

/// What a status means for a write. A status that our own side made up (it has a cause) says
/// nothing about what the server did, except that there was no connection.
fn call_error(status: &Status) -> CallError {
    let Some(cause) = status.source() else {
        let no_role = status.code() == Code::NotFound && status.message().starts_with(NO_ROLE);
        let code = if no_role { CallCode::PermissionDenied } else { code(status.code()) };
        return CallError { code, message: status.message().to_owned() };
    };
    let code = unsent(cause).unwrap_or(CallCode::NoAnswer);
    CallError { code, message: chain(cause) }
}

/// The server's own codes. Its 14 may come from a proxy on the way, after the request was
/// passed on.
const fn code(code: Code) -> CallCode {
    match code {
        Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable => CallCode::NoAnswer,
        Code::Unknown => CallCode::Unknown,
        Code::InvalidArgument => CallCode::InvalidArgument,
        Code::NotFound => CallCode::NotFound,
        Code::AlreadyExists => CallCode::AlreadyExists,
        Code::PermissionDenied => CallCode::PermissionDenied,
        Code::ResourceExhausted => CallCode::ResourceExhausted,
        Code::FailedPrecondition => CallCode::FailedPrecondition,
        Code::Unimplemented => CallCode::Unimplemented,
        Code::Ok
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => CallCode::Internal,
    }
}

/// An error with its causes, each said once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}
