//! `doctor`: what stands between us and the control plane, and the role that would remove it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::error::CliError;
use super::exit::Exit;
use super::report::Streams;
use super::session::{Access, Session};
use super::setup::{Setup, Target};
use super::survey;
use crate::adapter::clock::System;
use crate::adapter::cluster::CLIENT_VERSION;
use crate::adapter::teleport::{Names, Teleport, Way};
use crate::journal::State;
use crate::kind::{KINDS, Kind, seen_by};
use crate::live::{Coverage, Lack, list};
use crate::model::{Cluster, KindName};
use crate::plan::in_use;
use crate::port::{CallCode, CallError, Clock as _, Cluster as _};
use crate::wire::message;

/// Longest wait for one of the small questions.
const PATIENCE: Duration = Duration::from_secs(20);

/// Below this the rest of an identity's life is worth a word: `tbot` renews every 20 minutes.
const SHORT_LIFE: Duration = Duration::from_mins(10);

/// What the rules of a role may say, and what we need.
const VERBS: [&str; 5] = ["list", "read", "create", "update", "delete"];

/// Everything, in rules and in labels.
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
            report.line("address", "the embedded control plane");
            true
        }
    };
    if reachable && server(&session, &mut report).await {
        let names = session.teleport.as_ref().map(|teleport| teleport.identity().names.clone());
        let rights = match &names {
            Some(names) => Rights::read(&session, names, &mut report).await,
            None => Rights::all(),
        };
        let used = used(setup, &session, clock).await;
        let missing = kinds(&session, &rights, used.as_ref(), &mut report).await;
        if !missing.is_empty() {
            report.bad = true;
            report.text.push_str("\nMissing; create this role and give it to the agent:\n\n");
            report.text.push_str(&role_yaml(&setup.config.agent.name, &missing));
        }
    }
    let end = if report.bad { "\nSomething needs attention.\n" } else { "\nAll is well.\n" };
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
        let text = format!("it ends at {not_after}, in {} s; is it renewed?", left.as_secs());
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
                    Way::Direct => "straight, at the Auth Service's own port",
                    Way::Proxy => "through a proxy that multiplexes TLS",
                    Way::Upgrade => "through a load balancer, by WebSocket",
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
            report.line("server", "it does not tell its version");
            return true;
        }
        Err(error) => {
            report.problem("server", &error.message);
            return false;
        }
    };
    let Ok(ping) = message::proto::PingResponse::decode(answer) else {
        report.problem("server", "its answer to Ping cannot be read");
        return false;
    };
    report.line("cluster", &ping.cluster_name);
    if let Some(teleport) = &session.teleport
        && !ping.cluster_name.is_empty()
        && ping.cluster_name != teleport.identity().names.cluster
    {
        report.problem("cluster", "it is not the one of the identity");
    }
    match skew(&ping.server_version, CLIENT_VERSION) {
        Ok(()) => {
            let text = format!("Teleport {}; we speak {CLIENT_VERSION}", ping.server_version);
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
            "Teleport {server} refuses clients as old as {ours}; update this agent"
        ));
    }
    if theirs < mine {
        return Err(format!("Teleport {server} is older than {ours}, which this agent speaks"));
    }
    Ok(())
}

/// What the identity's roles allow, as far as they could be read.
struct Rights {
    allowed: BTreeMap<String, BTreeSet<String>>,
    denied: BTreeMap<String, BTreeSet<String>>,
    /// Fields of labels that let everything through.
    labels: BTreeSet<&'static str>,
    known: bool,
}

impl Rights {
    fn all() -> Self {
        Self {
            allowed: BTreeMap::from([(ANY.to_owned(), BTreeSet::from([ANY.to_owned()]))]),
            denied: BTreeMap::new(),
            labels: KINDS.iter().filter_map(|kind| seen_by(kind)).collect(),
            known: true,
        }
    }

    async fn read(session: &Session, names: &Names, report: &mut Report) -> Self {
        let mut rights = Self {
            allowed: BTreeMap::new(),
            denied: BTreeMap::new(),
            labels: BTreeSet::new(),
            known: true,
        };
        for name in &names.roles {
            let request = message::proto::GetRoleRequest { name: name.clone() };
            let body = Bytes::from(request.encode_to_vec());
            let answer = session.cluster.call("/proto.AuthService/GetRole", body, PATIENCE).await;
            let role = answer.map_err(|error| error.message).and_then(|answer| {
                message::types::RoleV6::decode(answer).map_err(|error| error.to_string())
            });
            match role {
                Ok(role) => rights.add(role),
                Err(why) => {
                    rights.known = false;
                    report.line("roles", &format!("{name} cannot be read: {why}"));
                }
            }
        }
        rights
    }

    fn add(&mut self, role: message::types::RoleV6) {
        let Some(spec) = role.spec else { return };
        if let Some(allow) = &spec.allow {
            if opens_all(allow.kubernetes_labels.as_ref()) {
                self.labels.insert("kubernetes_labels");
            }
            collect(&allow.rules, &mut self.allowed);
        }
        if let Some(deny) = &spec.deny {
            collect(&deny.rules, &mut self.denied);
        }
    }

    fn allows(&self, kind: &Kind, verb: &str) -> bool {
        let says = |rules: &BTreeMap<String, BTreeSet<String>>| {
            [kind.name.as_str(), ANY].iter().any(|resource| {
                rules
                    .get(*resource)
                    .is_some_and(|verbs| verbs.contains(verb) || verbs.contains(ANY))
            })
        };
        says(&self.allowed) && !says(&self.denied)
    }
}

/// Rules with a condition say nothing certain and are left out.
fn collect(rules: &[message::types::Rule], into: &mut BTreeMap<String, BTreeSet<String>>) {
    for rule in rules.iter().filter(|rule| rule.r#where.is_empty()) {
        for resource in &rule.resources {
            into.entry(resource.clone()).or_default().extend(rule.verbs.iter().cloned());
        }
    }
}

fn opens_all(labels: Option<&message::wrappers::LabelValues>) -> bool {
    labels
        .and_then(|labels| labels.values.get(ANY))
        .is_some_and(|values| values.values.iter().any(|value| value == ANY))
}

/// What is missing, by kind.
type Missing = BTreeMap<&'static str, (Vec<&'static str>, Option<&'static str>)>;

/// The kinds in use, which are all that an agent asks for. `None`: nothing says which they are.
async fn used(setup: &Setup, session: &Session, clock: &System) -> Option<BTreeSet<KindName>> {
    let nothing = State::default();
    let inventory = &session.known.as_ref().unwrap_or(&nothing).inventory;
    let source = survey::begin(setup, clock).await.ok()?;
    let (_, reading, _) = source.end(setup, &session.key, inventory).await.ok()?;
    let used: BTreeSet<_> = in_use(&reading, inventory).into_iter().map(|(_, it)| it).collect();
    (!used.is_empty()).then_some(used)
}

async fn kinds(
    session: &Session,
    rights: &Rights,
    used: Option<&BTreeSet<KindName>>,
    report: &mut Report,
) -> Missing {
    let mut missing = Missing::new();
    for kind in KINDS {
        if used.is_some_and(|used| !used.contains(&kind.name)) {
            report.line(kind.name.as_str(), "not in use: nothing is declared, nothing is ours");
            continue;
        }
        let observed = list::list(&session.cluster, kind, Cluster::Parent, &session.key).await;
        let name = kind.name.as_str();
        match observed.coverage() {
            Coverage::Complete => {
                let count = observed.seen().count();
                report.line(name, &format!("{count} listed"));
            }
            Coverage::Partial(_) if observed.lack() == Some(Lack::NoSuchKind) => {
                let text = "this server does not have the kind";
                match used {
                    Some(_) => report.problem(name, text),
                    None => report.line(name, text),
                }
                continue;
            }
            Coverage::Partial(why) => report.problem(name, why),
        }
        if !rights.known {
            report.line(name, "what else is allowed is not known");
            continue;
        }
        let lacking: Vec<&'static str> = VERBS
            .into_iter()
            .filter(|verb| *verb != "update" || kind.rpc.update.is_some())
            .filter(|verb| !rights.allows(kind, verb))
            .collect();
        let labels = seen_by(kind).filter(|field| !rights.labels.contains(field));
        if !lacking.is_empty() {
            report.problem(name, &format!("not allowed: {}", lacking.join(", ")));
        }
        if let Some(field) = labels {
            let text = format!("`{field}` does not let everything through: some may be hidden");
            report.problem(name, &text);
        }
        if !lacking.is_empty() || labels.is_some() {
            missing.insert(name, (lacking, labels));
        }
    }
    missing
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
