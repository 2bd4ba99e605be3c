//! Writes that do not last: the server keeps something else, or somebody writes against us.
//!
//! What a person changed once is changed back at once. From the second time on that the same
//! wish is not met any more soon after a write, each further write waits longer, up to
//! [`RETRY_MAX`]. Where reads never showed what was written and the same difference is left
//! [`FUTILE_MAX`] times, another write would say what was said already: it is held until the
//! manifest or the live resource changes, or [`REFUSED_BACKOFF`] is over. Known in memory
//! alone: another life of the program finds out anew.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Level;
use super::condition::{BackingOff, Condition, Refused, Want, backoff, refused_backoff};
use super::config::{FUTILE_MAX, LASTING, Planted, REFUSED_BACKOFF, RETRY_FIRST, RETRY_MAX};
use super::machine::Engine;
use crate::model::{Digest, Live, ResourceId, Value};
use crate::plan::{Action, FieldChange, Reason, Step};

/// What became of the last writes of one wish.
#[derive(Debug)]
pub(super) struct Repeat {
    /// The wish.
    wanted: Digest,
    /// Since when, monotonic, and what is known of the last write.
    turn: Turn,
    /// Whether reads showed what the last write wrote.
    fate: Fate,
    /// Writes in a row that did not last.
    times: u32,
    /// Of these, the last ones that left one and the same difference and were never seen.
    same: u32,
    /// What was left of the last one; nothing: it was gone.
    left: Vec<FieldChange>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It was written then, and is as wanted as far as anybody knows.
    Written(Duration),
    /// It is not as wanted any more, and is written again then.
    Waits(Duration),
}

/// What reads showed after a write that the server said was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Neither our content nor our revision.
    Unseen,
    /// Our revision with another content.
    Altered,
    /// Our content.
    Kept,
}

impl Repeat {
    const fn new(wanted: Digest, at: Duration) -> Self {
        let (turn, fate) = (Turn::Written(at), Fate::Unseen);
        Self { wanted, turn, fate, times: 0, same: 0, left: Vec::new() }
    }

    /// The last write did not last; this is left.
    fn count(&mut self, left: Vec<FieldChange>) {
        let again = self.fate != Fate::Kept && (self.same == 0 || self.left == left);
        self.times = self.times.saturating_add(1);
        self.same = match (self.fate, again) {
            (Fate::Kept, _) => 0,
            (Fate::Unseen | Fate::Altered, true) => self.same.saturating_add(1),
            (Fate::Unseen | Fate::Altered, false) => 1,
        };
        self.left = left;
    }

    /// Whether writing once more would say what was said already.
    fn is_futile(&self) -> bool {
        self.same >= FUTILE_MAX && !self.left.is_empty()
    }

    /// For people; `left` holds fingerprints for secrets.
    fn told(&self) -> String {
        let fields = fields(&self.left);
        match (self.left.is_empty(), self.fate) {
            (true, _) => format!("it was gone again soon after each of {} writes", self.times),
            (false, Fate::Altered) => format!("Teleport does not keep {fields}"),
            (false, Fate::Unseen) => format!(
                "what is written does not stay: {fields}; Teleport does not keep it, or somebody \
                 else writes it at once"
            ),
            (false, Fate::Kept) => format!(
                "somebody else writes it, too: after {} writes of ours it has changed again: \
                 {fields}",
                self.times
            ),
        }
    }
}

impl Engine {
    /// A write was done, by the server's word.
    pub(super) fn remember_write(&mut self, step: &Step) {
        let wanted = match (&step.action, step.reason) {
            (Action::Update { before: _, after, changes: _ }, _)
            | (Action::Create { after }, Reason::Vanished) => after.digest,
            (Action::Create { .. } | Action::Adopt { .. } | Action::Delete { .. }, _) => {
                self.repeats.remove(&step.id);
                return;
            }
        };
        let at = self.now.monotonic;
        match self.repeats.get_mut(&step.id).filter(|repeat| repeat.wanted == wanted) {
            Some(repeat) => (repeat.turn, repeat.fate) = (Turn::Written(at), Fate::Unseen),
            None => {
                self.repeats.insert(step.id.clone(), Repeat::new(wanted, at));
            }
        }
    }

    /// A read shows what the last write of a resource was to be seen by.
    pub(super) fn remember_seen(&mut self, want: &Want, live: &Live) {
        let Want::Content { digest, revision: _ } = want else { return };
        let is_kept = live.digest == *digest && self.is_marked(live);
        let Some(repeat) = self.repeats.get_mut(&live.id) else { return };
        if repeat.wanted == *digest {
            repeat.fate = if is_kept { Fate::Kept } else { Fate::Altered };
        }
    }

    /// Takes those of the steps away whose resource was written in vain, or against somebody,
    /// and shall wait; the rest.
    pub(super) fn damp(&mut self, steps: Vec<Step>) -> Vec<Step> {
        self.forget_repeats(&steps);
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for step in steps {
            if self.must_wait(&step) { later.push(step.id) } else { now.push(step) }
        }
        // What is there is as good as it gets: what refers to it need not wait.
        let is_there =
            |id: &ResourceId| self.repeats.get(id).is_some_and(|repeat| !repeat.left.is_empty());
        self.finished.extend(later.into_iter().filter(is_there));
        now
    }

    /// What lasted, and what needs no write any more.
    fn forget_repeats(&mut self, steps: &[Step]) {
        let now = self.now.monotonic;
        let planned: std::collections::BTreeSet<&ResourceId> =
            steps.iter().map(|step| &step.id).collect();
        let mut freed = Vec::new();
        self.repeats.retain(|id, repeat| match repeat.turn {
            Turn::Written(at) => now.saturating_sub(at) < LASTING,
            Turn::Waits(_) if planned.contains(id) => true,
            Turn::Waits(_) => {
                // It is as wanted, by somebody else's hand, or nobody wants it.
                freed.push(id.clone());
                repeat.turn = Turn::Written(now);
                true
            }
        });
        for id in freed {
            if self.is_backing_off(&id) {
                self.put_slot(&id, Condition::Idle, None);
                self.slots.remove(&id);
            }
        }
    }

    fn must_wait(&mut self, step: &Step) -> bool {
        let (wanted, left) = match &step.action {
            Action::Create { after } => (after.digest, Vec::new()),
            Action::Update { before: _, after, changes } => (after.digest, changes.clone()),
            Action::Adopt { .. } | Action::Delete { .. } => return false,
        };
        let now = self.now.monotonic;
        let undamped = self.planted(Planted::NoDamping);
        let Some(repeat) = self.repeats.get_mut(&step.id) else { return false };
        if repeat.wanted != wanted || undamped {
            self.repeats.remove(&step.id);
            return false;
        }
        match repeat.turn {
            Turn::Waits(until) if repeat.left == left => {
                if now < until && !self.is_backing_off(&step.id) {
                    self.wait_until(&step.id, until, wanted);
                }
                return now < until;
            }
            // Something else is left now, so somebody else was there.
            Turn::Waits(_) => {
                repeat.fate = Fate::Kept;
                repeat.count(left);
            }
            Turn::Written(_) => repeat.count(left),
        }
        let (times, futile) = (repeat.times, repeat.is_futile());
        if times < 2 {
            repeat.turn = Turn::Waits(now);
            return false;
        }
        let jitter = self.rng.f64();
        let delay = if futile {
            refused_backoff(jitter)
        } else {
            backoff(RETRY_FIRST, RETRY_MAX, times - 1, jitter)
        };
        self.wait_until(&step.id, now + delay, wanted);
        true
    }

    /// Waits before the next write, and says why.
    fn wait_until(&mut self, id: &ResourceId, until: Duration, wanted: Digest) {
        let Some(repeat) = self.repeats.get_mut(id) else { return };
        repeat.turn = Turn::Waits(until);
        let (times, futile, told) = (repeat.times, repeat.is_futile(), repeat.told());
        let when = if futile {
            let minutes = REFUSED_BACKOFF.as_secs() / 60;
            format!("it is written again when its manifest or it changes, or in {minutes} minutes")
        } else {
            "it is written again, later each time".to_owned()
        };
        let text = format!("{told}; {when}");
        self.say_once(Level::Warn, id, format!("{id}: {text}"));
        let refused = futile.then_some(Refused(Some(wanted)));
        self.put_slot(id, Condition::BackingOff(BackingOff { until, refused }), Some(until));
        if let Some(slot) = self.slots.get_mut(id) {
            slot.failures = times;
            slot.error = Some(text);
        }
    }

    pub(super) fn is_backing_off(&self, id: &ResourceId) -> bool {
        let condition = self.slots.get(id).map(|slot| &slot.condition);
        matches!(condition, Some(Condition::BackingOff(_)))
    }
}

/// Fields that are named one by one; of more, the rest is a number.
const SHOWN: usize = 3;
/// Longest value that is shown, in characters.
const VALUE_MAX: usize = 60;

/// `spec.x` (wrote 1, reads 2), ….
fn fields(changes: &[FieldChange]) -> String {
    let one = |change: &FieldChange| {
        let (wrote, reads) = (value(change.after.as_ref()), value(change.before.as_ref()));
        format!("`{}` (wrote {wrote}, reads {reads})", change.path)
    };
    let mut all: Vec<String> = changes.iter().take(SHOWN).map(one).collect();
    let more = changes.len().saturating_sub(SHOWN);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

fn value(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_json();
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    text.chars().take(VALUE_MAX).chain(['…']).collect()
}

/// By resource.
pub(super) type Repeats = BTreeMap<ResourceId, Repeat>;
