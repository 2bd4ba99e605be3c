//! One listing of the source: what is there, with what proves later that it did not move.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::globs::Globs;
use super::{DEPTH_MAX, FILE_SIZE_MAX, FILES_MAX, SHARE_MIN};
use crate::manifest::Unreadable;
use crate::model::parallel;

/// Identity and version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
    pub(super) ctime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(stat: &Metadata) -> Self {
        Self {
            dev: stat.dev(),
            ino: stat.ino(),
            size: stat.size(),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            ctime: (stat.ctime(), stat.ctime_nsec()),
        }
    }
}

/// Something of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A regular file, at this place after all links.
    File(Arc<Path>, Stamp),
    /// A directory that was entered, by device and inode.
    Directory(u64, u64),
    /// It counts, but cannot be read.
    Unreadable(Unreadable),
}

/// Why there is no listing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something moved meanwhile: list again at once.
    Moved(String),
    /// It does not look like a whole source: wait.
    NotYet(String),
}

/// Everything that counts, by path below the source.
pub(super) type Listing = BTreeMap<Arc<str>, Found>;

/// Lists what is below `real`, which is canonical.
pub(super) fn list(real: &Path, globs: &Globs) -> Result<Listing, Trouble> {
    let mut walk = Walk { real, globs, listing: Listing::new(), above: Vec::new() };
    let stat = fs::metadata(real).map_err(|error| moved(real, &error))?;
    walk.directory(real, "", &stat)?;
    Ok(walk.listing)
}

struct Walk<'a> {
    real: &'a Path,
    globs: &'a Globs,
    listing: Listing,
    /// Device and inode of the directories that we are in, against loops of links.
    above: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Path, path: &str, stat: &Metadata) -> Result<(), Trouble> {
        let key = (stat.dev(), stat.ino());
        if self.above.contains(&key) {
            let reason = "a symbolic link leads back to a directory above it";
            self.unreadable(path, reason, REMOVE_LINK);
            return Ok(());
        }
        if self.above.len() >= DEPTH_MAX {
            let reason = format!("more than {DEPTH_MAX} directories deep");
            self.unreadable(path, &reason, "move it further up, or exclude it (`source.exclude`)");
            return Ok(());
        }
        let names = match names(dir) {
            Ok(names) => names,
            Err(error) if gone(&error) => return Err(moved(dir, &error)),
            Err(error) if path.is_empty() => {
                return Err(Trouble::NotYet(format!("the source cannot be listed: {error}")));
            }
            Err(error) => {
                self.refused(path, &format!("the directory cannot be listed: {error}"));
                return Ok(());
            }
        };
        self.listing.insert(path.into(), Found::Directory(key.0, key.1));
        self.above.push(key);
        let found = parallel::map(&names, SHARE_MIN, |name| {
            let place = dir.join(name);
            let stat = fs::symlink_metadata(&place);
            (place, stat)
        });
        for (name, (place, stat)) in names.iter().zip(found) {
            self.entry(&place, path, name, stat)?;
        }
        self.above.pop();
        if self.listing.len() > FILES_MAX {
            return Err(Trouble::NotYet(format!("the source has more than {FILES_MAX} files")));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        place: &Path,
        parent: &str,
        name: &OsStr,
        stat: io::Result<Metadata>,
    ) -> Result<(), Trouble> {
        let shown = name.to_string_lossy();
        let path = if parent.is_empty() { shown.to_string() } else { format!("{parent}/{shown}") };
        if shown == "..data" && matches!(fs::metadata(place), Err(error) if gone(&error)) {
            return Err(Trouble::NotYet(format!("`{path}` points at nothing yet")));
        }
        if self.globs.skips(&path) {
            return Ok(());
        }
        let stat = stat.map_err(|error| moved(place, &error))?;
        if name.to_str().is_none() && (self.globs.takes(&path) || stat.is_dir()) {
            self.unreadable(&path, "its name is not UTF-8", "rename it");
        } else if stat.is_symlink() {
            self.link(place, &path)?;
        } else if stat.is_dir() {
            self.directory(place, &path, &stat)?;
        } else if self.globs.takes(&path) {
            self.file(place, &path, &stat);
        }
        Ok(())
    }

    fn link(&mut self, place: &Path, path: &str) -> Result<(), Trouble> {
        let real = match fs::canonicalize(place) {
            Ok(real) => real,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // It may be gone by now, or may never have led anywhere.
                fs::symlink_metadata(place).map_err(|error| moved(place, &error))?;
                self.unreadable(path, "a symbolic link that points at nothing", REMOVE_LINK);
                return Ok(());
            }
            Err(error) => {
                let reason = format!("a symbolic link that cannot be followed: {error}");
                self.unreadable(path, &reason, REMOVE_LINK);
                return Ok(());
            }
        };
        let stat = match fs::symlink_metadata(&real) {
            Ok(stat) => stat,
            Err(error) if gone(&error) => return Err(moved(place, &error)),
            Err(error) => {
                self.refused(path, &error.to_string());
                return Ok(());
            }
        };
        let counts = stat.is_dir() || self.globs.takes(path);
        if counts && !real.starts_with(self.real) {
            let reason = "a symbolic link that leads out of the source";
            self.unreadable(
                path,
                reason,
                "put the file itself into the source, or exclude the link",
            );
        } else if stat.is_dir() {
            self.directory(&real, path, &stat)?;
        } else if counts {
            self.file(&real, path, &stat);
        }
        Ok(())
    }

    fn file(&mut self, place: &Path, path: &str, stat: &Metadata) {
        if !stat.is_file() {
            let remedy = "remove it, or exclude it (`source.exclude`)";
            self.unreadable(path, "not a regular file", remedy);
        } else if stat.size() > FILE_SIZE_MAX {
            let limit = FILE_SIZE_MAX / (1024 * 1024);
            let reason = format!("larger than {limit} MiB ({} bytes)", stat.size());
            self.unreadable(path, &reason, "split it, or exclude it (`source.exclude`)");
        } else {
            self.listing.insert(path.into(), Found::File(place.into(), Stamp::of(stat)));
        }
    }

    fn unreadable(&mut self, path: &str, reason: &str, remedy: &'static str) {
        let reason = reason.to_owned();
        self.listing.insert(path.into(), Found::Unreadable(Unreadable { reason, remedy }));
    }

    fn refused(&mut self, path: &str, reason: &str) {
        self.listing.insert(path.into(), Found::Unreadable(Unreadable::refused(reason)));
    }
}

/// What to do about a link that leads nowhere.
const REMOVE_LINK: &str = "let it lead to a file of the source, or remove or exclude it";

fn names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

pub(super) fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

pub(super) fn moved(place: &Path, error: &io::Error) -> Trouble {
    let place: PathBuf = place.to_owned();
    Trouble::Moved(format!("`{}`: {error}", place.display()))
}
