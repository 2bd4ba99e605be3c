//! What the references in manifests refer to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::manifest::Snapshot;
use crate::manifest::reference::{self, Content, Reference};

/// Largest content, in bytes. Kubernetes keeps no larger secrets, and a kubeconfig has some
/// kilobytes.
pub const SECRET_SIZE_MAX: u64 = 1024 * 1024;

/// How often a file that changes while it is read is read again.
const ATTEMPTS_MAX: u32 = 3;

/// Where references may lead.
#[derive(Clone, Default)]
pub struct Places {
    /// Where `secret://NAME/KEY` is the file `NAME/KEY`, as Kubernetes mounts secrets, or
    /// `NAME_KEY`, as systemd passes directories of credentials.
    pub dir: Option<PathBuf>,
    /// Directories beside the source that `file://PATH` may lead into.
    pub roots: Vec<PathBuf>,
    /// The variables of `env://NAME`.
    pub environment: BTreeMap<OsString, OsString>,
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dir, roots, environment: _ } = self;
        f.debug_struct("Places").field("dir", dir).field("roots", roots).finish_non_exhaustive()
    }
}

impl Places {
    /// Reads everything that the files of a snapshot refer to, below `source` (a canonical
    /// path).
    pub(super) fn fill(&self, source: &Path, snapshot: &mut Snapshot) {
        for text in reference::all(&snapshot.files) {
            let read = self.read(source, &text).map(|bytes| Content(bytes.into()));
            snapshot.secrets.insert(text, read);
        }
    }

    fn read(&self, source: &Path, text: &str) -> Result<Vec<u8>, String> {
        match Reference::parse(text)? {
            Reference::Secret { name, key } => {
                let Some(dir) = &self.dir else {
                    return Err("the configuration has no `[secrets] dir`".to_owned());
                };
                let nested = dir.join(name).join(key);
                let flat = dir.join(format!("{name}_{key}"));
                let found = if nested.exists() || !flat.exists() { nested } else { flat };
                inside(&found, std::slice::from_ref(dir))
            }
            Reference::File(path) => {
                let mut roots = vec![source.to_owned()];
                roots.extend(self.roots.iter().cloned());
                inside(&source.join(path), &roots)
            }
            Reference::Variable(name) => match self.environment.get(&OsString::from(name)) {
                Some(value) if !value.is_empty() => Ok(value.clone().into_encoded_bytes()),
                Some(_) => Err("the variable is empty".to_owned()),
                None => Err("there is no such variable in the agent's environment".to_owned()),
            },
        }
    }
}

/// Reads a file that really lies in one of the directories, whatever links lead there.
fn inside(file: &Path, roots: &[PathBuf]) -> Result<Vec<u8>, String> {
    let real = fs::canonicalize(file).map_err(|error| words(&error))?;
    let allowed = roots
        .iter()
        .filter_map(|root| fs::canonicalize(root).ok())
        .any(|root| real.starts_with(root));
    if !allowed {
        return Err("it leads out of the directories that are allowed".to_owned());
    }
    for _ in 0..ATTEMPTS_MAX {
        if let Some(bytes) = read_once(&real)? {
            return Ok(bytes);
        }
    }
    Err("it keeps changing".to_owned())
}

/// `None` if it changed meanwhile.
fn read_once(real: &Path) -> Result<Option<Vec<u8>>, String> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let open = File::options().read(true).custom_flags(flags).open(real);
    let file = open.map_err(|error| words(&error))?;
    let before = file.metadata().map_err(|error| words(&error))?;
    if !before.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if before.size() > SECRET_SIZE_MAX {
        return Err(format!("it has more than {} KiB", SECRET_SIZE_MAX / 1024));
    }
    let mut bytes = Vec::new();
    (&file).take(SECRET_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| words(&error))?;
    let after = file.metadata().map_err(|error| words(&error))?;
    let stamp = |of: &fs::Metadata| (of.size(), of.ctime(), of.ctime_nsec());
    if stamp(&before) != stamp(&after) {
        return Ok(None);
    }
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    Ok(Some(bytes))
}

fn words(error: &io::Error) -> String {
    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return "there is no such file".to_owned();
    }
    error.to_string()
}
