//! Commands of dynamic labels, run for real: each way in which one can end badly, and that no
//! process of its group is left behind.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use reconciler::adapter::commands::{Environment, OUTPUT_MAX, Runner};
use reconciler::labels::allow::Allow;
use reconciler::labels::value::Command;
use reconciler::port::{Commands as _, NotText, RunError};

/// Enough for a shell on a busy machine.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

struct Bench {
    dir: tempfile::TempDir,
    /// Absent: exactly the command that is run.
    allow: Option<Allow>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("source/team")).unwrap();
        Self { dir, allow: None }
    }

    fn allowing(patterns: &[&str]) -> Self {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        Self { allow: Some(Allow::new(&patterns).unwrap()), ..Self::new() }
    }

    fn runner(&self, argv: &[&str]) -> Runner {
        let variables: [(OsString, OsString); 5] = [
            ("PATH".into(), "relative:/usr/bin:/bin".into()),
            ("HOME".into(), "/nowhere".into()),
            ("LC_ALL".into(), "C".into()),
            ("AWS_REGION".into(), "us-east-2".into()),
            ("TELEPORT_TOKEN".into(), "never".into()),
        ];
        let environment = Environment::of(variables, &["AWS_REGION".to_owned()]);
        let allow = self.allow.clone().unwrap_or_else(|| only(argv));
        Runner::new(self.path(""), allow, environment)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("source").join(below)
    }

    fn script(&self, below: &str, text: &str) {
        fs::write(self.path(below), text).unwrap();
        fs::set_permissions(self.path(below), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run_for(&self, argv: &[&str], dir: &str, timeout: Duration) -> Result<String, RunError> {
        runtime().block_on(self.runner(argv).run(&command(argv, dir), timeout))
    }

    fn run(&self, argv: &[&str]) -> Result<String, RunError> {
        self.run_for(argv, "", LONG)
    }

    /// Runs a shell script that first says which group it is; nothing of it may be left.
    fn shell_for(&self, script: &str, timeout: Duration) -> Result<String, RunError> {
        let script = format!("echo $$ > leader; {script}");
        let answer = self.run_for(&["sh", "-c", &script], "", timeout);
        let leader = fs::read_to_string(self.path("leader")).unwrap();
        assert_eq!(members(leader.trim().parse().unwrap()), Vec::<String>::new(), "{script}");
        answer
    }

    fn shell(&self, script: &str) -> Result<String, RunError> {
        self.shell_for(script, LONG)
    }
}

fn command(argv: &[&str], dir: &str) -> Command {
    Command { argv: argv.iter().map(|text| (*text).to_owned()).collect(), dir: dir.into() }
}

/// What the error about a command that may not run says to add, added.
fn only(argv: &[&str]) -> Allow {
    let line = Allow::line_to_add(&command(argv, "").argv);
    let table: toml::Table = toml::from_str(&format!("allow = {line}")).unwrap();
    Allow::new(&[table["allow"].as_str().unwrap().to_owned()]).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The lines of `/proc` about living members of a process group. One that was killed and whose
/// parent is another process may need a moment.
fn members(group: i32) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..100 {
        found = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
            .filter(|stat| {
                let mut fields = stat.rsplit(") ").next().unwrap().split(' ');
                let state = fields.next().unwrap();
                // A zombie that belongs to the machine's first process is not ours to reap.
                let parent: u32 = fields.next().unwrap().parse().unwrap();
                fields.next().unwrap().parse() == Ok(group)
                    && (state != "Z" || parent == std::process::id())
            })
            .collect();
        if found.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    found
}

#[test]
fn what_is_printed_is_the_value_without_white_space_around_it() {
    let bench = Bench::new();
    for (script, value) in [
        ("echo us-east-2", "us-east-2"),
        ("printf us-east-2", "us-east-2"),
        ("printf ' \\t us east \\302\\240\\n\\n'", "us east"),
        ("printf 'a\\tb'", "a\tb"),
        ("true", ""),
        ("printf ' \\n '", ""),
        ("echo value; echo secret >&2", "value"),
        ("exec >&-; sleep 0.1", ""),
    ] {
        assert_eq!(bench.shell(script), Ok(value.to_owned()), "{script}");
    }
}

#[test]
fn what_is_no_line_of_text_is_refused() {
    let bench = Bench::new();
    for (script, expected) in [
        ("printf 'a\\nb'", NotText::Lines),
        ("printf 'a\\rb'", NotText::Lines),
        ("printf 'a\\342\\200\\250b'", NotText::Lines),
        ("printf 'a\\377b'", NotText::Encoding),
        ("head -c 64 /bin/sh", NotText::Encoding),
        ("printf 'a\\000b'", NotText::Control),
        ("printf '\\033[31mred'", NotText::Control),
    ] {
        let answer = bench.shell(script);
        // The head of an ELF file is text by accident on no machine, but which rule it breaks
        // first is not the point.
        let head = script.starts_with("head") && matches!(answer, Err(RunError::NotText(_)));
        assert!(head || answer == Err(RunError::NotText(expected)), "{script}: {answer:?}");
    }
}

#[test]
fn how_it_ended_is_told() {
    let bench = Bench::new();
    assert_eq!(bench.shell("echo value; exit 3"), Err(RunError::Failed { code: 3 }));
    assert_eq!(bench.shell("kill -KILL $$"), Err(RunError::Killed { signal: 9 }));
    assert_eq!(bench.shell("sleep 60 & kill -SEGV $$"), Err(RunError::Killed { signal: 11 }));
}

#[test]
fn nothing_printed_is_in_an_error() {
    let bench = Bench::new();
    let error = bench.shell("echo hunter2; echo hunter2 >&2; exit 1").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn a_command_that_hangs_is_ended() {
    let bench = Bench::new();
    let expected = Err(RunError::TimedOut { after: SHORT });
    for script in ["sleep 60", "echo early; sleep 60", "sleep 60 | sleep 60", "kill -STOP $$"] {
        let started = Instant::now();
        assert_eq!(bench.shell_for(script, SHORT), expected, "{script}");
        assert!(started.elapsed() >= SHORT, "{script}");
        assert!(started.elapsed() < LONG, "{script}");
    }
}

#[test]
fn a_command_that_ignores_the_polite_signal_is_killed() {
    let bench = Bench::new();
    let script = "trap '' TERM; sleep 60 & sleep 61; sleep 62; sleep 63";
    let started = Instant::now();
    assert_eq!(bench.shell_for(script, SHORT), Err(RunError::TimedOut { after: SHORT }));
    assert!(started.elapsed() < LONG);
}

#[test]
fn a_command_that_hears_the_polite_signal_may_tidy_up() {
    let bench = Bench::new();
    let script = "trap 'touch tidied; exit 0' TERM; while :; do sleep 0.05; done";
    let answer = bench.shell_for(script, Duration::from_secs(1));
    assert_eq!(answer, Err(RunError::TimedOut { after: Duration::from_secs(1) }));
    assert!(bench.path("tidied").exists());
}

#[test]
fn a_flood_is_stopped_at_the_limit() {
    let bench = Bench::new();
    let started = Instant::now();
    let too_much = Err(RunError::TooMuch { most: OUTPUT_MAX });
    assert_eq!(bench.shell("yes"), too_much);
    assert_eq!(bench.shell("trap '' TERM; while :; do echo aaaaaaaaaaaaaaaaaaaa; done"), too_much);
    assert_eq!(bench.shell(&format!("head -c {} /dev/zero", OUTPUT_MAX + 1)), too_much);
    let full = bench.shell(&format!("head -c {OUTPUT_MAX} /dev/zero | tr '\\000' a"));
    assert_eq!(full.map(|value| value.len()), Ok(OUTPUT_MAX));
    assert!(started.elapsed() < LONG);
}

#[test]
fn a_flood_of_complaints_costs_nothing() {
    let bench = Bench::new();
    let answer = bench.shell("head -c 10000000 /dev/zero >&2; echo value");
    assert_eq!(answer, Ok("value".to_owned()));
}

#[test]
fn children_that_keep_the_output_open_do_not_hold_us() {
    let bench = Bench::new();
    for script in [
        "sleep 60 & echo value",
        "(sleep 60; echo late) & echo value",
        "(trap '' TERM HUP; sleep 60) & (sleep 60 & sleep 60 &) & echo value",
        "nohup sleep 60 & echo value",
        "(yes > /dev/null &) ; echo value",
    ] {
        let started = Instant::now();
        assert_eq!(bench.shell(script), Ok("value".to_owned()), "{script}");
        assert!(started.elapsed() < LONG, "{script}");
    }
}

#[test]
fn a_child_with_a_session_of_its_own_does_not_hold_us_but_stays() {
    let bench = Bench::new();
    let started = Instant::now();
    let script = "setsid sh -c 'echo $$ > escaped; exec sleep 30' & \
                  while [ ! -s escaped ]; do sleep 0.02; done; echo value";
    assert_eq!(bench.shell(script), Ok("value".to_owned()));
    assert!(started.elapsed() < LONG);
    let escaped: i32 = fs::read_to_string(bench.path("escaped")).unwrap().trim().parse().unwrap();
    assert!(Path::new(&format!("/proc/{escaped}")).exists(), "the limit that is documented");
    let escaped = rustix::process::Pid::from_raw(escaped).unwrap();
    rustix::process::kill_process(escaped, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_future_that_is_dropped_ends_its_command() {
    let bench = Bench::new();
    let script = "echo $$ > leader; trap '' TERM; sleep 60 & sleep 60";
    runtime().block_on(async {
        let command = command(&["sh", "-c", script], "");
        let runner = bench.runner(&["sh", "-c", script]);
        let run = runner.run(&command, LONG);
        assert!(tokio::time::timeout(Duration::from_secs(1), run).await.is_err());
    });
    let leader = fs::read_to_string(bench.path("leader")).unwrap();
    assert_eq!(members(leader.trim().parse().unwrap()), Vec::<String>::new());
}

#[test]
fn it_sees_no_more_than_it_may() {
    let bench = Bench::new();
    let answer = bench.shell("env | grep -v '^_=\\|^SHLVL\\|^PWD\\|^OLDPWD' | sort | tr '\\n' ' '");
    let expected = "AWS_REGION=us-east-2 HOME=/nowhere LC_ALL=C PATH=relative:/usr/bin:/bin";
    assert_eq!(answer.as_deref(), Ok(expected));
    assert_eq!(bench.shell("read line || echo nothing to read").unwrap(), "nothing to read");
    let whose = bench.shell("cut -d ' ' -f 5 /proc/$$/stat").unwrap();
    assert_eq!(whose, fs::read_to_string(bench.path("leader")).unwrap().trim());
}

#[test]
fn it_runs_in_the_directory_of_its_manifest() {
    let bench = Bench::new();
    bench.script("team/region.sh", "#!/bin/sh\necho \"$0 $1\"\n");
    let real = fs::canonicalize(bench.path("team")).unwrap();
    assert_eq!(bench.run_for(&["pwd", "-P"], "team", LONG), Ok(real.display().to_string()));
    let answer = bench.run_for(&["sh", "region.sh", "no;shell $HOME"], "team", LONG);
    assert_eq!(answer, Ok("region.sh no;shell $HOME".to_owned()));
    assert!(bench.run_for(&["./region.sh"], "team", LONG).is_ok());
    assert!(bench.run_for(&["../team/region.sh"], "team", LONG).is_ok());
    let bare = bench.run_for(&["region.sh"], "team", LONG);
    assert_eq!(bare, Err(RunError::NotFound { program: "region.sh".to_owned() }));
}

#[test]
fn nothing_outside_of_the_source_is_entered() {
    let bench = Bench::new();
    symlink("/", bench.path("team/root")).unwrap();
    symlink("..", bench.path("team/inside")).unwrap();
    for dir in ["..", "/", "team/../..", "team/root", "team/root/bin", "missing", "team/x\0y"] {
        let answer = bench.run_for(&["pwd"], dir, LONG);
        assert!(matches!(answer, Err(RunError::OutOfPlace { .. })), "{dir:?}: {answer:?}");
    }
    assert!(bench.run_for(&["pwd"], "team/inside", LONG).is_ok());
    fs::write(bench.dir.path().join("outside"), "#!/bin/sh\n").unwrap();
    for program in ["../outside", "team/root/bin/true"] {
        let answer = bench.run(&[program]);
        assert!(matches!(answer, Err(RunError::OutOfPlace { .. })), "{program}: {answer:?}");
    }
}

#[test]
fn what_cannot_be_started_says_why() {
    let bench = Bench::new();
    bench.script("gone.sh", "#!/no/such/interpreter\n");
    bench.script("plain", "echo no line that says what reads it\n");
    fs::write(bench.path("data.sh"), "#!/bin/sh\n").unwrap();
    bench.script("vanishes.sh", "#!/bin/sh\necho here\n");
    assert_eq!(bench.run(&["./vanishes.sh"]), Ok("here".to_owned()));
    fs::remove_file(bench.path("vanishes.sh")).unwrap();
    let missing = |program: &str| RunError::NotFound { program: program.to_owned() };
    let not_run = |reason: &str| RunError::NotStarted { reason: reason.to_owned() };
    for (argv, expected) in [
        (vec!["./vanishes.sh"], missing("./vanishes.sh")),
        (vec!["/no/such/program"], missing("/no/such/program")),
        (vec!["no-such-program"], missing("no-such-program")),
        (vec!["./data.sh"], not_run("`./data.sh` is not executable")),
        (vec!["./gone.sh"], not_run("it or the interpreter in its line `#!…` does not exist")),
        (vec!["./plain"], not_run("it is no program, and has no line `#!…`")),
    ] {
        assert_eq!(bench.run(&argv), Err(expected), "{argv:?}");
    }
}

#[test]
fn what_no_pattern_allows_does_not_run() {
    let bench = Bench::allowing(&["sh region.sh", "/usr/bin/tr *", "scripts/*"]);
    fs::write(bench.path("region.sh"), "echo us-east-2\n").unwrap();
    fs::create_dir(bench.path("scripts")).unwrap();
    bench.script("scripts/zone", "#!/bin/sh\necho b\n");
    bench.script("evil", "#!/bin/sh\ntouch ran\n");
    symlink("/usr/bin/touch", bench.path("scripts/touch")).unwrap();
    assert_eq!(bench.run(&["sh", "region.sh"]), Ok("us-east-2".to_owned()));
    assert_eq!(bench.run(&["tr", "a", "b"]), Ok(String::new()), "found as /usr/bin/tr");
    assert_eq!(bench.run(&["scripts/zone"]), Ok("b".to_owned()));
    for (argv, line) in [
        (vec!["sh", "-c", "touch ran"], "\"sh -c 'touch ran'\""),
        (vec!["./evil"], "\"./evil\""),
        (vec!["touch", "ran"], "\"touch ran\""),
        (vec!["no-such-program"], "\"no-such-program\""),
    ] {
        let answer = bench.run(&argv);
        assert_eq!(answer, Err(RunError::NotAllowed { line: line.to_owned() }), "{argv:?}");
    }
    assert!(matches!(bench.run(&[]), Err(RunError::NotAllowed { .. })));
    assert!(matches!(bench.run(&[""]), Err(RunError::NotAllowed { .. })));
    let answer = bench.run(&["scripts/touch", "ran"]);
    assert!(matches!(answer, Err(RunError::OutOfPlace { .. })), "{answer:?}");
    assert!(!bench.path("ran").exists());
}

#[test]
fn a_directory_of_manifests_gives_no_programs() {
    let bench = Bench::new();
    fs::create_dir(bench.path("relative")).unwrap();
    bench.script("relative/planted", "#!/bin/sh\ntouch ran\n");
    let answer = bench.run(&["planted"]);
    assert_eq!(answer, Err(RunError::NotFound { program: "planted".to_owned() }));
}

#[test]
fn many_run_at_once() {
    const COUNT: usize = 200;
    let bench = Bench::allowing(&["echo *"]);
    let before = descriptors();
    let runtime = runtime();
    let answers = runtime.block_on(async {
        let mut jobs = tokio::task::JoinSet::new();
        let runner = std::sync::Arc::new(bench.runner(&[]));
        for number in 0..COUNT {
            let runner = std::sync::Arc::clone(&runner);
            let number = number.to_string();
            jobs.spawn(async move {
                let answer = runner.run(&command(&["echo", &number], ""), LONG).await;
                (number, answer)
            });
        }
        jobs.join_all().await
    });
    assert_eq!(answers.len(), COUNT);
    for (number, answer) in answers {
        assert_eq!(answer, Ok(number));
    }
    drop(runtime);
    assert!(descriptors() < before + COUNT / 2, "pipes stay open");
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
