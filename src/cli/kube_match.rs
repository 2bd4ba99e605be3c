//! `reconciler kube match`: what selectors say of labels or of a declared cluster, and who will
//! serve it.

use crate::port::servers;
use serde_json::json;

use super::args::Format;
use super::error::CliError;
use super::exit::Exit;
use super::output::Streams;
use super::preview::{self, Preview};
use super::session::{Access, Session};
use super::setup::Setup;
use crate::adapter::clock::System;
use crate::config::Kubernetes;
use crate::kind::{self, kube_server};
use crate::labels::Labels;
use crate::labels::lint::is_key;
use crate::labels::preview::{Prediction, Unserved, predict};
use crate::labels::resolve::Resolver;
use crate::labels::selector::Matching;
use crate::labels::serve::{ServedBy, served_by};
use crate::labels::value::Values;
use crate::live;
use crate::manifest::suggest;
use crate::model::{ResourceId, clean};
use crate::plan::serving;

/// What an answer about mere labels leaves out.
const LABELS_ALONE: &str = "note: labels alone say nothing about credentials, which a cluster needs to be served (see --name)\n";

/// Version of what `--format json` prints.
const FORMAT_VERSION: u32 = 1;

/// What there is to say about some labels, or about a cluster.
#[derive(Debug)]
pub(super) struct Answer {
    /// The cluster, if a manifest is asked about and not mere labels.
    name: Option<String>,
    matching: Matching,
    /// Absent: no service is described, so there is no telling.
    served: Option<ServedBy>,
    /// Why nobody is sure to serve it.
    reason: Option<String>,
}

/// Judges a cluster as its manifest declares it, as a plan does: with the last known values of its
/// dynamic labels, its credentials, and what is there already.
///
/// # Errors
/// A source, a state or a control plane that cannot be read; a name that no manifest declares.
pub(super) async fn declared(
    setup: &Setup,
    name: &str,
    clock: &System,
) -> Result<Answer, CliError> {
    let source = preview::begin(setup, clock).await?;
    let session = Session::open(setup, Access::Read, "kube match", clock).await?;
    let seen = preview::take(setup, source, &session, clock).await?;
    let id = find(&seen, name)?;
    let nothing = Values::new();
    let values = session.known.as_ref().map_or(&nothing, |state| &state.labels);
    let servers = servers::read(&session.cluster).await;
    answer(setup, &seen, &id, values, &servers)
}

/// The id under which a manifest declares it.
fn find(seen: &Preview, name: &str) -> Result<ResourceId, CliError> {
    let is_cluster =
        |id: &&ResourceId| kind::row(id.kind).is_some_and(|row| row.labelled.is_some());
    let reading = &seen.reading;
    if let Some(id) = reading.frozen.keys().filter(is_cluster).find(|id| *id.name == *name) {
        return Err(CliError::new(format!(
            "the manifest of {id} has errors; run `reconciler validate`"
        )));
    }
    let all = || reading.manifests.keys().filter(is_cluster);
    if let Some(id) = all().find(|id| *id.name == *name) {
        return Ok(id.clone());
    }
    let near = suggest::nearest(name, all().map(|id| &*id.name));
    let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Err(CliError::new(format!("no manifest declares a Kubernetes cluster `{name}`{hint}")))
}

fn answer(
    setup: &Setup,
    seen: &Preview,
    id: &ResourceId,
    values: &Values,
    servers: &kube_server::Servers,
) -> Result<Answer, CliError> {
    let (rules, agent) = (setup.labels(), &setup.config.agent.name);
    let manifest = seen.reading.manifests.get(id);
    let judged = manifest
        .and_then(|manifest| Resolver::default().matching(id, manifest, values, &rules, agent));
    let Some((matching, labels)) = judged else {
        return Err(CliError::new(format!("{id} is not selected by labels")));
    };
    let live = match seen.live.look(id) {
        live::Seen::Present(live) => Some(live.as_ref()),
        live::Seen::Absent | live::Seen::Unknown(_) => None,
    };
    let services = &setup.config.kubernetes.services;
    let told = match serving::after(&seen.plan, agent, id, live) {
        Some(mut cluster) => {
            // Values that a command has yet to print.
            let open = labels.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key);
            let is_stored =
                |key: &&String| cluster.labels.get(*key).is_some_and(|it| !it.is_empty());
            let open: Vec<String> = open.filter(|key| !is_stored(key)).cloned().collect();
            cluster.open.extend(open);
            let Prediction { by, why_not } = predict(services, servers, &cluster);
            (by, why_not.as_ref().map(ToString::to_string), why_not == Some(Unserved::NoServices))
        }
        None => (ServedBy::default(), Some(unregistered(seen, id, &matching)), false),
    };
    let (by, reason, is_open) = told;
    let name = Some(id.name.to_string());
    Ok(Answer { name, matching, served: (!is_open).then_some(by), reason })
}

/// Why a cluster will not be registered.
fn unregistered(seen: &Preview, id: &ResourceId, matching: &Matching) -> String {
    let deferred = seen.plan.deferred.iter().find(|deferred| deferred.id == *id);
    match (matching, deferred) {
        (Matching::Nothing, _) => "no selector matches, so it is not registered".to_owned(),
        (_, Some(deferred)) => format!("it is not registered: {}", deferred.why),
        (Matching::Item { .. } | Matching::Unknown(_), None) => "it is not registered".to_owned(),
    }
}

impl Answer {
    /// Judges labels alone.
    ///
    /// # Errors
    /// What is no label.
    pub(super) fn new(kubernetes: &Kubernetes, words: &[String]) -> Result<Self, CliError> {
        let labels = parse(words).map_err(CliError::usage)?;
        let services = &kubernetes.services;
        let served = (!services.is_empty()).then(|| served_by(services, &labels));
        let matching = kubernetes.selectors.look(&labels);
        Ok(Self { name: None, matching, served, reason: None })
    }

    /// Prints it.
    ///
    /// # Errors
    /// The stream's.
    pub(super) fn print(
        &self,
        format: Format,
        detailed: bool,
        to: &mut Streams<'_>,
    ) -> Result<Exit, CliError> {
        to.print(&match format {
            Format::Json => self.json()?,
            Format::Text => self.text(),
        })?;
        let certain = matches!(self.matching, Matching::Item { .. });
        Ok(if detailed && !certain { Exit::Changes } else { Exit::Done })
    }

    fn text(&self) -> String {
        let matching = match &self.matching {
            Matching::Item { index, by } => format!("matches item {index}: {by}"),
            Matching::Nothing => "no selector matches".to_owned(),
            Matching::Unknown(labels) => {
                let names: Vec<&str> = labels.iter().map(String::as_str).collect();
                format!("depends on unknown values: {}", names.join(", "))
            }
        };
        let why = self.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let served = match &self.served {
            None => "service unknown: no [[kubernetes.service]] is configured".to_owned(),
            Some(ServedBy { names, unknown }) => match (names.is_empty(), unknown.is_empty()) {
                (true, true) => format!("no service will pick this up{why}"),
                (false, true) => format!("served by {}", names.join(", ")),
                (true, false) => format!("may be served by {}{why}", unknown.join(", ")),
                (false, false) => {
                    format!("served by {}; possibly by {}", names.join(", "), unknown.join(", "))
                }
            },
        };
        let limits = if self.name.is_some() { "" } else { LABELS_ALONE };
        format!("{}\n{}\n{limits}", clean(&matching), clean(&served))
    }

    fn json(&self) -> Result<String, CliError> {
        let mut value = json!({ "format_version": FORMAT_VERSION });
        let said = match &self.matching {
            Matching::Item { index, by } => json!({ "match": true, "item": index, "by": by }),
            Matching::Nothing => json!({ "match": false }),
            Matching::Unknown(labels) => json!({ "match": null, "depends_on": labels }),
        };
        let served = match &self.served {
            None => json!({ "served_by": null }),
            Some(ServedBy { names, unknown }) if unknown.is_empty() => {
                json!({ "served_by": names })
            }
            Some(ServedBy { names, unknown }) => {
                json!({ "served_by": names, "perhaps_served_by": unknown })
            }
        };
        let name = self.name.as_ref().map_or(json!({}), |name| json!({ "name": name }));
        let reason = self.reason.as_ref().map_or(json!({}), |why| json!({ "reason": why }));
        for part in [name, said, served, reason] {
            if let (Some(out), serde_json::Value::Object(part)) = (value.as_object_mut(), part) {
                out.extend(part);
            }
        }
        serde_json::to_string_pretty(&value)
            .map(|text| text + "\n")
            .map_err(|error| CliError::new(error.to_string()))
    }
}

/// Reads `env=prod`, and `region` for a value that is not known.
fn parse(words: &[String]) -> Result<Labels, String> {
    let mut labels = Labels::new();
    for word in words {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if !is_key(key) {
            return Err(format!(
                "`{key}` is not a valid label name; use letters, digits and `/._:*-`"
            ));
        }
        if labels.insert(key.to_owned(), value).is_some() {
            return Err(format!("the label `{key}` is given twice"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Answer, LABELS_ALONE, parse};
    use crate::config::Config;

    const CONFIG: &str = r#"
[kubernetes]
resources = [
  { labels = { env = "prod", region = "us-east-2" } },
  { labels = { env = "test", region = ["us-west-1", "us-west-2"] } },
]
[[kubernetes.service]]
name = "us-east-1"
resources = [{ labels = { env = "*" } }]
[[kubernetes.service]]
name = "west"
resources = [{ labels = { region = "us-west-*" } }]
"#;

    fn answer(config: &str, words: &[&str]) -> (String, serde_json::Value) {
        let config = Config::parse(config, Path::new("r.toml")).unwrap();
        let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        let answer = Answer::new(&config.kubernetes, &words).unwrap();
        (answer.text(), serde_json::from_str(&answer.json().unwrap()).unwrap())
    }

    #[test]
    fn answers() {
        let table = [
            (
                &["env=test", "region=us-west-1", "team=a"][..],
                "matches item 2: env=test, region=us-west-1\nserved by us-east-1, west\n",
                r#"{"format_version":1,"match":true,"item":2,"by":"env=test, region=us-west-1",
                    "served_by":["us-east-1","west"]}"#,
            ),
            (
                &["team=a"],
                "no selector matches\nno service will pick this up\n",
                r#"{"format_version":1,"match":false,"served_by":[]}"#,
            ),
            (
                &["env=prod", "region"],
                "depends on unknown values: region\nserved by us-east-1; possibly by west\n",
                r#"{"format_version":1,"match":null,"depends_on":["region"],
                    "served_by":["us-east-1"],"perhaps_served_by":["west"]}"#,
            ),
            (
                &["region"],
                "no selector matches\nmay be served by west\n",
                r#"{"format_version":1,"match":false,"served_by":[],
                    "perhaps_served_by":["west"]}"#,
            ),
        ];
        for (words, text, json) in table {
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            let text = format!("{text}{LABELS_ALONE}");
            assert_eq!(answer(CONFIG, words), (text, json), "{words:?}");
        }
        let (text, json) = answer("", &["a=b"]);
        assert!(text.starts_with("matches item 1: *=*\nservice unknown"), "{text}");
        assert_eq!(json["served_by"], serde_json::Value::Null);
    }

    #[test]
    fn what_is_no_label() {
        for words in [&["=x"][..], &["größe=1"], &["a b=c"], &["a=1", "a=2"], &["a", "a=2"]] {
            let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
            assert!(parse(&words).is_err(), "{words:?}");
        }
        let labels = parse(&["a=".to_owned(), "b=c=d".to_owned(), "e".to_owned()]).unwrap();
        assert_eq!(labels["a"].as_deref(), Some(""));
        assert_eq!(labels["b"].as_deref(), Some("c=d"));
        assert_eq!(labels["e"], None);
    }
}
