//! What the cluster reports, and how much of it we know.
//!
//! Deliberately absent: decisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Cluster, KindName, Live, Release, ResourceId, Revision, SecretNames};

/// Whether the whole set was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// All pages of one list, and every change since.
    Complete,
    /// Something is missing; why.
    Partial(String),
}

/// What can be done about a kind that is not wholly known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFailure {
    /// Trying again may help.
    Transient,
    /// The identity may not list it: only a person helps.
    NotAllowed,
    /// The server does not have it: only another server helps.
    NoSuchKind,
    /// There is no way to the server, and none without a person.
    Barred,
}

/// The live resources of one kind, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    items: BTreeMap<ResourceId, Arc<Live>>,
    coverage: Coverage,
    /// Means something only where the coverage is partial.
    lack: ListFailure,
}

impl Observed {
    /// What a list gave.
    pub fn new(items: impl IntoIterator<Item = Live>, coverage: Coverage) -> Self {
        let items = items.into_iter().map(|live| (live.id.clone(), Arc::new(live))).collect();
        Self { items, coverage, lack: ListFailure::Transient }
    }

    /// Nothing is known.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::new([], Coverage::Partial(reason.into()))
    }

    /// What is known of one resource.
    pub fn look(&self, id: &ResourceId) -> Seen<'_> {
        match (self.items.get(id), &self.coverage) {
            (Some(live), _) => Seen::Present(live),
            (None, Coverage::Complete) => Seen::Absent,
            (None, Coverage::Partial(reason)) => Seen::Unknown(reason),
        }
    }

    /// What was seen, in order. Says nothing about what was not.
    pub fn seen(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.items.values()
    }

    /// Puts the veil over every id of which it knows that the name is a secret; whether there
    /// was one.
    pub fn put_under(&mut self, veil: &SecretNames) -> bool {
        let meant = self.items.keys().filter_map(|id| Some((id.clone(), veil.over(id)?)));
        let meant: Vec<_> = meant.collect();
        for (plain, veiled) in &meant {
            if let Some(live) = self.items.remove(plain) {
                let live = Live { id: veiled.clone(), ..Live::clone(&live) };
                self.items.insert(veiled.clone(), Arc::new(live));
            }
        }
        !meant.is_empty()
    }

    /// Whether the whole set was seen.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// A watch said that this is how it is now.
    pub fn put(&mut self, live: Live) {
        self.items.insert(live.id.clone(), Arc::new(live));
    }

    /// A watch, or a read that proves it, said that it is gone.
    pub fn remove(&mut self, id: &ResourceId) {
        self.items.remove(id);
    }

    /// From now on something may be missing.
    pub fn degrade(&mut self, reason: impl Into<String>, lack: ListFailure) {
        self.coverage = Coverage::Partial(reason.into());
        self.lack = lack;
    }

    /// What was known before, with what this cut list saw over it.
    #[must_use]
    pub fn over(&self, before: Option<&Self>, reason: &str, lack: ListFailure) -> Self {
        let mut all = before.cloned().unwrap_or_else(|| Self::unknown(reason));
        all.items.extend(self.items.iter().map(|(id, live)| (id.clone(), Arc::clone(live))));
        all.degrade(reason, lack);
        all
    }

    /// What can be done about it; `None`: it is wholly known.
    pub fn lack(&self) -> Option<ListFailure> {
        match self.coverage {
            Coverage::Complete => None,
            Coverage::Partial(_) => Some(self.lack),
        }
    }
}

/// The answer to "is it there?". Unknown is not absent.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// It is, like this.
    Present(&'a Arc<Live>),
    /// The whole set was seen and it was not in it.
    Absent,
    /// Nobody can say; why.
    Unknown(&'a str),
}

impl<'a> Seen<'a> {
    /// The resource, if it is known to be there.
    pub const fn present(self) -> Option<&'a Arc<Live>> {
        match self {
            Self::Present(live) => Some(live),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

/// Everything that is known of the live side.
#[derive(Debug, Clone, Default)]
pub struct LiveState {
    /// By cluster and kind; what has no entry was never listed.
    pub kinds: BTreeMap<(Cluster, KindName), Observed>,
    /// The server's version, once it has told it.
    pub server: Option<Release>,
}

impl LiveState {
    /// Puts the veil over every id of which it knows that the name is a secret; whether there
    /// was one.
    pub fn put_under(&mut self, veil: &SecretNames) -> bool {
        let kinds = self.kinds.iter_mut().filter(|((_, kind), _)| kind.has_secret_names());
        kinds.fold(false, |any, (_, observed)| observed.put_under(veil) || any)
    }

    /// Takes in what was seen of other kinds.
    pub fn extend(&mut self, others: Self) {
        self.kinds.extend(others.kinds);
        self.server = others.server.or(self.server.take());
    }

    /// Lets go of the messages of those that nothing is going to be written over.
    pub fn drop_messages(&mut self, of: impl Fn(&Live) -> bool) {
        let items = self.kinds.values_mut().flat_map(|observed| observed.items.values_mut());
        for live in items.filter_map(Arc::get_mut) {
            if of(live) {
                live.wire = Bytes::new();
            }
        }
    }

    /// Why its kind cannot be listed, where only a person can change that.
    pub fn barred(&self, id: &ResourceId) -> Option<&str> {
        let observed = self.kinds.get(&(id.cluster.clone(), id.kind))?;
        match (observed.coverage(), observed.lack()?) {
            (Coverage::Complete, _) | (Coverage::Partial(_), ListFailure::Transient) => None,
            (
                Coverage::Partial(reason),
                ListFailure::NotAllowed | ListFailure::NoSuchKind | ListFailure::Barred,
            ) => Some(reason),
        }
    }

    /// What is known of one resource.
    pub fn look(&self, id: &ResourceId) -> Seen<'_> {
        match self.kinds.get(&(id.cluster.clone(), id.kind)) {
            Some(observed) => observed.look(id),
            None => Seen::Unknown("not listed yet"),
        }
    }
}

/// What a successful write returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new revision, where the call returns one.
    pub revision: Option<Revision>,
}
