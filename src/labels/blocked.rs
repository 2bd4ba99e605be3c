//! Commands that a reading names, and findings about those that may not run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::allow::Allow;
use super::resolve::{Resolver, Rules};
use super::value::{Command, Values};
use crate::manifest::Reading;
use crate::model::{Code, Diagnostic, Place, Severity};

/// A label's command that no pattern of `allow` permits.
pub const NOT_ALLOWED: Code = Code("L001");

/// The commands whose values may matter.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// All of them, with whether they may run.
    pub commands: BTreeMap<Arc<Command>, bool>,
    /// A warning for each label whose command may not.
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

/// Looks through a reading.
pub fn named(reading: &Reading, rules: &Rules, owner: &str) -> Named {
    let mut named = Named::default();
    let resolver = Resolver::default();
    for (id, manifest) in &reading.manifests {
        let Some(declared) = resolver.look(id, manifest) else { continue };
        if declared.commands.is_empty() || !Resolver::matters(&declared, rules, owner) {
            continue;
        }
        for (key, command) in &declared.commands {
            let allowed = rules.allow.permits(&command.argv);
            named.commands.insert(Arc::clone(command), allowed);
            if allowed {
                continue;
            }
            let start = manifest.at.start;
            named.findings.push(Diagnostic {
                at: Place { path: Arc::clone(&manifest.at.path), start, end: start },
                severity: Severity::Warning,
                code: NOT_ALLOWED,
                message: format!("the command of the label `{key}`, `{command}`, may not run here"),
                also: Vec::new(),
                hint: Some(format!(
                    "to let it, add {} to `kubernetes.dynamic_labels.allow`",
                    Allow::line_to_add(&command.argv)
                )),
            });
        }
    }
    named
}
