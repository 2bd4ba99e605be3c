//! 1,000 creates against a plane whose every answer takes 20 ms: the agent itself, its journal in
//! `SQLite` on disk, the client that production uses. Prints one JSON object a line.
//! `cargo bench --bench creates -- [N] [LATENCY_MS] [RUNS]`, by default 1,000, 20 and 5.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a benchmark"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use reconciler::adapter::clock::System;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::commands::{Environment, Runner};
use reconciler::adapter::files::{Directory, Globs};
use reconciler::adapter::sqlite::Sqlite;
use reconciler::adapter::teleport::Link;
use reconciler::adapter::watch::SourceWatch;
use reconciler::driver::{World, drive};
use reconciler::engine::{Config, Engine, Mode, Outcome};
use reconciler::labels::allow::Allow;
use reconciler::model::FingerprintKey;
use reconciler::plane::{Plane, Settings};
use reconciler::port::Clock as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const KEY: FingerprintKey = FingerprintKey([7; 32]);

/// One pass over `count` new roles.
async fn pass(count: usize, latency: Duration) -> Times {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("desired-state");
    std::fs::create_dir(&source).unwrap();
    let mut text = String::new();
    for number in 0..count {
        text.push_str(&format!(
            "---\nkind: role\nversion: v7\nmetadata: {{name: team-{number:05}}}\nspec: {{allow: {{logins: [team{number}]}}}}\n"
        ));
    }
    std::fs::write(source.join("all.yaml"), text).unwrap();
    let clock = System::start();
    let plane = Plane::open(Settings::default(), None, Arc::new(move || clock.now())).unwrap();
    plane.with_core(|core| core.faults_mut().latency = latency).unwrap();
    let config = Config { mode: Mode::Once, ..Config::default() };
    let world = World {
        cluster: Remote::new(Link::fixed(plane.in_process().unwrap())),
        files: Arc::new(Directory::new(&source, Globs::new(&["**/*.yaml"], &[]).unwrap())),
        commands: Arc::new(Runner::new(source.clone(), Allow::default(), Environment::of([], &[]))),
        secrets: None,
        source: SourceWatch::new(&source, Duration::from_hours(1)),
        storage: Arc::new(Sqlite::open(&dir.path().join("state.db"), &KEY).unwrap()),
        clock: Arc::new(System::start()),
        owner: config.policy.agent.clone(),
        key: KEY,
        on_reading: Arc::new(|_, _| {}),
    };
    let mut engine = Engine::new(config, KEY, fastrand::Rng::with_seed(7));
    let (_ask, asked) = mpsc::channel(1);
    let seen = tokio::spawn(created(plane.clone(), count));
    let started = Instant::now();
    drive(&mut engine, world, asked, CancellationToken::new()).await.unwrap();
    let whole = started.elapsed();
    assert_eq!(engine.outcome(), Outcome::Converged);
    let (first, last) = seen.await.unwrap();
    Times { creates: last - first, whole }
}

/// What one pass took.
struct Times {
    /// From the first create that the plane took to the last.
    creates: Duration,
    /// From the start to the end of the program, everything seen and journaled.
    whole: Duration,
}

/// When the plane took the first create, and the last.
async fn created(plane: Plane, count: usize) -> (Instant, Instant) {
    let wanted = u64::try_from(count).unwrap();
    let mut first = None;
    loop {
        let calls = plane
            .with_core(|core| {
                core.counters().get("/proto.AuthService/CreateRole").map_or(0, |it| it.writes)
            })
            .unwrap();
        if calls > 0 && first.is_none() {
            first = Some(Instant::now());
        }
        if calls >= wanted {
            return (first.unwrap(), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[tokio::main]
async fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let count = usize::try_from(numbers.first().copied().unwrap_or(1000)).unwrap();
    let latency = Duration::from_millis(numbers.get(1).copied().unwrap_or(20));
    let (mut creates, mut whole) = (Vec::new(), Vec::new());
    let runs = numbers.get(2).copied().unwrap_or(5);
    for _ in 0..runs {
        let times = pass(count, latency).await;
        // The answer to the last one is still on its way.
        creates.push(times.creates + latency);
        whole.push(times.whole);
    }
    println!(
        "{{\"bench\":\"creates\",\"creates\":{count},\"latency_ms\":{},\"runs\":{runs},\"creates_s\":{:.3},\"pass_s\":{:.3}}}",
        latency.as_millis(),
        median(creates),
        median(whole)
    );
}
