//! Judged by Teleport's own Go SDK: it calls our plane, and it records what our client sends.
//!
//! Needs Go and the modules of `tests/gosdk`; without them the tests say so and pass, unless
//! `RECONCILER_GO=required` is set, as `.ci/run` does.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

#[path = "common/served.rs"]
mod served;

#[path = "gosdk/recorded.rs"]
mod recorded;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use served::Served;

/// The Go module.
fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gosdk")
}

/// Leaves out of a program what only debuggers read. With that, and without `vet` (a step of
/// `.ci/run`), the suites are built a tenth sooner where Go has nothing built yet.
const STRIPPED: &str = "-ldflags=-s -w";

/// A command of Go in the module, off the network.
fn go(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(module())
        .env("GOPROXY", "off")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOTOOLCHAIN", "local");
    command
}

/// Go with everything that the module needs, or why not.
fn find_go() -> Result<PathBuf, String> {
    for program in ["go", "/usr/local/go/bin/go"] {
        let Ok(output) = Command::new(program).arg("version").output() else { continue };
        if !output.status.success() {
            continue;
        }
        let program = PathBuf::from(program);
        let listed = go(&program, &["list", "-deps", "-test", "./..."]).output().unwrap();
        if listed.status.success() {
            return Ok(program);
        }
        let said = String::from_utf8_lossy(&listed.stderr).into_owned();
        return Err(format!("run `go mod download` in tests/gosdk first: {said}"));
    }
    Err("Go is not installed".to_owned())
}

/// Go, or a remark that is seen although the test passes.
fn go_or_remark() -> Option<PathBuf> {
    match find_go() {
        Ok(program) => Some(program),
        Err(why) if std::env::var_os("RECONCILER_GO").is_some_and(|it| it == "required") => {
            panic!("the Go suites cannot run: {why}")
        }
        Err(why) => {
            // Not `eprintln!`, whose text is hidden while tests pass.
            let remark = format!("\nLEFT OUT: the Go SDK suites: {why}\n");
            std::io::stderr().write_all(remark.as_bytes()).unwrap();
            None
        }
    }
}

fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("ok "),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_go_sdk_takes_the_plane_for_an_auth_service() {
    let Some(program) = go_or_remark() else { return };
    let served = Served::start();
    let output = go(&program, &["test", "-count=1", "-vet=off", STRIPPED, "."])
        .env("PLANE_ADDRESS", &served.address)
        .env("PLANE_IDENTITY", served.identity("editor", "everything"))
        .env("PLANE_VISITOR", served.identity("visitor", "access"))
        .output()
        .unwrap();
    assert_passed(&output);
}

#[test]
fn the_go_sdk_reads_what_our_client_sends() {
    let Some(program) = go_or_remark() else { return };
    recorded::compare(&mut go(&program, &["run", STRIPPED, "./recorder"]));
}
