//! A small language for the three sides of a plan, and a cluster to apply plans to.
//!
//! One line each: `SIDE: KIND/NAME SPEC ; OPTION ; …`, where SPEC is YAML's flow form.
//!
//! - `desired: role/dev {allow: {logins: [root]}} ; keep ; adopt: always ; paused: 2030-01-01T00:00:00Z`
//! - `live: role/dev {…} ; owner: other ; unmarked ; origin: kubernetes` (bears our mark unless told)
//! - `inventory: role/dev {…} ; keep`
//! - `same: role/dev {…}`: all three at once
//! - `frozen: role/dev`, `busy: role/dev`, `unknown: file.yaml`, `partial: role a page was cut`,
//!   `server: 18.0.0`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use reconciler::journal::Entry;
use reconciler::kind::{self, KINDS, canonical};
use reconciler::live::{Coverage, LiveState, Observed};
use reconciler::manifest::{Adopt, Directives, Manifest, Reading};
use reconciler::model::{
    Cluster, FingerprintKey, Live, Place, Readiness, Release, Resource, ResourceId, Revision,
    Timestamp, Value,
};
use reconciler::plan::guard::Gated;
use reconciler::plan::render::{View, path_only};
use reconciler::plan::{Action, Input, Plan, Policy, plan};

pub(crate) const KEY: FingerprintKey = FingerprintKey([7; 32]);
pub(crate) const AGENT: &str = "reconciler";

/// Everything that a plan is made from, and the truth that a plan is applied to.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) reading: Reading,
    pub(crate) lives: BTreeMap<ResourceId, Live>,
    pub(crate) partial: BTreeMap<&'static str, String>,
    pub(crate) live: LiveState,
    pub(crate) inventory: BTreeMap<ResourceId, Entry>,
    pub(crate) busy: BTreeSet<ResourceId>,
    pub(crate) policy: Policy,
    pub(crate) wall: Timestamp,
    pub(crate) revisions: u64,
}

impl World {
    pub(crate) fn empty() -> Self {
        let confirm = KINDS.iter().filter(|kind| kind.name.as_str() == "workload_cluster");
        let policy = Policy {
            agent: AGENT.into(),
            max_delete_percent: 30,
            max_delete_free: 3,
            confirm: confirm.map(|kind| kind.name).collect(),
        };
        let mut world = Self {
            reading: Reading::default(),
            lives: BTreeMap::new(),
            partial: BTreeMap::new(),
            live: LiveState::default(),
            inventory: BTreeMap::new(),
            busy: BTreeSet::new(),
            policy,
            wall: Timestamp::parse("2026-06-01T00:00:00Z").unwrap(),
            revisions: 0,
        };
        world.observe();
        world
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut world = Self::empty();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            world.line(line);
        }
        world.observe();
        world
    }

    fn line(&mut self, line: &str) {
        let (side, rest) = line.split_once(": ").expect("SIDE: …");
        let mut parts = rest.split(" ; ");
        let head = parts.next().unwrap();
        let options: Vec<&str> = parts.collect();
        let (name, spec) = head.split_once(' ').unwrap_or((head, "{}"));
        match side {
            "desired" => self.want(resource(name, spec), &options),
            "live" => self.have(resource(name, spec), &options),
            "inventory" => self.know(&resource(name, spec), &options),
            "same" => {
                self.want(resource(name, spec), &[]);
                self.have(resource(name, spec), &[]);
                self.know(&resource(name, spec), &[]);
            }
            "frozen" => {
                self.reading.frozen.insert(id(name), place(name));
            }
            "busy" => {
                self.busy.insert(id(name));
            }
            "server" => self.live.server = Release::parse(name),
            "unknown" => self.reading.unknown.push(place(name)),
            "partial" => {
                let kind = kind::find(name).expect("a kind").name;
                self.partial.insert(kind.as_str(), spec.into());
            }
            other => panic!("`{other}` is no side"),
        }
    }

    pub(crate) fn want(&mut self, resource: Resource, options: &[&str]) {
        let mut directives = Directives::default();
        for option in options {
            match option.split_once(": ").unwrap_or((option, "")) {
                ("keep", _) => directives.keep = true,
                ("adopt", "never") => directives.adopt = Adopt::Never,
                ("adopt", "always") => directives.adopt = Adopt::Always,
                ("paused", until) => directives.paused_until = Timestamp::parse(until),
                (other, _) => panic!("`{other}` is no option"),
            }
        }
        let at = place(&resource.id.to_string());
        let manifest = Manifest { at, resource: Arc::new(resource), directives };
        self.reading.manifests.insert(manifest.resource.id.clone(), manifest);
    }

    pub(crate) fn have(&mut self, resource: Resource, options: &[&str]) {
        let keeps_labels = kind::row(resource.id.kind).unwrap().keeps_labels;
        let mut owner = keeps_labels.then(|| AGENT.to_owned());
        let mut origin = None;
        for option in options {
            match option.split_once(": ").unwrap_or((option, "")) {
                ("owner", other) => owner = Some(other.into()),
                ("unmarked", _) => owner = None,
                ("origin", from) => origin = Some(from.into()),
                (other, _) => panic!("`{other}` is no option"),
            }
        }
        self.revisions += 1;
        let live = Live {
            id: resource.id.clone(),
            revision: Some(Revision(format!("r{}", self.revisions))),
            canonical: resource.canonical,
            digest: resource.digest,
            owner,
            origin,
            readiness: Readiness::Ready,
            wire: Bytes::new(),
        };
        self.lives.insert(resource.id, live);
    }

    pub(crate) fn know(&mut self, resource: &Resource, options: &[&str]) {
        let entry = entry(resource, options.contains(&"keep"));
        self.inventory.insert(resource.id.clone(), entry);
    }

    /// What a list of every kind says.
    pub(crate) fn observe(&mut self) {
        self.live.kinds.clear();
        for kind in KINDS {
            let of_kind = self.lives.values().filter(|live| live.id.kind == kind.name).cloned();
            let coverage = match self.partial.get(kind.name.as_str()) {
                Some(reason) => Coverage::Partial(reason.clone()),
                None => Coverage::Complete,
            };
            let observed = Observed::new(of_kind, coverage);
            self.live.kinds.insert((Cluster::Parent, kind.name), observed);
        }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            reading: &self.reading,
            labels: None,
            live: &self.live,
            inventory: &self.inventory,
            busy: &self.busy,
            policy: &self.policy,
            key: &KEY,
            wall: self.wall,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.input())
    }

    /// Does everything that a plan says, as a server would that refuses what cannot be.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        let mut done = BTreeSet::new();
        for step in &plan.steps {
            let id = &step.id;
            assert!(step.after.iter().all(|first| done.contains(first)), "{id} came too early");
            done.insert(id.clone());
            let keep = |world: &Self| world.reading.manifests[id].directives.keep;
            match &step.action {
                Action::Create { after } => {
                    assert!(!self.lives.contains_key(id), "{id} exists already");
                    self.have(Resource::clone(after), &[]);
                    self.inventory.insert(id.clone(), entry(after, keep(self)));
                }
                Action::Update { before, after, changes: _ } => {
                    assert_eq!(self.lives[id].revision, before.revision, "{id} moved");
                    self.have(Resource::clone(after), &[]);
                    self.inventory.insert(id.clone(), entry(after, keep(self)));
                }
                Action::Adopt { live, after } => {
                    assert_eq!(live.canonical, after.canonical, "{id} differs");
                    self.inventory.insert(id.clone(), entry(after, keep(self)));
                }
                Action::Delete { before: _ } => {
                    assert!(self.lives.remove(id).is_some(), "{id} is not there");
                    self.inventory.remove(id);
                }
            }
        }
        for id in &plan.forget {
            self.inventory.remove(id);
        }
        self.observe();
    }
}

pub(crate) fn entry(resource: &Resource, keep: bool) -> Entry {
    let kind = kind::row(resource.id.kind).unwrap();
    let value = Value::from_json(&resource.canonical).unwrap();
    let applied = canonical::mask(kind, &value, &KEY).to_json().into();
    Entry { applied, adopted: false, path: "a.yaml".into(), keep }
}

pub(crate) fn id(text: &str) -> ResourceId {
    let (kind, name) = text.split_once('/').expect("KIND/NAME");
    ResourceId::parent(kind::find(kind).expect("a kind").name, name)
}

pub(crate) fn place(name: &str) -> Place {
    Place { path: format!("{name}.yaml").into(), start: 0, end: 1 }
}

pub(crate) fn resource(name: &str, spec: &str) -> Resource {
    let id = id(name);
    let kind = kind::row(id.kind).unwrap();
    let mut spec: serde_json::Value = serde_yaml::from_str(spec).expect("YAML in flow form");
    let labels = spec.as_object_mut().and_then(|entries| entries.remove("labels"));
    let value = Value::from_serde(serde_json::json!({
        "kind": kind.name.as_str(),
        "version": kind.versions[0],
        "metadata": { "name": &*id.name, "labels": labels },
        "spec": spec,
    }));
    canonical::resource(kind, Cluster::Parent, &id.name, value, &KEY)
}

/// A plan as people see it without colours.
pub(crate) fn view<'a>(plan: &'a Plan, gated: Option<&'a Gated>) -> View<'a> {
    View { plan, gated, key: &KEY, locate: &path_only, colour: false, serving: &[], findings: &[] }
}
