//! The ways to an Auth Service, with real sockets and TLS on loopback: straight, through a proxy,
//! behind a load balancer, through an HTTP proxy; rotation, cut connections, wrong authorities.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]

mod expiry;
mod front;
mod rotation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::credentials::{Authority, User, identity, write};
use bytes::Bytes;
use front::{Front, Mode};
use rcgen::KeyPair;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::teleport::{
    Address, HttpProxy, Link, Settings, Source, Teleport, Way, alpn_of,
};
use reconciler::port::{CallCode, CallError, Cluster as _};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

const LIST: &str = "/proto.AuthService/ListRoles";
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster's authorities, a client's directory, and a server in front.
struct Bench {
    dir: tempfile::TempDir,
    users: Authority,
    hosts: Authority,
    web: Authority,
    front: Front,
}

impl Bench {
    async fn new(mode: Mode) -> Self {
        let [users, hosts] = [(); 2].map(|()| Authority::new("root.test"));
        let web = Authority::new("web");
        let front = Front::start(mode, &users, &hosts, &web).await;
        let bench = Self { dir: tempfile::tempdir().unwrap(), users, hosts, web, front };
        bench.sign("bot-one");
        bench
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("identity")
    }

    fn text(&self, user: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let user = User { name: user, ..User::default() };
        identity(&key.serialize_pem(), &self.users.user(&user, &key), &[&self.hosts.pem])
    }

    fn sign(&self, user: &str) {
        write(&self.path(), &self.text(user), 0o600);
    }

    fn settings(&self) -> Settings {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.web.der.clone())).unwrap();
        Settings {
            address: Address { host: "localhost".into(), port: Some(self.front.port) },
            source: Source::File(self.path()),
            roots: Arc::new(roots),
            proxy: HttpProxy::default(),
            upgrade: None,
        }
    }

    fn open(&self) -> (Teleport, Remote<Link>) {
        let teleport = Teleport::open(self.settings()).unwrap();
        let remote = Remote::new(teleport.link());
        (teleport, remote)
    }
}

async fn list(remote: &Remote<Link>) -> Result<Bytes, CallError> {
    remote.call(LIST, Bytes::new(), PATIENCE).await
}

/// Calls until it succeeds; what failed before must not have been anything but a lost connection.
async fn list_again(remote: &Remote<Link>) {
    let started = Instant::now();
    loop {
        match list(remote).await {
            Ok(_) => return,
            Err(error) => {
                assert!(
                    matches!(error.code, CallCode::Unavailable | CallCode::NoAnswer),
                    "{error}"
                );
                assert!(started.elapsed() < PATIENCE, "never again: {error}");
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    }
}

async fn reaches(mode: Mode, way: Way, offered: &[&str]) {
    let bench = Bench::new(mode).await;
    let (teleport, remote) = bench.open();
    let found = teleport.discover().await.unwrap();
    assert_eq!(found.way, way);
    let answer = list(&remote).await.unwrap();
    assert!(answer.windows(6).any(|bytes| bytes == b"editor"), "the preset roles are there");
    let seen = bench.front.seen();
    let last = seen.last().unwrap();
    assert_eq!(last.server_name.as_deref(), Some("teleport.cluster.local"));
    assert_eq!(last.alpn, offered);
    assert_eq!(last.user, "bot-one");
    if way != Way::Direct {
        assert_eq!(found.cluster.as_deref(), Some("root.test"));
        assert_eq!(found.version.as_deref(), Some("18.0.0"));
    }
}

#[tokio::test]
async fn straight_to_the_auth_service() {
    reaches(Mode::Auth, Way::Direct, &["h2"]).await;
}

#[tokio::test]
async fn through_a_proxy_by_alpn() {
    let offered = alpn_of("root.test");
    reaches(Mode::Proxy, Way::Proxy, &[&offered, "h2"]).await;
}

#[tokio::test]
async fn behind_a_load_balancer_by_websocket() {
    let offered = alpn_of("root.test");
    reaches(Mode::Balancer, Way::Upgrade, &[&offered, "h2"]).await;
}

#[tokio::test]
async fn through_an_http_proxy_with_a_password() {
    let bench = Bench::new(Mode::Auth).await;
    let (port, asked) = front::http_proxy(bench.front.port).await;
    let mut settings = bench.settings();
    settings.address = Address { host: "auth.test".into(), port: Some(3025) };
    let url = format!("http://user:secret@127.0.0.1:{port}");
    settings.proxy = HttpProxy::read(&url, "").unwrap();
    let remote = Remote::new(Teleport::open(settings).unwrap().link());
    list(&remote).await.unwrap();
    let asked = asked.lock().unwrap().concat();
    assert!(asked.starts_with("CONNECT auth.test:3025 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="), "{asked}");
}

/// The words of a first call that cannot succeed before a person has acted.
async fn refused(settings: Settings) -> String {
    refused_as(CallCode::Barred, settings).await
}

async fn refused_as(code: CallCode, settings: Settings) -> String {
    let remote = Remote::new(Teleport::open(settings).unwrap().link());
    let error = list(&remote).await.unwrap_err();
    assert_eq!(error.code, code, "nothing was sent: {error}");
    // Nor does it become another error while the next try waits.
    let error = list(&remote).await.unwrap_err();
    assert_eq!(error.code, code, "nothing was sent: {error}");
    assert!(!error.message.contains("PRIVATE"), "{error}");
    error.message
}

#[tokio::test]
async fn each_obstacle_has_its_own_words() {
    let bench = Bench::new(Mode::Auth).await;
    let key = KeyPair::generate().unwrap();
    let other = Authority::new("root.test");
    let user = bench.users.user(&User::default(), &key);
    write(&bench.path(), &identity(&key.serialize_pem(), &user, &[&other.pem]), 0o600);
    let words = refused(bench.settings()).await;
    assert!(words.contains("not signed by the authorities of the identity"), "{words}");

    // An identity of another cluster altogether, straight at the Auth Service.
    let bench = Bench::new(Mode::Auth).await;
    let key = KeyPair::generate().unwrap();
    let far = Authority::new("far.test");
    let user = far.user(&User { cluster: Some("far.test"), ..User::default() }, &key);
    write(&bench.path(), &identity(&key.serialize_pem(), &user, &[&far.pem]), 0o600);
    let words = refused(bench.settings()).await;
    assert!(words.contains("says that it is the cluster `root.test`"), "{words}");
    assert!(words.contains("the identity belongs to `far.test`"), "{words}");
    assert!(words.contains("control_plane.address"), "{words}");
    // What is no Auth Service is not taken for one.
    let bench = Bench::new(Mode::Separate).await;
    write(&bench.path(), &identity(&key.serialize_pem(), &user, &[&far.pem]), 0o600);
    let words = refused(bench.settings()).await;
    assert!(!words.contains("the cluster `web`"), "{words}");

    let bench = Bench::new(Mode::Proxy).await;
    let key = KeyPair::generate().unwrap();
    let user = User { cluster: Some("leaf.test"), ..User::default() };
    let user = bench.users.user(&user, &key);
    write(&bench.path(), &identity(&key.serialize_pem(), &user, &[&bench.hosts.pem]), 0o600);
    let words = refused(bench.settings()).await;
    assert!(words.contains("is the cluster `root.test`"), "{words}");
    assert!(words.contains("belongs to `leaf.test`"), "{words}");

    let bench = Bench::new(Mode::Proxy).await;
    let mut settings = bench.settings();
    settings.roots = Arc::new(RootCertStore::empty());
    let words = refused(settings).await;
    assert!(words.contains("its HTTPS certificate is not trusted"), "{words}");
    assert!(words.contains("UnknownIssuer") && words.contains("control_plane.ca_file"), "{words}");
    assert!(!words.contains("sign a new identity"), "{words}");

    let bench = Bench::new(Mode::Separate).await;
    let words = refused(bench.settings()).await;
    assert!(words.contains("does not multiplex TLS"), "{words}");

    let bench = Bench::new(Mode::Auth).await;
    let settings = bench.settings();
    drop(bench.front);
    let words = refused_as(CallCode::Unavailable, settings).await;
    assert!(words.contains("refused"), "{words}");
}

#[tokio::test]
async fn a_connection_that_dies_is_replaced() {
    let bench = Bench::new(Mode::Proxy).await;
    let (_, remote) = bench.open();
    for round in 0..3 {
        list_again(&remote).await;
        bench.front.cut();
        tokio::time::sleep(Duration::from_millis(20)).await;
        list_again(&remote).await;
        assert!(bench.front.seen().len() > round, "a new handshake for a new connection");
    }
    let handshakes = bench.front.seen().len();
    for _ in 0..20 {
        list(&remote).await.unwrap();
    }
    assert_eq!(bench.front.seen().len(), handshakes, "a good connection is kept");
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let bench = Bench::new(Mode::Auth).await;
    let (_, remote) = bench.open();
    list(&remote).await.unwrap();
    bench.front.refuse(true);
    bench.front.cut();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = list(&remote).await.unwrap_err();
    assert!(matches!(error.code, CallCode::Unavailable | CallCode::NoAnswer), "{error}");
    let started = Instant::now();
    let again = list(&remote).await.unwrap_err();
    assert_eq!(again.code, CallCode::Unavailable, "{again}");
    assert!(started.elapsed() < Duration::from_secs(5), "callers don't wait for the backoff");
    bench.front.refuse(false);
    list_again(&remote).await;
}

#[tokio::test]
async fn a_new_identity_is_taken_and_a_torn_one_is_not() {
    let bench = Bench::new(Mode::Auth).await;
    let (teleport, remote) = bench.open();
    list(&remote).await.unwrap();

    // In the middle of its being written, nothing changes.
    let next = bench.text("bot-two");
    write(&bench.path(), next.get(..next.len() / 2).unwrap(), 0o600);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    list(&remote).await.unwrap();
    assert_eq!(teleport.identity().names.user, "bot-one");

    // Nor by an identity of another cluster.
    let key = KeyPair::generate().unwrap();
    let user = User { name: "bot-far", cluster: Some("far.test"), ..User::default() };
    let far = bench.users.user(&user, &key);
    write(&bench.path(), &identity(&key.serialize_pem(), &far, &[&bench.hosts.pem]), 0o600);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    list(&remote).await.unwrap();
    assert_eq!(teleport.identity().names.user, "bot-one");

    write(&bench.path(), &next, 0o600);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    list(&remote).await.unwrap();
    assert_eq!(teleport.identity().names.user, "bot-two");
    assert_eq!(bench.front.seen().last().unwrap().user, "bot-two");
    // And the connection that follows a cut bears it as well.
    bench.front.cut();
    tokio::time::sleep(Duration::from_millis(20)).await;
    list_again(&remote).await;
    assert_eq!(bench.front.seen().last().unwrap().user, "bot-two");
}
