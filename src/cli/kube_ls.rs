//! `kube ls`: what is served, as `tsh kube ls` prints it, and what is served by nobody.
//!
//! The list itself is tsh's. In text, a second table below it has what tsh does not show:
//! clusters that are registered and served by nobody, and listed ones that are served no longer.
//! With `-q`, `--format json` and `--format yaml` these go to stderr, so that stdout is tsh's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use serde::Serialize;

use super::args::ListFormat;
use super::error::CliError;
use super::exit::Exit;
use super::output::Streams;
use super::session::Session;
use super::setup::Setup;
use super::table;
use crate::adapter::bounded_read;
use crate::adapter::files::FILE_SIZE_MAX;
use crate::kind::kube_server::{Registered, Server, Servers, of_live};
use crate::kind::{self, KINDS, canonical::WireError};
use crate::labels::preview::{self, Note};
use crate::live::Coverage;
use crate::model::{Cluster, clean};
use crate::plan::{Plan, serving};
use crate::port::{Cluster as _, calls, servers};
use crate::wire::message::proto::GetDomainNameResponse;

/// Longest wait for the cluster's name.
const NAME_DEADLINE: Duration = Duration::from_secs(10);

/// The width of a terminal that cannot be asked.
const WIDTH: usize = 80;

/// Labels that tsh hides unless it is told to be verbose.
const HIDDEN: [&str; 3] = ["teleport.dev/", "teleport.hidden/", "teleport.internal/"];

/// The name that a cloud gave a cluster; tsh shows it instead of the unique one.
const DISCOVERED_NAME: &str = "teleport.internal/discovered-name";

/// How the list is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Table or data.
    pub format: ListFormat,
    /// Names and labels alone.
    pub quiet: bool,
    /// All labels, nothing cut.
    pub verbose: bool,
    /// Only what is served by nobody.
    pub unserved: bool,
}

/// One served cluster.
#[derive(Debug, Serialize)]
struct Served {
    #[serde(rename = "kube_cluster_name")]
    name: String,
    labels: Option<BTreeMap<String, String>>,
    selected: bool,
}

/// One cluster that nobody serves, or no longer.
#[derive(Debug, Serialize)]
struct Left {
    #[serde(rename = "kube_cluster_name")]
    name: String,
    /// Whether tsh lists it all the same.
    listed: bool,
    reason: String,
}

/// Prints the list.
///
/// # Errors
/// What is served cannot be read; the streams'.
pub(super) async fn ls(
    setup: &Setup,
    session: &Session,
    view: View,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let seen = servers::read(&session.cluster).await;
    let (registered, unsure) = registered(session).await?;
    let left = left(setup, &seen, &registered, unsure.is_none());
    if let Some(why) = unsure {
        to.remark(&format!("note: the list of registered clusters is incomplete: {why}\n"))?;
    }
    if view.unserved {
        to.print(&show_left(&left, view.format)?)?;
        return Ok(Exit::Done);
    }
    let servers = match seen {
        Servers::Known(servers) => servers,
        Servers::Unknown(why) => return Err(CliError::new(why)),
    };
    let selected = selected(session).await;
    let served = served(servers, selected.as_deref());
    let table = view.format == ListFormat::Text && !view.quiet;
    to.print(&match view.format {
        ListFormat::Text => text(&served, view),
        ListFormat::Json => json(&served)? + "\n",
        ListFormat::Yaml => yaml(&served)? + "\n",
    })?;
    if left.is_empty() {
        return Ok(Exit::Done);
    }
    if table {
        to.print(&show_left(&left, ListFormat::Text)?)?;
    } else {
        for Left { name, listed: _, reason } in &left {
            to.remark(&format!("note: no service serves {name}: {reason}\n"))?;
        }
    }
    Ok(Exit::Done)
}

/// Who serves what a plan touches; asks for the servers only if it touches a Kubernetes cluster.
pub(super) async fn notes(setup: &Setup, session: &Session, plan: &Plan) -> Vec<Note> {
    if !plan
        .steps
        .iter()
        .any(|step| kind::row(step.id.kind).is_some_and(|row| row.labelled.is_some()))
    {
        return Vec::new();
    }
    let seen = servers::read(&session.cluster).await;
    serving::notes(plan, &setup.policy().agent, &setup.config.kubernetes.services, &seen)
}

/// A line for each cluster that nobody serves, or no longer; nothing while no service is described.
///
/// # Errors
/// A cluster that cannot be read.
pub(super) async fn status_lines(setup: &Setup, session: &Session) -> Result<String, CliError> {
    if setup.config.kubernetes.services.is_empty() {
        return Ok(String::new());
    }
    let seen = servers::read(&session.cluster).await;
    let (registered, unsure) = registered(session).await?;
    let left = left(setup, &seen, &registered, unsure.is_none());
    let line = |it: &Left| {
        clean(&format!("no service serves {}: {}", it.name, it.reason)).into_owned() + "\n"
    };
    Ok(left.iter().map(line).collect())
}

/// All registered clusters that this identity sees, and why these may not be all.
async fn registered(
    session: &Session,
) -> Result<(BTreeMap<String, Registered>, Option<String>), CliError> {
    let mut all = BTreeMap::new();
    let mut unsure = None;
    for kind in KINDS.iter().filter(|kind| kind.labelled.is_some()) {
        let observed = calls::list(&session.cluster, kind, Cluster::Parent, &session.key).await;
        if let Coverage::Partial(why) = observed.coverage() {
            unsure = Some(why.clone());
        }
        for live in observed.seen() {
            let cluster = of_live(live);
            let cluster = cluster.map_err(|error: WireError| CliError::new(error.to_string()))?;
            all.extend(cluster.map(|it| (it.name.clone(), it)));
        }
    }
    Ok((all, unsure))
}

fn left(
    setup: &Setup,
    seen: &Servers,
    registered: &BTreeMap<String, Registered>,
    whole: bool,
) -> Vec<Left> {
    let services = &setup.config.kubernetes.services;
    let mut left: BTreeMap<String, Left> = BTreeMap::new();
    for (name, cluster) in registered {
        if let Some(why) = preview::unserved(services, seen, cluster) {
            let reason = why.to_string();
            left.insert(name.clone(), Left { name: name.clone(), listed: false, reason });
        }
    }
    if let Servers::Known(servers) = seen {
        for server in servers {
            let known = whole.then_some(registered);
            let Some(why) = preview::leftover(services, known, server) else { continue };
            let reason = format!("{why}; listed until {} restarts", server.host());
            let name = server.name.clone();
            left.insert(name.clone(), Left { name, listed: true, reason });
        }
    }
    left.into_values().collect()
}

fn show_left(left: &[Left], format: ListFormat) -> Result<String, CliError> {
    match format {
        ListFormat::Json => Ok(json(left)? + "\n"),
        ListFormat::Yaml => Ok(yaml(left)? + "\n"),
        ListFormat::Text if left.is_empty() => Ok(String::new()),
        ListFormat::Text => {
            let rows: Vec<[String; 2]> =
                left.iter().map(|it| [it.name.clone(), it.reason.clone()]).collect();
            let table = table::whole(["Not Served", "Reason"], &rows);
            Ok(table.lines().map(|line| line.trim_end().to_owned() + "\n").collect())
        }
    }
}

/// Each served cluster once, by name; of several servers the last one counts, as in tsh.
fn served(servers: Vec<Server>, selected: Option<&str>) -> Vec<Served> {
    let all: BTreeMap<String, Server> =
        servers.into_iter().map(|server| (server.name.clone(), server)).collect();
    let one = |(name, server): (String, Server)| Served {
        selected: selected == Some(name.as_str()),
        labels: Some(server.labels).filter(|labels| !labels.is_empty()),
        name,
    };
    all.into_iter().map(one).collect()
}

/// The table as tsh prints it; ends with an empty line.
fn text(served: &[Served], view: View) -> String {
    let mut rows: Vec<[String; 3]> = served
        .iter()
        .map(|Served { name, labels, selected }| {
            let none = BTreeMap::new();
            let labels = labels.as_ref().unwrap_or(&none);
            let discovered = labels.get(DISCOVERED_NAME).filter(|it| !it.is_empty());
            let name = discovered.filter(|_| !view.verbose).unwrap_or(name).clone();
            let mark = if *selected { "*" } else { "" };
            [name, label_text(labels, view.verbose), mark.to_owned()]
        })
        .collect();
    rows.sort_by(|[one, ..], [other, ..]| one.cmp(other));
    let titles = ["Kube Cluster Name", "Labels", "Selected"];
    let table = if view.quiet {
        let rows: Vec<[String; 2]> =
            rows.into_iter().map(|[name, labels, _]| [name, labels]).collect();
        table::bare(&rows)
    } else if view.verbose {
        table::whole(titles, &rows)
    } else {
        table::fitting(titles, &rows, 1, width())
    };
    table + "\n"
}

/// `k=v,…`: plain keys, then those with a `/`, then Teleport's own, which are hidden unless all
/// are wanted.
fn label_text(labels: &BTreeMap<String, String>, verbose: bool) -> String {
    let mut groups: [Vec<String>; 3] = Default::default();
    let [plain, spaced, hidden] = &mut groups;
    for (key, value) in labels {
        let group = if HIDDEN.iter().any(|prefix| key.starts_with(prefix)) {
            &mut *hidden
        } else if key.contains('/') {
            &mut *spaced
        } else {
            &mut *plain
        };
        group.push(format!("{key}={value}"));
    }
    if !verbose {
        hidden.clear();
    }
    for group in &mut groups {
        // By the whole text: `a-b=1` comes before `a=1`.
        group.sort();
    }
    groups.concat().join(",")
}

fn json<T: Serialize>(list: &[T]) -> Result<String, CliError> {
    serde_json::to_string_pretty(list).map_err(|error| CliError::new(error.to_string()))
}

/// As Go's writer has it, which quotes twice what would be read as no text.
fn yaml<T: Serialize>(list: &[T]) -> Result<String, CliError> {
    let text = serde_yaml::to_string(list).map_err(|error| CliError::new(error.to_string()))?;
    Ok(text.lines().map(|line| requoted(line) + "\n").collect())
}

/// `a: '4711'` becomes `a: "4711"`; what is quoted for its punctuation stays.
fn requoted(line: &str) -> String {
    let whole = || line.to_owned();
    let Some((key, value)) = line.split_once(": ") else { return whole() };
    let inner = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    let Some(inner) = inner.filter(|inner| !inner.contains(['\'', '"', '\\'])) else {
        return whole();
    };
    let read = serde_yaml::from_str::<serde_yaml::Value>(inner);
    let scalar = read.is_ok_and(|it| it.is_number() || it.is_bool() || it.is_null());
    if scalar { format!("{key}: \"{inner}\"") } else { whole() }
}

/// As wide as the terminal that the person types at, whatever stdout is: as tsh does.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdin());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(WIDTH)
}

/// The cluster that this person's kubectl is pointed at by tsh.
async fn selected(session: &Session) -> Option<String> {
    let path = "/proto.AuthService/GetDomainName";
    let answer = session.cluster.call(path, Bytes::new(), NAME_DEADLINE).await.ok()?;
    let teleport = GetDomainNameResponse::decode(answer).ok()?.domain_name;
    let listed = std::env::var_os("KUBECONFIG");
    let listed = listed
        .and_then(|paths| std::env::split_paths(&paths).find(|it| !it.as_os_str().is_empty()));
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube").join("config"));
    let text = bounded_read::text(&listed.or_else(home)?, FILE_SIZE_MAX).ok()?;
    let config: serde_yaml::Value = serde_yaml::from_str(&text).ok()?;
    selected_in(&config, &teleport)
}

/// The cluster of the current context: tsh names contexts `TELEPORT-CLUSTER`, or notes the cluster
/// in an extension of one that it named otherwise.
fn selected_in(config: &serde_yaml::Value, teleport: &str) -> Option<String> {
    let current = config.get("current-context")?.as_str()?;
    if let Some(name) = current.strip_prefix(&format!("{teleport}-")) {
        return Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    let contexts = config.get("contexts")?.as_sequence()?;
    let named =
        |it: &&serde_yaml::Value| it.get("name").and_then(|it| it.as_str()) == Some(current);
    let context = contexts.iter().find(named)?.get("context")?;
    if context.get("cluster")?.as_str()? != teleport {
        return None;
    }
    let extensions = context.get("extensions").and_then(|it| it.as_sequence());
    let ours = extensions
        .into_iter()
        .flatten()
        .find(|it| it.get("name").and_then(|name| name.as_str()) == Some("teleport.kube.name"));
    let name = ours.and_then(|it| it.get("extension")?.as_str()).filter(|name| !name.is_empty());
    Some(name.unwrap_or(current).to_owned())
}

#[cfg(test)]
mod tests;
