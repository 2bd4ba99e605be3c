//! `reconciler kubeconfig`: judging one, and making one for a Teleport Kubernetes Service.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::args::KubeconfigCommand;
use super::error::CliError;
use super::exit::Exit;
use super::output::Streams;
use crate::adapter::bounded_read;
use crate::adapter::files::SECRET_SIZE_MAX;
use crate::adapter::kubectl::{self, KubectlError};
use crate::kind::kubeconfig::{self as judge_of, Finding};
use crate::manifest::render::position;
use crate::model::Severity;

/// The manifests that are applied, as they lie in `packaging/kubernetes`.
const MANIFESTS: &[&str] = &[
    include_str!("../../packaging/kubernetes/namespace.yaml"),
    include_str!("../../packaging/kubernetes/service-account.yaml"),
    include_str!("../../packaging/kubernetes/cluster-role.yaml"),
    include_str!("../../packaging/kubernetes/cluster-role-binding.yaml"),
    include_str!("../../packaging/kubernetes/token.yaml"),
];

/// The service account of the manifests.
const ACCOUNT: &str = "teleport-kube-service";

/// The secret of `token.yaml`.
const TOKEN: &str = "teleport-kube-service-token";

/// Longest name of a namespace, in bytes (Kubernetes: a DNS label).
const NAMESPACE_MAX: usize = 63;

/// How long the cluster may take to fill the token in, in looks and the time between them. It
/// is a controller's ordinary work, done within a second or two.
const TOKEN_LOOKS_MAX: u32 = 60;
const TOKEN_LOOK: Duration = Duration::from_millis(500);

/// Runs one of the commands.
///
/// # Errors
/// What failed.
pub(super) async fn run(
    command: &KubeconfigCommand,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    match command {
        KubeconfigCommand::Check { file } => judge(file, to),
        KubeconfigCommand::Create { context, namespace, output, dry_run } => {
            create(&Wanted { context, namespace, output, dry_run: *dry_run }, to).await
        }
    }
}

fn judge(file: &Path, to: &mut Streams<'_>) -> Result<Exit, CliError> {
    let shown =
        if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    let content = bounded_read::read_or_stdin(file, SECRET_SIZE_MAX)
        .map_err(|error| CliError::new(format!("cannot read {shown}: {error}")))?;
    let (text, errors) = judgement(&shown, &content);
    to.print(&text)?;
    if errors > 0 {
        return Ok(Exit::Error);
    }
    to.print(&format!("{shown}: usable by a Kubernetes Service\n"))?;
    Ok(Exit::Done)
}

/// One line for each finding, and how many of them are errors.
fn judgement(file: &str, content: &[u8]) -> (String, usize) {
    let findings = judge_of::check(content);
    let errors = findings.iter().filter(|found| found.severity == Severity::Error).count();
    let one = |found: &Finding| {
        let Finding { severity, code, path, offset, message, hint } = found;
        let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
        let (line, column) = position(content, offset);
        let place = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
        format!("{file}:{line}:{column}: {severity}[{code}]: {place}{message}\n  help: {hint}\n")
    };
    let text: String = findings.iter().map(one).collect();
    (text, errors)
}

struct Wanted<'a> {
    context: &'a str,
    namespace: &'a str,
    output: &'a Path,
    dry_run: bool,
}

async fn create(wanted: &Wanted<'_>, to: &mut Streams<'_>) -> Result<Exit, CliError> {
    let Wanted { context, namespace, output, dry_run } = wanted;
    if !is_namespace(namespace) {
        let message = format!("`{namespace}` is not a valid namespace name");
        return Err(CliError::usage(message));
    }
    let exists = || {
        let message =
            format!("{} already exists; remove it or choose another -o", output.display());
        CliError::new(message)
    };
    if output.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let cluster = cluster(context).await?;
    to.print(&announcement(wanted, &cluster))?;
    if *dry_run {
        return Ok(Exit::Done);
    }
    let text = manifests(namespace);
    let apply = ["--context", context, "apply", "-f", "-"];
    let applied = kubectl::run(&apply, Some(&text)).await?;
    to.print(&String::from_utf8_lossy(&applied))?;
    let token = token(context, namespace).await?;
    let text = kubeconfig(context, &cluster, &token)?;
    let (findings, errors) = judgement(&output.display().to_string(), text.as_bytes());
    to.remark(&findings)?;
    if errors > 0 {
        let message = "the result would not work on another host; nothing was written";
        return Err(CliError::new(message));
    }
    let mut file = match fs::File::options().write(true).create_new(true).mode(0o600).open(output) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists()),
        Err(error) => {
            return Err(CliError::new(format!("cannot write {}: {error}", output.display())));
        }
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| CliError::new(format!("cannot write {}: {error}", output.display())))?;
    to.print(&format!(
        "wrote {0} (mode 0600)\nuse it: `kubeconfig: file://{0}` or, in base64, the content itself\n",
        output.display()
    ))?;
    Ok(Exit::Done)
}

fn announcement(wanted: &Wanted<'_>, cluster: &Json) -> String {
    let Wanted { context, namespace, output, dry_run } = wanted;
    let server = cluster.get("server").and_then(Json::as_str).unwrap_or("(no address)");
    let will = if *dry_run { "would do" } else { "this will do" };
    format!(
        "{will}, using kubectl and your own credentials, in the context `{context}` ({server}):\n\
         \x20 1. apply the namespace `{namespace}`, and in it the service account \
         `{ACCOUNT}` and the secret `{TOKEN}`\n\
         \x20 2. apply the cluster role `{ACCOUNT}` (impersonate users, groups and \
         service accounts; get pods; review its own access) and bind it to the account\n\
         \x20 3. wait for the token and write it, with the address of the cluster, to {}\n",
        output.display()
    )
}

/// What the person's own kubeconfig says of the cluster, with files filled in.
async fn cluster(context: &str) -> Result<Json, CliError> {
    let args =
        ["config", "view", "--raw", "--minify", "--flatten", "-o", "json", "--context", context];
    let said = kubectl::run(&args, None).await?;
    let view: Json = serde_json::from_slice(&said).map_err(|_content| not_understood())?;
    let cluster = view.pointer("/clusters/0/cluster").cloned();
    cluster.filter(Json::is_object).ok_or_else(|| {
        CliError::new(format!("the context `{context}` has no cluster in your kubeconfig"))
    })
}

/// Waits for the token.
async fn token(context: &str, namespace: &str) -> Result<String, CliError> {
    let args = ["--context", context, "-n", namespace, "get", "secret", TOKEN, "-o", "json"];
    for _ in 0..TOKEN_LOOKS_MAX {
        let said = kubectl::run(&args, None).await?;
        let secret: Json = serde_json::from_slice(&said).map_err(|_content| not_understood())?;
        let token = secret.pointer("/data/token").and_then(Json::as_str).unwrap_or_default();
        if !token.is_empty() {
            let bytes = STANDARD.decode(token).map_err(|_content| not_understood())?;
            return String::from_utf8(bytes).map_err(|_content| not_understood());
        }
        tokio::time::sleep(TOKEN_LOOK).await;
    }
    let message = format!(
        "the cluster did not fill in the token of `{namespace}/{TOKEN}`; the applied manifests stay, \
         and the command can be run again"
    );
    Err(CliError::new(message))
}

/// The file's text.
fn kubeconfig(context: &str, cluster: &Json, token: &str) -> Result<String, CliError> {
    let config = judge_of::with_token(context, cluster, ACCOUNT, token);
    let text = serde_saphyr::to_string(&config).map_err(|_content| not_understood())?;
    Ok(text)
}

/// The manifests for a namespace: its name stands for itself, in references to it, and at the end
/// of the binding's name, so that two namespaces do not share one binding.
fn manifests(namespace: &str) -> String {
    let ours = |text: &&str| {
        text.replace("namespace: teleport\n", &format!("namespace: {namespace}\n"))
            .replace("  name: teleport\n", &format!("  name: {namespace}\n"))
            .replace(":teleport\n", &format!(":{namespace}\n"))
    };
    MANIFESTS.iter().map(ours).collect::<Vec<_>>().join("---\n")
}

fn is_namespace(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= NAMESPACE_MAX
        && name.starts_with(good)
        && name.ends_with(good)
        && name.chars().all(|c| good(c) || c == '-')
}

impl From<KubectlError> for CliError {
    fn from(error: KubectlError) -> Self {
        Self::new(error.to_string())
    }
}

fn not_understood() -> CliError {
    CliError::new("unexpected output from `kubectl`")
}
