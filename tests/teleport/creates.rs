//! 1,000 clusters by the binary, against the same number by nothing but 64 calls in flight: those
//! are the official Go SDK's (`tests/gosdk/creates`), so that no code of ours measures ours.

#![allow(unreachable_pub, reason = "a module of a test")]
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use reconciler::port::{CallCode, Cluster as _};
use reconciler::wire::message::types::ResourceRequest;
use serde_json::{Value, json};

use crate::common::Place;
use crate::live::{DELETE_KUBE, Live};
use crate::{KUBECONFIG, LAG, Server, doctor, place};

/// Another binary than the one that was built with the test.
const BINARY: &str = "RECONCILER_TEST_BINARY";

const COUNT: usize = 1000;
const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// What the issue of this test asks for: this many times what the server needs.
const GOAL: f64 = 1.15;

fn name(number: usize) -> String {
    format!("reconciler-create-{number:04}")
}

fn delete(number: usize) -> Bytes {
    ResourceRequest { name: name(number) }.encode_to_vec().into()
}

/// The Go program that sends nothing but creates.
fn build(dir: &Path) -> PathBuf {
    let program = dir.join("creates");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([program.as_os_str(), "./creates".as_ref()])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gosdk"))
        .status()
        .expect("the figures need Go");
    assert!(built.success(), "go build failed");
    program
}

/// What the server needs, in seconds.
fn server_alone(program: &Path, server: &Server) -> f64 {
    let output = Command::new(program)
        .args([&server.address, &server.identity])
        .args([COUNT.to_string(), IN_FLIGHT.to_string(), KUBECONFIG.to_owned()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds")
}

fn remove_all(live: &Live) {
    live.runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..COUNT {
            // The limit of calls in flight is the client's own.
            let remote = live.remote.clone();
            tasks.spawn(async move {
                match remote.call(DELETE_KUBE, delete(number), PATIENCE).await {
                    Ok(_) => {}
                    Err(error) if error.code == CallCode::NotFound => {}
                    Err(error) => panic!("{error}"),
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
    std::thread::sleep(LAG);
}

/// One `--once` over `COUNT` manifests and no state.
struct Pass {
    /// From the start of the process to the last `created`: files, connection and lists are in it.
    created: Duration,
    /// From the start of the process to its end: all of it seen, under the server's lag.
    whole: Duration,
    creates: usize,
    other_writes: usize,
}

fn once(server: &Server, options: &[&str]) -> Pass {
    let place = place(server, "creates", "");
    let manifest = |number| {
        format!(
            "---\nkind: kube_cluster\nversion: v3\nmetadata: {{name: {}, labels: {{env: \
             bench}}}}\nspec: {{kubeconfig: {KUBECONFIG}}}\n",
            name(number)
        )
    };
    place.put("all.yaml", &(0..COUNT).map(manifest).collect::<String>());
    let mut command = command(&place, options);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pass =
        Pass { created: Duration::ZERO, whole: Duration::ZERO, creates: 0, other_writes: 0 };
    let mut created = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("created kube_cluster/") {
            created += 1;
            pass.created = started.elapsed();
        }
        if let Some((_, method)) = line.split_once(" call /") {
            let verb = method.rsplit('/').next().unwrap_or_default();
            let is_write =
                ["Create", "Update", "Upsert", "Delete"].iter().any(|it| verb.starts_with(it));
            pass.creates += usize::from(verb.starts_with("Create"));
            pass.other_writes += usize::from(is_write && !verb.starts_with("Create"));
        }
    }
    assert!(child.wait().unwrap().success(), "the pass failed");
    pass.whole = started.elapsed();
    assert_eq!(created, COUNT, "the pass did not create all");
    pass
}

fn command(place: &Place, options: &[&str]) -> Command {
    let program = std::env::var_os(BINARY).unwrap_or(env!("CARGO_BIN_EXE_reconciler").into());
    let mut command = Command::new(program);
    command.args(options).arg("--once").current_dir(place.dir.path()).stdin(Stdio::null());
    command.env_remove("RECONCILER_CONFIG").env_remove("STATE_DIRECTORY");
    command
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Both in turns, on a server from which everything is removed in between; medians.
pub fn measure(server: &Server) -> Value {
    let (reached, version) = doctor(server);
    let identity = place(server, "creates-beside", "");
    let live = Live::connect(&server.address, &identity.dir.path().join("identity"), server);
    let program = build(identity.dir.path());
    remove_all(&live);
    // Not measured: it warms the server up, and tells of every call.
    let told = once(server, &["-v"]);
    assert_eq!((told.creates, told.other_writes), (COUNT, 0), "something was written twice");
    remove_all(&live);
    let (mut alone, mut created, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(server_alone(&program, server));
        remove_all(&live);
        let pass = once(server, &[]);
        created.push(pass.created.as_secs_f64());
        whole.push(pass.whole.as_secs_f64());
        remove_all(&live);
    }
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let each = |values: &[f64]| values.iter().map(|it| round(*it)).collect::<Vec<f64>>();
    json!({
        "server_version": version,
        "reached": reached,
        "creates": COUNT,
        "in_flight": IN_FLIGHT,
        "rounds": ROUNDS,
        "server_alone_s": each(&alone),
        "from_start_to_last_created_s": each(&created),
        "whole_process_s": each(&whole),
        "median_server_alone_s": round(median(alone.clone())),
        "median_from_start_to_last_created_s": round(median(created.clone())),
        "ratio": round(median(created) / median(alone)),
        "goal": GOAL,
        "creates_sent": told.creates,
        "other_writes_sent": told.other_writes,
    })
}
