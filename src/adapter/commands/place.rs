//! Where a command runs, and which file is its program.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use crate::labels::value::Command;
use crate::port::RunError;

/// A directory below the source, and a program that can be executed.
#[derive(Debug)]
pub(super) struct Place {
    /// Without symbolic links.
    pub(super) dir: PathBuf,
    /// Absolute.
    pub(super) program: PathBuf,
}

impl Place {
    /// Finds both.
    ///
    /// # Errors
    /// The directory is outside of the source, or there is no such program.
    pub(super) fn find(source: &Path, command: &Command, path: &OsStr) -> Result<Self, RunError> {
        let root =
            fs::canonicalize(source).map_err(|error| gone("the source directory", &error))?;
        let dir = directory(&root, &command.dir)?;
        let name = command.argv.first().map_or("", String::as_str);
        let program = if name.contains('/') {
            written(&root, &dir, name)?
        } else {
            search(name, path).ok_or_else(|| not_found(name))?
        };
        Ok(Self { dir, program })
    }
}

fn directory(root: &Path, below: &str) -> Result<PathBuf, RunError> {
    let plain = Path::new(below)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let outside = || RunError::OutOfPlace {
        reason: format!("the directory `{below}` leads out of the source"),
    };
    if !plain {
        return Err(outside());
    }
    let dir = fs::canonicalize(root.join(below))
        .map_err(|error| gone(&format!("the directory `{below}`"), &error))?;
    if dir.starts_with(root) { Ok(dir) } else { Err(outside()) }
}

/// A program written with a slash: from the manifest's directory, where it may not lead out of
/// the source, or absolute.
fn written(root: &Path, dir: &Path, name: &str) -> Result<PathBuf, RunError> {
    let file = dir.join(name);
    if Path::new(name).is_relative() {
        let real = fs::canonicalize(&file).map_err(|_gone| not_found(name))?;
        if !real.starts_with(root) {
            return Err(RunError::OutOfPlace {
                reason: format!("the program `{name}` leads out of the source"),
            });
        }
    }
    match access(&file, Access::EXEC_OK) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Err(not_found(name)),
        Err(_) => Err(RunError::NotStarted { reason: format!("`{name}` is not executable") }),
    }
}

/// Entries that are not absolute would let a directory of manifests give the program; they do
/// not count.
fn search(name: &str, path: &OsStr) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    std::env::split_paths(path)
        .filter(|entry| entry.is_absolute())
        .map(|entry| entry.join(name))
        .find(|file| access(file, Access::EXEC_OK).is_ok() && file.is_file())
}

fn not_found(name: &str) -> RunError {
    RunError::NotFound { program: name.to_owned() }
}

fn gone(what: &str, error: &io::Error) -> RunError {
    RunError::OutOfPlace { reason: format!("{what} cannot be entered: {error}") }
}
