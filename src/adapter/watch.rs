//! "Something moved in the source": hints from the kernel, or from a timer where it has none.
//!
//! A hint says only that a reading is worth while. Watched are the directory itself, and the
//! directories that hold the links on the way to it: a swapped link or a replaced directory
//! raises no event inside. Where one directory inside cannot be watched, the others are, one by
//! one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, RemoveKind};
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
    /// What was last told of events that are lacking.
    warned: String,
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
            warned: String::new(),
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
        let found = match watcher(&self.root, &place, &self.hints, Depth::Whole) {
            Ok(whole) => Ok(whole),
            Err(_) => watcher(&self.root, &place, &self.hints, Depth::Each),
        };
        let told = match found {
            Ok((watcher, closed)) => {
                self.armed = Some(Armed { _watcher: watcher, place });
                closed_ones(&closed)
            }
            Err(error) => {
                let root = self.root.display();
                let period = self.poll.period();
                format!("no events for `{root}` ({error}); looking every {period:?} instead")
            }
        };
        if !told.is_empty() && told != self.warned {
            tracing::warn!("{told}");
        }
        self.warned = told;
    }
}

/// Most directories that a line of the log names.
const NAMED_MAX: usize = 3;

/// What is told of directories that cannot be watched; nothing, if there are none.
fn closed_ones(closed: &[PathBuf]) -> String {
    if closed.is_empty() {
        return String::new();
    }
    let named = closed.iter().take(NAMED_MAX).map(|dir| format!("`{}`", dir.display()));
    let mut named: Vec<String> = named.collect();
    if closed.len() > NAMED_MAX {
        named.push(format!("{} more", closed.len() - NAMED_MAX));
    }
    format!(
        "no events for {}; give the agent the right to read it, or move it out of the source",
        named.join(", ")
    )
}

/// How the directories inside are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// By one wish for all of them.
    Whole,
    /// One by one, so that some can fail. What comes later is watched when all are watched anew.
    Each,
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
    depth: Depth,
) -> Result<(RecommendedWatcher, Vec<PathBuf>), notify::Error> {
    let entries = entries(root);
    let told = Arc::clone(hints);
    let inside = place.real.clone();
    let around = entries.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let (hint, lost) = match &event {
            Ok(event) => {
                let hint = matters(event, &inside, &around);
                let grown = depth == Depth::Each && hint && of_directory(event);
                (hint, event.need_rescan() || grown)
            }
            Err(_) => (true, true),
        };
        if lost {
            told.lost.store(true, Ordering::Release);
        }
        if hint || lost {
            told.something.notify_one();
        }
    })?;
    let closed = match depth {
        Depth::Whole => {
            watcher.watch(&place.real, RecursiveMode::Recursive)?;
            Vec::new()
        }
        Depth::Each => watch_each(&mut watcher, &place.real)?,
    };
    let above: BTreeSet<&Path> = entries.iter().filter_map(|entry| entry.parent()).collect();
    for dir in above {
        // The directory above may be closed to us; the timer looks at the root as well.
        if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
            tracing::debug!("no events for `{}`: {error}", dir.display());
        }
    }
    Ok((watcher, closed))
}

/// Watches a directory and each one inside; those that are closed to us.
fn watch_each(
    watcher: &mut RecommendedWatcher,
    root: &Path,
) -> Result<Vec<PathBuf>, notify::Error> {
    watcher.watch(root, RecursiveMode::NonRecursive)?;
    let (mut closed, mut seen) = (Vec::new(), BTreeSet::from([root.to_owned()]));
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        // What went away meanwhile raises an event in the directory above.
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(path) = fs::canonicalize(&path) else { continue };
            // Links out of the source are no part of it, and links inside lead to what is seen.
            if !path.is_dir() || !path.starts_with(root) || !seen.insert(path.clone()) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => open.push(path),
                Err(error) if is_closed(&error) => closed.push(path),
                Err(_) if !path.exists() => {}
                Err(error) => return Err(error),
            }
        }
    }
    closed.sort();
    Ok(closed)
}

fn is_closed(error: &notify::Error) -> bool {
    matches!(&error.kind, notify::ErrorKind::Io(io) if io.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether a directory came, went, or opened itself.
fn of_directory(event: &Event) -> bool {
    let folder = matches!(
        event.kind,
        EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder)
    );
    folder || event.paths.iter().any(|path| path.is_dir())
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
