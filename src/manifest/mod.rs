//! From bytes to what is wanted: snapshot → spanned tree → manifests → desired state.
//!
//! Total and synchronous: bad input gives a partial result and findings.
//! Deliberately absent: network, file system.
//!
//! `split` cuts a file into documents, `yaml` reads one into a tree with places, `document` finds out which resource it
//! is, `check` compares it with the fields of its kind, `decode` puts the files together.
//!
//! # Where a file means something else than to tctl
//!
//! Everything else means the same: a test compares both over the rows that stand in
//! `tests/data/vectors/manifests.jsonl`, and reads this table. The names before the colon are
//! rows of that file; a row that is here without need fails the test.
//!
//! | what | tctl | reconciler | why |
//! |---|---|---|---|
//! | `unknown top`, `unknown metadata`, `unknown spec`, `typo dynamic_label`, `camel case field`, `role unknown option`, `trusted unknown`, `user unknown`, `merge key`: a field that the kind does not have | dropped without a word | error with a suggestion | a misspelled label or rule must not vanish |
//! | `bot camel`: a field as protobuf's JSON writes it | taken | error with a suggestion | the other kinds do not know it |
//! | `period missing`, `dynamic null`: a dynamic label without a period, or with one below a second | taken; agents run it every second | error | nobody means that |
//! | `kubeconfig newline`, `kubeconfig wrapped`, `kubeconfig list of bytes`: a kubeconfig that is none, or not for another host | taken; agents fail with it | error | tctl cannot know, agents stop at the first |
//! | `upper case field`: a field in other case | taken | error with a suggestion | two spellings of one field in one document hide each other |
//! | `duplicate label`: a key that stands twice | the last one wins | error, both places | one of the two is a mistake |
//! | `blank`: a document of blank lines or comments | ends tctl | nothing | a commented-out resource is a normal thing to have |
//! | `role forward word`: a word that is no boolean (`maybe`) | `false` | error | a switch must not turn off by a typing mistake |
//! | `trusted v1`: a version that the kind never had | taken, and changed | error | the file says what the server stores |
//! | no row: a key set before `<<` and again by it | the merged one wins | error, both places | YAML's own rule says the opposite |
//! | no row: a plain key like `y`, `010` or `1.50`, which YAML reads as `true`, `8` or a fraction | renamed | error | the label would have another name |
//! | no row: text on the line of `---`, or after `...` | skipped | read; error | nothing that somebody wrote is skipped |
//! | no row: what libyaml and our parser read differently | as libyaml reads it | error | nobody can tell what is meant |
//! | no row: a reference (`secret://…`) as a secret | taken as the secret | what it refers to; an address of another form (`vault://…`) is an error | secrets need not stand in manifests |

pub mod check;
pub mod codes;
pub mod decode;
pub mod locate;
pub mod mask;
pub mod reference;
pub mod render;
pub mod split;
pub mod suggest;
pub mod yaml;

mod directive;
mod document;
mod lines;
mod redact;
mod scalar_check;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Diagnostic, Digest, Place, Resource, ResourceId, SecretNames, Severity, Timestamp,
};

/// One consistent reading of the source: every included file's bytes, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Path below the source (`/` between parts) to bytes.
    pub files: BTreeMap<Arc<str>, Arc<[u8]>>,
    /// Files that were seen but could not be read, with the reason: *unknown*, not absent.
    pub unreadable: BTreeMap<Arc<str>, Unreadable>,
    /// What the references in the files refer to.
    pub secrets: reference::Secrets,
}

/// Why a file was not read, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Lower case, `the directory cannot be listed: …`.
    pub reason: String,
    /// What a person can do.
    pub remedy: &'static str,
}

impl Unreadable {
    /// What the file system refuses, in its words.
    pub fn refused(reason: impl Into<String>) -> Self {
        let remedy = "allow the agent to read it, or exclude it (`source.exclude`)";
        Self { reason: reason.into(), remedy }
    }
}

/// What a snapshot says: the result of `manifest::decode::read`.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Over all paths and bytes.
    pub digest: Option<Digest>,
    /// Over what references refer to. Never leaves the process: it covers short secrets.
    pub referred: Option<Digest>,
    /// The documents that could be decoded, by id. Duplicates are out, and reported.
    pub manifests: BTreeMap<ResourceId, Manifest>,
    /// Ids whose meaning is in doubt: declared twice, or named in a document with an error.
    /// They stay as they are.
    pub frozen: BTreeMap<ResourceId, Place>,
    /// Documents of which not even kind and name are known, or files that could not be read:
    /// while there is one, nothing may be pruned anywhere.
    pub unknown: Vec<Place>,
    /// All findings, sorted by place.
    pub findings: Vec<Diagnostic>,
}

impl Reading {
    /// Whether every document was understood. Only then can absence mean anything.
    pub fn is_whole(&self) -> bool {
        self.unknown.is_empty() && self.frozen.is_empty()
    }

    /// Whether something in it is wrong, be it in a document that was understood.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Puts the veil over every id of which it knows that the name is a secret. `None`: there
    /// is none that is not veiled already.
    #[must_use]
    pub fn under(&self, veil: &SecretNames) -> Option<Self> {
        self.manifests.keys().chain(self.frozen.keys()).find_map(|id| veil.over(id))?;
        let mut reading = self.clone();
        let over = |id: ResourceId| veil.over(&id).unwrap_or(id);
        let manifests = std::mem::take(&mut reading.manifests).into_iter();
        reading.manifests = manifests
            .map(|(id, mut manifest)| {
                let id = over(id);
                if manifest.resource.id != id {
                    let resource =
                        Resource { id: id.clone(), ..Resource::clone(&manifest.resource) };
                    manifest.resource = Arc::new(resource);
                }
                (id, manifest)
            })
            .collect();
        let frozen = std::mem::take(&mut reading.frozen).into_iter();
        reading.frozen = frozen.map(|(id, at)| (over(id), at)).collect();
        Some(reading)
    }
}

/// One decoded document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Where the document stands.
    pub at: Place,
    /// What is wanted.
    pub resource: Arc<Resource>,
    /// What the `reconciler/` labels ask of us.
    pub directives: Directives,
}

/// What the labels under `reconciler/` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `reconciler/prune: "false"`: keep it when the manifest goes. (In the journal, because
    /// the manifest is gone when it matters.)
    pub keep: bool,
    /// `reconciler/adopt`.
    pub adopt: Adopt,
    /// `reconciler/paused-until`: leave it alone until then.
    pub paused_until: Option<Timestamp>,
}

/// What to do about a live resource of the same name that nobody marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Adopt {
    /// Report it.
    Never,
    /// Take it if it bears no mark, has no foreign origin and is no preset.
    #[default]
    IfUnowned,
    /// Take it even from another agent.
    Always,
}
