//! What depends on other resources: references, and the order of steps.
//!
//! Creates and updates run by phase; inside a phase what is referred to comes first. Deletes
//! come last, backwards, each after what still refers to its target lets go of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::input::Input;
use super::planner::parsed;
use super::{Action, DeferReason, Deferred, Reason, Step};
use crate::kind::{self, Phase};
use crate::live::Seen;
use crate::manifest::Manifest;
use crate::model::{Live, Place, ResourceId};

/// A step for something declared, not yet compared with other resources.
pub(super) struct Candidate<'a> {
    pub(super) id: &'a ResourceId,
    pub(super) manifest: &'a Manifest,
    pub(super) action: Action,
    pub(super) reason: Reason,
    pub(super) note: Option<String>,
}

/// A delete, not yet compared with other resources.
pub(super) struct Prune {
    pub(super) id: ResourceId,
    pub(super) live: Arc<Live>,
    pub(super) reason: Reason,
    pub(super) note: Option<String>,
    pub(super) at: Option<Place>,
}

/// Puts steps in order, and defers what refers to nothing or is still referred to.
pub(super) fn arrange(
    input: &Input<'_>,
    candidates: Vec<Candidate<'_>>,
    prunes: Vec<Prune>,
    deferred: &mut Vec<Deferred>,
) -> Vec<Step> {
    let mut steps = arrange_writes(input, candidates, deferred);
    if !prunes.is_empty() {
        let deletes = arrange_deletes(input, &steps, prunes, deferred);
        steps.extend(deletes);
    }
    steps
}

fn phase(id: &ResourceId) -> Option<Phase> {
    kind::row(id.kind).map(|kind| kind.phase)
}

fn references(id: &ResourceId, canonical: &str) -> Vec<ResourceId> {
    let Some(read) = kind::row(id.kind).and_then(|kind| kind.references) else { return Vec::new() };
    let mut references = read(&parsed(canonical));
    // References are named inside one cluster.
    for reference in &mut references {
        reference.cluster.clone_from(&id.cluster);
    }
    references.sort();
    references.dedup();
    references.retain(|reference| reference != id);
    references
}

/// Whether a reference is met.
enum Met {
    Yes,
    After(ResourceId),
    No(DeferReason),
}

fn arrange_writes(
    input: &Input<'_>,
    candidates: Vec<Candidate<'_>>,
    deferred: &mut Vec<Deferred>,
) -> Vec<Step> {
    let mut by_phase: BTreeMap<Option<Phase>, Vec<(Candidate<'_>, Vec<ResourceId>)>> =
        BTreeMap::new();
    for candidate in candidates {
        // What is only taken into the journal exists already, and refers to what it refers to.
        let references = match &candidate.action {
            Action::Create { after } | Action::Update { before: _, after, changes: _ } => {
                references(candidate.id, &after.canonical)
            }
            Action::Adopt { live: _, after: _ } | Action::Delete { before: _ } => Vec::new(),
        };
        by_phase.entry(phase(candidate.id)).or_default().push((candidate, references));
    }
    let mut steps = Vec::new();
    let mut created = BTreeSet::new();
    for (_, mut waiting) in by_phase {
        // One pass places what depends on earlier phases; a further pass is needed only for
        // references inside the phase. A pass without progress ends it: the rest refers to
        // nothing, or in a circle.
        loop {
            let before = waiting.len();
            let mut left = Vec::new();
            for (candidate, references) in waiting {
                match meet(input, &created, &references) {
                    Ok(after) => {
                        if candidate.action.verb() == crate::model::Verb::Create {
                            created.insert(candidate.id.clone());
                        }
                        steps.push(candidate.into_step(after));
                    }
                    Err(_) => left.push((candidate, references)),
                }
            }
            waiting = left;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        for (candidate, references) in waiting {
            if let Err(why) = meet(input, &created, &references) {
                let at = Some(candidate.manifest.at.clone());
                deferred.push(Deferred { id: candidate.id.clone(), why, at });
            }
        }
    }
    steps
}

/// What a step must wait for in this plan, or why it cannot be in it.
fn meet(
    input: &Input<'_>,
    created: &BTreeSet<ResourceId>,
    references: &[ResourceId],
) -> Result<Vec<ResourceId>, DeferReason> {
    let mut after = Vec::new();
    for reference in references {
        match met(input, created, reference) {
            Met::Yes => {}
            Met::After(id) => after.push(id),
            Met::No(why) => return Err(why),
        }
    }
    Ok(after)
}

fn met(input: &Input<'_>, created: &BTreeSet<ResourceId>, reference: &ResourceId) -> Met {
    if created.contains(reference) {
        return Met::After(reference.clone());
    }
    match input.live.look(reference) {
        Seen::Present(_) => Met::Yes,
        Seen::Unknown(reason) => Met::No(DeferReason::LiveUnknown(reason.to_owned())),
        Seen::Absent if input.busy.contains(reference) => Met::No(DeferReason::Settling),
        Seen::Absent => Met::No(DeferReason::MissingReference(reference.clone())),
    }
}

fn arrange_deletes(
    input: &Input<'_>,
    writes: &[Step],
    mut prunes: Vec<Prune>,
    deferred: &mut Vec<Deferred>,
) -> Vec<Step> {
    let mut held = held_by_what_stays(input, &prunes, deferred);
    // What is kept keeps what it refers to.
    loop {
        let (stay, go): (Vec<_>, Vec<_>) =
            prunes.into_iter().partition(|prune| held.contains_key(&prune.id));
        prunes = go;
        if stay.is_empty() {
            break;
        }
        for Prune { id, live, reason: _, note: _, at } in stay {
            for reference in references(&id, &live.canonical) {
                held.entry(reference).or_insert_with(|| id.clone());
            }
            if let Some(referrer) = held.get(&id) {
                let why = DeferReason::ReferencedBy(referrer.clone());
                deferred.push(Deferred { id, why, at });
            }
        }
    }
    order_deletes(writes, prunes)
}

/// What may not be deleted, with one that refers to it: everything declared counts as it shall
/// be, and what is deferred counts as it is, too.
fn held_by_what_stays(
    input: &Input<'_>,
    prunes: &[Prune],
    deferred: &[Deferred],
) -> BTreeMap<ResourceId, ResourceId> {
    let going: BTreeSet<&ResourceId> = prunes.iter().map(|prune| &prune.id).collect();
    let mut held = BTreeMap::new();
    let mut note = |referrer: &ResourceId, canonical: &str| {
        for reference in references(referrer, canonical) {
            if going.contains(&reference) {
                held.entry(reference).or_insert_with(|| referrer.clone());
            }
        }
    };
    for (id, manifest) in &input.reading.manifests {
        note(id, &manifest.resource.canonical);
    }
    for Deferred { id, why: _, at: _ } in deferred {
        if let Seen::Present(live) = input.live.look(id) {
            note(id, &live.canonical);
        }
    }
    held
}

fn order_deletes(writes: &[Step], prunes: Vec<Prune>) -> Vec<Step> {
    let going: BTreeSet<ResourceId> = prunes.iter().map(|prune| prune.id.clone()).collect();
    // Target of a delete → steps that take away a reference to it.
    let mut after: BTreeMap<ResourceId, BTreeSet<ResourceId>> = BTreeMap::new();
    let mut note = |id: &ResourceId, live: &Live| {
        for reference in references(id, &live.canonical) {
            if going.contains(&reference) {
                after.entry(reference).or_default().insert(id.clone());
            }
        }
    };
    for step in writes {
        if let Action::Update { before, after: _, changes: _ } = &step.action {
            note(&step.id, before);
        }
    }
    for prune in &prunes {
        note(&prune.id, &prune.live);
    }
    let mut by_phase: BTreeMap<Reverse<Option<Phase>>, Vec<Prune>> = BTreeMap::new();
    for prune in prunes {
        by_phase.entry(Reverse(phase(&prune.id))).or_default().push(prune);
    }
    let mut open = going;
    let mut steps = Vec::new();
    for (_, mut waiting) in by_phase {
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut left = Vec::new();
            for prune in waiting {
                let first = after.get(&prune.id);
                if first.is_some_and(|first| first.iter().any(|id| open.contains(id))) {
                    left.push(prune);
                } else {
                    open.remove(&prune.id);
                    steps.push(delete(prune, first.cloned().unwrap_or_default()));
                }
            }
            // A circle of references has no first one: it is broken at its first member.
            if left.len() == before {
                let prune = left.remove(0);
                open.remove(&prune.id);
                let mut first = after.remove(&prune.id).unwrap_or_default();
                first.retain(|id| !open.contains(id));
                steps.push(delete(prune, first));
            }
            waiting = left;
        }
    }
    steps
}

fn delete(prune: Prune, after: BTreeSet<ResourceId>) -> Step {
    let Prune { id, live, reason, note, at } = prune;
    let action = Action::Delete { before: live };
    Step { id, action, reason, note, at, after: after.into_iter().collect() }
}
