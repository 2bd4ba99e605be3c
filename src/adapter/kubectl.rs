//! `kubectl` as a subprocess: it knows the person's contexts and how they sign in.

use std::io;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Why `kubectl` gave no answer. What it had to say itself went to the person's terminal.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// It is not installed.
    #[error("there is no `kubectl` on the PATH")]
    Missing,
    /// The operating system's words.
    #[error("`kubectl {what}` could not be run: {source}")]
    NotRun {
        /// The subcommand.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("`kubectl {what}` failed ({status})")]
    Failed {
        /// The subcommand.
        what: String,
        /// Its end.
        status: std::process::ExitStatus,
    },
}

/// Runs `kubectl` and gives what it prints. Its standard error stream is ours, so that it can ask
/// for a sign-in; it has no standard input but `input`.
///
/// # Errors
/// It could not be run, or it failed.
pub async fn run(args: &[&str], input: Option<&str>) -> Result<Vec<u8>, KubectlError> {
    let what = || {
        let words = args.iter().filter(|arg| !arg.starts_with('-'));
        words.take(2).copied().collect::<Vec<_>>().join(" ")
    };
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::NotFound {
            return KubectlError::Missing;
        }
        KubectlError::NotRun { what: what(), source }
    };
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new("kubectl")
        .args(args)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let pipe = child.stdin.take();
    let write = async {
        if let (Some(mut pipe), Some(text)) = (pipe, input) {
            // Whoever does not read to the end says why by how it ends.
            drop(pipe.write_all(text.as_bytes()).await);
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.map_err(failed)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(KubectlError::Failed { what: what(), status: output.status })
    }
}
