//! What can be known of a git checkout without git.

use std::fs;
use std::path::{Path, PathBuf};

use crate::adapter::bounded_read;

/// Files below the git directory that are there only while git works on the checkout.
const BUSY: &[&str] = &["index.lock", "MERGE_HEAD", "rebase-merge", "rebase-apply"];

/// Longest chain of symbolic references that is followed; git's own limit.
const REFERENCES_MAX: usize = 5;

/// Longest file of git that holds a path or a hash, in bytes.
const WORD_MAX: u64 = 64 * 1024;

/// Longest list of packed references that is searched, in bytes: some hundred thousand of them.
const PACKED_MAX: u64 = 64 * 1024 * 1024;

/// Digits of a SHA-1 and of a SHA-256.
const HASH_LENGTHS: [usize; 2] = [40, 64];

/// The commit that is checked out around `path`; `None` outside of a checkout, before the first
/// commit, and for a reference storage that is not made of files.
pub fn commit(path: &Path) -> Option<String> {
    let git = directory(&fs::canonicalize(path).ok()?)?;
    let common = match bounded_read::text(&git.join("commondir"), WORD_MAX) {
        Ok(text) => git.join(text.trim()),
        Err(_) => git.clone(),
    };
    let mut text = bounded_read::text(&git.join("HEAD"), WORD_MAX).ok()?;
    for _ in 0..REFERENCES_MAX {
        let Some(name) = text.trim().strip_prefix("ref: ").map(str::to_owned) else {
            return hash(text.trim());
        };
        if name.split('/').any(|part| part == "..") {
            return None;
        }
        text = [&git, &common]
            .into_iter()
            .find_map(|dir| bounded_read::text(&dir.join(&name), WORD_MAX).ok())
            .or_else(|| packed(&common, &name))?;
    }
    None
}

/// The file that says that git works on the checkout around `real` (a canonical path).
pub(super) fn busy(real: &Path) -> Option<PathBuf> {
    let git = directory(real)?;
    BUSY.iter().map(|name| git.join(name)).find(|path| fs::symlink_metadata(path).is_ok())
}

/// The git directory of the checkout that `path` is in.
fn directory(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|dir| {
        let dot = dir.join(".git");
        if dot.is_dir() {
            // An empty directory of that name is no repository.
            return dot.join("HEAD").exists().then_some(dot);
        }
        // Worktrees, submodules and git-sync: a file that says where it is.
        let text = bounded_read::text(&dot, WORD_MAX).ok()?;
        Some(dir.join(text.trim().strip_prefix("gitdir:")?.trim()))
    })
}

fn packed(common: &Path, name: &str) -> Option<String> {
    bounded_read::text(&common.join("packed-refs"), PACKED_MAX).ok()?.lines().find_map(|line| {
        let (hash, reference) = line.split_once(' ')?;
        (reference == name).then(|| hash.to_owned())
    })
}

fn hash(text: &str) -> Option<String> {
    let valid =
        HASH_LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| text.to_owned())
}
