//! What the engine was told, by the oracle's own account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::labels::{self, Heard};
use super::limits::keeps_labels;
use super::oracle::{Oracle, masked};
use super::source::universe;
use crate::engine::{Config, Event};
use crate::journal::OpId;
use crate::kind;
use crate::labels::value::Command;
use crate::live::{Coverage, Seen};
use crate::manifest::Reading;
use crate::model::{KindName, Live, ResourceId, Revision, Verb};

/// What the last read said: whether it was there, and its revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look(pub bool, pub Option<Revision>);

/// What one life of the engine was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub reading: Option<Arc<Reading>>,
    /// What label commands said.
    pub heard: Heard,
    /// Since when each resource is unwanted by whole readings.
    pub unwanted: BTreeMap<ResourceId, Duration>,
    pub partial: BTreeMap<KindName, bool>,
    /// What the last read said of each: its revision.
    pub looks: BTreeMap<ResourceId, Look>,
    pub in_flight: BTreeMap<OpId, ResourceId>,
    pub disk_failed: bool,
    pub watching: bool,
}

impl Oracle {
    /// The engine is about to be told this.
    pub(super) fn told(&mut self, now: Duration, config: &Config, event: &Event) {
        self.approvals.heard(now, event);
        match event {
            Event::SourceRead(Ok(reading)) => {
                self.life.reading = Some(Arc::clone(reading));
                self.told_wants(now, config);
            }
            Event::Started(state) => self.life.heard = Heard::begin(&state.labels),
            Event::Ran { ticket, result } => {
                self.life.heard.told(*ticket, result);
                self.told_wants(now, config);
            }
            Event::Listed { kind, observed, .. } => {
                let partial = matches!(observed.coverage(), Coverage::Partial(_));
                self.life.partial.insert(*kind, partial);
                for live in observed.seen() {
                    self.told_live(live);
                }
                let gone: Vec<_> = self
                    .open_ids()
                    .filter(|id| id.kind == *kind && matches!(observed.look(id), Seen::Absent))
                    .collect();
                for id in &gone {
                    self.told_gone(id);
                }
            }
            Event::Put(live) => self.told_live(live),
            Event::Gone(id) => self.told_gone(id),
            Event::WatchOpened(_) => self.life.watching = true,
            Event::WatchLost(_) => self.watch_is_over(),
            Event::Fetched { id, result: Ok(seen), .. } => {
                let look =
                    Look(seen.is_some(), seen.as_ref().and_then(|live| live.revision.clone()));
                self.life.looks.insert(id.clone(), look);
                match seen {
                    Some(live) => self.told_live(live),
                    None => self.told_gone(id),
                }
            }
            Event::Wrote { op, result } => {
                self.life.in_flight.remove(op);
                self.write_told(*op, result.is_ok());
            }
            Event::JournalFailed(_) => self.life.disk_failed = true,
            Event::Fetched { .. }
            | Event::Deadline
            | Event::SourceChanged
            | Event::SourceRead(Err(_))
            | Event::Journaled(_)
            | Event::Renewed
            | Event::Server(_)
            | Event::Approve { .. }
            | Event::Stop => {}
        }
    }

    /// The watch ended, or another one is asked for: of what it told, anything may be missed from
    /// now on. One that was not open did not tell of anything.
    pub(super) fn watch_is_over(&mut self) {
        if !std::mem::take(&mut self.life.watching) {
            return;
        }
        for kind in kind::KINDS {
            if matches!(kind.follow, kind::Follow::Watch(_)) {
                self.life.partial.insert(kind.name, true);
            }
        }
    }

    fn open_ids(&self) -> impl Iterator<Item = ResourceId> {
        self.open.values().map(|intent| intent.id.clone())
    }

    /// An operation in doubt is proven by a read that shows what it wanted, marked as ours
    /// where the kind keeps labels. Without labels, whose an equal resource is that was not
    /// there when the write was planned nobody can tell; it counts as what our write made.
    fn told_live(&mut self, live: &Live) {
        for intent in self.open.values_mut() {
            if intent.id == live.id
                && intent.wanted.as_ref().is_some_and(|wanted| *wanted == masked(live))
                && (!keeps_labels(&live.id) || live.owner.as_deref() == Some(super::AGENT))
            {
                intent.proven = true;
            }
        }
    }

    fn told_gone(&mut self, id: &ResourceId) {
        for intent in self.open.values_mut() {
            intent.proven |= intent.id == *id && intent.verb == Verb::Delete;
        }
    }

    /// The files or a label's value are new.
    fn told_wants(&mut self, now: Duration, config: &Config) {
        let Some(reading) = self.life.reading.clone() else { return };
        let unwanted = |id: &ResourceId| {
            let manifest = reading.manifests.get(id);
            let said = |word: &str| self.life.heard.said(config, word);
            manifest.is_none_or(|it| labels::fate(config, id, it, said).meant == Some(false))
        };
        let unwanted: BTreeSet<ResourceId> =
            universe().iter().filter(|id| unwanted(id)).cloned().collect();
        let life = &mut self.life;
        if !reading.is_whole() {
            life.unwanted.clear();
        }
        life.unwanted.retain(|id, _| unwanted.contains(id));
        let is_unwanted =
            |id: &ResourceId| unwanted.contains(id) && !reading.frozen.contains_key(id);
        self.approvals.told(now, is_unwanted);
        if reading.is_whole() {
            for id in unwanted {
                life.unwanted.entry(id).or_insert(now);
            }
        }
    }

    /// The engine runs a command.
    pub(super) fn runs(&mut self, ticket: u64, command: &Command) {
        if !labels::may_run(command) {
            self.violate("run_not_allowed", command.to_string());
        }
        if self.life.heard.asked(ticket, command) {
            self.violate("run_twice", command.to_string());
        }
    }
}
