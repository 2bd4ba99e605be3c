//! Label commands of the simulation, and what they make of a Kubernetes cluster, by rules of the
//! oracle's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use super::item::{Item, Phase};
use super::source::{VARIANTS, resource, universe};
use super::stream;
use super::world::World;
use crate::engine::{Config, Event};
use crate::kind::{self, canonical};
use crate::labels::allow::Allow;
use crate::labels::resolve::Rules;
use crate::labels::selector::Selectors;
use crate::labels::value::{Command, Values};
use crate::labels::{Mode, OnFailure};
use crate::manifest::Manifest;
use crate::model::{Digest, Resource, ResourceId, Value};
use crate::port::RunError;

/// Time between two deeds, at most.
const PAUSE_MAX_MS: u64 = 15_000;
/// Values that the commands print; the first two match.
const REGIONS: u32 = 4;
/// The program of all commands.
const PROGRAM: &str = "say";
/// What may run; `say d` may not.
const ALLOWED: &[&str] = &["say a", "say b", "say c"];

/// What a command does when it is run.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    region: u32,
    broken: bool,
    slow: bool,
}

/// What a label's command last said to the engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Value(String),
    Dropped,
    Unknown,
}

/// The selectors of a seed: in half of them somebody wrote some.
pub(super) fn rules(seed: u64) -> Rules {
    let mut draw = stream(seed, "selectors");
    if draw.bool() {
        return Rules { allow: allow(), ..Rules::default() };
    }
    let item = |pairs: &[(&str, &[&str])]| -> BTreeMap<String, Vec<String>> {
        let owned = |values: &[&str]| values.iter().map(|it| (*it).to_owned()).collect();
        pairs.iter().map(|(key, values)| ((*key).to_owned(), owned(values))).collect()
    };
    let items = [
        item(&[("env", &["e0", "e1", "e2"]), ("region", &["r0", "r1"])]),
        item(&[("env", &["e3"])]),
    ];
    Rules {
        selectors: Selectors::new(&items).unwrap_or_else(|_| Selectors::everything()),
        listed: true,
        mode: if draw.u8(..4) == 0 { Mode::Forward } else { Mode::Resolve },
        on_failure: if draw.u8(..4) == 0 { OnFailure::Drop } else { OnFailure::KeepLast },
        allow: allow(),
    }
}

fn allow() -> Allow {
    let all: Vec<String> = ALLOWED.iter().map(|line| (*line).to_owned()).collect();
    Allow::new(&all).unwrap_or_default()
}

/// Whether this is one of the commands that may run.
pub(super) fn may_run(command: &Command) -> bool {
    ALLOWED.contains(&command.to_string().as_str())
}

/// `spec.dynamic_labels` and `region` of a cluster: some have a static one, some share a command.
pub(super) fn labels_of(name: &str, env: u32) -> (String, String) {
    let word = match name.rsplit('-').next() {
        Some("2" | "3") => "a",
        Some("4") => "b",
        Some("5") => "d",
        _ => return (format!(r#""env":"e{env}","region":"r{}""#, env % 2), "{}".to_owned()),
    };
    let word = if name.ends_with('3') && env == 1 { "c" } else { word };
    let period = if word == "b" { "20s" } else { "45s" };
    let dynamic =
        format!(r#"{{"region":{{"period":"{period}","command":["{PROGRAM}","{word}"]}}}}"#);
    (format!(r#""env":"e{env}""#), dynamic)
}

/// What is to become of a declared resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    /// Whether it shall be there; absent: nobody can say.
    pub meant: Option<bool>,
    /// With which content; absent: what stands there may stay.
    pub digest: Option<Digest>,
}

/// What a manifest's labels make of it.
pub(super) fn fate(
    config: &Config,
    id: &ResourceId,
    manifest: &Manifest,
    say: impl Fn(&str) -> Said,
) -> Fate {
    let plain = Fate { meant: Some(true), digest: Some(manifest.resource.digest) };
    if id.kind.as_str() != "kube_cluster" {
        return plain;
    }
    let read;
    let text = if let Some(text) = texts().get(&manifest.resource.digest) {
        text
    } else {
        read = Text::of(&manifest.resource);
        &read
    };
    let said = text.word.as_deref().map_or_else(|| Said::Value(text.region.clone()), say);
    let region = match &said {
        Said::Value(region) => Some(region == "r0" || region == "r1"),
        Said::Dropped => Some(false),
        Said::Unknown => None,
    };
    let meant = match text.env.as_str() {
        _ if !config.labels.listed => Some(true),
        "e3" => Some(true),
        "e0" | "e1" | "e2" => region,
        _other => Some(false),
    };
    if text.word.is_none() {
        return Fate { meant, ..plain };
    }
    let is_forward = config.labels.mode == Mode::Forward;
    Fate { meant, digest: text.contents.get(&(is_forward, said)).copied() }
}

/// What the text of a Kubernetes cluster says of its labels.
#[derive(Debug)]
struct Text {
    env: String,
    /// Its static `region`.
    region: String,
    /// The word of its label's command.
    word: Option<String>,
    /// The content with what the command said, by whether commands are forwarded.
    contents: BTreeMap<(bool, Said), Digest>,
}

/// All that there are, by digest: the same in all seeds, so that each is read once.
fn texts() -> &'static BTreeMap<Digest, Text> {
    static TEXTS: LazyLock<BTreeMap<Digest, Text>> = LazyLock::new(|| {
        let clusters = universe().iter().filter(|id| id.kind.as_str() == "kube_cluster");
        let all = clusters.flat_map(|id| (0..VARIANTS).map(move |it| resource(id, it)));
        all.map(|resource| (resource.digest, Text::of(&resource))).collect()
    });
    &TEXTS
}

impl Text {
    fn of(resource: &Resource) -> Self {
        let value = Value::from_json(&resource.canonical).unwrap_or(Value::Null);
        let at = |path: &[&str]| path.iter().try_fold(&value, |value, key| value.get(key));
        let label = |key| {
            let text = at(&["metadata", "labels", key]).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let word = match at(&["spec", "dynamic_labels", "region", "command"]) {
            Some(Value::List(words)) => words.get(1).and_then(Value::as_str),
            Some(_) | None => None,
        };
        let printed = (0..REGIONS).map(|region| Said::Value(format!("r{region}")));
        let all =
            printed.chain([Said::Dropped]).flat_map(|said| [(false, said.clone()), (true, said)]);
        let contents = all.filter(|_| word.is_some()).filter_map(|(is_forward, said)| {
            let digest = content(is_forward, &resource.id, &value, &said)?;
            Some(((is_forward, said), digest))
        });
        Self {
            env: label("env"),
            region: label("region"),
            word: word.map(ToOwned::to_owned),
            contents: contents.collect(),
        }
    }
}

/// The content with this region.
fn content(is_forward: bool, id: &ResourceId, value: &Value, said: &Said) -> Option<Digest> {
    let mut json = value.to_serde();
    let label = match said {
        Said::Value(value) => Some(serde_json::json!(value)),
        Said::Dropped => None,
        Said::Unknown => return None,
    };
    if is_forward {
        let result = label.unwrap_or_else(|| serde_json::json!(""));
        *json.pointer_mut("/spec/dynamic_labels/region")?.get_mut("result")? = result;
    } else {
        json.pointer_mut("/spec")?.as_object_mut()?.remove("dynamic_labels");
        let labels = json.pointer_mut("/metadata/labels")?.as_object_mut()?;
        if let Some(label) = label {
            labels.insert("region".to_owned(), label);
        }
    }
    let kind = kind::row(id.kind)?;
    let value = Value::from_serde(json);
    Some(canonical::resource(kind, id.cluster.clone(), &id.name, value, &super::KEY).digest)
}

/// What the engine knows of label commands, by what it was told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    values: BTreeMap<String, String>,
    failing: BTreeSet<String>,
    /// Under way, by ticket.
    flying: BTreeMap<u64, String>,
}

impl Heard {
    /// A life begins with what the disk knows.
    pub(super) fn begin(values: &Values) -> Self {
        let mut heard = Self::default();
        for (command, known) in values {
            let Some(word) = command.argv.get(1) else { continue };
            if let Some(good) = &known.good {
                heard.values.insert(word.clone(), good.value.clone());
            }
            if known.failing.is_some() {
                heard.failing.insert(word.clone());
            }
        }
        heard
    }

    /// The engine wants a run; whether the same command is running already.
    pub(super) fn asked(&mut self, ticket: u64, command: &Command) -> bool {
        let word = command.argv.get(1).cloned().unwrap_or_default();
        let twice = self.flying.values().any(|flying| *flying == word);
        self.flying.insert(ticket, word);
        twice
    }

    /// The engine is told how a run ended.
    pub(super) fn told(&mut self, ticket: u64, result: &Result<String, RunError>) {
        let Some(word) = self.flying.remove(&ticket) else { return };
        match result {
            Ok(value) => {
                self.failing.remove(&word);
                self.values.insert(word, value.clone());
            }
            Err(_) => {
                self.failing.insert(word);
            }
        }
    }

    /// What a command last said.
    pub(super) fn said(&self, config: &Config, word: &str) -> Said {
        let drops = config.labels.on_failure == OnFailure::Drop;
        match self.values.get(word) {
            Some(_) if drops && self.failing.contains(word) => Said::Dropped,
            Some(value) => Said::Value(value.clone()),
            None => Said::Unknown,
        }
    }
}

impl World {
    /// Something happens to a command.
    pub(super) fn happen_to_labels(&mut self) {
        if self.phase != Phase::Chaos {
            return;
        }
        let wait = Duration::from_millis(self.labels.u64(1..PAUSE_MAX_MS));
        self.schedule(wait, Item::Labels);
        let word = ["a", "b", "c"].get(self.labels.usize(..3)).copied().unwrap_or("a");
        let deed = self.labels.u32(..10);
        let region = self.labels.u32(..REGIONS);
        let script = self.scripts.entry(word.to_owned()).or_default();
        let name = match deed {
            0..6 => {
                script.region = region;
                "label value changes"
            }
            6 => {
                script.broken = true;
                "label command breaks"
            }
            7 => {
                script.slow = true;
                "label command is slow"
            }
            _mended => {
                *script = Script { region: script.region, ..Script::default() };
                "label command is mended"
            }
        };
        self.count(name);
        self.note("label", || format!("{word} {name} {region}"));
    }

    /// All commands work and hold still.
    pub(super) fn mend_labels(&mut self) {
        for script in self.scripts.values_mut() {
            *script = Script { region: script.region, ..Script::default() };
        }
    }

    /// A command runs.
    pub(super) fn run_command(&mut self, ticket: u64, command: &Command, timeout: Duration) {
        let word = command.argv.get(1).cloned().unwrap_or_default();
        let script = self.scripts.entry(word).or_default().clone();
        let most = if script.slow { 2 * timeout.as_secs() } else { 1 };
        let takes = Duration::from_millis(self.labels.u64(1..=most * 1000));
        let (takes, result) = if takes > timeout {
            (timeout, Err(RunError::TimedOut { after: timeout }))
        } else if script.broken {
            (takes, Err(RunError::Failed { code: 1 }))
        } else {
            (takes, Ok(format!("r{}", script.region)))
        };
        self.count(if result.is_ok() { "command printed" } else { "command failed" });
        self.schedule(takes, Item::Tell(self.life, Box::new(Event::Ran { ticket, result })));
    }

    /// What a command says when it is run in peace.
    pub(super) fn truth_of(&self, word: &str) -> Said {
        if !may_run(&Command { dir: "".into(), argv: vec![PROGRAM.to_owned(), word.to_owned()] }) {
            return Said::Unknown;
        }
        let region = self.scripts.get(word).map_or(0, |script| script.region);
        Said::Value(format!("r{region}"))
    }
}
