//! What no selector matches, without being in the journal: nobody's, or ours from before the
//! journal was lost.

use std::sync::Arc;

use super::input::Input;
use super::order::Candidate;
use super::planner::{foreign_origin, is_preset};
use super::{Action, Reason, Unmatched};
use crate::kind;
use crate::labels::resolve;
use crate::live::Seen;
use crate::model::{Live, Resource, ResourceId};

/// What bears our mark and is declared, though no selector matches it, is ours again before
/// anything else: the next plan unregisters it like anything of ours, pending period and guards
/// included.
pub(super) fn candidate<'a>(
    input: &Input<'a>,
    id: &'a ResourceId,
    unmatched: &'a resolve::Unmatched,
) -> Option<Candidate<'a>> {
    let live = reclaimed(input, id, unmatched)?;
    // As it is: what the manifest says of it is not wanted.
    let (canonical, digest) = (Arc::clone(&live.canonical), live.digest);
    let after = Arc::new(Resource { id: id.clone(), canonical, digest });
    let action = Action::Adopt { live: Arc::clone(live), after };
    let note = input.labels.map(|labels| unmatched.because(live, labels.rules));
    let manifest = &unmatched.manifest;
    Some(Candidate { id, manifest, action, reason: Reason::Reclaimed, note })
}

/// What matches nothing and is not ours.
pub(super) fn unmatched(input: &Input<'_>) -> Vec<Unmatched> {
    let all = input.fits().into_iter().flat_map(|fits| &fits.unmatched);
    let others = all.filter(|(id, unmatched)| {
        !input.inventory.contains_key(*id) && reclaimed(input, id, unmatched).is_none()
    });
    others
        .map(|(id, it)| Unmatched {
            id: id.clone(),
            labels: it.shown(),
            at: it.manifest.at.clone(),
        })
        .collect()
}

fn reclaimed<'a>(
    input: &Input<'a>,
    id: &ResourceId,
    unmatched: &resolve::Unmatched,
) -> Option<&'a Arc<Live>> {
    let kind = kind::row(id.kind)?;
    let Seen::Present(live) = input.live.look(id) else { return None };
    let is_marked = kind.keeps_labels && live.owner.as_ref() == Some(&input.policy.agent);
    let paused = unmatched.manifest.directives.paused_until;
    let may = is_marked
        && !input.inventory.contains_key(id)
        && !input.busy.contains(id)
        && !is_preset(kind, id)
        && foreign_origin(live).is_none()
        && paused.is_none_or(|until| until <= input.wall);
    may.then_some(live)
}
