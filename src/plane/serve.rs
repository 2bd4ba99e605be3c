//! The shell around the core: a handle for many callers, its disk, and its watches.
//!
//! A call is answered under one lock: the core decides, the disk commits, then others see it.
//! The lock is never held across an await. Every task is tracked and ends with [`Plane::close`].

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ca::CaError;
use super::core::{Core, WatchId, WatchPoll};
use super::disk::{Disk, DiskError};
use super::faults::{Faults, Moment};
use super::settings::{Caller, Settings};
use super::status::Status;
use super::store::Change;
use crate::model::Now;

mod connection_limit;
mod grpc;
mod listen;
mod mint;
mod tls;
mod transport;
mod web;

pub use listen::ListenError;
pub use mint::{MINT, MintRequest, Minted};
pub use transport::{ServeError, Service, serve_connections};

/// Events that may wait between the plane and one connection; more wait in the core, bounded.
const STREAM_BUFFER: usize = 16;

/// Without news a watch looks again after this time, in case a wake-up was computed too late.
const WATCH_IDLE: Duration = Duration::from_mins(1);

/// Tells the time. The integrator hands in the program's clock.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// Why a plane cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// The database cannot be used.
    #[error("the control plane's database `{path}`")]
    Disk {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: DiskError,
    },
    /// Its authorities cannot be made or read.
    #[error("the control plane's certificate authorities")]
    Authority(#[from] CaError),
    /// It failed in an earlier call.
    #[error(transparent)]
    Failed(Status),
}

/// A running control plane; clones are handles to the same one.
#[derive(Clone)]
pub struct Plane {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Rung after everything that may give a watch or a held call something to do.
    changed: Notify,
    clock: Clock,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    core: Core,
    disk: Option<Disk>,
    /// A commit failed: what is on disk is not known until it is opened again.
    broken: Option<String>,
    /// What was done and is not on disk yet: [`Plane::hold_commits`].
    held: Option<Vec<Change>>,
}

/// What a call ends with.
#[derive(Debug)]
enum Reply {
    Answer(Result<Vec<u8>, Status>),
    /// The work is done and nobody is told.
    Dropped,
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane").field("tasks", &self.shared.tasks.len()).finish_non_exhaustive()
    }
}

impl Plane {
    /// Opens the plane over its database; without a path, over nothing and for this run only.
    ///
    /// # Errors
    /// A database that is locked, damaged, newer, or another program's.
    pub fn open(settings: Settings, path: Option<&Path>, clock: Clock) -> Result<Self, PlaneError> {
        let named = |source: DiskError| PlaneError::Disk {
            path: path.map(|path| path.display().to_string()).unwrap_or_default(),
            source,
        };
        let mut disk = path.map(Disk::open).transpose().map_err(named)?;
        let stored = disk.as_ref().map_or_else(|| Ok(Vec::new()), Disk::load).map_err(named)?;
        let (core, changes) = Core::open(settings, clock(), stored);
        if let Some(disk) = &mut disk {
            disk.commit(&changes).map_err(named)?;
        }
        Ok(Self::over(core, disk, clock))
    }

    /// Opens the plane over what its database, opened for reading, holds now. What is written goes
    /// to memory alone.
    ///
    /// # Errors
    /// A database that is damaged, newer, or another program's.
    pub fn look(settings: Settings, database: Connection, clock: Clock) -> Result<Self, DiskError> {
        let stored = Disk::look(database)?;
        let (core, _changes) = Core::open(settings, clock(), stored);
        Ok(Self::over(core, None, clock))
    }

    fn over(core: Core, disk: Option<Disk>, clock: Clock) -> Self {
        let shared = Shared {
            state: Mutex::new(State { core, disk, broken: None, held: None }),
            changed: Notify::new(),
            clock,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers one unary call, with the faults that are in force.
    ///
    /// # Errors
    /// The status of the call. A dropped answer is `Unavailable` here; over gRPC the stream breaks.
    pub async fn call(
        &self,
        caller: &Caller,
        method: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Status> {
        match self.answer(caller, method, body).await {
            Reply::Answer(result) => result,
            Reply::Dropped => Err(Status::unavailable("the answer was dropped on demand")),
        }
    }

    /// Looks at the core, say at its counters, or changes its faults.
    ///
    /// # Errors
    /// A plane that failed earlier.
    pub fn with_core<T>(&self, look: impl FnOnce(&mut Core) -> T) -> Result<T, Status> {
        let mut state = self.state()?;
        let seen = look(&mut state.core);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(seen)
    }

    /// Whether the plane still answers. After a panic in a handler or a failed commit it refuses
    /// everything, because memory and disk may differ.
    ///
    /// # Errors
    /// Why it does not.
    pub fn health(&self) -> Result<(), Status> {
        self.state().map(drop)
    }

    /// Ends watches, held calls and in-process connections, and waits for them.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// From here on nothing that is done reaches the disk, until [`Plane::commit_held`] puts it
    /// there as one transaction. For a plane that nobody is served by yet: what it answers
    /// meanwhile may never have been.
    ///
    /// # Errors
    /// A plane that failed earlier.
    pub fn hold_commits(&self) -> Result<(), Status> {
        self.state()?.held.get_or_insert_default();
        Ok(())
    }

    /// Puts on disk what was done since [`Plane::hold_commits`], all or nothing.
    ///
    /// # Errors
    /// A disk that fails; the plane refuses everything from then on.
    pub fn commit_held(&self) -> Result<(), Status> {
        let mut state = self.state()?;
        let held = state.held.take().unwrap_or_default();
        state.persist(&held)
    }

    async fn answer(&self, caller: &Caller, method: &str, body: &[u8]) -> Reply {
        if let Err(status) = self.hold(method, Moment::Before).await {
            return Reply::Answer(Err(status));
        }
        let result = self.commit_call(caller, method, body);
        self.shared.changed.notify_waiters();
        let (latency, dropped) = match self.state() {
            Ok(mut state) => {
                let faults: &mut Faults = state.core.faults_mut();
                (faults.latency, faults.take_drop(method))
            }
            Err(status) => return Reply::Answer(Err(status)),
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Err(status) = self.hold(method, Moment::After).await {
            return Reply::Answer(Err(status));
        }
        if dropped { Reply::Dropped } else { Reply::Answer(result) }
    }

    /// The call itself: no await, so that a caller who goes away cannot interrupt it.
    fn commit_call(&self, caller: &Caller, method: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
        let now = (self.shared.clock)();
        let mut state = self.state()?;
        let answer = state.core.call(now, caller, method, body);
        state.persist(&answer.changes)?;
        answer.result
    }

    async fn hold(&self, method: &str, moment: Moment) -> Result<(), Status> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.state()?.core.faults().holds(method, moment) {
                return Ok(());
            }
            tokio::select! {
                () = &mut changed => {}
                () = self.shared.stop.cancelled() => {
                    return Err(Status::unavailable("the control plane is closing"));
                }
            }
        }
    }

    /// Opens a watch and the task that feeds it.
    fn watch(
        &self,
        caller: &Caller,
        body: &[u8],
    ) -> Result<mpsc::Receiver<Result<Bytes, tonic::Status>>, Status> {
        let now = (self.shared.clock)();
        let id = self.state()?.core.subscribe(now, caller, body)?;
        let (to, from) = mpsc::channel(STREAM_BUFFER);
        let plane = self.clone();
        self.shared.tasks.spawn(async move {
            plane.feed(id, &to).await;
            if let Ok(mut state) = plane.state() {
                state.core.close_watch(id);
            }
        });
        Ok(from)
    }

    async fn feed(&self, id: WatchId, to: &mpsc::Sender<Result<Bytes, tonic::Status>>) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (poll, wakeup) = match self.poll(id) {
                Ok(polled) => polled,
                Err(status) => (WatchPoll { events: Vec::new(), ended: Some(status) }, WATCH_IDLE),
            };
            for event in poll.events {
                let sent = tokio::select! {
                    sent = to.send(Ok(event.into())) => sent.is_ok(),
                    () = self.shared.stop.cancelled() => false,
                };
                if !sent {
                    return;
                }
            }
            if let Some(status) = poll.ended {
                tokio::select! {
                    _gone = to.send(Err(grpc::status(status))) => {}
                    () = self.shared.stop.cancelled() => {}
                }
                return;
            }
            tokio::select! {
                () = &mut changed => {}
                () = tokio::time::sleep(wakeup) => {}
                () = to.closed() => return,
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    fn poll(&self, id: WatchId) -> Result<(WatchPoll, Duration), Status> {
        let now = (self.shared.clock)();
        let mut state = self.state()?;
        let changes = state.core.tick(now);
        state.persist(&changes)?;
        let poll = state.core.poll_watch(now, id);
        let wakeup = state.core.next_wakeup(now).unwrap_or(WATCH_IDLE).min(WATCH_IDLE);
        Ok((poll, wakeup))
    }

    /// Locks the state, unless the plane failed.
    fn state(&self) -> Result<std::sync::MutexGuard<'_, State>, Status> {
        let state = self.shared.state.lock().map_err(|_poisoned| {
            Status::internal("the control plane failed in an earlier call, restart it")
        })?;
        match &state.broken {
            Some(why) => Err(Status::unavailable(why.clone())),
            None => Ok(state),
        }
    }
}

impl State {
    /// Makes the changes durable. If that fails, everything is refused from now on.
    fn persist(&mut self, changes: &[Change]) -> Result<(), Status> {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(changes);
            return Ok(());
        }
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.commit(changes).map_err(|error| {
            let why = format!("the control plane's database failed, restart it: {error}");
            self.broken = Some(why.clone());
            Status::unavailable(why)
        })
    }
}
