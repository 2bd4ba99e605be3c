//! What dynamic labels cost, against a bare loop that spawns, reads and reaps the same commands in
//! the same process: the runner alone, and then a whole agent with its clusters registered, over
//! one period. Prints one JSON object a line with the CPU seconds (user and system, children
//! included) of each round and their ratio.
//! `cargo bench --bench labels -- [COMMANDS] [ROUNDS] [AT_ONCE] [CLUSTERS] [PERIOD_S]`, by default
//! 3,000, 5, 16, 5,000 and 60; three labels a cluster.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a benchmark"
)]

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reconciler::adapter::clock::System;
use reconciler::adapter::cluster::Remote;
use reconciler::adapter::commands::{Environment, Runner};
use reconciler::adapter::files::{Directory, Globs};
use reconciler::adapter::sqlite::Sqlite;
use reconciler::adapter::teleport::Link;
use reconciler::adapter::watch::SourceWatch;
use reconciler::driver::{ControlRequest, Question, World, drive};
use reconciler::engine::{Config, Engine, Status};
use reconciler::labels::allow::Allow;
use reconciler::labels::resolve::Rules;
use reconciler::labels::value::Command;
use reconciler::model::FingerprintKey;
use reconciler::plane::{Plane, Settings};
use reconciler::port::{Clock as _, Commands, RunError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One key for all.
const KEY: FingerprintKey = FingerprintKey([7; 32]);

/// Dynamic labels of each cluster.
const LABELS: usize = 3;

/// Clock ticks a second in `/proc`; fixed in Linux's interface to programs.
const TICKS: f64 = 100.0;

/// CPU seconds of this process and its reaped children, from fields 14 to 17 of its `stat`.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..15].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

fn measured(work: impl FnOnce()) -> (f64, Duration) {
    let (before, started) = (cpu(), Instant::now());
    work();
    (cpu() - before, started.elapsed())
}

/// The environment that commands get, here as there: a smaller one is cheaper.
fn environment() -> Vec<(OsString, OsString)> {
    let kept = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            ["PATH", "HOME", "LANG", "TZ"].contains(&name) || name.starts_with("LC_")
        })
    };
    std::env::vars_os().filter(|(name, _)| kept(name)).collect()
}

fn bare(count: usize, dir: &Path) {
    let environment = environment();
    for number in 0..count {
        let value = format!("value-{number}");
        let mut child = Process::new("/bin/echo")
            .arg(&value)
            .current_dir(dir)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(text.trim(), value);
    }
}

fn ours(runner: &Arc<Runner>, runtime: &tokio::runtime::Runtime, count: usize, at_once: usize) {
    runtime.block_on(async {
        let turns = Arc::new(Semaphore::new(at_once));
        let mut jobs = JoinSet::new();
        for number in 0..count {
            let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
            let runner = Arc::clone(runner);
            jobs.spawn(async move {
                let value = format!("value-{number}");
                let argv = vec!["echo".to_owned(), value.clone()];
                let command = Command { argv, dir: "".into() };
                let answer = runner.run(&command, Duration::from_secs(30)).await;
                assert_eq!(answer, Ok(value));
                drop(turn);
            });
        }
        jobs.join_all().await;
    });
}

/// The runner that production uses, and how often it was asked.
struct Counted {
    runner: Runner,
    ended: AtomicUsize,
}

impl Commands for Counted {
    async fn run(&self, command: &Command, timeout: Duration) -> Result<String, RunError> {
        let result = self.runner.run(command, timeout).await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        result
    }
}

/// Clusters of three dynamic labels, all commands different.
fn manifests(count: usize, period: Duration) -> String {
    let mut text = String::new();
    for cluster in 0..count {
        let labels: Vec<String> = (0..LABELS)
            .map(|label| {
                let (number, period) = (cluster * LABELS + label, period.as_secs());
                format!("l{label}: {{period: {period}s, command: [echo, value-{number}]}}")
            })
            .collect();
        text.push_str("---\nkind: kube_cluster\nversion: v3\n");
        text.push_str(&format!("metadata: {{name: c{cluster:05}, labels: {{env: prod}}}}\n"));
        text.push_str(&format!("spec: {{dynamic_labels: {{{}}}}}\n", labels.join(", ")));
    }
    text
}

async fn status(ask: &mpsc::Sender<ControlRequest>) -> Status {
    let (reply, answer) = oneshot::channel();
    ask.send(ControlRequest { question: Question::Status, reply }).await.unwrap();
    serde_json::from_str(&answer.await.unwrap().unwrap()).unwrap()
}

/// CPU seconds and runs of an agent over one period, everything registered and nothing changing.
async fn agent(clusters: usize, period: Duration) -> (f64, usize) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("desired-state");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("all.yaml"), manifests(clusters, period)).unwrap();
    let clock = System::start();
    let plane = Plane::open(Settings::default(), None, Arc::new(move || clock.now())).unwrap();
    let allow = Allow::new(&["echo *".to_owned()]).unwrap();
    let environment = Environment::of(std::env::vars_os(), &[]);
    let runner = Runner::new(source.clone(), allow.clone(), environment);
    let commands = Arc::new(Counted { runner, ended: AtomicUsize::new(0) });
    let config = Config { labels: Rules { allow, ..Rules::default() }, ..Config::default() };
    let world = World {
        cluster: Remote::new(Link::fixed(plane.in_process().unwrap())),
        files: Arc::new(Directory::new(&source, Globs::new(&["**/*.yaml"], &[]).unwrap())),
        commands: Arc::clone(&commands),
        secrets: None,
        source: SourceWatch::new(&source, Duration::from_mins(5)),
        storage: Arc::new(Sqlite::open(&dir.path().join("state.db"), &KEY).unwrap()),
        clock: Arc::new(clock),
        owner: config.policy.agent.clone(),
        key: KEY,
        on_reading: Arc::new(|_, _| {}),
    };
    let (ask, asked) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let running = tokio::spawn(async move {
        let mut engine = Engine::new(config, KEY, fastrand::Rng::with_seed(7));
        drive(&mut engine, world, asked, stopped).await.unwrap();
    });
    while commands.ended.load(Ordering::Relaxed) < clusters * LABELS
        || !status(&ask).await.converged
    {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (before, first) = (cpu(), commands.ended.load(Ordering::Relaxed));
    tokio::time::sleep(period).await;
    let (after, last) = (cpu(), commands.ended.load(Ordering::Relaxed));
    stop.cancel();
    running.await.unwrap();
    (after - before, last - first)
}

/// The agent over one period, then the bare loop with as many commands.
fn whole(runtime: &tokio::runtime::Runtime, clusters: usize, period: Duration, dir: &Path) {
    let (our_cpu, runs) = runtime.block_on(agent(clusters, period));
    let (bare_cpu, _) = measured(|| bare(runs, dir));
    println!(
        "{{\"bench\":\"labels-agent\",\"clusters\":{clusters},\"labels_each\":{LABELS},\
         \"period_s\":{},\"runs\":{runs},\"bare_cpu_s\":{bare_cpu:.2},\
         \"our_cpu_s\":{our_cpu:.2},\"ratio\":{:.3}}}",
        period.as_secs(),
        our_cpu / bare_cpu,
    );
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(3_000);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    let at_once = numbers.get(2).copied().unwrap_or(16);
    let clusters = numbers.get(3).copied().unwrap_or(5_000);
    let period = numbers.get(4).copied().unwrap_or(60);
    let dir = tempfile::tempdir().unwrap();
    let allow = Allow::new(&["echo *".to_owned()]).unwrap();
    let environment = Environment::of(std::env::vars_os(), &[]);
    let runner = Arc::new(Runner::new(dir.path().to_owned(), allow, environment));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (bare_cpu, bare_wall) = measured(|| bare(count, dir.path()));
        let (our_cpu, our_wall) = measured(|| ours(&runner, &runtime, count, at_once));
        ratios.push(our_cpu / bare_cpu);
        println!(
            "{{\"bench\":\"labels-run\",\"commands\":{count},\"at_once\":{at_once},\
             \"bare_cpu_s\":{bare_cpu:.2},\"our_cpu_s\":{our_cpu:.2},\"ratio\":{:.3},\
             \"bare_wall_s\":{:.2},\"our_wall_s\":{:.2}}}",
            our_cpu / bare_cpu,
            bare_wall.as_secs_f64(),
            our_wall.as_secs_f64()
        );
    }
    if rounds > 0 {
        summary(count, ratios);
    }
    whole(&runtime, clusters, Duration::from_secs(period.try_into().unwrap()), dir.path());
}

/// The median of all rounds.
fn summary(count: usize, mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    println!(
        "{{\"bench\":\"labels-run-median\",\"commands\":{count},\"per_second_each\":{:.2},\"ratio\":{:.3}}}",
        count as f64 / 60.0,
        ratios[ratios.len() / 2]
    );
}
