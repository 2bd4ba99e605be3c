//! Host authorities that are rotated under a running agent, and another cluster that looks like
//! this one: which identities follow the one in force, and what becomes of the state's binding.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::sqlite::Sqlite;
use reconciler::adapter::teleport::{Link, Teleport};
use reconciler::model::FingerprintKey;
use reconciler::port::CallCode;

use super::front::Mode;
use super::{Bench, PATIENCE, list, list_again};
use crate::credentials::{Authority, User, identity, write};

impl Bench {
    /// Signs an identity with these host authorities.
    fn sign_with(&self, user: &str, hosts: &[&Authority]) {
        let key = KeyPair::generate().unwrap();
        let user = self.users.user(&User { name: user, ..User::default() }, &key);
        let authorities: Vec<&str> = hosts.iter().map(|host| host.pem.as_str()).collect();
        write(&self.path(), &identity(&key.serialize_pem(), &user, &authorities), 0o600);
    }

    fn state(&self) -> Arc<Sqlite> {
        let path = self.dir.path().join("state.db");
        Arc::new(Sqlite::open(&path, &FingerprintKey([7; 32])).unwrap())
    }
}

/// As the agent binds its state.
fn bound(bench: &Bench) -> (Arc<Sqlite>, Teleport, Remote<Link>) {
    let (teleport, remote) = bench.open();
    let state = bench.state();
    let disk = Arc::clone(&state);
    teleport.on_reached(move |identity| {
        disk.claim(&identity.control_plane()).map_err(|error| error.message)
    });
    (state, teleport, remote)
}

/// How many authorities the state is bound to; none: it is free.
fn authorities(state: &Sqlite) -> usize {
    let bound = state.identity().unwrap().control_plane;
    bound.map_or(0, |bound| bound.rsplit(':').next().unwrap().split('+').count())
}

/// Calls until something holds.
async fn until(what: &str, remote: &Remote<Link>, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE * 2, "never: {what}");
        drop(list(remote).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_whole_rotation_within_one_life_takes_the_state_along() {
    let bench = Bench::new(Mode::Auth).await;
    let old = bench.text("bot-old");
    let next = Authority::new("root.test");
    let (state, teleport, remote) = bound(&bench);
    assert_eq!(authorities(&state), 0, "nothing was reached yet");
    list(&remote).await.unwrap();
    let first = state.identity().unwrap().control_plane;
    assert_eq!(first, Some(teleport.identity().control_plane()));

    bench.sign_with("bot-both", &[&bench.hosts, &next]);
    until("both", &remote, || authorities(&state) == 2).await;
    bench.front.sign_by(&bench.users, &next);
    bench.front.cut();
    list_again(&remote).await;
    bench.sign_with("bot-new", &[&next]);
    until("the new one alone", &remote, || authorities(&state) == 1).await;
    let last = state.identity().unwrap().control_plane;
    assert_eq!(last, Some(teleport.identity().control_plane()));
    assert_ne!(last, first);
    assert_eq!(teleport.identity().names.user, "bot-new");
    list(&remote).await.unwrap();
    drop((remote, state));

    // The next life, with the identity of now and with that of the beginning.
    let (state, teleport, _) = bound(&bench);
    state.belongs(&teleport.identity().control_plane()).unwrap();
    write(&bench.path(), &old, 0o600);
    let old = bench.open().0.identity().control_plane();
    let refused = state.belongs(&old).unwrap_err();
    assert!(refused.message.contains("belongs to the control plane"), "{refused}");
}

#[tokio::test]
async fn an_identity_of_another_cluster_with_the_same_name_is_not_taken() {
    let bench = Bench::new(Mode::Auth).await;
    let other = Bench::new(Mode::Auth).await;
    let (_, teleport, remote) = bound(&bench);
    list(&remote).await.unwrap();
    write(&bench.path(), &other.text("bot-other"), 0o600);
    let troubles = || remote.service().troubles().join("; ");
    until("told", &remote, || troubles().contains("no authority in common")).await;
    let said = troubles();
    assert!(said.contains("the one of before stays in force"), "{said}");
    assert!(said.contains("state.path"), "a remedy: {said}");
    assert_eq!(teleport.identity().names.user, "bot-one");
    list(&remote).await.unwrap();
    assert_eq!(bench.front.seen().last().unwrap().user, "bot-one");

    // One of this cluster ends the trouble.
    bench.sign("bot-two");
    until("taken", &remote, || teleport.identity().names.user == "bot-two").await;
    list(&remote).await.unwrap();
    assert_eq!(troubles(), "");
}

/// What has not reached its server proves nothing: neither for the state nor for its successors.
#[tokio::test]
async fn what_never_reached_its_server_binds_nothing() {
    let bench = Bench::new(Mode::Auth).await;
    let (next, third) = (Authority::new("root.test"), Authority::new("root.test"));
    bench.sign_with("bot-wrong", &[&next]);
    let (state, _, remote) = bound(&bench);
    assert_eq!(list(&remote).await.unwrap_err().code, CallCode::Barred);
    assert_eq!(authorities(&state), 0, "its server was never reached");
    drop((remote, state));

    bench.sign("bot-one");
    let (state, teleport, remote) = bound(&bench);
    list_again(&remote).await;
    assert_eq!(authorities(&state), 1);
    bench.front.refuse(true);
    bench.front.cut();
    // The chain from the first to the third goes by an identity that nobody has answered.
    bench.sign_with("bot-both", &[&bench.hosts, &third]);
    until("both", &remote, || teleport.identity().names.user == "bot-both").await;
    bench.sign_with("bot-third", &[&third]);
    let troubles = || remote.service().troubles().join("; ");
    until("told", &remote, || troubles().contains("no authority in common")).await;
    assert_eq!(teleport.identity().names.user, "bot-both");
    assert_eq!(authorities(&state), 1);
    // Once it is answered, the next one follows.
    bench.front.refuse(false);
    until("third", &remote, || teleport.identity().names.user == "bot-third").await;
    assert_eq!(authorities(&state), 2);
}

#[tokio::test]
async fn nothing_is_answered_by_a_server_that_the_state_does_not_belong_to() {
    let bench = Bench::new(Mode::Auth).await;
    bench.state().claim("teleport:root.test:another").unwrap();
    let (_, _, remote) = bound(&bench);
    for _ in 0..2 {
        list(&remote).await.unwrap_err();
    }
    let last = list(&remote).await.unwrap_err();
    assert_eq!(last.code, CallCode::Barred, "{last}");
    assert!(last.message.contains("belongs to the control plane"), "{last}");
    let counters = bench.front.plane.with_core(|core| core.counters().clone()).unwrap();
    assert!(counters.values().all(|counters| counters.writes == 0), "{counters:?}");
}
