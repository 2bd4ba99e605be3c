//! Identities of a few seconds under a running agent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::KeyPair;
use reconciler::adapter::cluster::Remote;

use super::Bench;
use super::front::Mode;
use crate::agent::{Agent, quick};
use crate::credentials::{User, identity, write};

const ROLE: &str = "kind: role\nversion: v7\nmetadata: {name: NAME}\nspec: {}\n";

fn role(name: &str) -> String {
    ROLE.replace("NAME", name)
}

impl Bench {
    /// Signs an identity that ends so many seconds from now.
    fn sign_for(&self, user: &str, seconds: u64) {
        let key = KeyPair::generate().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let user = User { name: user, from: now - 60, to: now + seconds, ..User::default() };
        let text =
            identity(&key.serialize_pem(), &self.users.user(&user, &key), &[&self.hosts.pem]);
        write(&self.path(), &text, 0o600);
    }

    fn calls(&self, path: &str) -> u64 {
        let count = |core: &mut reconciler::plane::Core| {
            core.counters().get(path).map_or(0, |counters| counters.calls)
        };
        self.front.plane.with_core(count).unwrap()
    }

    fn writes(&self) -> u64 {
        let all = |core: &mut reconciler::plane::Core| {
            core.counters().values().map(|counters| counters.writes).sum()
        };
        self.front.plane.with_core(all).unwrap()
    }
}

const WATCH: &str = "/proto.AuthService/WatchEvents";

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_moves_before_the_old_identity_ends() {
    let bench = Bench::new(Mode::Auth).await;
    bench.sign_for("bot-one", 30);
    let (teleport, remote) = bench.open();
    let agent = Agent::start(remote, quick(), &[("a.yaml", &role("a"))]);
    agent.converged().await;
    assert_eq!(bench.calls(WATCH), 1);

    bench.sign_for("bot-two", 3600);
    let moved = |_: &reconciler::engine::Status| bench.calls(WATCH) == 2;
    agent.until("moved", moved).await;
    agent.converged().await;
    assert_eq!(bench.front.seen().last().unwrap().user, "bot-two");
    assert_eq!(teleport.identity().names.user, "bot-two");
    // It tells of changes on the new connection, and nothing is left on the old one.
    let handshakes = bench.front.seen().len();
    agent.write("b.yaml", &role("b"));
    agent
        .until("created", |status| status.converged && status.resources.contains_key("role/b"))
        .await;
    assert_eq!(bench.front.seen().len(), handshakes, "one connection for everything");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_ends_stops_everything_until_there_is_a_new_one() {
    let bench = Bench::new(Mode::Auth).await;
    bench.sign_for("bot-one", 12);
    let (teleport, remote) = bench.open();
    let ends = teleport.identity().names.not_after;
    let agent = Agent::start(remote, quick(), &[("a.yaml", &role("a")), ("b.yaml", &role("b"))]);
    agent.converged().await;
    let said = format!("identity expired at {ends}");
    let status = agent.until("expired", |status| status.watch.contains(&said)).await;
    assert!(!status.converged);
    let unknown = |status: &reconciler::engine::Status| {
        let why = status.kinds.get("role").and_then(|kind| kind.missing.clone());
        why.is_some_and(|why| why.contains(&said))
    };
    agent.until("told of the kind", unknown).await;

    // Nothing reaches the server, whatever the files say.
    let (writes, handshakes) = (bench.writes(), bench.front.seen().len());
    agent.write("c.yaml", &role("c"));
    agent.remove("b.yaml");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((bench.writes(), bench.front.seen().len()), (writes, handshakes));

    bench.sign_for("bot-two", 3600);
    let started = std::time::Instant::now();
    let home = |status: &reconciler::engine::Status| {
        status.converged && !status.resources.contains_key("role/b")
    };
    agent.until("home again", home).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(bench.writes(), writes + 2, "one created, one deleted");
    agent.stop().await;
}

#[tokio::test]
async fn after_the_end_nothing_is_dialled() {
    let bench = Bench::new(Mode::Auth).await;
    bench.sign_for("bot-one", 2);
    let (teleport, _) = bench.open();
    let remote = Remote::new(teleport.link());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for _ in 0..2 {
        let error = super::list(&remote).await.unwrap_err();
        let ends = teleport.identity().names.not_after;
        assert!(error.message.contains(&format!("identity expired at {ends}")), "{error}");
        assert_eq!(error.code, reconciler::port::CallCode::Barred, "nothing was sent");
    }
    assert!(bench.front.seen().is_empty(), "{:?}", bench.front.seen());
}
