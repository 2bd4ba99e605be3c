//! The plane on a TCP port: who gets in, and what nobody can do to others.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::similar_names,
    reason = "test code"
)]

mod binary;
pub(crate) mod client;
mod doctor;
mod identities;
mod previews;
mod programs;
mod strangers;
mod web;

use std::sync::Arc;
use std::time::Duration;

use client::{Bearer, Port, call, kube, named};
use prost::Message as _;
use reconciler::adapter::clock::System;
use reconciler::model::Timestamp;
use reconciler::plane::ca::{Authorities, Authority, Role, Subject, Wanted};
use reconciler::plane::{Plane, Settings};
use reconciler::port::Clock as _;
use reconciler::wire::message::proto;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::Code;

const PING: &str = "/proto.AuthService/Ping";
const CREATE: &str = "/proto.AuthService/CreateKubernetesCluster";
const GET: &str = "/proto.AuthService/GetKubernetesCluster";

const HOUR: Duration = Duration::from_hours(1);

fn now() -> Timestamp {
    System::start().now().wall
}

#[tokio::test]
async fn the_certificate_says_who_calls() {
    let port = Port::open().await;
    let editor = port.channel(&port.bearer("editor", &["everything"])).await.unwrap();
    call(&editor, CREATE, &kube("a")).await.unwrap();
    let answer = call(&editor, PING, &()).await.unwrap();
    let ping = proto::PingResponse::decode(answer).unwrap();
    assert_eq!(ping.server_version, "18.0.0");

    let visitor = port.channel(&port.bearer("visitor", &["access"])).await.unwrap();
    let refused = call(&visitor, CREATE, &kube("b")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    call(&visitor, PING, &()).await.unwrap();
    // Whoever may do everything on the program's own socket has no name that a certificate gives.
    let posing = port.channel(&port.bearer("admin", &["access"])).await.unwrap();
    let refused = call(&posing, CREATE, &kube("b")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = call(&posing, "/reconciler.plane.v1.Plane/Mint", &()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused:?}");
    port.close().await;
}

#[tokio::test]
async fn every_way_to_name_the_server_is_verified() {
    let port = Port::open().await;
    let bearer = port.bearer("editor", &["editor"]);
    let hex = "656d6265646465642e6c6f63616c.teleport.cluster.local";
    for name in ["teleport.cluster.local", hex, "any.teleport.cluster.local", "localhost"] {
        let channel = port.channel_to(&bearer, name, &[b"h2"]).await.unwrap();
        call(&channel, PING, &()).await.unwrap();
    }
    assert!(port.channel_to(&bearer, "elsewhere.example.com", &[b"h2"]).await.is_err());
    port.close().await;
}

#[tokio::test]
async fn alpn_is_h2_whatever_else_is_offered() {
    let port = Port::open().await;
    let bearer = port.bearer("editor", &["editor"]);
    let routed = format!("teleport-auth@{}", "656d.teleport.cluster.local");
    for offered in [vec![b"h2".as_slice()], vec![routed.as_bytes(), b"h2"]] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let stream = port.tls(Some(&bearer), &offered, version).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()), "{version:?}");
        }
    }
    let refused = port.tls(Some(&bearer), &[b"something-else"], &rustls::version::TLS13).await;
    assert!(refused.is_err(), "an unknown protocol was accepted");
    port.close().await;
}

/// Tries to get in, and says whether any call was answered.
async fn gets_in(port: &Port, bearer: &Bearer) -> bool {
    match port.channel(bearer).await {
        Ok(channel) => call(&channel, PING, &()).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn wrong_certificates_end_the_handshake() {
    let port = Port::open().await;
    let ours = port.plane.authorities().unwrap();
    let good = |authorities: &Authorities, at: Timestamp, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let wanted = Wanted { user: "somebody".to_owned(), roles, ttl: HOUR };
        Bearer::of(&authorities.mint(at, &wanted).unwrap(), &port.roots())
    };
    assert!(gets_in(&port, &good(&ours, now(), &["editor"])).await, "the test itself is wrong");

    let long_ago = Timestamp(now().0 - 2 * 3_600_000);
    assert!(!gets_in(&port, &good(&ours, long_ago, &["editor"])).await, "expired");
    assert!(!gets_in(&port, &good(&ours, now().plus(HOUR), &["editor"])).await, "not yet valid");

    // Another cluster of the same name, whose authorities have other keys.
    let make = |name: &str| Authority::make(name, now()).unwrap();
    let name = "embedded.local";
    let theirs = Authorities { cluster: name.to_owned(), host: make(name), user: make(name) };
    assert!(!gets_in(&port, &good(&theirs, now(), &["editor"])).await, "another authority");

    // A user's certificate that claims to be a server's, and the other way round.
    assert!(!gets_in(&port, &good(&ours, now(), &["Proxy"])).await, "a user that is a host");
    let swapped = port.plane.authorities().unwrap();
    let Authorities { cluster, host, user } = swapped;
    let swapped = Authorities { cluster, host: user, user: host };
    assert!(!gets_in(&port, &good(&swapped, now(), &["editor"])).await, "a host that is a user");
    assert!(gets_in(&port, &good(&swapped, now(), &["Proxy"])).await, "a host may call");

    // Signed for another cluster by the right key.
    let renamed = port.plane.authorities().unwrap();
    let renamed = Authorities { cluster: "other.local".to_owned(), ..renamed };
    assert!(!gets_in(&port, &good(&renamed, now(), &["editor"])).await, "another cluster's user");

    // More than one certificate.
    let mut chained = good(&ours, now(), &["editor"]);
    let authority = CertificateDer::from_pem_slice(ours.user.certificate().as_bytes()).unwrap();
    chained.chain.push(authority);
    assert!(!gets_in(&port, &chained).await, "an intermediary");
    port.close().await;
}

#[tokio::test]
async fn two_connections_at_once() {
    let port = Port::open().await;
    let one = port.channel(&port.bearer("one", &["everything"])).await.unwrap();
    let two = port.channel(&port.bearer("two", &["everything"])).await.unwrap();
    let mut events = client::watch(&one, "kube_cluster").await;
    assert_eq!(client::next(&mut events).await, Some(proto::Operation::Init));
    call(&two, CREATE, &kube("a")).await.unwrap();
    assert_eq!(client::next(&mut events).await, Some(proto::Operation::Put));
    call(&one, GET, &named("a")).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), port.close()).await;
    ended.expect("an open watch does not keep the server");
}

#[tokio::test]
async fn a_restart_keeps_the_authorities() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plane.db");
    let port = Port::over(Some(&file)).await;
    let bearer = port.bearer("editor", &["everything"]);
    let channel = port.channel(&bearer).await.unwrap();
    call(&channel, CREATE, &kube("a")).await.unwrap();
    port.close().await;
    drop((channel, port));
    let port = Port::over(Some(&file)).await;
    let channel = port.channel(&bearer).await.expect("the identity is still good");
    call(&channel, GET, &named("a")).await.unwrap();
    port.close().await;
}

#[test]
fn the_database_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plane.db");
    // Left readable by somebody's careless copy.
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let clock = System::start();
    let plane =
        Plane::open(Settings::default(), Some(&file), Arc::new(move || clock.now())).unwrap();
    plane.authorities().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn an_identity_has_everything_in_its_order() {
    let make = || Authority::make("example.com", now()).unwrap();
    let authorities = Authorities { cluster: "example.com".to_owned(), host: make(), user: make() };
    let roles = vec!["access".to_owned(), "editor".to_owned(), "zürich".to_owned()];
    let wanted = Wanted { user: "alice".to_owned(), roles: roles.clone(), ttl: HOUR };
    let identity = authorities.mint(now(), &wanted).unwrap();
    let file = identity.file();
    let places: Vec<usize> = [
        "-----BEGIN PRIVATE KEY-----",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com ",
        identity.certificate.trim(),
        "@cert-authority example.com,*.example.com ssh-ed25519 ",
        authorities.host.certificate().trim(),
    ]
    .iter()
    .map(|part| file.find(part).unwrap_or_else(|| panic!("{part} is missing")))
    .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(file.ends_with("-----END CERTIFICATE-----\n"));

    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let subject = Subject::of(&certificate).unwrap();
    assert_eq!((subject.user.as_str(), subject.roles), ("alice", roles));
    assert_eq!((subject.cluster.as_str(), subject.host), ("example.com", false));

    let ssh = ssh_key::Certificate::from_openssh(&identity.ssh_certificate).unwrap();
    let authority: ssh_key::PublicKey = authorities.user.ssh_public().parse().unwrap();
    ssh.validate([&authority.fingerprint(ssh_key::HashAlg::Sha256)]).unwrap();
    assert_eq!(ssh.valid_principals(), ["alice"]);

    let shown = format!("{identity:?} {authorities:?} {:?}", authorities.user);
    assert!(!shown.contains("PRIVATE") && shown.len() < 600, "{shown}");
}

#[test]
fn a_stored_authority_is_read_back() {
    let made = Authority::make("example.com", now()).unwrap();
    let again = Authority::read(Role::Host, "example.com", &made.to_bytes()).unwrap();
    assert_eq!(again.certificate(), made.certificate());
    assert_eq!(again.ssh_public(), made.ssh_public());
    let error = Authority::read(Role::User, "example.com", b"nonsense").unwrap_err();
    assert_eq!(error.to_string(), "the stored authority `user` cannot be read");
}
