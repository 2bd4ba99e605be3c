//! What running the commands of dynamic labels costs, against a bare loop that spawns, reads and
//! reaps the same commands in the same process. Prints one JSON object a line with the CPU
//! seconds (user and system, children included) of each round and their ratio.
//! `cargo bench --bench labels -- [COMMANDS] [ROUNDS] [AT_ONCE]`, by default 3,000, 5 and 16.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reconciler::adapter::commands::{Environment, Runner};
use reconciler::labels::allow::Allow;
use reconciler::labels::value::Command;
use reconciler::port::Commands as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

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

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(3_000);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    let at_once = numbers.get(2).copied().unwrap_or(16);
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
    ratios.sort_by(f64::total_cmp);
    println!(
        "{{\"bench\":\"labels-run-median\",\"commands\":{count},\"per_second_each\":{:.2},\"ratio\":{:.3}}}",
        count as f64 / 60.0,
        ratios[ratios.len() / 2]
    );
}
