//! `plane serve --load`: what a directory declares is there before the first call.
//!
//! The directory is read as the agent reads its source: the same snapshot, the same findings.
//! All of it is made, or nothing: one transaction holds every write. Nobody's mark is set, as on
//! resources that somebody made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::CliError;
use super::output::{Streams, count, written};
use super::preview;
use super::session::{Session, new_key};
use super::setup::Setup;
use crate::adapter::clock::System;
use crate::kind::{self, Kind, Phase, call, canonical, hide};
use crate::manifest::{Manifest, Reading, Snapshot};
use crate::model::{FingerprintKey, ResourceId, Value};
use crate::plane::Plane;
use crate::port::{CallCode, Cluster as _, calls};

/// Longest wait for one answer of the plane in this process.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// The owner that encodes as no mark.
const NOBODY: &str = "";

/// A directory without errors, read.
pub(super) struct Declared {
    dir: PathBuf,
    snapshot: Snapshot,
    reading: Reading,
    key: FingerprintKey,
}

/// What became of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Created,
    Changed,
    AsItWas,
    /// Only a server makes such a resource.
    LeftOut,
}

/// Reads a directory and tells all findings.
///
/// # Errors
/// A directory that cannot be read, or that has an error in it.
pub(super) async fn read(
    setup: &Setup,
    dir: &Path,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Declared, CliError> {
    let setup = Setup { source: dir.to_owned(), ..setup.clone() };
    let key = new_key()?;
    let (snapshot, reading, _) =
        preview::begin(&setup, clock).await?.end(&setup, &key, &Arc::default()).await?;
    to.findings(&reading.findings, &snapshot)?;
    if reading.has_errors() || !reading.is_whole() {
        let dir = dir.display();
        return Err(CliError::new(format!("{dir} has errors; nothing was loaded")));
    }
    Ok(Declared { dir: dir.to_owned(), snapshot, reading, key })
}

/// Makes everything that was declared, what is referred to first, and says how much it was.
///
/// # Errors
/// What the plane refuses, each with its place; nothing is on disk then, and the plane is not to
/// be used.
pub(super) async fn load(
    declared: Declared,
    plane: &Plane,
    to: &mut Streams<'_>,
) -> Result<(), CliError> {
    let Declared { dir, snapshot, reading, key } = declared;
    let mut session = Session::of(plane)?;
    session.key = key;
    let failed = |status: crate::plane::Status| CliError::new(status.to_string());
    // Faults and lag are for those who call later.
    let (faults, lag) = plane
        .with_core(|core| {
            let lag = core.settings().lag;
            core.set_lag(Duration::ZERO);
            (std::mem::take(core.faults_mut()), lag)
        })
        .map_err(failed)?;
    plane.hold_commits().map_err(failed)?;
    let mut done = BTreeMap::<Done, usize>::new();
    let mut refused = BTreeSet::new();
    for (id, manifest) in ordered(&reading) {
        if references(id, manifest).iter().any(|needed| refused.contains(needed)) {
            refused.insert(id.clone());
            continue;
        }
        match put(&session, id, manifest).await {
            Ok(how) => {
                if how == Done::LeftOut {
                    let at = written(&snapshot, &manifest.at);
                    let text =
                        format!("{at}: note: {id} can only be created by the server; skipped\n");
                    to.remark(&text)?;
                }
                *done.entry(how).or_default() += 1;
            }
            Err(why) => {
                let at = written(&snapshot, &manifest.at);
                to.remark(&format!("{at}: error: the control plane rejected {id}: {why}\n"))?;
                refused.insert(id.clone());
            }
        }
    }
    let dir = dir.display();
    if !refused.is_empty() {
        let text = format!("{dir} cannot be loaded; nothing was loaded");
        return Err(CliError::new(text));
    }
    plane.commit_held().map_err(failed)?;
    plane
        .with_core(|core| {
            core.set_lag(lag);
            *core.faults_mut() = faults;
        })
        .map_err(failed)?;
    let of = |how| done.get(&how).copied().unwrap_or_default();
    let (created, changed, same) = (of(Done::Created), of(Done::Changed), of(Done::AsItWas));
    let all = count(created + changed + same, "resource");
    to.remark(&format!(
        "loaded {all} from {dir}: {created} created, {changed} updated, {same} unchanged\n"
    ))
}

/// Everything declared, by phase, and inside a phase what is referred to first. In a circle the
/// first of it by name goes first, and the plane says what it thinks of that.
fn ordered(reading: &Reading) -> Vec<(&ResourceId, &Manifest)> {
    let mut phases: BTreeMap<Option<Phase>, Vec<_>> = BTreeMap::new();
    for (id, manifest) in &reading.manifests {
        let phase = kind::row(id.kind).map(|kind| kind.phase);
        phases.entry(phase).or_default().push((id, manifest, references(id, manifest)));
    }
    let mut placed = BTreeSet::new();
    let mut order = Vec::new();
    for (_, mut waiting) in phases {
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut left = Vec::new();
            for (id, manifest, needed) in waiting {
                let is_met =
                    |it: &ResourceId| placed.contains(it) || !reading.manifests.contains_key(it);
                if needed.iter().all(is_met) {
                    placed.insert(id.clone());
                    order.push((id, manifest));
                } else {
                    left.push((id, manifest, needed));
                }
            }
            if left.len() == before {
                let (id, manifest, _) = left.remove(0);
                placed.insert(id.clone());
                order.push((id, manifest));
            }
            waiting = left;
        }
    }
    order
}

fn references(id: &ResourceId, manifest: &Manifest) -> Vec<ResourceId> {
    let Some(read) = kind::row(id.kind).and_then(|kind| kind.references) else { return Vec::new() };
    let value = Value::from_json(&manifest.resource.canonical).unwrap_or(Value::Null);
    let mut references = read(&value);
    references.retain(|reference| reference != id);
    references
}

/// As `tctl create -f`, but leaves alone what is as declared.
async fn put(session: &Session, id: &ResourceId, manifest: &Manifest) -> Result<Done, String> {
    let Some(kind) = kind::row(id.kind) else { return Err("unknown kind".to_owned()) };
    let wanted = &manifest.resource;
    let encoded = |base, owner| {
        canonical::encode(kind, wanted, base, owner).map_err(|error| error.to_string())
    };
    // The plane may quote what it was sent.
    let hidden = |error: &str| {
        let value = Value::from_json(&wanted.canonical).unwrap_or(Value::Null);
        hide::hide(id, kind, &value, &session.key, error)
    };
    if let Some(request) = call::create(kind, encoded(None, NOBODY)?) {
        match session.cluster.call(request.path, request.body, CALL_DEADLINE).await {
            Ok(_) => return Ok(Done::Created),
            Err(error) if error.code == CallCode::AlreadyExists => {}
            Err(error) => return Err(hidden(&error.message)),
        }
    }
    let live = calls::fetch(&session.cluster, kind, id, &session.key).await;
    let live = match live.map_err(|error| hidden(&error.message))? {
        None => return gone(kind),
        Some(live) if live.digest == wanted.digest => return Ok(Done::AsItWas),
        Some(live) => live,
    };
    let owner = live.owner.as_deref().unwrap_or(NOBODY);
    let request = call::update(kind, encoded(Some(&live), owner)?)
        .ok_or("it exists with other content, and this kind cannot be updated")?;
    let sent = session.cluster.call(request.path, request.body, CALL_DEADLINE).await;
    sent.map(|_| Done::Changed).map_err(|error| hidden(&error.message))
}

/// What is not there although it could not be created.
fn gone(kind: &Kind) -> Result<Done, String> {
    match kind.rpc.create {
        None => Ok(Done::LeftOut),
        Some(_) => Err("it exists and cannot be read".to_owned()),
    }
}
