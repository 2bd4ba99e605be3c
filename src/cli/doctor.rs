//! `doctor`: what stands between us and the control plane, and the role that would remove it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::error::CliError;
use super::exit::Exit;
use super::output::Streams;
use super::preview;
use super::rights::{Denial, Judged, Rights};
use super::session::{Access, Session};
use super::setup::{Setup, Target};
use crate::adapter::clock::System;
use crate::adapter::cluster::CLIENT_VERSION;
use crate::adapter::teleport::{Names, Teleport, Way};
use crate::kind::{KINDS, Kind};
use crate::live::{Coverage, ListFailure};
use crate::model::{Cluster, KindName};
use crate::plan::in_use;
use crate::port::{CallCode, CallError, Clock as _, Cluster as _, calls};
use crate::wire::message;

/// Longest wait for one of the small questions.
const PATIENCE: Duration = Duration::from_secs(20);

/// Below this the rest of an identity's life is worth a word: `tbot` renews every 20 minutes.
const SHORT_LIFE: Duration = Duration::from_mins(10);

/// Everything, in labels.
const ANY: &str = "*";

/// Looks at everything once; [`Exit::Error`] if something needs a person.
///
/// # Errors
/// A state or credentials that cannot be read.
pub(super) async fn doctor(
    setup: &Setup,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let session = Session::open(setup, Access::Read, "doctor", clock).await?;
    let mut report = Report::default();
    let reachable = match (&setup.target, &session.teleport) {
        (Target::Teleport(remote), Some(teleport)) => {
            report.line("address", &remote.address.to_string());
            identity(teleport, clock, &mut report);
            way(teleport, &mut report).await
        }
        // A running agent may still hold what the file has no more.
        (Target::Teleport(remote), None) => remote.open().map(|_| false)?,
        (Target::Embedded { .. }, _) => {
            report.line("address", "embedded control plane");
            true
        }
    };
    if reachable && server(&session, &mut report).await {
        let names = session.teleport.as_ref().map(|teleport| teleport.identity().names.clone());
        let rights = match &names {
            Some(names) => rights(&session, names, &mut report).await,
            None => Rights::all(),
        };
        let used = used(setup, &session, clock).await;
        let Found { missing, denials } = kinds(&session, &rights, used.as_ref(), &mut report).await;
        if !missing.is_empty() {
            report.bad = true;
            report.text.push_str(
                "\nMissing permissions; create this role and assign it to the agent:\n\n",
            );
            report.text.push_str(&role_yaml(&setup.config.agent.name, &missing));
        }
        if !denials.is_empty() {
            report.text.push_str(
                "\nDenied, which overrides what other roles allow; change these roles, or remove \
                 them from the agent:\n\n",
            );
            for denial in denials {
                add(&mut report.text, &format!("  {denial}"));
            }
        }
    }
    let end = if report.bad {
        "\nProblems found; see the lines marked PROBLEM.\n"
    } else {
        "\nNo problems found.\n"
    };
    to.print(&(report.text + end))?;
    Ok(if report.bad { Exit::Error } else { Exit::Done })
}

#[derive(Default)]
struct Report {
    text: String,
    bad: bool,
}

impl Report {
    fn line(&mut self, what: &str, text: &str) {
        add(&mut self.text, &format!("{what:18}{text}"));
    }

    fn problem(&mut self, what: &str, text: &str) {
        self.bad = true;
        self.line(what, &format!("PROBLEM: {text}"));
    }
}

/// One more line.
fn add(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn identity(teleport: &Teleport, clock: &System, report: &mut Report) {
    let identity = teleport.identity();
    let Names { user, roles, cluster, bot, not_before: _, not_after } = &identity.names;
    let bot = bot.as_ref().map(|bot| format!(", bot {bot}")).unwrap_or_default();
    report.line("identity", &format!("{user} of {cluster}{bot}"));
    report.line("roles", &roles.join(", "));
    let left = not_after.since(clock.now().wall);
    if left < SHORT_LIFE {
        let text = format!(
            "expires at {not_after}, in {} s; check that it is being renewed",
            left.as_secs()
        );
        report.problem("valid until", &text);
    } else {
        report.line("valid until", &format!("{not_after} ({} min)", left.as_secs() / 60));
    }
}

async fn way(teleport: &Teleport, report: &mut Report) -> bool {
    match teleport.discover().await {
        Ok(found) => {
            report.line(
                "reached",
                match found.way {
                    Way::Direct => "directly, on the Auth Service's own port",
                    Way::Proxy => "through a proxy that multiplexes TLS",
                    Way::Upgrade => "through a load balancer, over WebSocket",
                },
            );
            true
        }
        Err(error) => {
            report.problem("reached", &error.to_string());
            false
        }
    }
}

/// Asks the server who it is; false when it does not answer.
async fn server(session: &Session, report: &mut Report) -> bool {
    let answer = match session.cluster.call("/proto.AuthService/Ping", Bytes::new(), PATIENCE).await
    {
        Ok(answer) => answer,
        Err(CallError { code: CallCode::Unimplemented, message: _ }) => {
            report.line("server", "version not reported");
            return true;
        }
        Err(error) => {
            report.problem("server", &error.message);
            return false;
        }
    };
    let Ok(ping) = message::proto::PingResponse::decode(answer) else {
        report.problem("server", "the answer to Ping cannot be decoded");
        return false;
    };
    report.line("cluster", &ping.cluster_name);
    if let Some(teleport) = &session.teleport
        && !ping.cluster_name.is_empty()
        && ping.cluster_name != teleport.identity().names.cluster
    {
        report.problem("cluster", "not the cluster of the identity");
    }
    match skew(&ping.server_version, CLIENT_VERSION) {
        Ok(()) => {
            let text = format!("Teleport {}; client API {CLIENT_VERSION}", ping.server_version);
            report.line("server", &text);
        }
        Err(text) => report.problem("server", &text),
    }
    true
}

/// A server takes clients of its own major version and of the one before, and newer ones as far
/// as they ask for what it has.
fn skew(server: &str, ours: &str) -> Result<(), String> {
    let major = |text: &str| text.split('.').next().and_then(|word| word.parse::<u32>().ok());
    let (Some(theirs), Some(mine)) = (major(server), major(ours)) else { return Ok(()) };
    if mine.saturating_add(1) < theirs {
        return Err(format!(
            "Teleport {server} rejects clients as old as {ours}; update this agent"
        ));
    }
    if theirs < mine {
        return Err(format!("Teleport {server} is older than the client API {ours} of this agent"));
    }
    Ok(())
}

/// Reads what the identity's roles say, as far as it may read them.
async fn rights(session: &Session, names: &Names, report: &mut Report) -> Rights {
    let mut rights = Rights::default();
    for name in &names.roles {
        let request = message::proto::GetRoleRequest { name: name.clone() };
        let body = Bytes::from(request.encode_to_vec());
        let answer = session.cluster.call("/proto.AuthService/GetRole", body, PATIENCE).await;
        let role = answer.map_err(|error| error.message).and_then(|answer| {
            message::types::RoleV6::decode(answer).map_err(|error| error.to_string())
        });
        match role {
            Ok(role) => rights.add(name, role),
            Err(why) => {
                rights.unread = true;
                report.line("roles", &format!("{name} cannot be read: {why}"));
            }
        }
    }
    rights
}

/// What a person must do.
#[derive(Default)]
struct Found {
    missing: Missing,
    denials: BTreeSet<Denial>,
}

/// What is missing, by kind.
type Missing = BTreeMap<&'static str, (Vec<&'static str>, Option<&'static str>)>;

/// The kinds in use, which are all that an agent asks for. `None`: nothing says which they are.
async fn used(setup: &Setup, session: &Session, clock: &System) -> Option<BTreeSet<KindName>> {
    let known = session.known.clone().unwrap_or_default();
    let source = preview::begin(setup, clock).await.ok()?;
    let (_, reading, _) = source.end(setup, &session.key, &known).await.ok()?;
    let used: BTreeSet<_> =
        in_use(&reading, &known.inventory).into_iter().map(|(_, it)| it).collect();
    (!used.is_empty()).then_some(used)
}

async fn kinds(
    session: &Session,
    rights: &Rights,
    used: Option<&BTreeSet<KindName>>,
    report: &mut Report,
) -> Found {
    let mut found = Found::default();
    for kind in KINDS {
        if used.is_some_and(|used| !used.contains(&kind.name)) {
            report.line(kind.name.as_str(), "not in use (nothing declared or owned)");
            continue;
        }
        let observed = calls::list(&session.cluster, kind, Cluster::Parent, &session.key).await;
        let name = kind.name.as_str();
        match observed.coverage() {
            Coverage::Complete => {
                let count = observed.seen().count();
                report.line(name, &format!("{count} listed"));
            }
            Coverage::Partial(_) if observed.lack() == Some(ListFailure::NoSuchKind) => {
                let text = "not supported by this server";
                match used {
                    Some(_) => report.problem(name, text),
                    None => report.line(name, text),
                }
                continue;
            }
            Coverage::Partial(why) => report.problem(name, why),
        }
        if rights.unread {
            report.line(name, "other permissions are unknown");
            continue;
        }
        say(kind, rights.judge(kind), &mut found, report);
    }
    found
}

/// What the roles mean for one kind.
fn say(kind: &Kind, judged: Judged, found: &mut Found, report: &mut Report) {
    let name = kind.name.as_str();
    let Judged { allowed, lacking, denied, doubtful, closed, hidden } = judged;
    let none = if allowed.is_empty() { "nothing" } else { "" };
    report.line(name, &format!("allowed: {}{none}", allowed.join(", ")));
    if !lacking.is_empty() {
        report.problem(name, &format!("not allowed: {}", lacking.join(", ")));
    }
    for (verb, denial) in denied {
        report.problem(name, &format!("{verb} is denied by {denial}"));
        found.denials.insert(denial);
    }
    for (verb, denial) in doubtful {
        report.line(name, &format!("{verb} may be denied, depending on a condition, by {denial}"));
    }
    if let Some(field) = closed {
        let text = format!("`{field}` does not allow everything: some resources may be hidden");
        report.problem(name, &text);
    }
    for denial in hidden {
        let text =
            format!("resources with these labels are hidden and cannot be written: {denial}");
        report.problem(name, &text);
        found.denials.insert(denial);
    }
    if !lacking.is_empty() || closed.is_some() {
        found.missing.insert(name, (lacking, closed));
    }
}

fn role_yaml(agent: &str, missing: &Missing) -> String {
    let mut text = format!(
        "kind: role\nversion: v7\nmetadata:\n  name: reconciler-{agent}\nspec:\n  allow:\n"
    );
    let labels: BTreeSet<&str> = missing.values().filter_map(|(_, labels)| *labels).collect();
    for field in labels {
        add(&mut text, &format!("    {field}:\n      '{ANY}': '{ANY}'"));
    }
    let mut by_verbs: BTreeMap<&[&str], Vec<&str>> = BTreeMap::new();
    for (kind, (verbs, _)) in missing.iter().filter(|(_, (verbs, _))| !verbs.is_empty()) {
        by_verbs.entry(verbs).or_default().push(kind);
    }
    if !by_verbs.is_empty() {
        text.push_str("    rules:\n");
    }
    for (verbs, kinds) in by_verbs {
        let (kinds, verbs) = (kinds.join(", "), verbs.join(", "));
        add(&mut text, &format!("    - resources: [{kinds}]\n      verbs: [{verbs}]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Missing, role_yaml, skew};

    #[test]
    fn which_versions_go_together() {
        for (server, good) in [("18.0.0", true), ("19.1.2-dev", true), ("20.0.0", false)] {
            assert_eq!(skew(server, "18.0.0").is_ok(), good, "{server}");
        }
        assert!(skew("17.9.9", "18.0.0").is_err());
        assert!(skew("", "18.0.0").is_ok(), "a server that says nothing is given the chance");
    }

    #[test]
    fn the_missing_role_can_be_created_as_it_is_printed() {
        let every = vec!["list", "read", "create", "update", "delete"];
        let missing = Missing::from([
            ("role", (every.clone(), None)),
            ("token", (every, None)),
            ("kube_cluster", (vec!["delete"], Some("kubernetes_labels"))),
        ]);
        let expected = "\
kind: role
version: v7
metadata:
  name: reconciler-edge
spec:
  allow:
    kubernetes_labels:
      '*': '*'
    rules:
    - resources: [kube_cluster]
      verbs: [delete]
    - resources: [role, token]
      verbs: [list, read, create, update, delete]
";
        assert_eq!(role_yaml("edge", &missing), expected);
    }
}
