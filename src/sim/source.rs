//! Simulated files: what people and tools do to a directory, and what a reading of it says.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::kind::{self, canonical};
use crate::manifest::{Adopt, Directives, Manifest, Reading};
use crate::model::{Cluster, Digest, Place, Resource, ResourceId, Timestamp, Value};

/// Stands in every secret of the simulation and must never be shown.
pub(super) const SECRET: &str = "hunter2";
/// The same in base64, as a kubeconfig bears it.
pub(super) const SECRET_BASE64: &str = "aHVudGVyM";

/// The kinds of the simulation: word, names, and the resource with `NAME`, `N` (a variant) and
/// `TF` (the variant's truth value) filled in.
const TEMPLATES: &[(&str, usize, &str)] = &[
    (
        "role",
        6,
        r#"{"kind":"role","version":"v7","metadata":{"name":"NAME"},
            "spec":{"allow":{"logins":["login-N"]}}}"#,
    ),
    (
        "kube_cluster",
        6,
        r#"{"kind":"kube_cluster","version":"v3","metadata":{"name":"NAME","labels":{LABELS}},
            "spec":{"kubeconfig":"aHVudGVyMgoN","dynamic_labels":DYNAMIC}}"#,
    ),
    (
        "trusted_cluster",
        2,
        r#"{"kind":"trusted_cluster","version":"v2","metadata":{"name":"NAME"},
            "spec":{"enabled":TF,"token":"hunter2","role_map":[{"remote":"access",
            "local":["role-0"]}],"web_proxy_addr":"NAME:443","tunnel_addr":"NAME:443"}}"#,
    ),
    (
        "workload_cluster",
        2,
        r#"{"kind":"workload_cluster","version":"v1","metadata":{"name":"NAME"},
            "spec":{"regions":[{"name":"us-west-2"}],"bot":{"name":"example"},
            "token":{"join_method":"iam","allow":[{"aws_account":"123456789012",
            "aws_arn":"arn:aws:sts::123456789012:assumed-role/example/session"}]}}}"#,
    ),
];

/// Variants of each resource.
pub(super) const VARIANTS: u32 = 6;

/// Every resource that the simulation knows.
pub(super) fn universe() -> &'static [ResourceId] {
    static ALL: LazyLock<Vec<ResourceId>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for (word, count, _) in TEMPLATES {
            let Some(kind) = kind::find(word) else { continue };
            for number in 0..*count {
                let name = format!("{}-{number}", word.replace('_', "-"));
                all.push(ResourceId::parent(kind.name, &name));
            }
        }
        all
    });
    &ALL
}

/// What a variant of a resource says. All seeds have the same ones, so that each is made once.
pub(super) fn resource(id: &ResourceId, variant: u32) -> Arc<Resource> {
    static MADE: LazyLock<BTreeMap<(&ResourceId, u32), Arc<Resource>>> = LazyLock::new(|| {
        let variants = |id| (0..VARIANTS).map(move |variant| (id, variant));
        let all = universe().iter().flat_map(variants);
        all.map(|(id, variant)| ((id, variant), Arc::new(made(id, variant)))).collect()
    });
    MADE.get(&(id, variant)).map_or_else(|| Arc::new(made(id, variant)), Arc::clone)
}

fn made(id: &ResourceId, variant: u32) -> Resource {
    let template = TEMPLATES.iter().find(|(word, _, _)| *word == id.kind.as_str());
    let text = template.map_or("{}", |(_, _, text)| text);
    let truth = if variant.is_multiple_of(2) { "true" } else { "false" };
    let (fixed, dynamic) = super::labels::labels_of(&id.name, variant);
    let text = text
        .replace("NAME", &id.name)
        .replace("login-N", &format!("login-{variant}"))
        .replace("LABELS", &fixed)
        .replace("DYNAMIC", &dynamic)
        .replace("TF", truth);
    let value = Value::from_json(&text).unwrap_or(Value::Null);
    match kind::row(id.kind) {
        Some(kind) => canonical::resource(kind, Cluster::Parent, &id.name, value, &super::KEY),
        None => Resource {
            id: id.clone(),
            canonical: text.as_str().into(),
            digest: Digest::of(text.as_bytes()),
        },
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doc {
    pub id: ResourceId,
    pub variant: u32,
    /// It cannot be read; `true`: not even its name.
    pub broken: Option<bool>,
    pub keep: bool,
    pub adopt: Adopt,
    pub paused: Option<Timestamp>,
}

/// The directory.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub files: BTreeMap<u32, Vec<Doc>>,
    /// Files that cannot be read.
    pub unreadable: std::collections::BTreeSet<u32>,
    /// A checkout is under way until then.
    pub moving: std::time::Duration,
}

impl Source {
    /// All documents.
    pub(super) fn docs_mut(&mut self) -> impl Iterator<Item = &mut Doc> {
        self.files.values_mut().flatten()
    }

    /// What a reading says.
    pub(super) fn read(&self) -> Reading {
        let mut reading = Reading::default();
        let mut position = 0;
        for (file, docs) in &self.files {
            let path: Arc<str> = format!("{file}.yaml").into();
            if self.unreadable.contains(file) {
                reading.unknown.push(Place { path, start: 0, end: 0 });
                continue;
            }
            for doc in docs {
                position += 1;
                let at = Place { path: Arc::clone(&path), start: position, end: position + 1 };
                take(&mut reading, doc, at);
            }
        }
        let shown = format!("{:?} {:?}", self.files, self.unreadable);
        reading.digest = Some(Digest::of(shown.as_bytes()));
        reading
    }
}

fn take(reading: &mut Reading, doc: &Doc, at: Place) {
    let id = &doc.id;
    match doc.broken {
        Some(true) => reading.unknown.push(at),
        Some(false) => {
            reading.manifests.remove(id);
            reading.frozen.insert(id.clone(), at);
        }
        None if reading.frozen.contains_key(id) => {}
        None if reading.manifests.remove(id).is_some() => {
            reading.frozen.insert(id.clone(), at);
        }
        None => {
            let directives =
                Directives { keep: doc.keep, adopt: doc.adopt, paused_until: doc.paused };
            let resource = resource(id, doc.variant);
            reading.manifests.insert(id.clone(), Manifest { at, resource, directives });
        }
    }
}
