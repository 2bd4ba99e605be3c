//! A TCP proxy between agent and server that does what a bad network does.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Fewest bytes of a piece that is part of a call: signs of life and window updates are shorter.
const CALL_MIN: usize = 60;

/// What happens to bytes and connections from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// New connections are reset at once.
    Refuse,
    /// New connections are taken, and nothing passes on them, ever.
    Silent,
    /// One byte at a time, in both directions.
    Slow,
    /// Requests pass, answers do not.
    Deaf,
    /// Once: a reset instead of the next request.
    CutRequest,
    /// Once: half of the next answer, in the middle of a record of TLS, then a reset.
    TornAnswer,
    /// Once: bytes that are no TLS instead of the next answer.
    Garbage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Server,
    Agent,
}

/// What happens to one piece.
enum Fate {
    Pass,
    Swallow,
    Slow,
    Reset { first: usize },
    Garbage,
    Never,
}

/// One connection that is open.
#[derive(Default)]
struct Line {
    /// Nothing passes any more, and nobody is told.
    frozen: AtomicBool,
    cut: CancellationToken,
}

struct Shared {
    to: Mutex<SocketAddr>,
    fault: Mutex<Fault>,
    accepted: AtomicUsize,
    lines: Mutex<Vec<Arc<Line>>>,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to: Mutex::new(address),
            fault: Mutex::new(Fault::None),
            accepted: AtomicUsize::new(0),
            lines: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accepting }
    }

    /// The server is there now.
    pub(crate) fn lead_to(&self, address: SocketAddr) {
        *self.shared.to.lock().unwrap() = address;
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// Whether a fault that happens once has happened.
    pub(crate) fn has_struck(&self) -> bool {
        *self.shared.fault.lock().unwrap() == Fault::None
    }

    /// Resets every connection.
    pub(crate) fn cut(&self) {
        for line in self.shared.lines.lock().unwrap().drain(..) {
            line.cut.cancel();
        }
    }

    /// Nothing passes any more on the connections that are open, and they stay open.
    pub(crate) fn freeze(&self) {
        for line in self.shared.lines.lock().unwrap().iter() {
            line.frozen.store(true, Ordering::SeqCst);
        }
    }

    /// Connections that the agent made so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((agent, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let fault = *shared.fault.lock().unwrap();
        if fault == Fault::Refuse {
            agent.set_zero_linger().unwrap();
            continue;
        }
        let line = Arc::new(Line::default());
        line.frozen.store(fault == Fault::Silent, Ordering::SeqCst);
        shared.lines.lock().unwrap().push(Arc::clone(&line));
        tokio::spawn(connection(agent, line, Arc::clone(&shared)));
    }
}

async fn connection(mut agent: TcpStream, line: Arc<Line>, shared: Arc<Shared>) {
    let to = *shared.to.lock().unwrap();
    let Ok(mut server) = TcpStream::connect(to).await else {
        agent.set_zero_linger().unwrap();
        return;
    };
    agent.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let ended = {
        let (from_agent, to_agent) = agent.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            ended = pump(from_agent, to_server, To::Server, &line, &shared) => ended,
            ended = pump(from_server, to_agent, To::Agent, &line, &shared) => ended,
            () = line.cut.cancelled() => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        }
    };
    if ended.is_err() {
        agent.set_zero_linger().unwrap();
        server.set_zero_linger().unwrap();
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: To,
    line: &Line,
    shared: &Shared,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let piece = &buffer[..count];
        match shared.fate(direction, line, count) {
            Fate::Pass => to.write_all(piece).await?,
            Fate::Swallow => {}
            Fate::Slow => {
                for byte in piece {
                    to.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Fate::Reset { first } => {
                to.write_all(&piece[..first]).await?;
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            Fate::Garbage => to.write_all(&[0xAA; 200]).await?,
            Fate::Never => std::future::pending().await,
        }
    }
}

impl Shared {
    fn fate(&self, direction: To, line: &Line, count: usize) -> Fate {
        if line.frozen.load(Ordering::SeqCst) {
            return Fate::Never;
        }
        let mut fault = self.fault.lock().unwrap();
        let is_call = count >= CALL_MIN;
        let (fate, is_over) = match (*fault, direction) {
            (Fault::Slow, To::Server | To::Agent) => (Fate::Slow, false),
            (Fault::Deaf, To::Agent) => (Fate::Swallow, false),
            (Fault::CutRequest, To::Server) if is_call => (Fate::Reset { first: 0 }, true),
            (Fault::TornAnswer, To::Agent) if is_call => (Fate::Reset { first: count / 2 }, true),
            (Fault::Garbage, To::Agent) if is_call => (Fate::Garbage, true),
            (
                Fault::None
                | Fault::Refuse
                | Fault::Silent
                | Fault::Deaf
                | Fault::CutRequest
                | Fault::TornAnswer
                | Fault::Garbage,
                To::Server | To::Agent,
            ) => (Fate::Pass, false),
        };
        if is_over {
            *fault = Fault::None;
        }
        fate
    }
}
