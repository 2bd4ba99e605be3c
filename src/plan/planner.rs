//! Desired + live + inventory → [`Plan`]. Total and deterministic; reads no clock.
//!
//! One resource at a time is judged here; what depends on other resources (references, order)
//! stands in `order`. A resource in sync costs one comparison of digests and no parsing.

use std::sync::Arc;

use super::input::Input;
use super::order::{self, Candidate, Prune};
use super::unmatched;
use super::{Action, DeferReason, Deferred, FieldChange, Plan, Policy, Reason, Step, diff, digest};
use crate::journal::Entry;
use crate::kind::{self, FOREIGN_ORIGINS, Kind, Writes, canonical, newer};
use crate::labels::explain;
use crate::live::Seen;
use crate::manifest::{Adopt, Manifest};
use crate::model::{Digest, FieldPath, Live, Place, ResourceId, Timestamp, Value};

/// Makes the plan that brings the live side to what is wanted, as far as that may be done now.
///
/// Planning again after every step was done and seen gives a plan without steps.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut draft = Draft::default();
    for (id, at) in &input.reading.frozen {
        draft.defer(id, DeferReason::Frozen, Some(at));
    }
    for (id, manifest) in &input.reading.manifests {
        if !input.reading.frozen.contains_key(id) {
            judge_wanted(input, id, manifest, &mut draft);
        }
    }
    for (id, unmatched) in input.fits().iter().flat_map(|fits| &fits.unmatched) {
        draft.candidates.extend(unmatched::candidate(input, id, unmatched));
    }
    for (id, undecided) in input.fits().iter().flat_map(|fits| &fits.undecided) {
        draft.defer(
            id,
            DeferReason::LabelUnknown(undecided.labels.clone()),
            Some(&undecided.manifest.at),
        );
    }
    for (id, entry) in input.inventory {
        if !input.is_declared(id) {
            judge_unwanted(input, id, entry, &mut draft);
        }
    }
    // What was begun and is neither declared nor ours yet: nobody knows what became of it.
    for id in input.busy {
        let is_ours = input.inventory.contains_key(id);
        if !is_ours && !input.is_declared(id) && input.unmatched(id).is_none() {
            draft.defer(id, DeferReason::Settling, None);
        }
    }
    let Draft { candidates, prunes, mut deferred, forget, unchanged } = draft;
    let steps = order::arrange(input, candidates, prunes, &mut deferred);
    deferred.sort_by(|a, b| a.id.cmp(&b.id));
    let stays =
        |it: &&Deferred| it.why.is_refused() && input.reading.manifests.contains_key(&it.id);
    let not_applied = deferred.iter().filter(stays).map(|it| it.id.clone()).collect();
    let coverage = input
        .live
        .kinds
        .iter()
        .map(|(key, observed)| (key.clone(), observed.coverage().clone()))
        .collect();
    let mut plan = Plan {
        steps,
        deferred,
        not_applied,
        forget,
        unmatched: unmatched::unmatched(input),
        coverage,
        source_whole: input.reading.is_whole(),
        unchanged,
        digest: Digest::of(b""),
    };
    plan.digest = digest::plan(&plan, input.policy, input.key);
    plan
}

/// What is known before resources are compared with each other.
#[derive(Default)]
struct Draft<'a> {
    candidates: Vec<Candidate<'a>>,
    prunes: Vec<Prune>,
    deferred: Vec<Deferred>,
    forget: Vec<ResourceId>,
    unchanged: usize,
}

impl Draft<'_> {
    fn defer(&mut self, id: &ResourceId, why: DeferReason, at: Option<&Place>) {
        self.deferred.push(Deferred { id: id.clone(), why, at: at.cloned() });
    }
}

/// What shall become of one declared resource, seen alone.
enum Verdict {
    InSync,
    Do(Action, Reason),
    Wait(DeferReason),
}

fn judge_wanted<'a>(
    input: &Input<'a>,
    id: &'a ResourceId,
    manifest: &'a Manifest,
    draft: &mut Draft<'a>,
) {
    let verdict = match kind::row(id.kind) {
        _ if input.busy.contains(id) => Verdict::Wait(DeferReason::Settling),
        Some(kind) => judge_contact(input, kind, id, manifest),
        None => {
            Verdict::Wait(DeferReason::LiveUnknown(format!("`{}` is no kind of ours", id.kind)))
        }
    };
    let paused = manifest.directives.paused_until.filter(|until| *until > input.wall);
    match (verdict, paused) {
        (Verdict::InSync, _) => draft.unchanged += 1,
        (Verdict::Do(_, _), Some(until)) => {
            draft.defer(id, DeferReason::PausedUntil(until), Some(&manifest.at));
        }
        (Verdict::Do(_, _), None) if let Some(at) = expired(input, manifest) => {
            draft.defer(id, DeferReason::Expired(at), Some(&manifest.at));
        }
        (Verdict::Do(_, _), None) if let Some(why) = too_new(input, id, manifest) => {
            draft.defer(id, why, Some(&manifest.at));
        }
        (Verdict::Do(action, reason), None) => {
            let matched = input.fits().and_then(|fits| fits.matched.get(id)).cloned();
            let taken = taken_from(input, id, &action).map(|owner| {
                format!("takes it from agent `{owner}`, as `reconciler/adopt: always` says")
            });
            let found = label_change(input, id, &action);
            let notes: Vec<String> = [taken, found, matched].into_iter().flatten().collect();
            let note = (!notes.is_empty()).then(|| notes.join("; "));
            draft.candidates.push(Candidate { id, manifest, action, reason, note });
        }
        (Verdict::Wait(why), _) => draft.defer(id, why, Some(&manifest.at)),
    }
}

/// When a manifest expired, if it has. What is written after that is gone at once.
fn expired(input: &Input<'_>, manifest: &Manifest) -> Option<Timestamp> {
    let canonical = &manifest.resource.canonical;
    // Few have one, and reading all to learn that is a tenth of a large preview.
    let wanted = canonical.contains("\"expires\"").then(|| parsed(canonical))?;
    let at = wanted.get("metadata")?.get("expires")?.as_str().and_then(Timestamp::parse)?;
    (at <= input.wall).then_some(at)
}

/// What the commands of labels say anew: nobody edited that.
fn label_change(input: &Input<'_>, id: &ResourceId, action: &Action) -> Option<String> {
    let Action::Update { before: _, after, changes: _ } = action else { return None };
    let declared = input.labels?.declared.manifests.get(id)?;
    explain::found_anew(&declared.resource, &input.inventory.get(id)?.applied, after)
}

/// Whose mark a step overwrites.
fn taken_from<'a>(input: &Input<'_>, id: &ResourceId, action: &'a Action) -> Option<&'a str> {
    match action {
        Action::Update { before, after: _, changes: _ }
        | Action::Adopt { live: before, after: _ } => {
            other_owner(kind::row(id.kind)?, before, input.policy)
        }
        Action::Create { after: _ } | Action::Delete { before: _ } => None,
    }
}

/// Why a server that is too old for a manifest gets no write: half of what is declared may be
/// worse than nothing.
fn too_new(input: &Input<'_>, id: &ResourceId, manifest: &Manifest) -> Option<DeferReason> {
    let (server, kind) = (input.live.server?, kind::row(id.kind)?);
    let fields = newer::lacking(kind, &manifest.resource.canonical, server);
    (!fields.is_empty()).then_some(DeferReason::TooNew(fields, server))
}

fn judge_contact(input: &Input<'_>, kind: &Kind, id: &ResourceId, manifest: &Manifest) -> Verdict {
    let entry = input.inventory.get(id);
    if is_preset(kind, id) {
        return Verdict::Wait(DeferReason::Preset);
    }
    match input.live.look(id) {
        Seen::Unknown(reason) => Verdict::Wait(DeferReason::LiveUnknown(reason.to_owned())),
        Seen::Absent if kind.rpc.create.is_none() => Verdict::Wait(DeferReason::NotMadeByUs),
        Seen::Absent => {
            let reason = if entry.is_some() { Reason::Vanished } else { Reason::Missing };
            Verdict::Do(Action::Create { after: Arc::clone(&manifest.resource) }, reason)
        }
        Seen::Present(live) => {
            let contact = Contact { input, kind, manifest, live, entry };
            contact.refusal().map_or_else(|| contact.compare(), Verdict::Wait)
        }
    }
}

/// A declared resource that is there.
struct Contact<'a> {
    input: &'a Input<'a>,
    kind: &'a Kind,
    manifest: &'a Manifest,
    live: &'a Arc<Live>,
    entry: Option<&'a Entry>,
}

impl Contact<'_> {
    /// Whose it is decides before what it says.
    fn refusal(&self) -> Option<DeferReason> {
        let adopt = self.manifest.directives.adopt;
        if let Some(owner) = other_owner(self.kind, self.live, self.input.policy)
            && adopt != Adopt::Always
        {
            return Some(DeferReason::OwnedBy(owner.to_owned()));
        }
        if let Some(origin) = foreign_origin(self.live) {
            return Some(DeferReason::ForeignOrigin(origin.to_owned()));
        }
        let known = self.entry.is_some() || self.is_marked_ours();
        (!known && adopt == Adopt::Never).then_some(DeferReason::NotAdopted)
    }

    fn is_marked_ours(&self) -> bool {
        self.kind.keeps_labels && self.live.owner.as_ref() == Some(&self.input.policy.agent)
    }

    /// Whether an update could and should set our mark. What cannot be changed is ours by the
    /// journal alone.
    fn lacks_mark(&self) -> bool {
        self.kind.keeps_labels && !is_fixed(self.kind) && !self.is_marked_ours()
    }

    fn compare(&self) -> Verdict {
        let after = Arc::clone(&self.manifest.resource);
        if self.live.digest != after.digest || self.lacks_mark() {
            return self.update();
        }
        let reason = match self.entry {
            Some(entry) if entry.keep == self.manifest.directives.keep => return Verdict::InSync,
            Some(_) => Reason::Edited,
            None if self.is_marked_ours() => Reason::Reclaimed,
            None => Reason::Adopted,
        };
        Verdict::Do(Action::Adopt { live: Arc::clone(self.live), after }, reason)
    }

    fn update(&self) -> Verdict {
        let after = Arc::clone(&self.manifest.resource);
        let (before_value, after_value) = (parsed(&self.live.canonical), parsed(&after.canonical));
        let mut changes = diff::changes(self.kind, &before_value, &after_value, self.input.key);
        let fixed = fixed_paths(self.kind, &changes);
        if !fixed.is_empty() {
            return Verdict::Wait(DeferReason::Immutable(fixed));
        }
        if self.lacks_mark() {
            changes.push(diff::mark_change(self.live.owner.as_deref(), &self.input.policy.agent));
        }
        let reason = self.update_reason(&before_value, &after_value);
        Verdict::Do(Action::Update { before: Arc::clone(self.live), after, changes }, reason)
    }

    fn update_reason(&self, before: &Value, after: &Value) -> Reason {
        let Some(entry) = self.entry else {
            return if self.is_marked_ours() { Reason::Reclaimed } else { Reason::Adopted };
        };
        let id = &self.manifest.resource.id;
        let masked =
            |value: &Value| canonical::mask_of(id, self.kind, value.clone(), self.input.key);
        let applied = |value| *masked(value).to_json() == *entry.applied;
        let edited = !applied(after);
        let drifted = !applied(before) || self.lacks_mark();
        match (edited, drifted) {
            (true, true) => Reason::EditedAndDrifted,
            (true, false) => Reason::Edited,
            (false, _) => Reason::Drifted,
        }
    }
}

/// Whether the kind has no update at all.
fn is_fixed(kind: &Kind) -> bool {
    kind.writes == Writes::Immutable || kind.rpc.update.is_none()
}

/// Of these changes, those that the server would refuse.
fn fixed_paths(kind: &Kind, changes: &[FieldChange]) -> Vec<FieldPath> {
    let is_fixed = |path: &FieldPath| {
        let shown = path.to_string();
        is_fixed(kind)
            // What comes or goes as a whole takes with it what is inside.
            || kind.immutable.iter().any(|fixed| within(&shown, fixed) || within(fixed, &shown))
    };
    changes.iter().map(|change| &change.path).filter(|path| is_fixed(path)).cloned().collect()
}

/// Whether one written path is another, or leads into it.
fn within(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn judge_unwanted(input: &Input<'_>, id: &ResourceId, entry: &Entry, draft: &mut Draft<'_>) {
    let unmatched = input.unmatched(id);
    let at = unmatched.map(|it| &it.manifest.at);
    if input.busy.contains(id) {
        return draft.defer(id, DeferReason::Settling, at);
    }
    match input.live.look(id) {
        Seen::Unknown(reason) => draft.defer(id, DeferReason::LiveUnknown(reason.to_owned()), at),
        // While some document is in doubt it may declare this one: what we know of it stays.
        Seen::Absent if !input.reading.is_whole() => {}
        Seen::Absent => draft.forget.push(id.clone()),
        Seen::Present(_) if input.reading.is_whole() && !is_deleted_by_us(id) => {
            draft.forget.push(id.clone());
        }
        Seen::Present(live) => {
            // What may not be listed is not deleted: it would hold up the set it is approved with.
            if let Some(reason) = input.live.barred(id) {
                return draft.defer(id, DeferReason::LiveUnknown(reason.to_owned()), at);
            }
            if let Some(why) = kept_because(input, id, entry, live) {
                return draft.defer(id, why, at);
            }
            let labels = unmatched.zip(input.labels);
            let note = labels.map(|(unmatched, labels)| unmatched.because(live, labels.rules));
            let reason = if unmatched.is_some() { Reason::Unmatched } else { Reason::Pruned };
            let (id, live, at) = (id.clone(), Arc::clone(live), at.cloned());
            draft.prunes.push(Prune { id, live, reason, note, at });
        }
    }
}

/// Whether the kind is one that we ever delete.
fn is_deleted_by_us(id: &ResourceId) -> bool {
    kind::row(id.kind).is_none_or(|kind| kind.rpc.delete.is_some())
}

/// Why something of ours that is no longer declared stays.
fn kept_because(
    input: &Input<'_>,
    id: &ResourceId,
    entry: &Entry,
    live: &Live,
) -> Option<DeferReason> {
    let Some(kind) = kind::row(id.kind) else {
        return Some(DeferReason::LiveUnknown(format!("`{}` is no kind of ours", id.kind)));
    };
    // What is declared but not meant is kept or paused as its manifest says now.
    let directives = input.unmatched(id).map(|unmatched| &unmatched.manifest.directives);
    let paused = directives.and_then(|it| it.paused_until).filter(|until| *until > input.wall);
    if !input.reading.is_whole() {
        Some(DeferReason::SourceUnknown)
    } else if let Some(until) = paused {
        Some(DeferReason::PausedUntil(until))
    } else if directives.map_or(entry.keep, |it| it.keep) {
        Some(DeferReason::KeepDirective)
    } else if is_preset(kind, id) {
        Some(DeferReason::Preset)
    } else if let Some(owner) = other_owner(kind, live, input.policy) {
        Some(DeferReason::OwnedBy(owner.to_owned()))
    } else if let Some(origin) = foreign_origin(live) {
        Some(DeferReason::ForeignOrigin(origin.to_owned()))
    } else if kind.keeps_labels && live.owner.is_none() {
        Some(DeferReason::Unmarked)
    } else {
        None
    }
}

pub(super) fn is_preset(kind: &Kind, id: &ResourceId) -> bool {
    kind.presets.iter().any(|preset| **preset == *id.name)
}

fn other_owner<'a>(kind: &Kind, live: &'a Live, policy: &Policy) -> Option<&'a str> {
    live.owner.as_deref().filter(|owner| kind.keeps_labels && *owner != policy.agent)
}

pub(super) fn foreign_origin(live: &Live) -> Option<&str> {
    live.origin.as_deref().filter(|origin| FOREIGN_ORIGINS.contains(origin))
}

/// Canonical JSON is our own; what is not JSON all the same has no fields.
pub(super) fn parsed(canonical: &str) -> Value {
    Value::from_json(canonical).unwrap_or(Value::Null)
}

impl Candidate<'_> {
    /// The finished step.
    pub(super) fn into_step(self, after: Vec<ResourceId>) -> Step {
        let Self { id, manifest, action, reason, note } = self;
        Step { id: id.clone(), action, reason, note, at: Some(manifest.at.clone()), after }
    }
}
