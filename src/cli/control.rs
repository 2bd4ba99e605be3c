//! The agent's socket: questions to it, and the embedded plane's own API, on one Unix socket.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

use super::error::{CliError, chain};
use crate::adapter::cluster::Remote;
use crate::adapter::teleport::Link;
use crate::driver::{ControlRequest, Question};
use crate::plane::serve::Service;
use crate::port::{CallCode, Cluster as _};
use crate::wire::codec::BytesCodec;

/// Everything under this prefix is for the agent; all else is for the plane.
const PREFIX: &str = "/reconciler.control.v1.Control/";

/// The one call; its body and answer are JSON.
const ASK: &str = "/reconciler.control.v1.Control/Ask";

/// How long a command waits for a running agent. Longer than any answer takes; an agent that is
/// stopped in a debugger should not hang every command for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to the agent behind a socket, if there is one.
pub(super) async fn connect(path: &Path) -> Option<Channel> {
    dial(path).await.ok()?;
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { dial(&path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://reconciler.sock").connect_with_connector(connector).await.ok()
}

async fn dial(path: &Path) -> io::Result<UnixStream> {
    let short = Short::of(path)?;
    UnixStream::connect(&short.path).await
}

/// Longest path that a socket's address holds on every system, in bytes, with the zero at its end.
const ADDRESS_MAX: usize = 104;

/// A name of a socket that fits into an address: its own, or, where that is too long, the one in
/// its opened directory.
struct Short {
    path: PathBuf,
    /// Kept open for as long as the name is used.
    _directory: Option<File>,
}

impl Short {
    fn of(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().len() < ADDRESS_MAX || !Path::new(OPENED).is_dir() {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let directory = File::open(parent)?;
        let path = Path::new(OPENED).join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _directory: Some(directory) })
    }
}

/// Where Linux has the files that a process has open.
const OPENED: &str = "/proc/self/fd";

/// Asks a running agent.
///
/// # Errors
/// What the agent said, or that it gave no answer.
pub(super) async fn ask_agent(
    agent: &Remote<Channel>,
    question: &Question,
) -> Result<String, CliError> {
    let answer = ask(agent, ASK, question, PATIENCE).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks whatever process answers on a socket: a question as JSON, sent to a path.
///
/// # Errors
/// What the process said, as a usage error where it found the question wrong; or that it gave no
/// answer within the deadline.
pub(super) async fn ask<Q: Serialize>(
    process: &Remote<Channel>,
    path: &'static str,
    question: &Q,
    deadline: Duration,
) -> Result<Bytes, CliError> {
    let body = serde_json::to_vec(question).map_err(|error| CliError::new(error.to_string()))?;
    process.call(path, Bytes::from(body), deadline).await.map_err(|error| match error.code {
        CallCode::FailedPrecondition => CliError::new(error.message),
        CallCode::InvalidArgument => CliError::usage(error.message),
        CallCode::NoAnswer
        | CallCode::Unknown
        | CallCode::NotFound
        | CallCode::AlreadyExists
        | CallCode::PermissionDenied
        | CallCode::ResourceExhausted
        | CallCode::Unimplemented
        | CallCode::Unavailable
        | CallCode::Barred
        | CallCode::Internal => {
            CliError::new(format!("the running process gave no answer: {error}"))
        }
    })
}

/// The socket of an agent, with its file; removed at the end.
#[derive(Debug)]
pub(super) struct Socket {
    /// Accepts connections.
    pub listener: UnixListener,
    /// Removes the file when dropped.
    pub file: SocketFile,
}

/// The socket's place in the file system.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Binds, mode 0600. The caller holds the lock of the state, so that a file which is there
    /// was left by an agent that is gone.
    ///
    /// # Errors
    /// The system's, with the path.
    pub(super) fn bind(path: &Path) -> Result<Self, CliError> {
        let failed = |error: io::Error| {
            let remedy = if path.as_os_str().len() < ADDRESS_MAX {
                ""
            } else {
                "; put the state into a directory with a shorter path (`state.path`, `--state`)"
            };
            CliError::new(format!("cannot listen on {}: {error}{remedy}", path.display()))
        };
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let short = Short::of(path).map_err(failed)?;
        let listener = UnixListener::bind(&short.path).map_err(failed)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).map_err(failed)?;
        let inode = inode(path).map_err(failed)?;
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), inode } })
    }
}

fn inode(path: &Path) -> io::Result<u64> {
    std::fs::symlink_metadata(path).map(|stat| std::os::unix::fs::MetadataExt::ino(&stat))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Where our own was removed, this may be that of another agent.
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

type Request = http::Request<Body>;

/// Routes by path: the agent's own questions go to the driver, everything else to `plane`.
pub(super) fn switch(plane: Service, asked: mpsc::Sender<ControlRequest>) -> Service {
    Service::new(tower::service_fn(move |request: Request| {
        let (plane, ask) = (plane.clone(), Ask { asked: asked.clone() });
        async move {
            if request.uri().path().starts_with(PREFIX) {
                return Ok(tonic::server::Grpc::new(BytesCodec).unary(ask, request).await);
            }
            plane.oneshot(request).await
        }
    }))
}

/// Passes reads on to the Teleport that the agent drives, on its connection: for commands whose
/// own look at the identity's file comes in a bad moment.
pub(super) fn pass_on(link: Link) -> Service {
    Service::new(tower::service_fn(move |request: Request| {
        let link = link.clone();
        async move {
            if !is_read(request.uri().path()) {
                let text = "this agent manages a real Teleport and forwards reads only";
                return Ok(tonic::Status::unimplemented(text).into_http());
            }
            let answer = link.oneshot(request).await;
            Ok(answer.unwrap_or_else(|error| tonic::Status::unavailable(chain(&error)).into_http()))
        }
    }))
}

/// Whether a call changes nothing. Whoever reaches the socket can read the identity's file too;
/// what changes something goes through the agent's engine all the same.
fn is_read(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or(path);
    ["Get", "List", "Ping"].iter().any(|word| method.starts_with(word))
}

/// The agent's one call.
struct Ask {
    asked: mpsc::Sender<ControlRequest>,
}

impl tonic::server::UnaryService<Bytes> for Ask {
    type Response = Bytes;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<tonic::Response<Bytes>, tonic::Status>> + Send + 'static>,
    >;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let asked = self.asked.clone();
        Box::pin(async move {
            let question: Question = serde_json::from_slice(request.get_ref())
                .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
            let (reply, answer) = oneshot::channel();
            let gone = || tonic::Status::unavailable("the agent is ending");
            asked.send(ControlRequest { question, reply }).await.map_err(|_| gone())?;
            match answer.await.map_err(|_| gone())? {
                Ok(text) => Ok(tonic::Response::new(Bytes::from(text))),
                Err(text) => Err(tonic::Status::failed_precondition(text)),
            }
        })
    }
}
