//! Connections that end, stall or carry nonsense.

use std::time::Duration;

use bytes::Bytes;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::teleport::Keepalive;
use reconciler::engine::{Config, Planted};
use reconciler::port::{CallCode, Cluster as _};

use super::bench::{Bench, NO_PINGS, role, start};
use super::proxy::Fault;
use super::restarts::a_server_that_says_goodbye_with_calls_in_flight;
use crate::agent::{Agent, quick};

/// Reads show a write so much later: who reads at once, finds nothing.
const LAG: Duration = Duration::from_millis(2500);

/// They mostly wait, so they wait together; each that fails is named.
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_connection() {
    macro_rules! all {
        ($($name:ident),* $(,)?) => { [$((stringify!($name), tokio::spawn($name()))),*] };
    }
    let mut failed = Vec::new();
    for (name, test) in all![
        a_lost_answer_is_read_back_and_not_asked_for_again,
        a_blind_repeat_is_seen,
        a_request_that_did_not_arrive_is_done_once,
        a_reset_in_the_middle_of_a_record,
        bytes_that_are_no_tls,
        one_byte_at_a_time,
        a_peer_that_is_gone_without_a_word,
        a_connection_on_which_nobody_speaks,
        tries_are_few_while_nobody_is_there,
        a_name_that_leads_nowhere,
        a_server_that_says_goodbye_with_calls_in_flight,
    ] {
        if test.await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Lets the agent create one more role.
fn one_more(agent: &Agent) {
    let (name, text) = role(1);
    agent.write(&name, &text);
}

async fn a_lost_answer_is_read_back_and_not_asked_for_again() {
    let bench = Bench::new().await;
    let agent = bench.resting(NO_PINGS).await;
    bench.plane().with_core(|core| core.set_lag(LAG)).unwrap();
    bench.proxy.set(Fault::Deaf);
    one_more(&agent);
    // The server has done it, and nobody was told.
    bench.until_creates(2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!agent.status().await.converged, "the answer has passed");
    bench.proxy.set(Fault::None);
    bench.proxy.cut();
    bench.assert_home(agent, 2).await;
}

/// The same with an agent that takes a lost answer for a failure: what the others count would
/// show it.
async fn a_blind_repeat_is_seen() {
    let bench = Bench::new().await;
    let config = Config { planted: Some(Planted::DoubtIsFailure), ..quick() };
    let link = bench.teleport().link_with(NO_PINGS);
    let agent = start(link, config, &bench.journal, 1);
    agent.converged().await;
    bench.plane().with_core(|core| core.set_lag(LAG)).unwrap();
    bench.proxy.set(Fault::Deaf);
    one_more(&agent);
    bench.until_creates(2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.proxy.set(Fault::None);
    bench.proxy.cut();
    bench.until_creates(3).await;
    agent.stop().await;
}

/// A fault that strikes the next call, and the connection that follows.
async fn struck_by(fault: Fault) {
    let bench = Bench::new().await;
    let agent = bench.resting(NO_PINGS).await;
    let before = bench.proxy.accepted();
    bench.proxy.set(fault);
    one_more(&agent);
    bench.until("struck", || bench.proxy.has_struck()).await;
    bench.assert_home(agent, 2).await;
    assert!(bench.proxy.accepted() > before, "the connection lives on");
}

async fn a_request_that_did_not_arrive_is_done_once() {
    struck_by(Fault::CutRequest).await;
}

async fn a_reset_in_the_middle_of_a_record() {
    struck_by(Fault::TornAnswer).await;
}

async fn bytes_that_are_no_tls() {
    struck_by(Fault::Garbage).await;
}

async fn one_byte_at_a_time() {
    let bench = Bench::new().await;
    bench.proxy.set(Fault::Slow);
    let agent = bench.resting(NO_PINGS).await;
    for number in 1..10 {
        let (name, text) = role(number);
        agent.write(&name, &text);
    }
    bench.assert_home(agent, 10).await;
}

async fn a_peer_that_is_gone_without_a_word() {
    let bench = Bench::new().await;
    let second = Duration::from_secs(1);
    let agent = bench.resting(Keepalive { every: second, answer: second }).await;
    let before = bench.proxy.accepted();
    bench.proxy.freeze();
    one_more(&agent);
    // The connection looks open: only the missing answer to a sign of life tells.
    bench.assert_home(agent, 2).await;
    assert!(bench.proxy.accepted() > before, "it came through a frozen connection");
}

async fn a_connection_on_which_nobody_speaks() {
    let bench = Bench::new().await;
    bench.proxy.set(Fault::Silent);
    let agent = bench.agent(bench.teleport().link(), 1);
    bench.until("tried", || bench.proxy.accepted() > 0).await;
    bench.proxy.set(Fault::None);
    bench.assert_home(agent, 1).await;
}

async fn tries_are_few_while_nobody_is_there() {
    /// 0.1 to 0.2 s, then the double each time: six tries in three seconds at most, each of
    /// which looks for a proxy (twice at most) and for an Auth Service.
    const CONNECTIONS_MAX: usize = 6 * 3;
    const TIME: Duration = Duration::from_secs(3);
    let bench = Bench::new().await;
    let link = bench.teleport().link();
    let agent = bench.agent(link.clone(), 1);
    agent.converged().await;
    bench.proxy.set(Fault::Refuse);
    bench.proxy.cut();
    one_more(&agent);
    let before = bench.proxy.accepted();
    let ends = tokio::time::Instant::now() + TIME;
    // A crowd that asks all the time, beside the agent and through the same door.
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let remote = Remote::new(link.clone());
        crowd.spawn(async move {
            let mut refused = 0;
            while tokio::time::Instant::now() < ends {
                let path = "/proto.AuthService/GetRole";
                let answer = remote.call(path, Bytes::new(), Duration::from_secs(5)).await;
                let error = answer.expect_err("nobody is there");
                let is_lost = matches!(error.code, CallCode::Unavailable | CallCode::NoAnswer);
                assert!(is_lost, "{error}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            refused
        });
    }
    let refused: usize = crowd.join_all().await.into_iter().sum();
    let tried = bench.proxy.accepted() - before;
    assert!(refused > 20 * tried, "{refused} calls, {tried} connections");
    assert!((2..=CONNECTIONS_MAX).contains(&tried), "{tried} connections in three seconds");
    bench.proxy.set(Fault::None);
    bench.assert_home(agent, 2).await;
}

async fn a_name_that_leads_nowhere() {
    let bench = Bench::new().await;
    // No label may be so long: the resolver says so by itself, without a network.
    let host = format!("{}.test", "x".repeat(64));
    let remote = Remote::new(bench.teleport_at(&host).link());
    let answer = remote.call("/proto.AuthService/Ping", Bytes::new(), Duration::from_secs(20));
    let error = answer.await.unwrap_err();
    assert_eq!(error.code, CallCode::Unavailable, "nothing was sent: {error}");
    assert!(error.message.contains(&host), "{error}");
    assert_eq!(bench.proxy.accepted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cutting_the_connection_in_the_middle_of_200_creates() {
    let bench = Bench::new().await;
    let latency = Duration::from_millis(150);
    bench
        .plane()
        .with_core(|core| {
            core.faults_mut().latency = latency;
            core.set_lag(LAG);
        })
        .unwrap();
    let agent = bench.agent(bench.teleport().link(), 200);
    // Answers are on their way each time: they come later than what they tell.
    for creates in [20, 100, 180] {
        bench.until_creates(creates).await;
        assert!(!agent.status().await.converged, "it is over already");
        bench.proxy.cut();
    }
    bench.plane().with_core(|core| core.faults_mut().clear()).unwrap();
    bench.assert_home(agent, 200).await;
}
