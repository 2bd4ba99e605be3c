//! What the plane holds: the backend, the cache that follows it, and what expires.
//!
//! Writes go to the backend. Reads come from the cache, which sees a write `lag` later; with no
//! lag, at the next call. Deliberately absent: what the values mean.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{Now, Timestamp};

/// Names a stored item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The resource's kind, or an internal one of the rules.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of that resource.
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

/// One stored item. Values hold secrets, so they are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// The encoded message, without its revision.
    pub value: Bytes,
    /// New with every write.
    pub revision: String,
    /// When the item vanishes.
    pub expires: Option<Timestamp>,
}

impl Item {
    fn alive(&self, wall: Timestamp) -> bool {
        self.expires.is_none_or(|at| at > wall)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("bytes", &self.value.len())
            .field("revision", &self.revision)
            .field("expires", &self.expires)
            .finish()
    }
}

/// One write: what to persist, and how to take it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what.
    pub key: Key,
    /// The item before; none: it was not there.
    pub before: Option<Item>,
    /// The item now; none: it is gone.
    pub after: Option<Item>,
}

/// Which state a read wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The truth, which conditional writes compare with.
    Backend,
    /// What reads are served from.
    Cache,
}

#[derive(Debug)]
struct Behind {
    visible: Duration,
    change: Change,
}

/// Backend, cache, and the changes between them.
#[derive(Debug)]
pub struct Store {
    lag: Duration,
    backend: Arc<BTreeMap<Key, Item>>,
    /// The same map as the backend until the first write: a preview holds everything once.
    cache: Arc<BTreeMap<Key, Item>>,
    behind: VecDeque<Behind>,
    expiring: BTreeSet<(Timestamp, Key)>,
    written: Vec<Change>,
    /// How often each kind changed, in the backend or in the cache.
    versions: BTreeMap<String, u64>,
}

impl Store {
    /// A store that holds these items, its cache up to date.
    pub fn new(lag: Duration, items: impl IntoIterator<Item = (Key, Item)>) -> Self {
        let backend: Arc<BTreeMap<Key, Item>> = Arc::new(items.into_iter().collect());
        let expiring = backend
            .iter()
            .filter_map(|(key, item)| item.expires.map(|at| (at, key.clone())))
            .collect();
        Self {
            lag,
            cache: Arc::clone(&backend),
            backend,
            behind: VecDeque::new(),
            expiring,
            written: Vec::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Changes the lag of writes to come; what is on its way keeps its own.
    pub fn set_lag(&mut self, lag: Duration) {
        self.lag = lag;
    }

    /// Makes the cache equal to the backend, telling nobody.
    pub fn settle(&mut self) {
        self.behind.clear();
        self.cache.clone_from(&self.backend);
        self.versions.values_mut().for_each(|version| *version += 1);
    }

    /// Grows whenever a read of the kind may give something else than before; what has expired
    /// counts once that was noticed.
    pub fn version(&self, kind: &str) -> u64 {
        self.versions.get(kind).copied().unwrap_or(0)
    }

    fn changed(&mut self, kind: &str) {
        match self.versions.get_mut(kind) {
            Some(version) => *version += 1,
            None => {
                self.versions.insert(kind.to_owned(), 1);
            }
        }
    }

    /// The item, unless it has expired.
    pub fn get(&self, view: View, key: &Key, now: Now) -> Option<&Item> {
        self.map(view).get(key).filter(|item| item.alive(now.wall))
    }

    /// The items of a kind by name, beginning with `start`.
    pub fn list<'a>(
        &'a self,
        view: View,
        kind: &'a str,
        start: &str,
        now: Now,
    ) -> impl Iterator<Item = (&'a str, &'a Item)> {
        self.map(view)
            .range(Key::new(kind, start)..)
            .take_while(move |(key, _)| key.kind == kind)
            .filter(move |(_, item)| item.alive(now.wall))
            .map(|(key, item)| (key.name.as_str(), item))
    }

    /// Puts the item, or removes it.
    pub fn write(&mut self, now: Now, key: Key, after: Option<Item>) {
        let before = self.replace(&key, after.clone());
        let change = Change { key, before, after };
        self.behind.push_back(Behind {
            visible: now.monotonic.saturating_add(self.lag),
            change: change.clone(),
        });
        self.written.push(change);
    }

    /// How many changes wait for [`Self::take_written`].
    pub fn mark(&self) -> usize {
        self.written.len()
    }

    /// Takes back what was written after the mark.
    pub fn undo_to(&mut self, mark: usize) {
        let undone = self.written.split_off(mark.min(self.written.len()));
        self.undo(&undone);
    }

    fn undo(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            self.replace(&change.key, change.before.clone());
            if self.behind.back().is_some_and(|behind| behind.change == *change) {
                self.behind.pop_back();
            }
        }
    }

    /// The changes since the last time, to be persisted in this order.
    pub fn take_written(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.written)
    }

    /// Lets the cache see what is due, and says what that was.
    pub fn catch_up(&mut self, now: Now) -> Vec<Change> {
        let mut seen = Vec::new();
        while self.behind.front().is_some_and(|behind| behind.visible <= now.monotonic) {
            let Some(Behind { visible: _, change }) = self.behind.pop_front() else { break };
            match change.after.clone() {
                Some(item) => Arc::make_mut(&mut self.cache).insert(change.key.clone(), item),
                None => Arc::make_mut(&mut self.cache).remove(&change.key),
            };
            self.changed(&change.key.kind);
            seen.push(change);
        }
        seen
    }

    /// The items whose time is over, soonest first.
    pub fn expired(&self, now: Now) -> Vec<Key> {
        self.expiring
            .iter()
            .take_while(|(at, _)| *at <= now.wall)
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// How long until something happens by itself.
    pub fn next_wakeup(&self, now: Now) -> Option<Duration> {
        let seen = self.behind.front().map(|it| it.visible.saturating_sub(now.monotonic));
        let expires = self.expiring.first().map(|(at, _)| at.since(now.wall));
        seen.into_iter().chain(expires).min()
    }

    fn map(&self, view: View) -> &BTreeMap<Key, Item> {
        match view {
            View::Backend => &self.backend,
            View::Cache => &self.cache,
        }
    }

    fn replace(&mut self, key: &Key, after: Option<Item>) -> Option<Item> {
        self.changed(&key.kind);
        if let Some(at) = after.as_ref().and_then(|item| item.expires) {
            self.expiring.insert((at, key.clone()));
        }
        let before = match after.clone() {
            Some(item) => Arc::make_mut(&mut self.backend).insert(key.clone(), item),
            None => Arc::make_mut(&mut self.backend).remove(key),
        };
        let old = before.as_ref().and_then(|item| item.expires);
        if let Some(at) = old
            && after.and_then(|item| item.expires) != Some(at)
        {
            self.expiring.remove(&(at, key.clone()));
        }
        before
    }
}
