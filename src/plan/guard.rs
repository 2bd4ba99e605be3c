//! What a plan may do at once, and what waits for a person or for time.
//!
//! The delete share counts more than one plan: a mass removal that arrives in slices (a slow
//! `rm`, a checkout file by file) would pass it otherwise. Together with the plan's own deletes
//! it counts those begun during the last resync period (`source.resync`, 5 min unless set):
//! under way, in doubt, or done. What a person approved is not counted. The journal keeps the
//! count, so that a restart, or one `reconciler --once` after the other, has no new allowance;
//! from one process to the next the calendar says what is recent.
//!
//! An approval is used up by the transaction that records the intents of its whole set. Within
//! one life of the program the set stays approved until the approval expires, each of its
//! deletes once and with that content only: a retry, or a plan that was dropped half-way, asks
//! for nothing again. After a crash or a stop, what is left of the set asks again.
//!
//! Deliberately absent: clocks (who keeps the pending periods says which are over).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Action, Plan, Policy, Step, digest};
use crate::journal::approval_holds;
use crate::model::{Digest, FingerprintKey, ResourceId, Timestamp, Verb};

/// What the guards go by, beside the plan.
#[derive(Debug, Clone, Copy)]
pub struct GuardFacts<'a> {
    /// Limits, and the kinds to confirm.
    pub policy: &'a Policy,
    /// How many resources the inventory holds, without what `begun` has taken out of it.
    pub managed: usize,
    /// The source declares nothing at all.
    pub source_empty: bool,
    /// Approvals not yet used: hash to expiry.
    pub approvals: &'a BTreeMap<String, Timestamp>,
    /// The calendar; decides only about the expiry of approvals.
    pub wall: Timestamp,
    /// Deletes whose pending period is over.
    pub matured: &'a BTreeSet<ResourceId>,
    /// What was begun before this plan.
    pub begun: &'a Begun,
    /// Key of the fingerprints: the hash covers contents.
    pub key: &'a FingerprintKey,
}

/// What was begun before this plan; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begun {
    /// Deletes that nobody approved, of the last resync period: under way, in doubt or done.
    pub deletes: BTreeSet<ResourceId>,
    /// Those of them that the inventory does not hold any more.
    pub gone: usize,
    /// Approved and not done yet, each with the content that the approval saw.
    pub granted: BTreeMap<ResourceId, Digest>,
}

impl Begun {
    fn grants(&self, step: &Step) -> bool {
        match &step.action {
            Action::Delete { before } => self.granted.get(&step.id) == Some(&before.digest),
            Action::Create { after: _ }
            | Action::Update { before: _, after: _, changes: _ }
            | Action::Adopt { live: _, after: _ } => false,
        }
    }
}

/// A reason to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// The source is empty, and would have everything deleted.
    EmptySource,
    /// More deletes at once than the policy allows.
    DeleteShare {
        /// How many there are, with those that were begun before.
        deletes: usize,
        /// How many of them were begun before.
        before: usize,
        /// How many may be without asking.
        allowed: usize,
    },
    /// The deletion of this kind is confirmed by a person each time.
    Confirm,
    /// The pending period before every delete; restoring the manifest cancels it.
    PruneDelay,
}

impl Guard {
    /// A stable word, `delete-share`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptySource => "empty-source",
            Self::DeleteShare { deletes: _, before: _, allowed: _ } => "delete-share",
            Self::Confirm => "confirm",
            Self::PruneDelay => "prune-delay",
        }
    }

    const fn is_exceeded(self) -> bool {
        match self {
            Self::DeleteShare { deletes, before: _, allowed } => deletes > allowed,
            Self::EmptySource | Self::Confirm | Self::PruneDelay => false,
        }
    }

    /// Whether a person can let it through; else only time does.
    pub const fn is_approvable(self) -> bool {
        match self {
            Self::EmptySource
            | Self::DeleteShare { deletes: _, before: _, allowed: _ }
            | Self::Confirm => true,
            Self::PruneDelay => false,
        }
    }

    /// What to do to get past it, given the hash of the pending set.
    pub fn way_through(self, hash: Option<&str>) -> String {
        match (self.is_approvable(), hash) {
            (true, Some(hash)) => format!("run `reconciler approve {hash}`"),
            (true, None) => "run `reconciler approve HASH`".to_owned(),
            (false, _) => "wait; to cancel it, restore the manifest".to_owned(),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptySource => f.write_str("the source is empty"),
            Self::DeleteShare { deletes, before: 0, allowed } => {
                write!(f, "{deletes} deletes in one plan, {allowed} are allowed without approval")
            }
            Self::DeleteShare { deletes, before, allowed } => {
                let text = "deletes with those begun a short while ago";
                write!(f, "{deletes} {text} ({before}), {allowed} are allowed without approval")
            }
            Self::Confirm => f.write_str("deleting this kind needs confirmation"),
            Self::PruneDelay => f.write_str("prune_delay has not elapsed"),
        }
    }
}

/// One step that waits, and one guard that holds it; a step may be held by several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub id: ResourceId,
    /// What would be done.
    pub verb: Verb,
    /// What holds it.
    pub guard: Guard,
}

/// A set of steps that a person can let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingApproval {
    /// SHA-256 in hexadecimal over the sorted (id, verb, content, guard). Another set, or
    /// another content, has another hash.
    pub hash: String,
    /// What waits, in the order of the plan.
    pub ids: Vec<ResourceId>,
    /// Names of the guards that hold it.
    pub guards: BTreeSet<&'static str>,
    /// Until when the approval is good; `None`: not approved.
    pub expires: Option<Timestamp>,
}

/// Resources of a set that are named in a log line; the rest is counted.
const NAMED_MAX: usize = 10;

impl PendingApproval {
    /// What waits, what holds it, and the way through, in one line.
    pub fn told(&self) -> String {
        let named: Vec<String> =
            self.ids.iter().take(NAMED_MAX).map(|id| format!("delete {id}")).collect();
        let more = match self.ids.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let guards: Vec<&str> = self.guards.iter().copied().collect();
        format!(
            "{}{more} ({}); to approve: `reconciler approve {}`",
            named.join(", "),
            guards.join(", "),
            self.hash
        )
    }
}

/// A plan after the guards.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Gated {
    /// What may run now, in the order of the plan.
    pub ready: Vec<Step>,
    /// What waits.
    pub held: Vec<Held>,
    /// What a person is asked for, or has approved while its pending period runs.
    pub approval: Option<PendingApproval>,
    /// The approval that let `approved` through. It is used up by that: the intents of all of
    /// `approved` are recorded in one transaction, and each names it.
    pub consumed: Option<String>,
    /// What `consumed` lets through: a part of `ready`, in its order.
    pub approved: Vec<ResourceId>,
}

/// Lets through what may run now.
///
/// An approved set goes as a whole: while one of it is in its pending period, all of it waits.
pub fn guard(plan: &Plan, facts: &GuardFacts<'_>) -> Gated {
    let mut holds = holds(plan, facts);
    let hash = hash(plan, facts.key, &holds);
    let approved = hash
        .as_ref()
        .and_then(|hash| facts.approvals.get(hash))
        .copied()
        .filter(|expires| approval_holds(*expires, facts.wall));
    let asked: Vec<ResourceId> = plan
        .steps
        .iter()
        .filter(|step| is_asked_for(&holds, &step.id))
        .map(|step| step.id.clone())
        .collect();
    let names = holds.values().flatten().filter(|guard| guard.is_approvable());
    let guards = names.map(|guard| guard.name()).collect();
    let immature =
        |id: &ResourceId| holds.get(id).is_some_and(|guards| guards.contains(&Guard::PruneDelay));
    let waits = asked.iter().any(immature);
    let mut consumed = None;
    if approved.is_some() {
        for id in &asked {
            let guards = holds.entry(id.clone()).or_default();
            guards.retain(|guard| !guard.is_approvable());
            if waits {
                guards.insert(Guard::PruneDelay);
            }
        }
        if !waits {
            consumed.clone_from(&hash);
        }
    }
    let (approval, approved) = match hash {
        Some(hash) if consumed.is_none() => {
            let approval = PendingApproval { hash, ids: asked, guards, expires: approved };
            (Some(approval), Vec::new())
        }
        Some(_) => (None, asked),
        None => (None, Vec::new()),
    };
    let is_free = |step: &&Step| holds.get(&step.id).is_none_or(BTreeSet::is_empty);
    let ready = plan.steps.iter().filter(is_free).cloned().collect();
    let held = plan.steps.iter().flat_map(|step| held_of(step, &holds)).collect();
    Gated { ready, held, approval, consumed, approved }
}

type Holds = BTreeMap<ResourceId, BTreeSet<Guard>>;

fn held_of(step: &Step, holds: &Holds) -> Vec<Held> {
    let guards = holds.get(&step.id).into_iter().flatten();
    guards
        .map(|guard| Held { id: step.id.clone(), verb: step.action.verb(), guard: *guard })
        .collect()
}

fn is_asked_for(holds: &Holds, id: &ResourceId) -> bool {
    holds.get(id).is_some_and(|guards| guards.iter().any(|guard| guard.is_approvable()))
}

/// Which guards hold which step.
fn holds(plan: &Plan, facts: &GuardFacts<'_>) -> Holds {
    let is_delete = |step: &&Step| matches!(step.action, Action::Delete { before: _ });
    let is_asked = |step: &&Step| is_delete(step) && !facts.begun.grants(step);
    let new: BTreeSet<&ResourceId> =
        plan.steps.iter().filter(is_asked).map(|step| &step.id).collect();
    let deletes = facts.begun.deletes.iter().chain(new.iter().copied()).collect::<BTreeSet<_>>();
    let share = Guard::DeleteShare {
        deletes: deletes.len(),
        before: deletes.len().saturating_sub(new.len()),
        allowed: allowed_deletes(facts.policy, facts.managed.saturating_add(facts.begun.gone)),
    };
    let mut holds = Holds::new();
    for step in plan.steps.iter().filter(is_delete) {
        let mut guards = BTreeSet::new();
        if new.contains(&step.id) {
            guards.extend(facts.source_empty.then_some(Guard::EmptySource));
            guards.extend(Some(share).filter(|guard| guard.is_exceeded()));
            let confirm = facts.policy.confirm.contains(&step.id.kind);
            guards.extend(confirm.then_some(Guard::Confirm));
        }
        if !facts.matured.contains(&step.id) {
            guards.insert(Guard::PruneDelay);
        }
        // What comes after a held step waits for the same.
        for first in &step.after {
            guards.extend(holds.get(first).into_iter().flatten());
        }
        holds.insert(step.id.clone(), guards);
    }
    holds
}

/// How many deletes go without asking.
fn allowed_deletes(policy: &Policy, managed: usize) -> usize {
    let percent = usize::try_from(policy.max_delete_percent).unwrap_or(usize::MAX);
    // `percent` of a whole that is so large counts as all of it.
    let share = managed.checked_mul(percent).map_or(managed, |product| product / 100);
    policy.max_delete_free.max(share)
}

/// The name of exactly this set of steps that wait for a person.
fn hash(plan: &Plan, key: &FingerprintKey, holds: &Holds) -> Option<String> {
    let mut parts: Vec<[Vec<u8>; 4]> = Vec::new();
    for step in &plan.steps {
        for guard in holds.get(&step.id).into_iter().flatten().filter(|g| g.is_approvable()) {
            parts.push([
                step.id.to_string().into_bytes(),
                step.action.verb().to_string().into_bytes(),
                digest::of_step(key, step).to_vec(),
                guard.name().as_bytes().to_vec(),
            ]);
        }
    }
    parts.sort();
    let digest = Digest::of_parts(parts.iter().flatten().map(Vec::as_slice));
    (!parts.is_empty()).then(|| digest.to_string())
}
