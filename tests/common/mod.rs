//! A running agent in a directory of its own, as a user has one.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for anything: generous, because the machine may be slow; never reached when all
/// is well.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// One user's folder: source, state, configuration.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    /// A place whose configuration has short times; `extra` is added to `[control_plane]`.
    pub fn new(extra: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = Self { dir };
        fs::create_dir(place.source()).unwrap();
        place.configure(extra);
        place
    }

    /// Writes the configuration anew.
    pub fn configure(&self, extra: &str) {
        let text = format!(
            "[source]\npath = \"desired-state\"\nsettle = \"100ms\"\n\
             [control_plane]\nkind = \"embedded\"\nprovision = \"500ms\"\n{extra}\n\
             [workload_clusters]\npoll = \"300ms\"\n\
             [safety]\nprune_delay = \"1s\"\n\
             [state]\npath = \"state/state.db\"\n"
        );
        fs::write(self.dir.path().join("reconciler.toml"), text).unwrap();
    }

    /// Another pending period than a second.
    pub fn prune_after(&self, delay: &str) {
        self.reconfigure("prune_delay = \"1s\"", &format!("prune_delay = \"{delay}\""));
    }

    /// Everything is read again more often than every few minutes.
    pub fn resync_every(&self, period: &str) {
        self.reconfigure("settle =", &format!("resync = \"{period}\"\nsettle ="));
    }

    /// Puts other words into the configuration.
    fn reconfigure(&self, old: &str, new: &str) {
        let path = self.dir.path().join("reconciler.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(path, text.replace(old, new)).unwrap();
    }

    pub fn source(&self) -> PathBuf {
        self.dir.path().join("desired-state")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Writes a manifest as a careful tool does: beside it, then renamed over it.
    pub fn put(&self, name: &str, text: &str) {
        let path = self.source().join(name);
        let beside = self.source().join(format!(".{name}.new"));
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &path).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.source().join(name)).unwrap();
    }

    /// Runs one command of the built binary to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs one command that must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("RECONCILER_CONFIG")
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::null());
        command
    }

    /// Starts the agent and waits until it says that it is ready to be asked.
    pub fn agent(&self) -> Agent {
        self.agent_with(&["-v"])
    }

    /// The same with other options.
    pub fn agent_with(&self, options: &[&str]) -> Agent {
        self.agent_of(self.command(options))
    }

    /// The same by another command.
    pub fn agent_of(&self, command: Command) -> Agent {
        let mut agent = Agent::started(command);
        let started = Instant::now();
        while !self.run(&["status"]).status.success()
            || UnixStream::connect(self.state().join("reconciler.sock")).is_err()
        {
            assert!(
                agent.child.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE,
                "the agent did not start:\n{}",
                agent.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        agent
    }

    /// What is live, in clear, `None` when it is not there.
    pub fn live(&self, what: &str) -> Option<String> {
        let output = self.run(&["plane", "get", what]);
        if output.status.success() {
            return Some(String::from_utf8(output.stdout).expect("UTF-8"));
        }
        let why = String::from_utf8_lossy(&output.stderr);
        let is_gone = why.contains(" not found") || why.contains(" was found");
        assert!(is_gone, "{what} is neither there nor gone: {why}");
        None
    }

    /// The plane's calls per method.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.ok(&["plane", "calls"])
            .lines()
            .filter_map(|line| {
                let (count, method) = line.trim().split_once(' ')?;
                Some((method.trim().to_owned(), count.parse().ok()?))
            })
            .collect()
    }

    /// How many writes the plane has seen.
    pub fn writes(&self) -> u64 {
        self.calls()
            .iter()
            .filter(|(method, _)| {
                let name = method.rsplit('/').next().unwrap_or("");
                ["Create", "Update", "Upsert", "Delete"].iter().any(|verb| name.starts_with(verb))
            })
            .map(|(_, count)| count)
            .sum()
    }
}

/// A running agent; killed when dropped.
pub struct Agent {
    pub child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    /// Starts it; it may not be ready yet.
    pub fn started(mut command: Command) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the agent starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let reader = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let sink = Arc::clone(&lines);
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Asks it to end, as Ctrl-C does, and waits.
    pub fn interrupt(mut self) -> ExitStatus {
        self.signal("-INT");
        self.ended()
    }

    /// Sends it a signal, `-HUP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits until it ends.
    pub fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it did not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it without a word.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until something holds; what it was is in the message if it never does.
pub fn until(what: &str, agent: &Agent, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        let waited = started.elapsed();
        assert!(waited < PATIENCE, "never: {what}\nlog:\n{}", agent.log());
        // Each look is a process, and many tests look at once: less often at what takes long.
        thread::sleep((waited / 8).clamp(Duration::from_millis(30), Duration::from_millis(200)));
    }
}

/// Every file below a directory with its bytes.
pub fn bytes_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else { return all };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(bytes_of(&path));
        } else if path.is_file() {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}
