//! A single pass over whatever a longer life has left.

use std::time::Duration;

use super::Report;
use super::item::Phase;
use super::world::World;
use crate::engine::{Mode, Outcome, Status};
use crate::model::ResourceId;
use crate::plan::DeferReason;

/// How long a longer life goes before, at least and at most. Seconds.
const BEFORE: std::ops::Range<u64> = 5..120;
/// How long after `ready_timeout` a pass must have ended: what is on its way then, and all
/// attempts at it.
const BOUND: Duration = Duration::from_mins(10);

impl World {
    pub(super) fn run_once(mut self) -> Report {
        self.open();
        let before = Duration::from_secs(self.slices.u64(BEFORE));
        self.run_until(before, |_| false);
        self.note("phase", || "once".to_owned());
        self.phase = Phase::Once;
        self.disk_fails = false;
        // Some passes meet no fault, some a source that was repaired.
        if self.slices.bool() {
            self.faults = 0;
        }
        if self.slices.bool() {
            self.repair();
        }
        self.config.mode = Mode::Once;
        if self.alive {
            self.die();
        }
        let limit = self.at + self.config.ready_timeout + BOUND;
        self.run_until(limit, |world| world.ended.is_some());
        if self.oracle.violations.is_empty() {
            self.judge_end();
        }
        self.report()
    }

    /// The engine says that it is through.
    pub(super) fn stopped(&mut self) {
        if self.phase == Phase::Once && self.config.mode == Mode::Once {
            self.ended = Some(self.engine.outcome());
            self.alive = false;
        } else {
            self.die();
        }
    }

    /// Whether somebody is there to approve something during a single pass.
    pub(super) const fn is_attended(&self) -> bool {
        self.seed.is_multiple_of(3)
    }

    fn judge_end(&mut self) {
        let status = self.engine.status(self.now());
        let left = self.left(&status);
        let problem = match self.ended {
            None => {
                let text = format!("{left:?}; {status:?}");
                return self.oracle.violate("once_hangs", text);
            }
            Some(Outcome::Converged) => {
                self.count("once converged");
                !left.is_empty()
            }
            Some(Outcome::NeedsApproval) => {
                self.count("once needs approval");
                status.approval.is_none() || status.held.is_empty()
            }
            Some(Outcome::Incomplete) => {
                self.count("once incomplete");
                left.is_empty()
            }
            Some(Outcome::Running | Outcome::StorageFailed | Outcome::Stopped) => true,
        };
        if problem {
            let text = format!("{:?}; {left:?}; {status:?}", self.ended);
            self.oracle.violate("once_wrong_outcome", text);
        }
    }

    /// What is not as wanted, or is not known to be.
    fn left(&self, status: &Status) -> Vec<String> {
        let reading = self.source.read();
        let mut left: Vec<String> = Vec::new();
        left.extend(Some(self.untrue()).filter(|untrue| !untrue.is_empty()));
        left.extend((!reading.is_whole()).then(|| "the source".to_owned()));
        left.extend(status.source_problem.clone());
        // A kind of which nothing is declared or ours may stay unknown.
        let used = |kind: &str| {
            let prefix = format!("{kind}/");
            status.resources.keys().any(|id| id.starts_with(&prefix))
        };
        let kinds = status.kinds.iter().filter(|(kind, _)| used(kind));
        left.extend(kinds.filter_map(|(_, known)| known.missing.clone()));
        let deferred = self.engine.plan_now().map(|plan| plan.deferred).unwrap_or_default();
        left.extend(deferred.iter().filter(|it| needs_a_look(&it.why)).map(|it| it.id.to_string()));
        let is_meant = |id: &ResourceId| {
            let manifest = reading.manifests.get(id);
            manifest.is_some_and(|it| self.fate(id, it).meant == Some(true))
        };
        let refused = deferred.iter().filter(|it| is_refusal(&it.why) && is_meant(&it.id));
        left.extend(refused.map(|it| format!("{} is not applied", it.id)));
        left.extend(status.held.iter().map(|held| format!("held {}", held.id)));
        let unready = status.resources.iter().filter(|(_, it)| it.readiness.is_some());
        let wanted = reading.manifests.keys().map(ToString::to_string).collect::<Vec<_>>();
        left.extend(unready.map(|(id, _)| id.clone()).filter(|id| wanted.contains(id)));
        left
    }
}

/// Whether a manifest that is meant for us is not applied because of whose the resource is.
const fn is_refusal(why: &DeferReason) -> bool {
    matches!(
        why,
        DeferReason::OwnedBy(_)
            | DeferReason::ForeignOrigin(_)
            | DeferReason::Preset
            | DeferReason::NotAdopted
    )
}

const fn needs_a_look(why: &DeferReason) -> bool {
    match why {
        DeferReason::Frozen
        | DeferReason::SourceUnknown
        | DeferReason::LiveUnknown(_)
        | DeferReason::Settling
        | DeferReason::Immutable(_)
        | DeferReason::TooNew(_, _)
        | DeferReason::LabelUnknown(_)
        | DeferReason::MissingReference(_) => true,
        DeferReason::PausedUntil(_)
        | DeferReason::Expired(_)
        | DeferReason::KeepDirective
        | DeferReason::OwnedBy(_)
        | DeferReason::ForeignOrigin(_)
        | DeferReason::Preset
        | DeferReason::Unmarked
        | DeferReason::NotAdopted
        | DeferReason::NotMadeByUs
        | DeferReason::ReferencedBy(_) => false,
    }
}
