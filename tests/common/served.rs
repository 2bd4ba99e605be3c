//! The built binary as a server: `plane serve` in a directory of its own.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A role that may do everything: the preset `editor` may not change clusters.
const EVERYTHING: &str = "kind: role\nversion: v7\nmetadata: {name: everything}\nspec:\n  allow:\n    \
    kubernetes_labels: {'*': '*'}\n    rules: [{resources: ['*'], verbs: ['*']}]\n";

/// A served plane; killed when dropped.
pub(crate) struct Served {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) address: String,
    child: Option<Child>,
}

impl Served {
    /// A plane over an empty state, with short times.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = "[control_plane]\nkind = \"embedded\"\nprovision = \"500ms\"\n";
        fs::write(dir.path().join("reconciler.toml"), config).unwrap();
        fs::create_dir(dir.path().join("roles")).unwrap();
        fs::write(dir.path().join("roles/everything.yaml"), EVERYTHING).unwrap();
        let mut served = Self { dir, address: String::new(), child: None };
        served.restart(&["--load", "roles"]);
        served
    }

    /// Ends it without a word, if it runs, and starts it on the same state and another port.
    pub(crate) fn restart(&mut self, more: &[&str]) {
        self.restart_with(more, Stdio::inherit());
    }

    /// The same, and what it said on stderr before it listened.
    pub(crate) fn restart_said(&mut self, more: &[&str]) -> String {
        let path = self.dir.path().join("stderr.txt");
        self.restart_with(more, fs::File::create(&path).unwrap().into());
        fs::read_to_string(path).unwrap()
    }

    /// The same with as many open files as that, and no more; where its log is.
    pub(crate) fn restart_limited(&mut self, files: usize) -> PathBuf {
        self.kill();
        let path = self.dir.path().join("stderr.txt");
        let program = env!("CARGO_BIN_EXE_reconciler");
        let script = format!(
            "ulimit -n {files}; exec {program} plane serve --listen 127.0.0.1:0 --state state.db"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("RECONCILER_CONFIG").env_remove("STATE_DIRECTORY");
        self.started(command, fs::File::create(&path).unwrap().into());
        path
    }

    fn restart_with(&mut self, more: &[&str], stderr: Stdio) {
        self.kill();
        let mut args = vec!["plane", "serve", "--listen", "127.0.0.1:0", "--state", "state.db"];
        args.extend(more);
        let command = self.command(&args);
        self.started(command, stderr);
    }

    /// Starts it, and waits until it says where it listens.
    fn started(&mut self, mut command: Command, stderr: Stdio) {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.child = Some(child);
        let address = line.trim().strip_prefix("listening on ");
        address.expect("it says where it listens").clone_into(&mut self.address);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("RECONCILER_CONFIG")
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Mints an identity file.
    pub(crate) fn identity(&self, user: &str, roles: &str) -> PathBuf {
        let file = self.dir.path().join(format!("{user}.pem"));
        let path = file.to_str().unwrap();
        let args = ["plane", "identity", "--state", "state.db", "--user", user, "--roles", roles];
        let output = self.run(&[args.as_slice(), &["-o", path]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}
