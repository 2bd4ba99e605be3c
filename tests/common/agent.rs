//! The agent in this process: real files, the real client, its journal in memory.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reconciler::adapter::clock::System;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::commands::{Environment, Runner};
use reconciler::adapter::files::{Directory, Globs};
use reconciler::adapter::memory::Memory;
use reconciler::adapter::teleport::Link;
use reconciler::adapter::watch::SourceWatch;
use reconciler::driver::{ControlRequest, Question, World, drive};
use reconciler::engine::{Config, Engine, Mode, Outcome, Status};
use reconciler::labels::allow::Allow;
use reconciler::model::FingerprintKey;
use reconciler::port::Storage;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One key for all.
pub const KEY: FingerprintKey = FingerprintKey([7; 32]);

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running agent.
pub struct Agent {
    pub dir: tempfile::TempDir,
    ask: mpsc::Sender<ControlRequest>,
    stop: CancellationToken,
    running: JoinHandle<Outcome>,
}

/// Short times; nothing happens by the clock that a test does not ask for.
pub fn quick() -> Config {
    Config {
        settle: Duration::from_millis(20),
        settle_max: Duration::from_secs(1),
        resync: Duration::from_hours(1),
        poll: Duration::from_hours(1),
        poll_waiting: Duration::from_hours(1),
        prune_delay: Duration::from_millis(100),
        ..Config::default()
    }
}

impl Agent {
    /// Runs over these files.
    pub fn start(cluster: Remote<Link>, config: Config, files: &[(&str, &str)]) -> Self {
        Self::over(cluster, config, files, Arc::new(Memory::default()))
    }

    /// Runs over these files and that journal.
    pub fn over(
        cluster: Remote<Link>,
        config: Config,
        files: &[(&str, &str)],
        storage: Arc<dyn Storage>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (ask, asked) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let world = World {
            cluster,
            files: Arc::new(Directory::new(dir.path(), Globs::new(&["**/*.yaml"], &[]).unwrap())),
            commands: Arc::new(Runner::new(
                dir.path().to_owned(),
                Allow::default(),
                Environment::of([], &[]),
            )),
            secrets: None,
            source: SourceWatch::new(dir.path(), Duration::from_hours(1)),
            storage,
            clock: Arc::new(System::start()),
            owner: config.policy.agent.clone(),
            key: KEY,
            on_reading: Arc::new(|_, _| {}),
        };
        let rng = fastrand::Rng::with_seed(7);
        let mut engine = Engine::new(config, KEY, rng);
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            drive(&mut engine, world, asked, stopped).await.unwrap();
            engine.outcome()
        });
        Self { dir, ask, stop, running }
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.dir.path().join(name)).unwrap();
    }

    /// How it is.
    pub async fn status(&self) -> Status {
        let (reply, answer) = oneshot::channel();
        self.ask.send(ControlRequest { question: Question::Status, reply }).await.unwrap();
        serde_json::from_str(&answer.await.unwrap().unwrap()).unwrap()
    }

    /// Waits until its status is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let started = Instant::now();
        loop {
            let status = self.status().await;
            if is_so(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "never {what}: {status:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until everything is as wanted, and the watch is open.
    pub async fn converged(&self) -> Status {
        let is_followed = |status: &Status| status.watch == "open" || status.watch == "none";
        self.until("converged", |status| status.converged && is_followed(status)).await
    }

    /// Tells it to stop.
    pub async fn stop(self) -> Outcome {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself ([`Mode::Once`]).
    pub async fn ended(self) -> Outcome {
        tokio::time::timeout(PATIENCE, self.running).await.expect("it ends").unwrap()
    }
}

/// One pass.
pub fn once() -> Config {
    Config { mode: Mode::Once, ..quick() }
}
