//! Servers and identities that end in the middle of the work.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use reconciler::adapter::clock::System;
use reconciler::adapter::memory::Memory;
use reconciler::plane::{Fault as PlaneFault, Moment, Plane, Settings};
use reconciler::port::{Clock as _, Storage as _};

use super::bench::{Bench, CREATE, Tally, assert_journal, live, role, settled, start, teleport};
use super::proxy::Proxy;
use crate::agent::quick;
use crate::served::Served;

const COUNT: usize = 200;

/// Answers come this much later than what they tell.
const LATENCY: Duration = Duration::from_millis(200);

fn slow(bench: &Bench) {
    bench.plane().with_core(|core| core.faults_mut().latency = LATENCY).unwrap();
}

/// Calls of the process that serves, by the beginning of their last word.
fn calls(served: &Served, verbs: &[&str]) -> usize {
    let output = served.run(&["plane", "calls", "--state", "state.db"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.is_empty(), "{text}");
    let lines = text.lines().filter_map(|line| {
        let (count, path) = line.trim().split_once(' ')?;
        let word = path.rsplit('/').next()?;
        verbs.iter().any(|verb| word.starts_with(verb)).then(|| count.parse::<usize>().unwrap())
    });
    lines.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_server_in_the_middle_of_200_creates() {
    let mut served = Served::start();
    let config = "[control_plane]\nkind = \"embedded\"\nfaults = \"latency 200\"\n";
    fs::write(served.dir.path().join("reconciler.toml"), config).unwrap();
    served.restart(&[]);
    let identity = served.identity("first", "everything");
    let proxy = Proxy::to(served.address.parse().unwrap()).await;
    let journal = Arc::new(Memory::default());
    let agent =
        start(teleport(&identity, "127.0.0.1", proxy.port).link(), quick(), &journal, COUNT);
    let known = || journal.load().unwrap().inventory.len();
    while known() < 30 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    served.kill();
    assert!(known() < COUNT, "it was over already");

    // What it had done when it died, whether anybody was told or not.
    let before = {
        let clock = System::start();
        let file = served.dir.path().join("plane.db");
        let plane = Plane::open(Settings::default(), Some(&file), Arc::new(move || clock.now()));
        let plane = plane.unwrap();
        let before = live(&plane).await;
        plane.close().await;
        before
    };
    assert!((30..COUNT).contains(&before.len()), "{}", before.len());
    served.restart(&[]);
    proxy.lead_to(served.address.parse().unwrap());
    settled(&agent, COUNT).await;

    // Only what was not there was created, and what was there was not touched.
    assert_eq!(calls(&served, &["Create"]), COUNT - before.len());
    assert_eq!(calls(&served, &["Update", "Upsert", "Delete"]), 0);
    assert_journal(&journal, COUNT);
    agent.stop().await;
    served.kill();
    let clock = System::start();
    let file = served.dir.path().join("plane.db");
    let plane =
        Plane::open(Settings::default(), Some(&file), Arc::new(move || clock.now())).unwrap();
    let after = live(&plane).await;
    assert_eq!(after.len(), COUNT);
    for (name, revision) in before {
        assert_eq!(after.get(&name), Some(&revision), "{name} was written again");
    }
}

pub(crate) async fn a_server_that_says_goodbye_with_calls_in_flight() {
    let mut bench = Bench::new().await;
    slow(&bench);
    let agent = bench.agent(bench.teleport().link(), COUNT);
    bench.until_creates(70).await;
    // GOAWAY, the watch ends, running calls are answered, and another is there.
    bench.exchange_server().await;
    let tally = bench.tally();
    assert!(tally.made < 200, "it was over already: {tally:?}");
    bench.assert_home(agent, COUNT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotating_the_identity_in_the_middle_of_200_creates() {
    let bench = Bench::new().await;
    bench.plane().with_core(|core| core.faults_mut().latency = 3 * LATENCY).unwrap();
    let teleport = bench.teleport();
    let agent = bench.agent(teleport.link(), COUNT);
    bench.until_creates(1).await;
    let before = bench.proxy.accepted();
    bench.sign("second", 3600);
    bench.until("rotated", || teleport.identity().names.user == "second").await;
    let tally = bench.tally();
    assert!(tally.made < 200, "it was over already: {tally:?}");
    bench.assert_home(agent, COUNT).await;
    assert!(bench.proxy.accepted() > before, "the new identity has a connection of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_ends_before_the_answer_comes() {
    let bench = Bench::new().await;
    bench.sign("short", 6);
    let teleport = bench.teleport();
    let agent = bench.agent(teleport.link(), 1);
    agent.converged().await;
    let hold = PlaneFault::Hold(Moment::After);
    bench.plane().with_core(|core| core.faults_mut().set(CREATE, hold)).unwrap();
    let (name, text) = role(1);
    agent.write(&name, &text);
    bench.until_creates(2).await;

    let said = format!("identity expired at {}", teleport.identity().names.not_after);
    agent.until("expired", |status| status.watch.contains(&said)).await;
    bench.proxy.cut();
    bench.plane().with_core(|core| core.faults_mut().clear()).unwrap();
    // With files that want more, nothing is sent.
    let (name, text) = role(2);
    agent.write(&name, &text);
    let (tally, connections) = (bench.tally(), bench.proxy.accepted());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((bench.tally(), bench.proxy.accepted()), (tally, connections));
    assert_eq!(tally, Tally { creates: 2, made: 2, others: 0 });

    bench.sign("second", 3600);
    bench.assert_home(agent, 3).await;
}
