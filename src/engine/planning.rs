//! From what is known to steps that may run now.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::condition::Condition;
use super::config::{APPROVAL_DIGITS, Planted};
use super::machine::{Engine, Life};
use super::{Effect, Level};
use crate::journal::{APPROVAL_LIFETIME, Entry, Record};
use crate::kind;
use crate::labels::resolve::{Desired, resolve};
use crate::live::{LiveState, Seen};
use crate::manifest::Reading;
use crate::model::{Live, Resource, ResourceId, Value};
use crate::plan::check::{Violation, check};
use crate::plan::guard::{GuardFacts, Held, PendingApproval, guard};
use crate::plan::{Action, DeferReason, Input, LabelInput, Plan, Step, plan};

/// Runs count from here: people read the number.
const FIRST_RUN: u64 = 1;

/// How much later the list must begin that confirms that something is gone.
const FORGET_DELAY: Duration = Duration::from_secs(5);

/// The plan in force.
#[derive(Debug)]
pub(super) struct Planned {
    pub plan: Arc<Plan>,
    /// Steps that wait, and for what.
    pub held: Vec<Held>,
    /// What a person may approve.
    pub approval: Option<PendingApproval>,
    /// Its number, if it begins anything.
    pub run: u64,
    /// Whether it began anything.
    pub begun: bool,
    /// When it was made, monotonic.
    pub made: Duration,
    /// It was refused by the independent check.
    pub broken: bool,
}

impl Engine {
    /// Whether both sides are known well enough to plan at all.
    pub(super) fn may_plan(&self) -> bool {
        self.life == Life::Running && self.source.reading.is_some() && self.live.is_known()
    }

    /// What would be done now, for previews: the plan before guards. `None` while a side is
    /// not known yet.
    pub fn plan_now(&self) -> Option<Plan> {
        let reading = self.source.reading.as_ref().filter(|_| self.live.is_known())?;
        let (values, rules) = (&self.labels.values, &self.config.labels);
        let owner = &self.config.policy.agent;
        let desired = resolve(reading, &self.live.state, values, rules, owner);
        Some(plan(&self.input(&desired, &self.live.state)))
    }

    fn input<'a>(&'a self, desired: &'a Desired, live: &'a LiveState) -> Input<'a> {
        Input {
            reading: &desired.reading,
            labels: Some(LabelInput {
                declared: &desired.declared,
                fits: &desired.fits,
                rules: &self.config.labels,
                values: &self.labels.values,
            }),
            live,
            inventory: &self.journal.inventory,
            busy: &self.busy,
            policy: &self.config.policy,
            key: &self.key,
            wall: self.now.wall,
        }
    }

    pub(super) fn make_plan(&mut self) {
        let Some(reading) = self.source.reading.clone() else { return };
        self.drop_out_of_use();
        let reading = self.planted_reading(reading);
        let inventory = self.planted_inventory();
        let none = BTreeSet::new();
        self.note_keep(&reading);
        let desired = self.resolve(&reading);
        self.reset_backoff_of_edited(&desired.reading);
        self.drop_unknown_slots();
        let mut input = self.input(&desired, &self.live.state);
        if let Some(inventory) = &inventory {
            input.inventory = inventory;
        }
        if self.planted(Planted::PlanSettling) || self.planted(Planted::TwoAtOnce) {
            input.busy = &none;
        }
        let plan = Arc::new(plan(&input));
        let violations = if self.has_planted_labels() { Vec::new() } else { check(&plan, &input) };
        self.drop_queue();
        let broken = !violations.is_empty();
        self.say_violations(&violations);
        self.count_pending(&plan);
        self.wait_for_dates(&plan);
        let matured = self.pending.keys().filter(|id| self.is_prune_due(id)).cloned().collect();
        let begun = self.begun();
        let gated = guard(
            &plan,
            &GuardFacts {
                policy: &self.config.policy,
                managed: self.journal.inventory.len(),
                source_empty: reading.manifests.is_empty() && reading.is_whole(),
                approvals: &self.journal.approvals,
                wall: self.now.wall,
                matured: &matured,
                begun: &begun,
                key: &self.key,
            },
        );
        let ready = if self.planted(Planted::NoGuard) { plan.steps.clone() } else { gated.ready };
        self.say_approval(gated.approval.as_ref());
        self.wait_for_allowance(&gated.held);
        // A plan that begins something has a number of its own, though its first intent may
        // not be recorded yet.
        let taken = self.planned.as_ref().map_or(0, |it| it.run + u64::from(it.begun));
        let run = self.journal.next_run.max(taken).max(FIRST_RUN);
        let mut begun = false;
        if !broken {
            self.forget(&plan.forget);
            let ready = self.damp(ready);
            self.open = ready.iter().map(|step| step.id.clone()).collect();
            let is_approved = |step: &Step| gated.approved.contains(&step.id);
            if let Some(hash) = &gated.consumed {
                self.intend_approved(&plan, hash, &gated.approved, run);
                begun = true;
            }
            self.queue =
                ready.into_iter().filter(|step| !is_approved(step)).map(Arc::new).collect();
        }
        self.planned = Some(Planned {
            plan,
            held: gated.held,
            approval: gated.approval,
            run,
            begun,
            made: self.now.monotonic,
            broken,
        });
        self.say_refused();
        self.list_for_deletes();
        self.list_for_catch_up();
    }

    /// `reconciler/prune` counts from the moment it is read, whatever else becomes of its manifest:
    /// when the manifest is gone, the inventory is all that knows of it.
    fn note_keep(&mut self, reading: &Reading) {
        let inventory = &self.journal.inventory;
        let changed = reading.manifests.iter().filter_map(|(id, manifest)| {
            let keep = manifest.directives.keep;
            let entry = inventory.get(id).filter(|entry| entry.keep != keep)?;
            Some((id.clone(), Entry { keep, ..entry.clone() }))
        });
        for (id, entry) in changed.collect::<Vec<_>>() {
            let kept = if entry.keep { "is kept" } else { "is deleted" };
            let text = format!("{id} {kept} when its manifest goes (`reconciler/prune`)");
            self.say(Level::Info, Some(&id), text);
            self.record(Record::Adopted { id: id.to_string(), entry, at: self.now.wall });
        }
    }

    fn say_violations(&mut self, violations: &[Violation]) {
        for violation in violations {
            let text = format!("internal error: the plan failed verification: {violation}");
            self.say(Level::Error, None, text);
        }
    }

    fn say_approval(&mut self, approval: Option<&PendingApproval>) {
        let Some(approval) = approval else { return };
        let before = self.planned.as_ref().and_then(|it| it.approval.as_ref());
        if let Some(expires) = approval.expires {
            let left = expires.since(self.now.wall).max(Duration::from_millis(1));
            self.clocks.plan_by(self.now.monotonic + left);
        } else if before.is_none_or(|it| it.hash != approval.hash || it.expires.is_some()) {
            self.say(Level::Warn, None, format!("waiting for approval: {}", approval.told()));
        }
    }

    /// What is gone and not wanted leaves the inventory, once it is sure to be gone. `ids` are
    /// sorted.
    fn forget(&mut self, ids: &[ResourceId]) {
        let now = self.now.monotonic;
        self.absent.retain(|id, _| ids.binary_search(id).is_ok());
        for id in ids {
            let since = *self.absent.entry(id.clone()).or_insert(now);
            if self.may_forget(id) {
                let shown = self.veiled_id(id);
                let text = format!("forgot {shown} (not declared any more)");
                self.say(Level::Info, Some(&shown), text);
                self.record(Record::Forgotten { id: id.to_string(), at: self.now.wall });
            } else {
                self.list_by(&(id.cluster.clone(), id.kind), since + FORGET_DELAY);
            }
        }
    }

    /// Whether something that is not declared and not there leaves the inventory. One list may lack
    /// what another shows, and what was forgotten is never deleted: a second one, begun later, must
    /// say the same, and reads must show all that an earlier life wrote (what it created in its last
    /// moment would be nobody's).
    pub(super) fn may_forget(&self, id: &ResourceId) -> bool {
        let kind = self.live.kinds.get(&(id.cluster.clone(), id.kind));
        let since = self.absent.get(id).copied();
        let is_sure = self.live.state.look(id).present().is_some()
            || since.zip(kind).is_some_and(|(since, it)| it.listed_from >= since + FORGET_DELAY);
        self.is_caught_up(id) && is_sure
    }

    /// Since when each delete waits. A delete that is merely out of sight goes on waiting, one
    /// that is not wanted any more does not.
    fn count_pending(&mut self, plan: &Plan) {
        let now = self.now.monotonic;
        for step in &plan.steps {
            if let Action::Delete { before: _ } = step.action
                && !self.pending.contains_key(&step.id)
            {
                self.pending.insert(step.id.clone(), now);
                let text = format!("{} will be deleted ({})", step.id, step.because());
                self.say(Level::Info, Some(&step.id), text);
            }
        }
        let flap = self.planted(Planted::IgnoreFlap);
        let stays = |id: &ResourceId| {
            let planned =
                |step: &Step| step.id == *id && matches!(step.action, Action::Delete { before: _ });
            flap || plan.steps.iter().any(planned)
                || plan.deferred.iter().any(|it| it.id == *id && is_out_of_sight(&it.why))
        };
        let over: Vec<ResourceId> = self.pending.keys().filter(|id| !stays(id)).cloned().collect();
        for id in over {
            self.pending.remove(&id);
            let why = plan.deferred.iter().find(|it| it.id == id).map(|it| it.why.to_string());
            let why = why.unwrap_or_else(|| match self.live.state.look(&id).present() {
                Some(_) => "it is declared again".to_owned(),
                None => "it is gone".to_owned(),
            });
            let text = format!("{id} will not be deleted after all: {why}");
            self.say(Level::Info, Some(&id), text);
        }
    }

    /// Plans again when the earliest date that a person wrote has come.
    fn wait_for_dates(&mut self, plan: &Plan) {
        let until = plan.deferred.iter().filter_map(|it| match &it.why {
            DeferReason::PausedUntil(until) => Some(*until),
            DeferReason::Frozen
            | DeferReason::SourceUnknown
            | DeferReason::LiveUnknown(_)
            | DeferReason::Settling
            | DeferReason::LabelUnknown(_)
            | DeferReason::Expired(_)
            | DeferReason::KeepDirective
            | DeferReason::OwnedBy(_)
            | DeferReason::ForeignOrigin(_)
            | DeferReason::Preset
            | DeferReason::Unmarked
            | DeferReason::NotAdopted
            | DeferReason::Immutable(_)
            | DeferReason::TooNew(_, _)
            | DeferReason::MissingReference(_)
            | DeferReason::NotMadeByUs
            | DeferReason::ReferencedBy(_) => None,
        });
        if let Some(until) = until.min() {
            let wait = until.since(self.now.wall).max(Duration::from_millis(1));
            self.clocks.plan_by(self.now.monotonic + wait);
        }
    }

    /// Takes the steps that were not begun away.
    pub(super) fn drop_queue(&mut self) {
        self.queue.clear();
        self.open.clear();
        self.finished.clear();
    }

    /// The source changed: nothing that was planned from the old one is begun or sent, but for
    /// what was approved and is still wanted gone.
    pub(super) fn drop_plan(&mut self) {
        self.drop_queue();
        self.drop_begun(|_| true);
    }

    /// What was begun of these is not sent any more, but for what was approved and is still
    /// wanted gone.
    pub(super) fn drop_begun(&mut self, is_meant: impl Fn(&ResourceId) -> bool) {
        let is_whole = self.source.reading.as_ref().is_some_and(|it| it.is_whole());
        let may_stay = |id: &&ResourceId| {
            let condition = self.slots.get(*id).map(|slot| &slot.condition);
            matches!(condition, Some(Condition::Approved(_) | Condition::Checking(_)))
        };
        let all = self.busy.iter().filter(may_stay);
        let gone: BTreeSet<ResourceId> =
            all.filter(|id| is_whole && !self.is_wanted(id)).cloned().collect();
        let unwanted = |id: &ResourceId| gone.contains(id);
        for id in self.busy.iter().filter(|id| is_meant(id)) {
            let Some(slot) = self.slots.get_mut(id) else { continue };
            match &mut slot.condition {
                Condition::Approved(approved) => approved.valid &= unwanted(id),
                Condition::Checking(checking) => {
                    checking.valid &= checking.intended.is_some() && unwanted(id);
                }
                Condition::Intending(sending) | Condition::Writing(sending) => {
                    sending.valid = false;
                }
                Condition::Idle
                | Condition::Settling(_)
                | Condition::InDoubt(_)
                | Condition::BackingOff(_) => {}
            }
        }
    }

    /// Whether the live side is still what the step was planned from.
    pub(super) fn still_holds(&self, step: &Step) -> bool {
        let seen = self.live.state.look(&step.id);
        match &step.action {
            Action::Create { after: _ } => matches!(seen, Seen::Absent),
            Action::Update { before, after: _, changes: _ }
            | Action::Adopt { live: before, after: _ }
            | Action::Delete { before } => seen.present().is_some_and(|live| is_same(live, before)),
        }
    }

    pub(super) fn approve(&mut self, typed: &str, request: u64) {
        let pending = self.planned.as_ref().and_then(|it| it.approval.as_ref());
        let hash = pending.map(|it| it.hash.clone());
        let text = match hash {
            _ if self.life != Life::Running => Err("the agent is stopping".to_owned()),
            None => Err("nothing is waiting for approval".to_owned()),
            Some(_) if typed.len() < APPROVAL_DIGITS => {
                Err(format!("type at least {APPROVAL_DIGITS} digits of the hash"))
            }
            Some(hash) if hash.starts_with(typed) => Ok(hash),
            Some(hash) => Err(format!("`{typed}` is not what waits: that is `{hash}`")),
        };
        match text {
            Err(text) => self.out.push(Effect::Answer { request, text: Err(text) }),
            Ok(hash) => {
                let expires = self.now.wall.plus(APPROVAL_LIFETIME);
                let text = format!("approved until {expires}");
                self.say(Level::Info, None, format!("approved {hash} until {expires}"));
                self.record(Record::Approved { hash, expires, at: self.now.wall });
                self.to_journal.requests.push((request, text));
            }
        }
    }

    /// What the inventory says about a resource once this is written.
    pub(super) fn entry(&self, step: &Step, after: &Resource, adopted: bool) -> Entry {
        let before = self.journal.inventory.get(&step.id);
        let manifest = self.source.reading.as_ref().and_then(|it| it.manifests.get(&step.id));
        let masked = self.masked(&step.id, &after.canonical);
        // Without secrets in it, it is the text that is declared.
        let is_same = *masked == *after.canonical;
        Entry {
            applied: if is_same { Arc::clone(&after.canonical) } else { masked.into() },
            adopted: before.map_or(adopted, |entry| entry.adopted),
            path: step.at.as_ref().map(|at| at.path.to_string()).unwrap_or_default(),
            keep: manifest.is_some_and(|manifest| manifest.directives.keep),
        }
    }

    /// Canonical JSON with secrets as fingerprints.
    pub(super) fn masked(&self, id: &ResourceId, canonical: &str) -> String {
        match (kind::row(id.kind), Value::from_json(canonical)) {
            (Some(kind), Ok(value)) => {
                kind::canonical::mask_of(id, kind, value, &self.key).to_json()
            }
            (None, _) | (_, Err(_)) => String::new(),
        }
    }
}

fn is_out_of_sight(why: &DeferReason) -> bool {
    matches!(why, DeferReason::LiveUnknown(_) | DeferReason::Settling)
}

fn is_same(one: &Live, other: &Live) -> bool {
    one.digest == other.digest && one.revision == other.revision && one.owner == other.owner
}
