//! The source directory: one consistent reading, or the reason why there is none.
//!
//! A reading is list, read, list again: it counts only if both listings are equal in names,
//! inodes, sizes and times. What cannot be read stays visible as unreadable; what looks like a
//! source in motion (git at work, a link that points at nothing yet, a missing root) is
//! [`NotYet`], never an empty source.

mod git;
mod globs;
mod secrets;
mod walk;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;

pub use self::git::commit;
pub use self::globs::{EXCLUDE, Globs, INCLUDE, pattern};
pub use self::secrets::{Places, SECRET_SIZE_MAX};
use self::walk::{Found, Listing, Stamp, Trouble};
use super::clock;
use crate::manifest::{Snapshot, Unreadable, split};
use crate::model::parallel;
use crate::port::{Files, NotYet};

/// Largest file that is read, in bytes: what the manifests' own reader takes.
pub const FILE_SIZE_MAX: u64 = split::FILE_BYTES_MAX as u64;

/// Most bytes of one snapshot, against a source path that is a mistake (`/`).
pub const SNAPSHOT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Most files and directories of one snapshot, for the same reason.
pub const FILES_MAX: usize = 200_000;

/// Deepest nesting of directories. Each level holds a stack frame while it is listed.
pub const DEPTH_MAX: usize = 64;

/// How often a moving source is read again before the engine is told to wait.
const ATTEMPTS_MAX: u32 = 5;

/// Pause before the first further attempt; each later one waits that much longer.
const PAUSE: Duration = Duration::from_millis(15);

/// Kernels stamp files with the time of their last timer tick (10 ms at the slowest), so two
/// writes of one tick look the same. A file changed less than this ago is read later.
const TICK: Duration = Duration::from_millis(20);

/// Where a reading stands, for tests that move the source under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The first listing is made.
    Listed,
    /// All files are read, nothing is verified.
    Read,
}

type Hook = Arc<dyn Fn(Stage) + Send + Sync>;

/// A directory of manifests.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    globs: Globs,
    places: Places,
    hook: Option<Hook>,
    last: Mutex<Last>,
}

/// The last reading that was accepted.
#[derive(Default)]
struct Last {
    /// Unchanged files are not read again.
    files: Known,
    /// Device of the root when it last held files.
    device: Option<u64>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({})", self.shared.root.display())
    }
}

impl Directory {
    /// The source at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>, globs: Globs) -> Self {
        Self::with(root.into(), globs, Places::default(), None)
    }

    /// The same with a hook that is called at each [`Stage`], for tests.
    #[must_use]
    pub fn with_hook(self, hook: impl Fn(Stage) + Send + Sync + 'static) -> Self {
        let Shared { root, globs, places, .. } = &*self.shared;
        Self::with(root.clone(), globs.clone(), places.clone(), Some(Arc::new(hook)))
    }

    /// The same with places that references may lead to.
    #[must_use]
    pub fn with_places(self, places: Places) -> Self {
        let Shared { root, globs, hook, .. } = &*self.shared;
        Self::with(root.clone(), globs.clone(), places, hook.clone())
    }

    fn with(root: PathBuf, globs: Globs, places: Places, hook: Option<Hook>) -> Self {
        Self { shared: Arc::new(Shared { root, globs, places, hook, last: Mutex::default() }) }
    }

    /// [`Files::read`] for callers without a run time. May sleep some tens of milliseconds.
    ///
    /// # Errors
    /// As [`Files::read`].
    pub fn read_now(&self) -> Result<Snapshot, NotYet> {
        self.shared.read()
    }
}

impl Files for Directory {
    async fn read(&self) -> Result<Snapshot, NotYet> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || shared.read()).await {
            Ok(result) => result,
            Err(error) => Err(NotYet { reason: format!("the reading was lost: {error}") }),
        }
    }
}

impl Shared {
    fn read(&self) -> Result<Snapshot, NotYet> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut what = String::new();
        for attempt in 0..ATTEMPTS_MAX {
            std::thread::sleep(PAUSE.saturating_mul(attempt));
            match self.attempt(&mut last) {
                Ok(snapshot) => return Ok(snapshot),
                Err(Trouble::NotYet(reason)) => return Err(NotYet { reason }),
                Err(Trouble::Moved(path)) => what = path,
            }
        }
        Err(NotYet { reason: format!("the source keeps changing: {what}") })
    }

    fn attempt(&self, last: &mut Last) -> Result<Snapshot, Trouble> {
        let (real, root) = self.root()?;
        quiet(&real)?;
        let listing = walk::list(&real, &self.globs)?;
        let young = youngest(&listing);
        if let Some(wait) = TICK.checked_sub(young) {
            std::thread::sleep(wait);
            return Err(Trouble::Moved("files were written just now".to_owned()));
        }
        self.stage(Stage::Listed);
        let mut files = BTreeMap::new();
        let mut snapshot = take(&listing, &last.files, &mut files)?;
        self.places.fill(&real, &mut snapshot);
        self.stage(Stage::Read);
        verify(&listing, &walk::list(&real, &self.globs)?)?;
        quiet(&real)?;
        if self.root()? != (real, root) {
            return Err(Trouble::Moved("the source itself was replaced".to_owned()));
        }
        if listing.len() <= 1 && last.device.is_some_and(|device| device != root.0) {
            // The directory below a mount point looks like this.
            return Err(Trouble::NotYet(
                "the source is empty and on another file system than before: is it unmounted?"
                    .to_owned(),
            ));
        }
        if listing.len() > 1 {
            last.device = Some(root.0);
        }
        last.files = files;
        Ok(snapshot)
    }

    /// Where the source really is, with device and inode.
    fn root(&self) -> Result<(PathBuf, (u64, u64)), Trouble> {
        let failed = |error: io::Error| {
            let root = self.root.display();
            Trouble::NotYet(if error.kind() == io::ErrorKind::NotFound {
                format!("the source `{root}` is not there")
            } else {
                format!("the source `{root}`: {error}")
            })
        };
        let real = fs::canonicalize(&self.root).map_err(failed)?;
        let stat = fs::metadata(&real).map_err(failed)?;
        if !stat.is_dir() {
            let root = self.root.display();
            return Err(Trouble::NotYet(format!("the source `{root}` is not a directory")));
        }
        Ok((real, (stat.dev(), stat.ino())))
    }

    fn stage(&self, stage: Stage) {
        if let Some(hook) = &self.hook {
            hook(stage);
        }
    }
}

fn quiet(real: &Path) -> Result<(), Trouble> {
    match git::busy(real) {
        None => Ok(()),
        Some(file) => {
            let file = file.display();
            Err(Trouble::NotYet(format!("git operation in progress (`{file}` is there)")))
        }
    }
}

/// Age of the file that changed last; long for one from the future (another machine's clock).
fn youngest(listing: &Listing) -> Duration {
    let now = clock::since_1970();
    let changed = |found: &Found| match found {
        Found::File(_, stamp) => {
            let seconds = u64::try_from(stamp.ctime.0).ok()?;
            let at = Duration::new(seconds, u32::try_from(stamp.ctime.1).ok()?);
            now.checked_sub(at)
        }
        Found::Directory(..) | Found::Unreadable(_) => None,
    };
    listing.values().filter_map(changed).min().unwrap_or(Duration::MAX)
}

/// What `take` keeps. A file with the same stamp is the same version of the same file, wherever
/// it stands now: a file system gives no two of its files one inode number.
type Known = BTreeMap<Stamp, Arc<[u8]>>;

/// Fewest files that are worth a second thread.
const SHARE_MIN: usize = 256;

/// Reads all files of a listing; those that `known` has with the same stamp are not read.
fn take(listing: &Listing, known: &Known, files: &mut Known) -> Result<Snapshot, Trouble> {
    let mut snapshot = Snapshot::default();
    let mut total = 0_u64;
    let mut wanted = Vec::new();
    for (path, found) in listing {
        match found {
            Found::Directory(..) => {}
            Found::Unreadable(unreadable) => {
                snapshot.unreadable.insert(Arc::clone(path), unreadable.clone());
            }
            Found::File(place, stamp) => {
                total = total.saturating_add(stamp.size);
                wanted.push((path, place, stamp));
            }
        }
    }
    if total > SNAPSHOT_BYTES_MAX {
        let limit = SNAPSHOT_BYTES_MAX / (1024 * 1024);
        return Err(Trouble::NotYet(format!("the source has more than {limit} MiB")));
    }
    // Opening and closing is most of the work.
    let contents = parallel::map(&wanted, SHARE_MIN, |(_, place, stamp)| match known.get(*stamp) {
        Some(bytes) => Ok(Arc::clone(bytes)),
        None => read_file(place, stamp),
    });
    for ((path, place, stamp), bytes) in wanted.into_iter().zip(contents) {
        match bytes {
            Ok(bytes) => {
                files.insert(*stamp, Arc::clone(&bytes));
                snapshot.files.insert(Arc::clone(path), bytes);
            }
            Err(error) if walk::gone(&error) || error.kind() == io::ErrorKind::Interrupted => {
                return Err(walk::moved(place, &error));
            }
            Err(error) => {
                let refused = Unreadable::refused(error.to_string());
                snapshot.unreadable.insert(Arc::clone(path), refused);
            }
        }
    }
    Ok(snapshot)
}

/// Reads the file that `stamp` was taken of. `Interrupted` means that it is another one by now.
fn read_file(place: &Path, stamp: &Stamp) -> io::Result<Arc<[u8]>> {
    // Not blocking, not through a link, not as our terminal: between listing and opening
    // anything may have taken the place of the file.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let moved = || io::Error::new(io::ErrorKind::Interrupted, "changed while it was read");
    let file = match File::options().read(true).custom_flags(flags).open(place) {
        Ok(file) => file,
        // What was a regular file is a link or a socket now.
        Err(error) if matches!(error.raw_os_error(), Some(LOOP | NO_DEVICE)) => {
            return Err(moved());
        }
        Err(error) => return Err(error),
    };
    if Stamp::of(&file.metadata()?) != *stamp {
        return Err(moved());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or(0));
    (&file).take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes)?;
    let whole = u64::try_from(bytes.len()).is_ok_and(|length| length == stamp.size);
    if whole { Ok(bytes.into()) } else { Err(moved()) }
}

const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();
const NO_DEVICE: i32 = rustix::io::Errno::NXIO.raw_os_error();

fn verify(before: &Listing, after: &Listing) -> Result<(), Trouble> {
    let differs = before
        .iter()
        .find(|(path, found)| after.get(*path) != Some(*found))
        .or_else(|| after.iter().find(|(path, _)| !before.contains_key(*path)));
    match differs {
        None => Ok(()),
        Some((path, _)) => Err(Trouble::Moved(format!("`{path}`"))),
    }
}
