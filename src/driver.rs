//! The one async loop: events in, effects out.
//!
//! It decides nothing but order. Every task it starts is in one `JoinSet`; one that dies ends
//! the program, because an agent that has lost a part of itself must not go on looking healthy.

mod watching;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::watching::{Watching, changed, follow, next_of};
use crate::adapter::cluster::Remote;
use crate::adapter::teleport::Link;
use crate::adapter::watch::SourceWatch;
use crate::engine::{Effect, Engine, Event, Level, Notice};
use crate::journal::Record;
use crate::kind::{self, Kind};
use crate::live::Observed;
use crate::manifest::decode::{Cache, read_with_cache};
use crate::manifest::{Reading, Snapshot};
use crate::model::{FingerprintKey, KindName, ResourceId};
use crate::port::{CallCode, CallError, Clock, Commands, Files, Storage, calls};

/// Watch events that may wait for the engine; then the stream's own flow control holds the
/// server back.
const WATCH_QUEUE_MAX: usize = 1024;

/// The engine's clock may ask for nothing at all; then the loop still wakes this often.
const IDLE_WAKE: Duration = Duration::from_mins(1);

/// How often the journal's place is looked at while nothing is written. Two calls of `stat`; the
/// shorter, the sooner an agent ends whose state was taken away from under it.
const STORAGE_CHECK: Duration = Duration::from_secs(2);

/// Adds to the findings of a reading, and shows them to people.
pub type OnReading = Arc<dyn Fn(&Snapshot, &mut Reading) + Send + Sync>;

/// Everything outside the engine.
pub struct World<F, C> {
    /// The control plane.
    pub cluster: Remote<Link>,
    /// The source directory.
    pub files: Arc<F>,
    /// Hints that it moved.
    pub source: SourceWatch,
    /// The commands of labels.
    pub commands: Arc<C>,
    /// The same for the directory of secrets, if there is one.
    pub secrets: Option<SourceWatch>,
    /// The journal's disk.
    pub storage: Arc<dyn Storage>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The ownership mark.
    pub owner: String,
    /// Key of the fingerprints.
    pub key: FingerprintKey,
    /// Told of every reading, for findings.
    pub on_reading: OnReading,
}

impl<F, C> std::fmt::Debug for World<F, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A question from another process, with the way back.
#[derive(Debug)]
pub struct ControlRequest {
    /// What.
    pub question: Question,
    /// Where the answer goes; a message for people when it cannot be done.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// What can be asked of a running agent.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// How it is, as JSON.
    Status,
    /// Let one guarded plan through.
    Approve {
        /// Its hash, or a prefix.
        hash: String,
    },
}

/// A task of ours ended in a panic.
#[derive(Debug, thiserror::Error)]
#[error("a task of the agent died")]
pub struct TaskDied(#[from] JoinError);

/// Runs the engine until it says that it has stopped.
///
/// # Errors
/// A task that died. What was in flight is in the journal and is read back at the next start.
pub async fn drive<F: Files + 'static, C: Commands + 'static>(
    engine: &mut Engine,
    mut world: World<F, C>,
    mut asked: mpsc::Receiver<ControlRequest>,
    stop: CancellationToken,
) -> Result<(), TaskDied> {
    let mut hands = Executor::new(&world);
    let mut events = VecDeque::new();
    events.push_back(match world.storage.load() {
        Ok(state) => Event::Started(state),
        Err(error) => Event::JournalFailed(error.message),
    });
    let (mut stopping, mut asking) = (false, true);
    let link = world.cluster.service().clone();
    let mut channel = link.number();
    let (mut check, mut checking) = (tokio::time::interval(STORAGE_CHECK), true);
    let mut release = None;
    loop {
        // Every answer tells it: it goes before what the answer says.
        if release != hands.cluster.release() {
            release = hands.cluster.release();
            events.extend(release.map(Event::Server));
            events.rotate_right(usize::from(release.is_some()));
        }
        while let Some(event) = events.pop_front() {
            for effect in engine.step(world.clock.now(), event) {
                if hands.perform(effect) {
                    return hands.finish().await;
                }
            }
        }
        hands.write_journal();
        let wake = engine
            .deadline()
            .map_or(IDLE_WAKE, |at| at.saturating_sub(world.clock.now().monotonic));
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                events.push_back(Event::Stop);
            }
            Some(done) = hands.jobs.join_next() => events.extend(hands.done(done)?),
            Some(event) = next_of(&mut hands.watch) => events.push_back(event),
            other = link.turned(channel) => {
                channel = other;
                hands.cluster.forget_lacking();
                events.push_back(Event::Renewed);
            }
            question = asked.recv(), if asking => match question {
                Some(ControlRequest { question: Question::Status, reply }) => {
                    let mut status = engine.status(world.clock.now());
                    status.connection = link.troubles();
                    let status = serde_json::to_string(&status);
                    answer(reply, status.map_err(|error| error.to_string()));
                }
                Some(ControlRequest { question: Question::Approve { hash }, reply }) => {
                    events.push_back(Event::Approve { hash, request: hands.remember(reply) });
                }
                None => asking = false,
            },
            () = world.source.changed() => events.push_back(Event::SourceChanged),
            () = changed(&mut world.secrets) => events.push_back(Event::SourceChanged),
            _ = check.tick(), if checking => if let Err(error) = world.storage.check() {
                checking = false;
                events.push_back(Event::JournalFailed(error.message));
            },
            () = tokio::time::sleep(wake) => events.push_back(Event::Deadline),
        }
    }
}

/// Who asked may have gone; that is their business.
fn answer(reply: oneshot::Sender<Result<String, String>>, text: Result<String, String>) {
    drop(reply.send(text));
}

/// What one finished job brings.
enum Done {
    Event(Box<Event>),
    Journal(Vec<Event>),
    /// Its end was told through its channel.
    Watch,
}

/// The part that acts: turns effects into tasks and their ends into events.
struct Executor<F, C> {
    cluster: Remote<Link>,
    files: Arc<F>,
    commands: Arc<C>,
    storage: Arc<dyn Storage>,
    owner: Arc<str>,
    key: Arc<FingerprintKey>,
    on_reading: OnReading,
    cache: Arc<Mutex<Cache>>,
    jobs: JoinSet<Done>,
    journal: Vec<(u64, Vec<Record>)>,
    journal_busy: bool,
    watch: Option<Watching>,
    replies: BTreeMap<u64, oneshot::Sender<Result<String, String>>>,
    requests: u64,
}

impl<F: Files + 'static, C: Commands + 'static> Executor<F, C> {
    fn new(world: &World<F, C>) -> Self {
        Self {
            cluster: world.cluster.clone(),
            files: Arc::clone(&world.files),
            commands: Arc::clone(&world.commands),
            storage: Arc::clone(&world.storage),
            owner: world.owner.as_str().into(),
            key: Arc::new(world.key.clone()),
            on_reading: Arc::clone(&world.on_reading),
            cache: Arc::new(Mutex::new(Cache::new(&world.key))),
            jobs: JoinSet::new(),
            journal: Vec::new(),
            journal_busy: false,
            watch: None,
            replies: BTreeMap::new(),
            requests: 0,
        }
    }

    /// Starts one effect; true when the engine has stopped.
    fn perform(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::ReadSource => self.read_source(),
            Effect::Watch { kinds } => self.open_watch(&kinds),
            Effect::List { cluster, kind, ticket } => {
                let port = self.cluster.clone();
                let key = Arc::clone(&self.key);
                self.event(async move {
                    let observed = match kind::row(kind) {
                        Some(row) => calls::list(&port, row, cluster.clone(), &key).await,
                        None => Observed::unknown(NO_ROW),
                    };
                    Event::Listed { cluster, kind, ticket, observed }
                });
            }
            Effect::Fetch { ticket, id } => {
                let port = self.cluster.clone();
                let key = Arc::clone(&self.key);
                self.event(async move {
                    let result = match row(&id) {
                        Ok(kind) => calls::fetch(&port, kind, &id, &key).await,
                        Err(error) => Err(error),
                    };
                    Event::Fetched { ticket, id, result }
                });
            }
            Effect::Journal { ticket, records } => self.journal.push((ticket, records)),
            Effect::Write { op, step } => {
                let port = self.cluster.clone();
                let owner = Arc::clone(&self.owner);
                self.event(async move {
                    let result = match row(&step.id) {
                        Ok(kind) => calls::write(&port, kind, &step, &owner).await,
                        Err(error) => Err(error),
                    };
                    Event::Wrote { op, result }
                });
            }
            Effect::Run { ticket, command, timeout } => {
                let commands = Arc::clone(&self.commands);
                self.event(async move {
                    let result = commands.run(&command, timeout).await;
                    Event::Ran { ticket, result }
                });
            }
            Effect::Answer { request, text } => {
                if let Some(reply) = self.replies.remove(&request) {
                    answer(reply, text);
                }
            }
            Effect::Say(notice) => say(&notice),
            Effect::Stopped => return true,
        }
        false
    }

    fn event(&mut self, job: impl Future<Output = Event> + Send + 'static) {
        self.jobs.spawn(async move { Done::Event(Box::new(job.await)) });
    }

    fn read_source(&mut self) {
        let files = Arc::clone(&self.files);
        let cache = Arc::clone(&self.cache);
        let on_reading = Arc::clone(&self.on_reading);
        self.jobs.spawn(async move {
            let snapshot = match files.read().await {
                Ok(snapshot) => snapshot,
                Err(not_yet) => return Done::Event(Box::new(Event::SourceRead(Err(not_yet)))),
            };
            let reading = tokio::task::block_in_place(|| {
                // A panic while reading ends the program before the lock is seen again.
                let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
                let mut reading = read_with_cache(&snapshot, &mut cache);
                on_reading(&snapshot, &mut reading);
                reading
            });
            Done::Event(Box::new(Event::SourceRead(Ok(Arc::new(reading)))))
        });
    }

    /// Puts everything that waits on disk in one transaction: one `fsync` for many records.
    fn write_journal(&mut self) {
        if self.journal_busy || self.journal.is_empty() {
            return;
        }
        self.journal_busy = true;
        let batch = std::mem::take(&mut self.journal);
        let storage = Arc::clone(&self.storage);
        self.jobs.spawn_blocking(move || {
            let (tickets, records): (Vec<u64>, Vec<Vec<Record>>) = batch.into_iter().unzip();
            Done::Journal(match storage.append(&records.concat()) {
                Ok(()) => tickets.into_iter().map(Event::Journaled).collect(),
                Err(error) => vec![Event::JournalFailed(error.message)],
            })
        });
    }

    fn done(&mut self, done: Result<Done, JoinError>) -> Result<Vec<Event>, TaskDied> {
        match done {
            Ok(Done::Event(event)) => Ok(vec![*event]),
            Ok(Done::Journal(events)) => {
                self.journal_busy = false;
                Ok(events)
            }
            Ok(Done::Watch) => Ok(Vec::new()),
            // A watch that was replaced by a newer one.
            Err(error) if error.is_cancelled() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn remember(&mut self, reply: oneshot::Sender<Result<String, String>>) -> u64 {
        self.requests = self.requests.saturating_add(1);
        self.replies.insert(self.requests, reply);
        self.requests
    }

    fn open_watch(&mut self, kinds: &[KindName]) {
        if let Some((_, old)) = self.watch.take() {
            old.abort();
        }
        let (tell, told) = mpsc::channel(WATCH_QUEUE_MAX);
        let port = self.cluster.clone();
        let key = Arc::clone(&self.key);
        let rows: Vec<&Kind> = kinds.iter().filter_map(|name| kind::row(*name)).collect();
        let handle = self.jobs.spawn(async move {
            let reason = follow(&port, &rows, &key, &tell).await;
            port.forget_lacking();
            drop(tell.send(Event::WatchLost(reason)).await);
            Done::Watch
        });
        self.watch = Some((told, handle));
    }

    async fn finish(mut self) -> Result<(), TaskDied> {
        if let Some((_, task)) = self.watch.take() {
            task.abort();
        }
        self.jobs.abort_all();
        while let Some(done) = self.jobs.join_next().await {
            self.done(done)?;
        }
        Ok(())
    }
}

/// Ids are made from rows; this stands for what cannot be.
const NO_ROW: &str = "this version does not know the kind";

fn row(id: &ResourceId) -> Result<&'static Kind, CallError> {
    kind::row(id.kind)
        .ok_or_else(|| CallError { code: CallCode::Unimplemented, message: NO_ROW.to_owned() })
}

/// One line of the log.
fn say(notice: &Notice) {
    let Notice { level, id, text } = notice;
    let id = id.as_ref().map(ToString::to_string);
    let resource = id.as_deref();
    match level {
        Level::Error => tracing::error!(resource, "{text}"),
        Level::Warn => tracing::warn!(resource, "{text}"),
        Level::Info => tracing::info!(resource, "{text}"),
        Level::Debug => tracing::debug!(resource, "{text}"),
    }
}
