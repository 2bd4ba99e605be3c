//! Commands that a reading names, and findings about labels: what may not run, what is pasted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mode;
use super::allow::Allow;
use super::resolve::{Declared, Resolver, Rules};
use super::value::{Command, Values};
use crate::kind;
use crate::kind::labelled::{COMMAND, RESULT};
use crate::manifest::locate::locate;
use crate::manifest::{Manifest, Reading, Snapshot};
use crate::model::{Code, Diagnostic, Place, Severity};

macro_rules! codes {
    ($($name:ident = $code:literal: $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Code = Code($code);)*

        /// The rules of labels: every code with its meaning, in order.
        pub static CODES: &[(Code, &str)] = &[$(($name, $meaning)),*];
    };
}

codes! {
    NOT_ALLOWED = "L001": "A label's command that no pattern of `allow` permits does not run.";
    RESULT_IGNORED = "L002": "In the mode `resolve` a `result` that stands in a manifest is ignored.";
    RESULT_REPLACED = "L003": "In the mode `forward` our own last good value replaces a `result` that stands in a manifest.";
}

/// The commands whose values may matter.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// All of them, with whether they may run.
    pub commands: BTreeMap<Arc<Command>, bool>,
    /// A warning for each label whose command may not, a note for each pasted result.
    pub findings: Vec<Diagnostic>,
}

impl Named {
    /// How many of the commands have a value from an earlier run.
    pub fn known(&self, values: &Values) -> usize {
        let has =
            |command: &&Arc<Command>| values.get(*command).is_some_and(|it| it.good.is_some());
        self.commands.keys().filter(has).count()
    }
}

/// Looks through a reading of these files.
pub fn named(reading: &Reading, snapshot: &Snapshot, rules: &Rules, owner: &str) -> Named {
    let mut named = Named::default();
    let resolver = Resolver::default();
    for (id, manifest) in &reading.manifests {
        let Some(declared) = resolver.look(id, manifest) else { continue };
        let Some(labelled) = kind::row(id.kind).and_then(|kind| kind.labelled.as_ref()) else {
            continue;
        };
        let at = |key: &str, field: &str| {
            let bytes = snapshot.files.get(&manifest.at.path);
            let path = labelled.place(key, field);
            bytes.and_then(|bytes| locate(bytes, &manifest.at, &path))
        };
        let place = |key: &str, field: &str| at(key, field).unwrap_or_else(|| start(manifest));
        for (key, label) in &declared.parts.dynamic {
            if !label.result.is_empty()
                && let Some((code, message, hint)) = pasted(&declared, key, rules)
            {
                let at = place(key, RESULT);
                named.findings.push(finding(at, Severity::Note, code, message, hint));
            }
        }
        if declared.commands.is_empty() || !Resolver::matters(&declared, rules, owner) {
            continue;
        }
        for (key, command) in &declared.commands {
            let allowed = rules.allow.permits(&command.argv);
            named.commands.insert(Arc::clone(command), allowed);
            if allowed {
                continue;
            }
            let message =
                format!("the command of the label `{key}`, `{command}`, may not run here");
            let line = Allow::line_to_add(&command.argv);
            let hint = format!("to allow it, add {line} to `kubernetes.dynamic_labels.allow`");
            let at = place(key, COMMAND);
            named.findings.push(finding(at, Severity::Warning, NOT_ALLOWED, message, hint));
        }
    }
    named
}

/// What there is to say about a result that somebody wrote; nothing where it counts.
fn pasted(declared: &Declared, key: &str, rules: &Rules) -> Option<(Code, String, String)> {
    let may_run = declared.commands.get(key).is_some_and(|it| rules.allow.permits(&it.argv));
    match rules.mode {
        Mode::Resolve => Some((
            RESULT_IGNORED,
            format!("the `result` of the label `{key}` is ignored: its command is asked"),
            "remove it, or write the value as a static label".to_owned(),
        )),
        Mode::Forward if may_run => Some((
            RESULT_REPLACED,
            format!(
                "the `result` of the label `{key}` stands until its command has said something"
            ),
            "remove it".to_owned(),
        )),
        Mode::Forward => None,
    }
}

/// The document's beginning, if the field cannot be found in it.
fn start(manifest: &Manifest) -> Place {
    let start = manifest.at.start;
    Place { path: Arc::clone(&manifest.at.path), start, end: start }
}

fn finding(at: Place, severity: Severity, code: Code, message: String, hint: String) -> Diagnostic {
    Diagnostic { at, severity, code, message, also: Vec::new(), hint: Some(hint) }
}
