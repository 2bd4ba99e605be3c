//! "Something moved in the source": hints from the kernel, or from a timer where it has none.
//!
//! A hint says only that a reading is worth while. Watched are the directory itself, and the
//! directories that hold the links on the way to it: a swapped link or a replaced directory
//! raises no event inside.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior};

/// How often the place itself is looked at, against replaced directories that no event told of.
/// One `stat`.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Links on the way to the source that are followed; the kernel's own limit.
const LINKS_MAX: usize = 40;

/// Watches one source directory, which may come and go.
#[derive(Debug)]
pub struct SourceWatch {
    root: PathBuf,
    hints: Arc<Hints>,
    armed: Option<Armed>,
    check: Interval,
    poll: Interval,
    /// Whether the lack of events was already told.
    warned: bool,
}

#[derive(Debug)]
struct Armed {
    _watcher: RecommendedWatcher,
    place: Place,
}

/// What the root is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    real: PathBuf,
    key: (u64, u64),
}

#[derive(Debug, Default)]
struct Hints {
    something: Notify,
    /// Events were lost: the watches must be made again.
    lost: AtomicBool,
}

impl SourceWatch {
    /// Watches `root`; where the kernel gives no events, hints every `poll` instead.
    ///
    /// # Panics
    /// Outside of a tokio run time with timers; with a `poll` of zero.
    pub fn new(root: impl Into<PathBuf>, poll: Duration) -> Self {
        let interval = |period: Duration| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval.reset();
            interval
        };
        let mut watch = Self {
            root: root.into(),
            hints: Arc::default(),
            armed: None,
            check: interval(CHECK_INTERVAL.min(poll)),
            poll: interval(poll),
            warned: false,
        };
        watch.arm();
        watch
    }

    /// Whether the kernel tells of changes. If not, `changed` goes by the timer.
    pub fn has_events(&self) -> bool {
        self.armed.is_some()
    }

    /// Waits until something may have moved. Cancel-safe: a hint that came is not lost.
    pub async fn changed(&mut self) {
        loop {
            let timer = tokio::select! {
                () = self.hints.something.notified() => false,
                _ = self.check.tick() => true,
                _ = self.poll.tick(), if self.armed.is_none() => {
                    self.arm();
                    return;
                }
            };
            // No await from here on: what is taken is returned.
            let replaced = match &self.armed {
                Some(armed) => Some(&armed.place) != place(&self.root).as_ref(),
                None => fs::metadata(&self.root).is_ok(),
            };
            let lost = self.hints.lost.swap(false, Ordering::AcqRel);
            if (replaced && self.armed.is_some()) || lost {
                self.armed = None;
                self.arm();
                return;
            }
            if replaced {
                self.arm();
                if self.armed.is_some() {
                    return;
                }
            }
            if !timer {
                return;
            }
        }
    }

    fn arm(&mut self) {
        if self.armed.is_some() {
            return;
        }
        let Some(place) = place(&self.root) else { return };
        match watcher(&self.root, &place, &self.hints) {
            Ok(watcher) => {
                self.armed = Some(Armed { _watcher: watcher, place });
                self.warned = false;
            }
            Err(error) => {
                if !self.warned {
                    let root = self.root.display();
                    let period = self.poll.period();
                    tracing::warn!(
                        "no events for `{root}` ({error}); looking every {period:?} instead"
                    );
                }
                self.warned = true;
            }
        }
    }
}

fn place(root: &Path) -> Option<Place> {
    let real = fs::canonicalize(root).ok()?;
    let stat = fs::metadata(&real).ok()?;
    stat.is_dir().then(|| Place { real, key: (stat.dev(), stat.ino()) })
}

fn watcher(
    root: &Path,
    place: &Place,
    hints: &Arc<Hints>,
) -> Result<RecommendedWatcher, notify::Error> {
    let entries = entries(root);
    let told = Arc::clone(hints);
    let inside = place.real.clone();
    let around = entries.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let (hint, lost) = match &event {
            Ok(event) => (matters(event, &inside, &around), event.need_rescan()),
            Err(_) => (true, true),
        };
        if lost {
            told.lost.store(true, Ordering::Release);
        }
        if hint || lost {
            told.something.notify_one();
        }
    })?;
    watcher.watch(&place.real, RecursiveMode::Recursive)?;
    let above: BTreeSet<&Path> = entries.iter().filter_map(|entry| entry.parent()).collect();
    for dir in above {
        // The directory above may be closed to us; the timer looks at the root as well.
        if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
            tracing::debug!("no events for `{}`: {error}", dir.display());
        }
    }
    Ok(watcher)
}

/// Whether an event can mean a change of what we read. Opening and reading, which we do
/// ourselves, cannot.
fn matters(event: &Event, inside: &Path, entries: &BTreeSet<PathBuf>) -> bool {
    let write = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    };
    let ours = |path: &PathBuf| path.starts_with(inside) || entries.contains(path);
    write && (event.paths.is_empty() || event.paths.iter().any(ours))
}

/// The directory entries whose change gives the root another meaning: itself, where it stands,
/// and each link on the way.
fn entries(root: &Path) -> BTreeSet<PathBuf> {
    let mut entries = BTreeSet::new();
    let Ok(mut path) = std::path::absolute(root) else { return entries };
    for _ in 0..LINKS_MAX {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { break };
        // A link further up: that entry counts too.
        if let Some(link) = path.ancestors().skip(1).find(|dir| dir.is_symlink())
            && let (Some(above), Some(name)) = (link.parent(), link.file_name())
        {
            entries.insert(real(above).join(name));
        }
        let entry = real(parent).join(name);
        let target = fs::read_link(&entry);
        entries.insert(entry.clone());
        match target {
            Ok(target) => path = plain(&real(parent).join(target)),
            Err(_) => break,
        }
    }
    entries
}

fn real(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

/// Without `.`, and `..` taken by name.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}
