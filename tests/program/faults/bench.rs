//! Agent, proxy and server: all that a test of this suite begins with and ends with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reconciler::adapter::clock::System;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::memory::Memory;
use reconciler::adapter::teleport::{
    Address, HttpProxy, Keepalive, Link, Settings as Client, Source, Teleport,
};
use reconciler::engine::{Config, Status};
use reconciler::kind;
use reconciler::model::Cluster;
use reconciler::plane::{Core, MintRequest, Plane, Settings};
use reconciler::port::{Clock as _, Storage, calls};
use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::proxy::Proxy;
use crate::agent::{Agent, KEY, PATIENCE, quick};
use crate::credentials::write;
use crate::serve::client::allow_everything;

/// Longer than any test: no sign of life disturbs it.
pub(crate) const NO_PINGS: Keepalive =
    Keepalive { every: Duration::from_mins(10), answer: Duration::from_mins(10) };

/// The names of the roles of tests begin so.
const PREFIX: &str = "role-";

pub(crate) const CREATE: &str = "/proto.AuthService/CreateRole";

/// Manifests of so many roles, with their files' names.
pub(crate) fn roles(count: usize) -> Vec<(String, String)> {
    (0..count).map(role).collect()
}

pub(crate) fn role(number: usize) -> (String, String) {
    let name = format!("{PREFIX}{number:03}");
    let text =
        format!("kind: role\nversion: v7\nmetadata:\n  name: {name}\nspec: {{allow: {{}}}}\n");
    (format!("{name}.yaml"), text)
}

/// Writes that arrived at a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Creates.
    pub(crate) creates: u64,
    /// Creates that made something.
    pub(crate) made: u64,
    /// Updates, upserts and deletes.
    pub(crate) others: u64,
}

impl Tally {
    fn of(core: &Core) -> Self {
        let mut tally = Self::default();
        for (path, counters) in core.counters() {
            let word = path.rsplit('/').next().unwrap_or(path);
            if word.starts_with("Create") {
                tally.creates += counters.calls;
                tally.made += counters.writes;
            } else if ["Update", "Upsert", "Delete"].iter().any(|verb| word.starts_with(verb)) {
                tally.others += counters.calls;
            }
        }
        tally
    }

    fn plus(self, other: Self) -> Self {
        Self {
            creates: self.creates + other.creates,
            made: self.made + other.made,
            others: self.others + other.others,
        }
    }
}

/// A plane on a port, with its database.
pub(crate) struct Server {
    pub(crate) plane: Plane,
    pub(crate) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(file: &Path) -> Self {
        let clock = System::start();
        let settings = Settings::default();
        let plane = Plane::open(settings, Some(file), Arc::new(move || clock.now())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = plane.clone();
        let serving = tokio::spawn(async move { served.serve_tls(listener).await.unwrap() });
        Self { plane, address, serving }
    }

    /// Ends it as SIGTERM does; its tally.
    async fn end(self) -> Tally {
        self.plane.close().await;
        self.serving.await.unwrap();
        self.plane.with_core(|core| Tally::of(core)).unwrap()
    }
}

/// Everything.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    server: Option<Server>,
    pub(crate) proxy: Proxy,
    pub(crate) journal: Arc<Memory>,
    /// What servers that have ended were asked.
    before: Tally,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("plane.db")).await;
        allow_everything(&server.plane).await;
        let proxy = Proxy::to(server.address).await;
        let bench = Self {
            dir,
            server: Some(server),
            proxy,
            journal: Arc::default(),
            before: Tally::default(),
        };
        bench.sign("first", 3600);
        bench
    }

    pub(crate) fn plane(&self) -> &Plane {
        &self.server.as_ref().unwrap().plane
    }

    fn identity(&self) -> PathBuf {
        self.dir.path().join("identity")
    }

    /// Writes an identity in place, which lasts so many seconds.
    pub(crate) fn sign(&self, user: &str, ttl_seconds: u64) {
        let roles = vec!["everything".to_owned()];
        let request = MintRequest { user: user.to_owned(), roles, ttl_seconds };
        write(&self.identity(), &self.plane().mint(&request).unwrap().file, 0o600);
    }

    pub(crate) fn teleport(&self) -> Teleport {
        self.teleport_at("127.0.0.1")
    }

    /// The same by another name of this machine.
    pub(crate) fn teleport_at(&self, host: &str) -> Teleport {
        teleport(&self.identity(), host, self.proxy.port)
    }

    /// The agent over that many roles.
    pub(crate) fn agent(&self, link: Link, count: usize) -> Agent {
        start(link, quick(), &self.journal, count)
    }

    /// The agent over one role, at rest: what comes next is what a test asks for.
    pub(crate) async fn resting(&self, keepalive: Keepalive) -> Agent {
        let agent = self.agent(self.teleport().link_with(keepalive), 1);
        agent.converged().await;
        assert_eq!(self.tally(), Tally { creates: 1, made: 1, others: 0 });
        agent
    }

    /// Ends the server in order, and starts another on its state and another port.
    pub(crate) async fn exchange_server(&mut self) {
        let server = self.server.take().unwrap();
        self.before = self.before.plus(server.end().await);
        let server = Server::start(&self.dir.path().join("plane.db")).await;
        self.proxy.lead_to(server.address);
        self.server = Some(server);
    }

    /// Writes that arrived at all servers, without the one of [`Bench::new`].
    pub(crate) fn tally(&self) -> Tally {
        let now = self.plane().with_core(|core| Tally::of(core)).unwrap();
        let mut tally = self.before.plus(now);
        tally.others -= 1;
        tally
    }

    pub(crate) async fn until_creates(&self, count: u64) {
        self.until("so many creates", || self.tally().creates >= count).await;
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "never {what}: {:?}", self.tally());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The end of each test: that many roles are as wanted, each was written once, nothing else
    /// was written, nothing was deleted, and the journal is in no doubt.
    pub(crate) async fn assert_home(&self, agent: Agent, count: usize) {
        settled(&agent, count).await;
        let once = u64::try_from(count).unwrap();
        let tally = self.tally();
        assert_eq!(tally, Tally { creates: once, made: once, others: 0 });
        assert_journal(&self.journal, count);
        agent.stop().await;
        let live = live(self.plane()).await;
        assert_eq!(live.len(), count, "{:?}", live.keys());
    }
}

/// A client behind the proxy.
pub(crate) fn teleport(identity: &Path, host: &str, port: u16) -> Teleport {
    Teleport::open(Client {
        address: Address { host: host.into(), port: Some(port) },
        source: Source::File(identity.to_owned()),
        roots: Arc::new(RootCertStore::empty()),
        proxy: HttpProxy::default(),
        upgrade: None,
    })
    .unwrap()
}

pub(crate) fn start(link: Link, config: Config, journal: &Arc<Memory>, count: usize) -> Agent {
    let files = roles(count);
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let storage: Arc<dyn Storage> = Arc::<Memory>::clone(journal);
    Agent::over(Remote::new(link), config, &files, storage)
}

/// Waits until all of them are in sync and followed.
pub(crate) async fn settled(agent: &Agent, count: usize) {
    let is_so = |status: &Status| {
        status.converged && status.watch == "open" && status.resources.len() == count
    };
    agent.until("home", is_so).await;
}

/// Everything is ours, and no write is in doubt.
pub(crate) fn assert_journal(journal: &Memory, count: usize) {
    let state = journal.load().unwrap();
    assert!(state.open.is_empty(), "{:?}", state.open);
    assert_eq!(state.inventory.len(), count);
}

/// The roles of the test, with their revisions.
pub(crate) async fn live(plane: &Plane) -> BTreeMap<String, String> {
    let remote = Remote::new(plane.in_process().unwrap());
    let kind = kind::find("role").unwrap();
    let observed = calls::list(&remote, kind, Cluster::Parent, &KEY).await;
    let ours = observed.seen().filter(|live| live.id.name.starts_with(PREFIX));
    ours.map(|live| (live.id.name.to_string(), format!("{:?}", live.revision))).collect()
}
