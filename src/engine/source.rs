//! The files' side: when to read, and what was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::condition::Condition;
use super::machine::Engine;
use super::{Effect, Level};
use crate::journal::Entry;
use crate::manifest::Reading;
use crate::model::{Code, ResourceId, Severity};
use crate::port::NotYet;

/// How long a reading that could not be had is waited for.
const REREAD: Duration = Duration::from_millis(500);

/// What is known of the files.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The last reading that was accepted.
    pub reading: Option<Arc<Reading>>,
    /// A request is under way: since when.
    pub in_flight: Option<Duration>,
    /// Another hint came meanwhile.
    pub again: bool,
    /// Why the last attempt gave nothing.
    pub not_yet: Option<String>,
    /// Since when no attempt has given anything, monotonic.
    pub dark: Option<Duration>,
    /// When the last reading that was had began.
    pub begun: Duration,
    /// The last ticket given when the reading came: a list with a greater one began later.
    pub came: u64,
}

impl Engine {
    /// Asks for a reading; one at a time.
    pub(super) fn read_source(&mut self) {
        self.clocks.reading();
        if self.source.in_flight.is_some() {
            self.source.again = true;
            return;
        }
        self.source.in_flight = Some(self.now.monotonic);
        self.out.push(Effect::ReadSource);
    }

    pub(super) fn source_read(&mut self, result: Result<Arc<Reading>, NotYet>) {
        let Some(begun) = self.source.in_flight.take() else { return };
        match result {
            Ok(reading) => {
                self.source.dark = None;
                self.source.begun = begun;
                if self.clock_jumped.is_some_and(|at| at <= begun) {
                    self.clock_jumped = None;
                    self.replan();
                }
                if self.source.not_yet.take().is_some() {
                    self.say(Level::Info, None, "the source can be read again".to_owned());
                    self.replan();
                }
                self.accept(&reading);
            }
            Err(NotYet { reason }) => {
                if self.source.not_yet.as_ref() != Some(&reason) {
                    self.say(Level::Warn, None, format!("the source cannot be read yet: {reason}"));
                }
                self.source.not_yet = Some(reason);
                self.source.dark.get_or_insert(self.now.monotonic);
                self.clocks.reread = Some(self.now.monotonic + REREAD);
                self.replan();
            }
        }
        if std::mem::take(&mut self.source.again) {
            self.clocks.hint(self.now.monotonic);
        }
    }

    fn accept(&mut self, reading: &Arc<Reading>) {
        let reading = &self.veiled_reading(reading);
        let before = self.source.reading.replace(Arc::clone(reading));
        let same = before.as_ref().is_some_and(|before| {
            before.digest.is_some()
                && before.digest == reading.digest
                && before.referred == reading.referred
                && before.unknown == reading.unknown
        });
        if same {
            if self.is_any_due() {
                self.replan();
            }
            return;
        }
        self.source.came = self.next_ticket;
        // Restoring a manifest cancels its delete, even if it is removed again at once.
        self.name_commands(reading);
        self.cancel_deletes();
        self.take_into_use();
        let errors = errors(reading);
        if before.as_ref().is_some_and(|before| self::errors(before) == errors) {
            // Said already.
        } else if !errors.is_empty() {
            self.say(Level::Error, None, told(&errors));
        } else if before.is_some_and(|before| before.has_errors()) {
            self.say(Level::Info, None, "the source has no errors any more".to_owned());
        }
        if !self.planted(super::Planted::KeepStalePlan) {
            self.drop_plan();
        }
        self.replan();
    }

    /// What the server refused is tried again at once when its author, or a label's value,
    /// changed it.
    pub(super) fn reset_backoff_of_edited(&mut self, reading: &Reading) {
        let inventory = &self.journal.inventory;
        let edited: Vec<ResourceId> = self
            .slots
            .iter()
            .filter(|(id, slot)| match &slot.condition {
                Condition::BackingOff(_) if is_unknown_to_us(reading, inventory, id) => true,
                Condition::BackingOff(waiting) => waiting.refused.as_ref().is_some_and(|refused| {
                    refused.0 != reading.manifests.get(*id).map(|wanted| wanted.resource.digest)
                }),
                Condition::Idle
                | Condition::Approved(_)
                | Condition::Checking(_)
                | Condition::Intending(_)
                | Condition::Writing(_)
                | Condition::Settling(_)
                | Condition::InDoubt(_) => false,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in edited {
            self.put_slot(&id, Condition::Idle, None);
        }
    }

    /// What is neither declared nor ours is no more remembered, once nothing happens to it: if it
    /// comes back, what is wrong with it is said again.
    pub(super) fn drop_unknown_slots(&mut self) {
        let Some(reading) = &self.source.reading else { return };
        let is_unknown_to_us =
            |id: &ResourceId| is_unknown_to_us(reading, &self.journal.inventory, id);
        self.slots.retain(|id, slot| {
            slot.wake.is_some()
                || !matches!(slot.condition, Condition::Idle)
                || !is_unknown_to_us(id)
        });
        self.said.retain(|id, _| !is_unknown_to_us(id) || self.slots.contains_key(id));
    }
}

/// Whether nobody declares it and it never was ours; while a document cannot be read, somebody
/// may.
fn is_unknown_to_us(
    reading: &Reading,
    inventory: &BTreeMap<ResourceId, Entry>,
    id: &ResourceId,
) -> bool {
    reading.is_whole() && !reading.manifests.contains_key(id) && !inventory.contains_key(id)
}

/// What is wrong, without where in its file: that moves with every line above it.
fn errors(reading: &Reading) -> Vec<(&str, Code, &str)> {
    let errors = reading.findings.iter().filter(|it| it.severity == Severity::Error);
    let mut all: Vec<_> = errors.map(|it| (&*it.at.path, it.code, &*it.message)).collect();
    all.sort_unstable();
    all
}

/// Most files that a line of the log names.
const NAMED_MAX: usize = 3;

/// `2 errors in the source, in role.yaml and kube.yaml`.
fn told(errors: &[(&str, Code, &str)]) -> String {
    let files: BTreeSet<&str> = errors.iter().map(|(path, _, _)| *path).collect();
    let mut named: Vec<String> =
        files.iter().take(NAMED_MAX).map(|path| path.escape_debug().to_string()).collect();
    match files.len().saturating_sub(NAMED_MAX) {
        0 => {}
        1 => named.push("1 more file".to_owned()),
        more => named.push(format!("{more} more files")),
    }
    let last = named.pop().unwrap_or_default();
    let named = if named.is_empty() { last } else { format!("{} and {last}", named.join(", ")) };
    let plural = if errors.len() == 1 { "" } else { "s" };
    format!("{} error{plural} in the source, in {named}", errors.len())
}
