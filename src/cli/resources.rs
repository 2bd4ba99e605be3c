//! `get`, `wait` and `plane`: single resources, read and written by hand.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize as _;

use super::args::Format;
use super::error::CliError;
use super::kinds::{other_meaning, parse, parse_one};
use super::session::{Access, Session};
use super::setup::Setup;
use crate::adapter::bounded_read;
use crate::adapter::clock::System;
use crate::adapter::files::FILE_SIZE_MAX;
use crate::kind::{self, Kind, call, canonical, hide, pasted, unknown};
use crate::live::{Coverage, Observed};
use crate::model::{Cluster, Live, Readiness, ResourceId, Value, duration};
use crate::plan::diff;
use crate::port::{CallCode, CallError, Clock as _, Cluster as _, calls};

/// Longest wait for one answer of a hand-made call.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks of `wait`.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Whether secrets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// As fingerprints.
    Masked,
    /// In clear: only for `plane get`.
    Clear,
}

/// Prints live resources.
///
/// # Errors
/// An unknown kind, a resource that does not exist, an incomplete list.
pub(super) async fn get(
    session: &Session,
    what: &str,
    format: Format,
    secrets: Secrets,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let (kind, id) = parse(what).map_err(CliError::usage)?;
    let found = if let Some(id) = id {
        vec![fetch(session, kind, &id).await?.ok_or_else(|| not_found(&id))?]
    } else {
        let which = Cluster::Parent;
        let mut observed = calls::list(&session.cluster, kind, which, &session.key).await;
        observed.put_under(&session.veil());
        all(&observed)?
    };
    let unclear = |error: canonical::WireError| CliError::new(error.to_string());
    let mut values = Vec::new();
    for live in &found {
        let value = canonical::to_value(kind, &live.wire).map_err(unclear)?;
        let value = match secrets {
            Secrets::Masked => canonical::mask_of(&live.id, kind, value, &session.key),
            Secrets::Clear => value,
        };
        let notes = unknown::fields(kind, &live.wire).map_err(unclear)?;
        values.push((value, notes.iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
    let text = match format {
        Format::Json => {
            let list = Value::List(values.into_iter().map(with_notes).collect());
            serde_json::to_string_pretty(&list.to_serde()).unwrap_or_default() + "\n"
        }
        Format::Text => {
            let one = |(value, notes): &(Value, Vec<String>)| {
                let notes = notes.iter().map(|note| format!("# {note}\n"));
                diff::yaml(value) + &notes.collect::<String>()
            };
            values.iter().map(one).collect::<Vec<_>>().join("---\n")
        }
    };
    out.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))
}

/// What this version cannot name stands beside the resource's own fields.
fn with_notes((mut value, notes): (Value, Vec<String>)) -> Value {
    if let Value::Map(fields) = &mut value
        && !notes.is_empty()
    {
        let notes = notes.into_iter().map(Value::String).collect();
        fields.insert("unknown_fields".to_owned(), Value::List(notes));
    }
    value
}

fn all(observed: &Observed) -> Result<Vec<Live>, CliError> {
    match observed.coverage() {
        Coverage::Complete => Ok(observed.seen().map(|live| live.as_ref().clone()).collect()),
        Coverage::Partial(reason) => Err(CliError::new(format!("incomplete list: {reason}"))),
    }
}

fn not_found(id: &ResourceId) -> CliError {
    // What was typed may be a secret with a letter missing.
    if id.kind.has_secret_names() && !id.is_veiled() {
        return CliError::new(format!("no {} of that name was found", id.kind));
    }
    CliError::new(format!("{id} not found"))
}

/// Reads what was typed, whichever of its meanings exists.
async fn fetch(session: &Session, kind: &Kind, id: &ResourceId) -> Result<Option<Live>, CliError> {
    look(session, kind, id).await.map_err(|error| CliError::new(error.message))
}

/// As [`fetch`], with the code of what went wrong; the message says all.
async fn look(session: &Session, kind: &Kind, id: &ResourceId) -> Result<Option<Live>, CallError> {
    let read = async |id: &ResourceId| {
        calls::fetch(&session.cluster, kind, id, &session.key).await.map_err(|error| {
            let shown = id.veiled(&session.key);
            let told = error.to_string();
            // Nobody knows yet whether it is a secret.
            let told = if shown == *id { told } else { told.replace(&*id.name, &shown.name) };
            CallError { code: error.code, message: format!("cannot read {shown}: {told}") }
        })
    };
    let other = other_meaning(id, &session.key).filter(|_| id.is_veiled());
    let found = match (read(id).await?, other) {
        (None, Some(other)) => read(&other).await?,
        (found, _) => found,
    };
    let veil = session.veil();
    Ok(found.map(|live| Live { id: veil.over(&live.id).unwrap_or(live.id.clone()), ..live }))
}

/// Waits until a resource is there and ready, or gone. An agent or a server that ends meanwhile
/// may come back.
///
/// # Errors
/// It was not so in time, with how it was last seen; an error that waiting does not change.
pub(super) async fn wait(
    setup: &Setup,
    what: &str,
    gone: bool,
    timeout: &str,
    clock: &System,
) -> Result<(), CliError> {
    let (kind, id) = parse_one(what).map_err(CliError::usage)?;
    let nanos = duration::parse(timeout).map_err(CliError::usage)?;
    let limit = clock.now().monotonic + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    let mut session = Session::open(setup, Access::Read, "wait", clock).await?;
    let mut last = (id.veiled(&session.key), "no answer yet".to_owned());
    loop {
        let left = limit.saturating_sub(clock.now().monotonic);
        // A look that is cut off says nothing; the one before it may have.
        let Ok(seen) = tokio::time::timeout(left, look(&session, kind, &id)).await else {
            return Err(timed_out(timeout, &last));
        };
        let now = match (&seen, gone) {
            (Ok(None), true) => return Ok(()),
            (Ok(None), false) => "not found".to_owned(),
            (Ok(Some(_)), true) => "still exists".to_owned(),
            (Ok(Some(live)), false) => match &live.readiness {
                Readiness::Ready => return Ok(()),
                Readiness::Waiting(state) => format!("not ready: {state}"),
            },
            (Err(error), _) if may_pass(error.code) => error.message.clone(),
            (Err(error), _) => return Err(CliError::new(&*error.message)),
        };
        let is_lost = seen.is_err();
        let found = seen.ok().flatten();
        last = (found.map_or_else(|| id.veiled(&session.key), |live| live.id), now);
        if clock.now().monotonic >= limit {
            return Err(timed_out(timeout, &last));
        }
        tokio::time::sleep(LOOK_PERIOD).await;
        // The way to a Teleport finds itself again, and knows how often it may try.
        if is_lost && session.teleport.is_none() || session.is_still() {
            match Session::open(setup, Access::Read, "wait", clock).await {
                Ok(opened) => session = opened,
                Err(error) if clock.now().monotonic >= limit => return Err(error),
                // An agent may be about to begin.
                Err(_) => {}
            }
        }
    }
}

/// How it was when it was last seen.
fn timed_out(timeout: &str, (id, state): &(ResourceId, String)) -> CliError {
    CliError::new(format!("timed out after {timeout} waiting for {id}: {state}"))
}

/// Whether the next look may be answered where this one was not.
const fn may_pass(code: CallCode) -> bool {
    match code {
        CallCode::NoAnswer | CallCode::Unavailable | CallCode::ResourceExhausted => true,
        CallCode::Unknown
        | CallCode::InvalidArgument
        | CallCode::NotFound
        | CallCode::AlreadyExists
        | CallCode::PermissionDenied
        | CallCode::FailedPrecondition
        | CallCode::Unimplemented
        | CallCode::Barred
        | CallCode::Internal => false,
    }
}

/// Deletes a resource of the embedded plane.
///
/// # Errors
/// A resource that does not exist; what the plane answered.
pub(super) async fn rm(session: &Session, what: &str, out: &mut dyn Write) -> Result<(), CliError> {
    let (kind, id) = parse_one(what).map_err(CliError::usage)?;
    let refused = || CliError::new(format!("a {} cannot be deleted", kind.name));
    let live = fetch(session, kind, &id).await?.ok_or_else(|| not_found(&id))?;
    let name = canonical::name_in(&live.canonical).unwrap_or_default();
    let request = call::delete(kind, &name).ok_or_else(refused)?;
    send(session, &request).await?;
    say(out, &format!("{} has been deleted", live.id))
}

/// The embedded plane's own method: a line `COUNT METHOD` for each method that was called.
pub(super) const CALLS: &str = "/reconciler.plane.v1.Plane/Calls";

/// Another: a line for each service, and one for each cluster that makes its rounds fail.
pub(super) const SERVICES: &str = "/reconciler.plane.v1.Plane/Services";

/// Prints what one of the embedded plane's own methods answers.
///
/// # Errors
/// No answer.
pub(super) async fn print_answer(
    session: &Session,
    path: &'static str,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let answer = send(session, &call::Request { path, body: Bytes::new() }).await?;
    say(out, String::from_utf8_lossy(&answer).trim_end())
}

/// Creates or overwrites the resources of a file in the embedded plane.
///
/// # Errors
/// A file that cannot be read; what the plane answered.
pub(super) async fn set(
    session: &Session,
    file: &Path,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let unreadable = |error| CliError::new(format!("cannot read {}: {error}", file.display()));
    let text = bounded_read::read_or_stdin(file, FILE_SIZE_MAX).map_err(unreadable)?;
    let unclear = |error: String| CliError::new(format!("{}: {error}", file.display()));
    for document in serde_yaml::Deserializer::from_slice(&text) {
        let value = serde_json::Value::deserialize(document).map_err(|e| unclear(e.to_string()))?;
        if value.is_null() {
            continue;
        }
        let value = Value::from_serde(value);
        let word = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let kind = kind::find(word).ok_or_else(|| unclear(format!("unknown kind `{word}`")))?;
        let name = value.get("metadata").and_then(|m| m.get("name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| unclear("a resource has no `metadata.name`".to_owned()))?;
        if let Some(field) = pasted::fingerprint(kind, &value) {
            return Err(unclear(format!(
                "`{field}` of this {} is the fingerprint of a secret, not the secret; `reconciler \
                 plane get` shows secrets in clear",
                kind.name
            )));
        }
        let id = canonical::id(kind, Cluster::Parent, name, &value, &session.key);
        let (verb, id) =
            put(session, kind, &id, value).await.map_err(|error| unclear(error.message))?;
        say(out, &format!("{id} has been {verb}"))?;
    }
    Ok(())
}

/// As `tctl create -f`: makes it, or overwrites whatever is there at its present revision. What
/// was done, and to what.
async fn put(
    session: &Session,
    kind: &'static Kind,
    id: &ResourceId,
    mut value: Value,
) -> Result<(&'static str, ResourceId), CliError> {
    let resource = value.clone();
    // The server may quote what it was sent.
    let refused = |error: &str| {
        let told = hide::hide(id, kind, &resource, &session.key, error);
        CliError::new(format!("{id}: {told}"))
    };
    let create = call::create(kind, message(kind, &value)?)
        .ok_or_else(|| CliError::new(format!("a {} cannot be created", kind.name)))?;
    match session.cluster.call(create.path, create.body, CALL_DEADLINE).await {
        Ok(_) => return Ok(("created", id.clone())),
        Err(error) if error.code == CallCode::AlreadyExists => {}
        Err(error) => return Err(refused(&error.to_string())),
    }
    let live = fetch(session, kind, id).await?.ok_or_else(|| not_found(id))?;
    if let (Value::Map(fields), Some(revision)) = (&mut value, live.revision)
        && let Some(Value::Map(metadata)) = fields.get_mut("metadata")
    {
        metadata.insert("revision".to_owned(), Value::String(revision.0));
    }
    let request = call::update(kind, message(kind, &value)?)
        .ok_or_else(|| CliError::new(format!("{id}: this kind cannot be updated")))?;
    let sent = session.cluster.call(request.path, request.body, CALL_DEADLINE).await;
    sent.map_err(|error| refused(&error.to_string()))?;
    Ok(("updated", live.id))
}

fn message(kind: &Kind, value: &Value) -> Result<Bytes, CliError> {
    canonical::from_value(kind, value).map_err(|error| CliError::new(error.to_string()))
}

async fn send(session: &Session, request: &call::Request) -> Result<Bytes, CliError> {
    session
        .cluster
        .call(request.path, request.body.clone(), CALL_DEADLINE)
        .await
        .map_err(|error| CliError::new(error.to_string()))
}

fn say(out: &mut dyn Write, line: &str) -> Result<(), CliError> {
    writeln!(out, "{line}").map_err(|error| CliError::output(&error))
}
