//! A whole snapshot: what every file declares, what is in doubt, and what is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{self, FileReading};
use super::reference::{self, Secrets, Used};
use super::{Manifest, Reading, Snapshot, Unreadable, codes};
use crate::model::{
    Diagnostic, Digest, Findings, FingerprintKey, Place, ResourceId, SecretNames, Severity,
    parallel,
};

/// Folder whose files describe the inside of a child cluster.
const CHILDREN: &str = "children/";

/// Fewest files that are worth a second thread.
const SHARE_MIN: usize = 64;

/// Most findings kept of one file.
pub const FINDINGS_PER_FILE_MAX: usize = Findings::MAX;

/// What files said the last time, by path and content. Holds no trees.
#[derive(Debug)]
pub struct Cache {
    key: FingerprintKey,
    files: BTreeMap<Arc<str>, (Digest, Arc<FileReading>)>,
}

impl Cache {
    /// An empty one; the key is that of the fingerprints in ids.
    pub fn new(key: &FingerprintKey) -> Self {
        Self { key: key.clone(), files: BTreeMap::new() }
    }
}

/// Reads a snapshot; the key is that of the fingerprints in ids.
pub fn read(snapshot: &Snapshot, key: &FingerprintKey) -> Reading {
    read_beside(snapshot, key, |_| None)
}

/// As [`read`]. What says what the caller knows already shares the caller's text, so that
/// manifests that are applied are not held twice.
pub fn read_beside<'a>(
    snapshot: &Snapshot,
    key: &FingerprintKey,
    known: impl Fn(&ResourceId) -> Option<&'a Arc<str>> + Sync,
) -> Reading {
    read_all(snapshot, &mut Cache::new(key), &known)
}

/// Reads a snapshot; files that have not changed since the last call are not parsed again.
/// Gives exactly what [`read`] gives.
pub fn read_with_cache(snapshot: &Snapshot, cache: &mut Cache) -> Reading {
    read_all(snapshot, cache, &|_| None)
}

fn read_all<'a>(
    snapshot: &Snapshot,
    cache: &mut Cache,
    held: &(dyn Fn(&ResourceId) -> Option<&'a Arc<str>> + Sync),
) -> Reading {
    let files: Vec<(&Arc<str>, &Arc<[u8]>)> = snapshot.files.iter().collect();
    let Cache { key, files: known } = &*cache;
    let secrets = &snapshot.secrets;
    let results = parallel::map(&files, SHARE_MIN, |(path, bytes)| {
        let (digest, mut reading) = read_file(path, bytes, secrets, known, key);
        if let Some(reading) = Arc::get_mut(&mut reading) {
            share_texts(reading, held);
        }
        (digest, reading)
    });
    cache.files =
        files.iter().zip(results).map(|((path, _), result)| (Arc::clone(path), result)).collect();
    let digests = cache.files.iter().map(|(path, (digest, _))| (path, *digest));
    let mut reading = Reading {
        digest: Some(digest(digests, snapshot)),
        referred: referred(cache.files.values().map(|(_, file)| &file.used)),
        ..Reading::default()
    };
    for (path, Unreadable { reason, remedy }) in &snapshot.unreadable {
        let at = Place { path: Arc::clone(path), start: 0, end: 0 };
        reading.findings.push(Diagnostic {
            at: at.clone(),
            severity: Severity::Error,
            code: codes::UNREADABLE,
            message: format!("the file cannot be read: {reason}"),
            also: Vec::new(),
            hint: Some((*remedy).to_owned()),
        });
        reading.unknown.push(at);
    }
    let documents = cache.files.values().flat_map(|(_, file)| &file.documents);
    let mut veil = SecretNames::new(&cache.key);
    veil.learn(documents.map(|document| &document.id));
    merge(cache.files.values().map(|(_, file)| file.as_ref()), &veil, &mut reading);
    // One document may say of a name that it is a secret, and another may not.
    if let Some(veiled) = reading.under(&veil) {
        reading = veiled;
    }
    reading.findings.sort();
    reading.unknown.sort();
    reading
}

impl Snapshot {
    /// Over all paths and contents, and the paths that could not be read.
    pub fn digest(&self) -> Digest {
        let files: Vec<_> =
            self.files.iter().map(|(path, bytes)| (path, Digest::of(bytes))).collect();
        digest(files.into_iter(), self)
    }
}

fn digest<'a>(files: impl Iterator<Item = (&'a Arc<str>, Digest)>, snapshot: &Snapshot) -> Digest {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (path, digest) in files {
        parts.push(path.as_bytes().to_vec());
        parts.push(digest.as_bytes().to_vec());
    }
    for path in snapshot.unreadable.keys() {
        parts.push(path.as_bytes().to_vec());
        parts.push(b"unreadable".to_vec());
    }
    Digest::of_parts(parts.iter().map(Vec::as_slice))
}

/// Over the contents that were referred to; `None` without references.
fn referred<'a>(files: impl Iterator<Item = &'a Used>) -> Option<Digest> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (text, seen) in files.flatten() {
        parts.push(text.as_bytes().to_vec());
        parts.push(seen.map_or_else(Vec::new, |digest| digest.as_bytes().to_vec()));
    }
    (!parts.is_empty()).then(|| Digest::of_parts(parts.iter().map(Vec::as_slice)))
}

fn read_file(
    path: &Arc<str>,
    bytes: &[u8],
    secrets: &Secrets,
    known: &BTreeMap<Arc<str>, (Digest, Arc<FileReading>)>,
    key: &FingerprintKey,
) -> (Digest, Arc<FileReading>) {
    let digest = Digest::of(bytes);
    if let Some((before, reading)) = known.get(path)
        && *before == digest
        && reading.used.iter().all(|(text, seen)| *seen == reference::state(secrets, text))
        && reading.used.values().all(Option::is_some)
    {
        return (digest, Arc::clone(reading));
    }
    let mut found = Vec::new();
    let mut findings = Findings { path: Arc::clone(path), out: &mut found };
    let mut reading = if path.starts_with(CHILDREN) {
        let message = "files below `children/` describe the inside of a child cluster, which this \
                       version does not manage";
        let hint = Some("the file is ignored; keep it elsewhere to silence this");
        findings.add(Severity::Warning, codes::CHILD_FILE, &(0..0), message, hint);
        FileReading::default()
    } else {
        document::read_file(bytes, secrets, key, &mut findings)
    };
    found.sort();
    cut(&mut found);
    reading.findings = found;
    (digest, Arc::new(reading))
}

/// Holds once what is held already.
fn share_texts<'a>(
    reading: &mut FileReading,
    held: &(dyn Fn(&ResourceId) -> Option<&'a Arc<str>> + Sync),
) {
    for document in &mut reading.documents {
        if let Some((resource, _)) = &mut document.manifest
            && let Some(text) = held(&resource.id).filter(|text| ***text == *resource.canonical)
            && let Some(resource) = Arc::get_mut(resource)
        {
            resource.canonical = Arc::clone(text);
        }
    }
}

/// Keeps the number of findings within bounds.
fn cut(found: &mut Vec<Diagnostic>) {
    let Some(at) = found.get(FINDINGS_PER_FILE_MAX).map(|first| first.at.clone()) else { return };
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    let has_errors = found.iter().any(is_error);
    found.truncate(FINDINGS_PER_FILE_MAX);
    // The only error may be the one that is left out.
    let hides_all = has_errors && !found.iter().any(is_error);
    found.push(Diagnostic {
        at,
        severity: if hides_all { Severity::Error } else { Severity::Warning },
        code: codes::TOO_MANY_FINDINGS,
        message: format!("only the first {FINDINGS_PER_FILE_MAX} findings of this file are shown"),
        also: Vec::new(),
        hint: Some("fix the first ones".into()),
    });
}

/// Puts the files together and finds what is declared twice.
fn merge<'a>(
    files: impl Iterator<Item = &'a FileReading>,
    veil: &SecretNames,
    reading: &mut Reading,
) {
    let mut first: BTreeMap<ResourceId, Place> = BTreeMap::new();
    for file in files {
        reading.findings.extend(file.findings.iter().cloned());
        reading.unknown.extend(file.unknown.iter().cloned());
        for document in &file.documents {
            let id = &veil.over(&document.id).unwrap_or_else(|| document.id.clone());
            if let Some(before) = first.get(id) {
                reading.findings.push(Diagnostic {
                    at: document.named_at.clone(),
                    severity: Severity::Error,
                    code: codes::DUPLICATE_RESOURCE,
                    message: format!("`{id}` is declared twice"),
                    also: vec![(before.clone(), "first here".into())],
                    hint: Some("keep one of them; until then it stays as it is".into()),
                });
                reading.manifests.remove(id);
                reading.frozen.entry(id.clone()).or_insert_with(|| document.at.clone());
                continue;
            }
            first.insert(id.clone(), document.named_at.clone());
            match &document.manifest {
                Some((resource, directives)) => {
                    let manifest = Manifest {
                        at: document.at.clone(),
                        resource: Arc::clone(resource),
                        directives: directives.clone(),
                    };
                    reading.manifests.insert(id.clone(), manifest);
                }
                None => {
                    reading.frozen.insert(id.clone(), document.at.clone());
                }
            }
        }
    }
}
