//! What the program says when something is wrong: one answer to one mistake, with cause and
//! remedy, by the built binary.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "test code")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Place, bytes_of, until};

fn role(name: &str, labels: &str) -> String {
    format!(
        "kind: role\nversion: v7\nmetadata:\n  name: {name}\n  labels: {labels}\nspec:\n  allow:\n    \
         logins: [visitor]\n"
    )
}

const WORKLOAD: &str = "\
kind: workload_cluster
version: v1
metadata:
  name: company
spec:
  regions:
    - name: us-west-2
  bot:
    name: example-iam
  token:
    join_method: iam
    allow:
      - aws_account: \"123456789012\"
        aws_arn: \"arn:aws:sts::123456789012:assumed-role/example/session\"
";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs the binary in a directory; it must end by itself.
fn ends(dir: &Path, args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reconciler"))
        .args(args)
        .current_dir(dir)
        .env("RECONCILER_CONFIG", "")
        .env_remove("STATE_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{args:?} did not end: {}", said(&child.wait_with_output().unwrap()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_source_that_is_none_gets_one_answer_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file.yaml"), role("a", "{}")).unwrap();
    let before = bytes_of(dir.path());
    let mut all: Vec<Vec<&str>> = vec![vec!["--once"], vec!["--dry-run"], vec!["validate"], vec![]];
    for source in ["nowhere", "file.yaml"] {
        for how in ["--once", "--dry-run", "plan", "validate"] {
            all.push(vec![how, source]);
        }
        all.push(vec![source]);
    }
    for args in all {
        let output = ends(dir.path(), &args);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        let cause = if args.contains(&"file.yaml") {
            "`file.yaml` is not a directory"
        } else {
            "no such directory: `"
        };
        assert!(said.contains(cause), "{args:?}: {said}");
        assert!(said.contains("pass the directory of manifests"), "{args:?}: {said}");
        assert_eq!(bytes_of(dir.path()), before, "{args:?} made something");
        assert!(!dir.path().join(".reconciler").exists(), "{args:?}");
    }
    let mistyped = said(&ends(dir.path(), &["statsu"]));
    assert!(mistyped.contains("did you mean the command `status`?"), "{mistyped}");
}

#[test]
fn an_agent_waits_for_a_configured_directory() {
    let place = Place::new("");
    fs::remove_dir(place.source()).unwrap();
    assert_eq!(place.run(&["--once"]).status.code(), Some(64));
    let agent = place.agent();
    until("it says what it waits for", &agent, || agent.log().contains("is not there"));
    fs::create_dir(place.source()).unwrap();
    place.put("a.yaml", &role("a", "{}"));
    until("it is created", &agent, || place.live("role/a").is_some());
}

#[test]
fn a_manifest_that_is_refused_is_not_in_sync() {
    let place = Place::new("");
    place.put("mine.yaml", &role("mine", "{}"));
    let output = place.run(&["--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    place.put("editor.yaml", &role("editor", "{}"));
    place.put("never.yaml", &role("never", "{reconciler/adopt: never}"));
    place.put("other.yaml", &role("other", "{}"));
    let by_hand = place.dir.path().join("by-hand.yaml");
    let marked = role("other", "{teleport.hidden/reconciler-owner: somebody}");
    fs::write(&by_hand, format!("{}---\n{marked}", role("never", "{}"))).unwrap();
    place.ok(&["plane", "set", by_hand.to_str().unwrap()]);
    let output = place.run(&["--once"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let refused = [
        "role/editor is not applied: made by Teleport itself",
        "role/never is not applied: it exists, and `reconciler/adopt: never` is set",
        "role/other is not applied: owned by agent `somebody`",
    ];
    for line in refused {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
    let looked = place.ok(&["status"]);
    assert!(looked.contains("role/other: owned by agent `somebody`"), "{looked}");

    let agent = place.agent();
    let sum = "Not everything is in sync: 3 manifests are not applied.";
    until("the sum", &agent, || place.ok(&["status"]).contains(sum));
    let status = place.ok(&["status"]);
    assert!(
        status.contains("not applied: role/editor: made by Teleport itself; choose"),
        "{status}"
    );
    assert!(!status.contains("Everything is in sync"), "{status}");

    // What is asked for is done, and the plan says whose it was.
    place.put("other.yaml", &role("other", "{reconciler/paused-until: \"2999-01-01T00:00:00Z\"}"));
    place.put("never.yaml", &role("never", "{}"));
    place.remove("editor.yaml");
    until("in sync", &agent, || place.ok(&["status"]).contains("not applied: role/other"));
    assert!(agent.interrupt().success());
    place.put("other.yaml", &role("other", "{reconciler/adopt: always}"));
    let plan = place.ok(&["--dry-run"]);
    let taken = "takes it from agent `somebody`, as `reconciler/adopt: always` says";
    assert!(plan.contains(taken) && plan.contains("other.yaml:1:1"), "{plan}");
    assert_eq!(place.run(&["--once"]).status.code(), Some(0));
}

#[test]
fn a_create_that_was_refused_is_no_write_that_was_not_seen() {
    let place = Place::new("");
    // Workload clusters are not watched.
    place.resync_every("2s");
    place.put("child.yaml", WORKLOAD);
    let agent = place.agent();
    place.ok(&["wait", "workload_cluster/company", "--timeout", "40s"]);
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    place.ok(&["plane", "rm", "workload_cluster/company"]);
    let mut seen = String::new();
    until("it says what is the matter", &agent, || {
        seen = place.ok(&["status"]);
        assert!(!seen.contains("has not been seen"), "{seen}");
        seen.contains("nothing of that name can be seen")
    });
    assert!(seen.contains("AlreadyExists"), "{seen}");
    assert!(agent.interrupt().success());

    let attempts = || {
        let history = place.ok(&["history", "workload_cluster/company"]);
        history.lines().filter(|line| line.contains("create ")).count()
    };
    let before = attempts();
    let output = ends(place.dir.path(), &["--once"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(attempts(), before + 1, "{}", said(&output));

    let agent = place.agent();
    until("it is refused again", &agent, || place.ok(&["status"]).contains("AlreadyExists"));
    place.remove("child.yaml");
    until("the row is gone", &agent, || !place.ok(&["status"]).contains("company"));
}

#[test]
fn a_fingerprint_is_not_stored_as_a_secret() {
    let place = Place::new("");
    let file = place.dir.path().join("pasted.yaml");
    let text = "kind: trusted_cluster\nversion: v2\nmetadata: {name: root}\nspec:\n  \
                token: (secret 386f2819)\n  role_map: [{remote: a, local: [b]}]\n  \
                tunnel_addr: r:443\n  web_proxy_addr: r:443\n";
    fs::write(&file, text).unwrap();
    let output = place.run(&["plane", "set", file.to_str().unwrap()]);
    assert!(!output.status.success());
    let text = said(&output);
    assert!(text.contains("`spec.token` of this trusted_cluster is the fingerprint"), "{text}");
    assert!(place.live("trusted_cluster/root").is_none());
}

#[test]
fn a_damaged_database_is_named_with_a_remedy() {
    let place = Place::new("");
    place.put("a.yaml", &role("a", "{}"));
    assert!(place.run(&["--once"]).status.success());
    let state = place.state();
    let whole = fs::read(state.join("plane.db")).unwrap();
    fs::write(state.join("plane.db"), [0x55; 8192]).unwrap();
    for args in [vec!["get", "role"], vec!["--dry-run"], vec!["--once"]] {
        let output = place.run(&args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        assert!(text.contains("state/plane.db`") && text.contains("move it away"), "{text}");
        assert!(!text.contains("copy.db"), "{text}");
    }
    fs::write(state.join("plane.db"), whole).unwrap();
    fs::write(state.join("state.db"), [0x55; 8192]).unwrap();
    for args in [vec!["get", "role"], vec!["--once"]] {
        let output = place.run(&args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        assert!(text.contains("state.db") && text.contains("move it away"), "{args:?}: {text}");
    }
}

#[test]
fn errors_in_the_source_are_counted_once_and_their_files_named() {
    let place = Place::new("");
    place.put("a.yaml", "kind: role\nnonsense: 1\nversion: v7\nmetadata: {name: a}\n");
    let agent = place.agent();
    until("it is said", &agent, || agent.log().contains("1 error in the source, in a.yaml"));
    // The same error, a line further down, beside something new.
    place.put("a.yaml", "# why\nkind: role\nnonsense: 1\nversion: v7\nmetadata: {name: a}\n");
    place.put("good.yaml", &role("good", "{}"));
    until("it is created", &agent, || place.live("role/good").is_some());
    assert_eq!(agent.log().matches("error in the source").count(), 1, "{}", agent.log());
    place.put("b.yaml", "kind: nobody\n");
    until("two", &agent, || agent.log().contains("2 errors in the source, in a.yaml and b.yaml"));
}

#[test]
fn what_is_still_wrong_is_not_said_again_when_something_else_changes() {
    let place = Place::new("");
    let broken = |name: &str| role(name, "{}").replace("allow:", "alow:");
    for name in ["one", "two", "three"] {
        place.put(&format!("{name}.yaml"), &broken(name));
    }
    let agent = place.agent();
    let shown = |name: &str| agent.log().matches(&format!("--> {name}.yaml")).count();
    until("all are shown", &agent, || ["one", "two", "three"].iter().all(|it| shown(it) == 1));
    place.put("one.yaml", &role("one", "{}"));
    until("two are left", &agent, || agent.log().contains("2 errors in the source"));
    // It moves down a line, and comes back.
    place.put("two.yaml", &format!("# moved\n{}", broken("two")));
    place.put("one.yaml", &broken("one"));
    until("it is back", &agent, || shown("one") == 2);
    assert_eq!((shown("two"), shown("three")), (1, 1), "{}", agent.log());
}

/// A manifest in a new file is seen soon, though a directory beside it is closed to the agent.
#[test]
fn a_closed_directory_does_not_end_the_events() {
    /// `nobody`.
    const NOBODY: u32 = 65_534;
    let place = Place::new("");
    let closed = place.source().join("lost+found");
    fs::create_dir_all(place.source().join("open")).unwrap();
    fs::create_dir(&closed).unwrap();
    let is_root = fs::metadata(place.dir.path()).unwrap().uid() == 0;
    let binary = place.dir.path().join("reconciler");
    fs::copy(env!("CARGO_BIN_EXE_reconciler"), &binary).unwrap();
    let mut command = Command::new(&binary);
    if is_root {
        // Nothing is closed to root.
        for path in [place.dir.path(), &place.source(), &place.source().join("open")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    command.arg("-v").current_dir(place.dir.path()).env_remove("STATE_DIRECTORY");
    let agent = place.agent_of(command);
    until("it names the directory", &agent, || agent.log().contains("lost+found"));
    until("nothing is pruned below it", &agent, || agent.log().contains("1 error in the source"));
    assert!(!agent.log().contains("looking every"), "{}", agent.log());
    // Each of these is seen long before the next resync, 5 minutes away.
    place.put("a.yaml", &role("a", "{}"));
    until("a file is seen", &agent, || place.live("role/a").is_some());
    fs::write(place.source().join("open/b.yaml"), role("b", "{}")).unwrap();
    until("a file in a directory is seen", &agent, || place.live("role/b").is_some());
    fs::create_dir(place.source().join("new")).unwrap();
    fs::write(place.source().join("new/c.yaml"), role("c", "{}")).unwrap();
    until("a directory that came later is seen", &agent, || place.live("role/c").is_some());
    fs::write(place.source().join("new/d.yaml"), role("d", "{}")).unwrap();
    until("and what comes in it", &agent, || place.live("role/d").is_some());
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    let mended = || agent.log().contains("the source has no errors any more");
    until("it is opened", &agent, mended);
}

#[test]
fn an_empty_pattern_list_is_refused_and_an_unwritable_lock_has_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("desired-state")).unwrap();
    // An empty variable is none; see `ends`.
    assert!(ends(dir.path(), &["--dry-run", "--control-plane", "memory"]).status.success());
    fs::write(dir.path().join("file"), "").unwrap();
    let text = said(&ends(dir.path(), &["--once", "--state", "file/state.db"]));
    assert!(text.contains("use another `state.path`"), "{text}");
    fs::write(dir.path().join("reconciler.toml"), "[source]\ninclude = []\n").unwrap();
    let text = said(&ends(dir.path(), &["--dry-run"]));
    assert!(text.contains("matches no files"), "{text}");
    assert!(text.contains("or remove the key"), "{text}");
}
