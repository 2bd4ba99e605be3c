//! The engine against the simulated world.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::collections::BTreeMap;

use reconciler::engine::Planted;
use reconciler::sim::{Report, simulate, simulate_with};

/// Seeds per run unless `RECONCILER_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 2000;
/// One in so many is run twice.
const TWICE: u64 = 50;
/// Each fault, step kind and guard must have occurred this often.
const LEAST: u64 = 20;

fn seeds() -> u64 {
    std::env::var("RECONCILER_SIM_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(SEEDS)
}

fn show(report: &Report) -> String {
    let from = report.log.len().saturating_sub(120);
    format!("seed {}: {:?}\n{}", report.seed, report.violations, report.log[from..].join("\n"))
}

#[test]
fn nothing_is_broken_and_everything_comes_home() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let total = seeds();
    let start: u64 =
        std::env::var("RECONCILER_SIM_FROM").ok().and_then(|it| it.parse().ok()).unwrap_or(0);
    let run = |thread: u64| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut broken = Vec::new();
        for seed in (start..start + total).filter(|seed| seed % threads == thread) {
            let report = simulate(seed);
            if seed % TWICE == 0 && simulate(seed).trace != report.trace {
                broken.push(format!("seed {seed}: two runs differ"));
            }
            for (what, count) in &report.counts {
                *counts.entry(what.clone()).or_default() += count;
            }
            if !report.violations.is_empty() {
                broken.push(show(&report));
            }
        }
        (counts, broken)
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut broken = Vec::new();
    std::thread::scope(|scope| {
        let shards: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        for shard in shards {
            let (more, bad) = shard.join().unwrap();
            more.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
            broken.extend(bad);
        }
    });
    for (what, count) in &counts {
        println!("{count:>9}  {what}");
    }
    if let Some(first) = broken.first() {
        let all: Vec<_> = broken.iter().filter_map(|it| it.lines().next()).collect();
        panic!("{} of {total} seeds broken:\n{}\n\n{first}", broken.len(), all.join("\n"));
    }
}

#[test]
#[ignore = "for looking into one seed"]
fn one_seed() {
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    let report = simulate(seed);
    println!("{}\n{:?}", report.log.join("\n"), report.violations);
}
