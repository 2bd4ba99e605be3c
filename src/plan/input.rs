//! All that a plan is made from.

use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use crate::journal::Entry;
use crate::labels::resolve::{Matches, Rules, Unmatched};
use crate::labels::value::Values;
use crate::live::LiveState;
use crate::manifest::Reading;
use crate::model::{FingerprintKey, ResourceId, Timestamp};

/// All that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What is wanted: without what selectors leave out, where `labels` says so.
    pub reading: &'a Reading,
    /// What selectors say; absent: everything that is declared is meant.
    pub labels: Option<LabelInput<'a>>,
    /// What there is.
    pub live: &'a LiveState,
    /// What is ours.
    pub inventory: &'a BTreeMap<ResourceId, Entry>,
    /// What is settling, in doubt or being written: left alone ([`super::DeferReason::Settling`]).
    pub busy: &'a BTreeSet<ResourceId>,
    /// What may be done.
    pub policy: &'a Policy,
    /// Key of the fingerprints of secrets.
    pub key: &'a FingerprintKey,
    /// The calendar; decides only about `reconciler/paused-until` and `metadata.expires`.
    pub wall: Timestamp,
}

/// What labels make of a plan.
#[derive(Debug, Clone, Copy)]
pub struct LabelInput<'a> {
    /// Everything that is declared, as it is written.
    pub declared: &'a Reading,
    /// What selectors say of it.
    pub fits: &'a Matches,
    /// The selectors.
    pub rules: &'a Rules,
    /// What the commands of dynamic labels last said.
    pub values: &'a Values,
}

impl<'a> Input<'a> {
    pub(super) fn fits(&self) -> Option<&'a Matches> {
        self.labels.map(|labels| labels.fits)
    }

    /// Whether it is declared and meant, or may be: by a document in doubt, or one of which nobody
    /// can say whether a selector matches.
    pub(super) fn is_declared(&self, id: &ResourceId) -> bool {
        self.reading.manifests.contains_key(id)
            || self.reading.frozen.contains_key(id)
            || self.fits().is_some_and(|fits| fits.undecided.contains_key(id))
    }

    /// The manifest of what no selector matches.
    pub(super) fn unmatched(&self, id: &ResourceId) -> Option<&'a Unmatched> {
        self.fits().and_then(|fits| fits.unmatched.get(id))
    }
}
