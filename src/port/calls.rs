//! What listing, reading and writing are in calls of [`Cluster`]. Their bytes come from
//! `kind::call`.
//!
//! Deliberately absent: retries, concurrency, and what follows from an answer.

use std::time::Duration;

use super::pages::Pages;
use super::{CallCode, CallError, Cluster};
use crate::kind::canonical::{WireError, encode, name_in};
use crate::kind::{Kind, List, call};
use crate::live::{Coverage, ListFailure, Observed, Written};
use crate::model::{Cluster as Which, FingerprintKey, Live, ResourceId};
use crate::plan::{Action, Step};

/// Most pages of one list. Servers may make them as short as they like, so this says nothing of
/// how many resources there are; one that goes on and never repeats a page is broken.
pub const PAGES_MAX: usize = 1_000_000;

/// Longest wait for one page. Real servers need a second for a thousand roles.
pub(super) const LIST_DEADLINE: Duration = Duration::from_secs(30);

/// Longest wait for one resource.
const GET_DEADLINE: Duration = Duration::from_secs(10);

/// Longest wait for a write; after it the outcome is in doubt.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// Broken resources that are named in a reason; the rest is counted.
const BROKEN_SHOWN_MAX: usize = 3;

/// Lists one kind, all pages. Whatever goes wrong makes the answer partial, with the reason;
/// what was seen until then stays.
///
/// The newest call goes first. A server that does not have it is asked by the older one, and that
/// is remembered for the connection; one that has none of them is asked by all again, in case it
/// is another server by now.
pub async fn list(
    cluster: &impl Cluster,
    kind: &Kind,
    which: Which,
    key: &FingerprintKey,
) -> Observed {
    list_with(cluster, kind, which, key, |live| live, PAGES_MAX).await
}

/// As [`list`], of so many pages at most. `keep` says what is kept of each resource, as soon as
/// its page is read.
pub async fn list_with(
    cluster: &impl Cluster,
    kind: &Kind,
    which: Which,
    key: &FingerprintKey,
    keep: impl Fn(Live) -> Live,
    pages_max: usize,
) -> Observed {
    let (lacking, there): (Vec<&List>, Vec<&List>) =
        kind.rpc.lists().partition(|list| cluster.lacks(list.path));
    let mut refused = Vec::new();
    for list in there.into_iter().chain(lacking) {
        if let Some(observed) = pages(cluster, kind, list, (&which, key), &keep, pages_max).await {
            return observed;
        }
        cluster.found_lacking(list.path);
        refused.push(list.path.rsplit('/').next().unwrap_or(list.path));
    }
    let mut observed = Observed::unknown("");
    let reason = format!(
        "this server does not have the kind `{}` (not implemented: {})",
        kind.name,
        refused.join(", ")
    );
    observed.degrade(reason, ListFailure::NoSuchKind);
    observed
}

/// All pages by one call; `None`: the server does not have it.
async fn pages(
    cluster: &impl Cluster,
    kind: &Kind,
    list: &List,
    (which, key): (&Which, &FingerprintKey),
    keep: &impl Fn(Live) -> Live,
    pages_max: usize,
) -> Option<Observed> {
    let mut items = Vec::new();
    let mut broken = Vec::new();
    let mut pages = Pages::new(pages_max);
    let (coverage, lack) = loop {
        let request = call::list(list, pages.token());
        let page = match cluster.call(request.path, request.body, LIST_DEADLINE).await {
            Ok(answer) => call::listed(kind, list, which, answer, key),
            Err(error) if error.code == CallCode::Unimplemented && pages.is_at_first() => {
                return None;
            }
            Err(error) => break failed(kind, &error),
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => break passing(format!("list of {}: {error}", kind.name)),
        };
        items.extend(page.items.into_iter().map(keep));
        broken.extend(page.broken);
        match between(cluster, kind, list, &page.next, (which, key)).await {
            Ok(live) => items.extend(live.map(keep)),
            Err(error) => break failed(kind, &error),
        }
        match pages.turn(page.next) {
            Ok(true) => {}
            Ok(false) => break (whole(kind, &broken), ListFailure::Transient),
            Err(error) => break passing(format!("list of {}: {error}", kind.name)),
        }
    };
    let mut observed = Observed::new(items, Coverage::Complete);
    if let Coverage::Partial(reason) = coverage {
        observed.degrade(reason, lack);
    }
    Some(observed)
}

/// What the server leaves out between this page and the next, if it does that.
async fn between(
    cluster: &impl Cluster,
    kind: &Kind,
    list: &List,
    next: &str,
    (which, key): (&Which, &FingerprintKey),
) -> Result<Option<Live>, CallError> {
    match list.page.and_then(|page| page.left_out).and_then(|left_out| left_out(next)) {
        Some(name) => {
            let id = ResourceId { cluster: which.clone(), kind: kind.name, name: name.into() };
            read(cluster, kind, &id, key).await
        }
        None => Ok(None),
    }
}

const fn passing(reason: String) -> (Coverage, ListFailure) {
    (Coverage::Partial(reason), ListFailure::Transient)
}

/// What a page that did not come means.
fn failed(kind: &Kind, error: &CallError) -> (Coverage, ListFailure) {
    let name = kind.name;
    if error.code == CallCode::PermissionDenied {
        let reason = format!(
            "list of {name}: {error}; one of the identity's roles needs the rule \
             `resources: [{name}], verbs: [list, read]`"
        );
        return (Coverage::Partial(reason), ListFailure::NotAllowed);
    }
    let (coverage, passing) = passing(format!("list of {name}: {error}"));
    (coverage, if error.code == CallCode::Barred { ListFailure::Barred } else { passing })
}

fn whole(kind: &Kind, broken: &[WireError]) -> Coverage {
    if broken.is_empty() {
        return Coverage::Complete;
    }
    let shown: Vec<&str> =
        broken.iter().take(BROKEN_SHOWN_MAX).map(|error| error.message.as_str()).collect();
    let more = match broken.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Coverage::Partial(format!("unreadable {} on the server: {}{more}", kind.name, shown.join("; ")))
}

/// Reads one resource. `None`: the server says that it is not there, which proves nothing while
/// a write of ours may not have reached its cache. Of a veiled id the name is not known, so that
/// the whole kind is listed: one call as well.
///
/// # Errors
/// The server's; [`CallCode::Internal`] for an answer that cannot be read or names another
/// resource. Of a list that did not show a veiled id: what lacks, else [`CallCode::Unavailable`].
pub async fn fetch(
    cluster: &impl Cluster,
    kind: &Kind,
    id: &ResourceId,
    key: &FingerprintKey,
) -> Result<Option<Live>, CallError> {
    if id.is_veiled() {
        return found(&list(cluster, kind, id.cluster.clone(), key).await, id, key);
    }
    read(cluster, kind, id, key).await
}

/// Reads one resource by the name that its id shows.
async fn read(
    cluster: &impl Cluster,
    kind: &Kind,
    id: &ResourceId,
    key: &FingerprintKey,
) -> Result<Option<Live>, CallError> {
    let request = call::get(kind, &id.name);
    let answer = match cluster.call(request.path, request.body, GET_DEADLINE).await {
        Ok(answer) => answer,
        Err(CallError { code: CallCode::NotFound, message: _ }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let live = call::got(kind, &id.cluster, answer, key).map_err(|error| unreadable(&error))?;
    // It is the same one where only its id is veiled: the name is a secret by now.
    if live.id == *id || live.id == id.veiled(key) {
        return Ok(Some(live));
    }
    let message = format!("asked for {}, got {}", id.veiled(key), live.id.veiled(key));
    Err(CallError { code: CallCode::Internal, message })
}

/// The resource that a veiled id means, whatever it says of its own name.
fn found(
    observed: &Observed,
    id: &ResourceId,
    key: &FingerprintKey,
) -> Result<Option<Live>, CallError> {
    match (observed.seen().find(|live| live.id.veiled(key) == *id), observed.coverage()) {
        (Some(live), _) => Ok(Some(Live { id: id.clone(), ..Live::clone(live) })),
        (None, Coverage::Complete) => Ok(None),
        (None, Coverage::Partial(reason)) => {
            let code = match observed.lack() {
                Some(ListFailure::NotAllowed) => CallCode::PermissionDenied,
                Some(ListFailure::NoSuchKind) => CallCode::Unimplemented,
                Some(ListFailure::Barred) => CallCode::Barred,
                Some(ListFailure::Transient) | None => CallCode::Unavailable,
            };
            Err(CallError { code, message: reason.clone() })
        }
    }
}

/// Sends one write, and nothing else. Updates of kinds that the server compares carry the revision
/// of the plan. Deletes carry none, and some kinds' updates are not compared: before those the
/// engine has read the resource again (its last look, `engine::write`), and a window stays open
/// between that and here, as wide as the journal's disk is slow. A second read here would narrow
/// it, not close it, at the price of a call for each delete.
///
/// # Errors
/// The server's. [`CallCode::FailedPrecondition`]: the resource moved since the plan.
/// [`CallCode::InvalidArgument`]: also a resource that does not fit its message, or a step that is
/// no write; nothing was sent.
pub async fn write(
    cluster: &impl Cluster,
    kind: &Kind,
    step: &Step,
    owner: &str,
) -> Result<Written, CallError> {
    let request = match &step.action {
        Action::Create { after } => call::create(kind, encoded(encode(kind, after, None, owner))?)
            .ok_or_else(|| invalid(format!("a {} cannot be created", kind.name)))?,
        Action::Update { before, after, changes: _ } => {
            let message = encoded(encode(kind, after, Some(before), owner))?;
            call::update(kind, message)
                .ok_or_else(|| invalid(format!("a {} cannot be updated", kind.name)))?
        }
        Action::Delete { before } => {
            let name = name_in(&before.canonical)
                .ok_or_else(|| invalid(format!("{} has no name", step.id)))?;
            call::delete(kind, &name)
                .ok_or_else(|| invalid(format!("a {} is not deleted by us", kind.name)))?
        }
        Action::Adopt { live: _, after: _ } => {
            return Err(invalid(format!("the adoption of {} is no write", step.id)));
        }
    };
    let answer = cluster.call(request.path, request.body, WRITE_DEADLINE).await?;
    let revision = match &step.action {
        Action::Delete { before: _ } => None,
        Action::Create { .. } | Action::Update { .. } | Action::Adopt { .. } => {
            call::revision(kind, &answer)
        }
    };
    Ok(Written { revision })
}

fn encoded(message: Result<bytes::Bytes, WireError>) -> Result<bytes::Bytes, CallError> {
    message.map_err(|error| invalid(error.message))
}

fn invalid(message: String) -> CallError {
    CallError { code: CallCode::InvalidArgument, message }
}

fn unreadable(error: &WireError) -> CallError {
    CallError { code: CallCode::Internal, message: error.message.clone() }
}
