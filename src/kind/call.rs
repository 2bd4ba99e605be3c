//! The bytes of calls, from the rows of the table. Sans I/O: whoever has a
//! `port::Cluster` sends them.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::canonical::{self, WireError};
use super::codec::{self, Raw, RawValue};
use super::{Call, Follow, KINDS, Kind, List, PAGE_SIZE};
use crate::model::{Cluster, FingerprintKey, KindName, Live, ResourceId, Revision};
use crate::wire::{DESCRIPTORS, message};

/// A call ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// gRPC path.
    pub path: &'static str,
    /// The encoded request.
    pub body: Bytes,
}

/// Asks for a page by one of [`super::Rpc::lists`]; `token` empty: the first.
pub fn list(list: &List, token: &str) -> Request {
    let mut body = Vec::new();
    if let Some(page) = list.page {
        if let Some(number) = number_of(list.request, page.size) {
            encode_key(number, WireType::Varint, &mut body);
            encode_varint(u64::from(PAGE_SIZE.unsigned_abs()), &mut body);
        }
        if let Some(number) = number_of(list.request, page.token).filter(|_| !token.is_empty()) {
            put(&mut body, number, token.as_bytes());
        }
    }
    Request { path: list.path, body: body.into() }
}

/// One page: resources that could be read, what was wrong with the others, the next token
/// (empty at the end).
#[derive(Debug)]
pub struct ListPage {
    /// Readable ones.
    pub items: Vec<Live>,
    /// One entry for each that was not.
    pub broken: Vec<WireError>,
    /// Empty at the end.
    pub next: String,
}

/// Reads the answer to the same [`list`].
///
/// # Errors
/// Bytes that are not such an answer.
#[expect(clippy::needless_pass_by_value, reason = "the bytes are handed over for good")]
pub fn listed(
    kind: &Kind,
    list: &List,
    cluster: &Cluster,
    answer: Bytes,
    key: &FingerprintKey,
) -> Result<ListPage, WireError> {
    let items = number_of(list.answer, list.items);
    let next = list.page.and_then(|page| number_of(list.answer, page.next));
    let mut page = ListPage { items: Vec::new(), broken: Vec::new(), next: String::new() };
    let mut found = Vec::new();
    let mut strange = None;
    for field in fields(list.answer, &answer) {
        let Raw { number, value, bytes: _ } = field?;
        match value {
            RawValue::Bytes(bytes) if Some(number) == items => found.push(answer.slice_ref(bytes)),
            RawValue::Bytes(bytes) if Some(number) == next => {
                page.next = std::str::from_utf8(bytes)
                    .map_err(|error| WireError::new(list.answer, &error.to_string()))?
                    .into();
            }
            RawValue::Bytes(_) => strange = Some(number),
            RawValue::Varint(_) | RawValue::Other => {}
        }
    }
    // An empty list may have everything pruned or made anew: it must not come from a server that
    // puts its resources elsewhere.
    if let Some(number) = strange.filter(|_| found.is_empty()) {
        let message = format!("no resources, but a field {number} that this version does not know");
        return Err(WireError::new(list.answer, &message));
    }
    for resource in found {
        match canonical::decode(kind, cluster.clone(), resource, key) {
            Ok(live) => page.items.push(live),
            Err(error) => page.broken.push(error),
        }
    }
    Ok(page)
}

/// Asks for one resource.
pub fn get(kind: &Kind, name: &str) -> Request {
    by_name(&kind.rpc.get, name)
}

/// Reads the answer to [`get`].
///
/// # Errors
/// Bytes that are not such an answer.
#[expect(clippy::needless_pass_by_value, reason = "the bytes are handed over for good")]
pub fn got(
    kind: &Kind,
    cluster: &Cluster,
    answer: Bytes,
    key: &FingerprintKey,
) -> Result<Live, WireError> {
    let resource = resource_in(kind, kind.rpc.get.answer, &answer)?
        .ok_or_else(|| WireError::new(kind.rpc.get.answer, "it holds no resource"))?;
    canonical::decode(kind, cluster.clone(), resource, key)
}

/// Creates from an encoded resource; `None` for a kind that only the server makes.
pub fn create(kind: &Kind, message: Bytes) -> Option<Request> {
    kind.rpc.create.as_ref().map(|call| with_resource(call, message))
}

/// Updates with an encoded resource; `None` for a kind without an update.
pub fn update(kind: &Kind, message: Bytes) -> Option<Request> {
    kind.rpc.update.as_ref().map(|call| with_resource(call, message))
}

/// Deletes by name; `None` for a kind that is never deleted by us.
pub fn delete(kind: &Kind, name: &str) -> Option<Request> {
    kind.rpc.delete.as_ref().map(|call| by_name(call, name))
}

/// The revision in the answer to a create or update, where the call returns the resource.
pub fn revision(kind: &Kind, answer: &[u8]) -> Option<Revision> {
    // Where there are both, they answer alike; a test compares them.
    let call = kind.rpc.create.as_ref().or(kind.rpc.update.as_ref())?;
    let answer = Bytes::copy_from_slice(answer);
    let resource = resource_in(kind, call.answer, &answer).ok()??;
    // The answer to each write comes by here: what is not asked for is not read.
    let metadata = number_of(kind.message, "metadata")?;
    let mut read = Vec::new();
    for field in fields(kind.message, &resource) {
        let Raw { number, value: _, bytes } = field.ok()?;
        if number == metadata {
            read.extend_from_slice(bytes);
        }
    }
    let value = canonical::to_value(kind, &read).ok()?;
    let revision = value.get("metadata")?.get("revision")?.as_str()?;
    Some(Revision(revision.into()))
}

/// gRPC path of the one stream.
pub const WATCH_PATH: &str = "/proto.AuthService/WatchEvents";

/// Asks to watch all kinds that can be watched. Path [`WATCH_PATH`].
///
/// Kinds that this server cannot or may not show are left out instead of failing the rest; the
/// first event says which are confirmed.
pub fn watch(kinds: &[&Kind]) -> Request {
    let kinds = kinds
        .iter()
        .filter(|kind| matches!(kind.follow, Follow::Watch(_)))
        .map(|kind| message::types::WatchKind {
            kind: kind.name.as_str().into(),
            ..message::types::WatchKind::default()
        })
        .collect();
    let watch = message::proto::Watch { kinds, allow_partial_success: true };
    Request { path: WATCH_PATH, body: watch.encode_to_vec().into() }
}

/// One event of a watch.
#[derive(Debug)]
pub enum Watched {
    /// The first: these kinds are confirmed.
    Opened(Vec<KindName>),
    /// It is like this now.
    Put(Live),
    /// It is gone. The event has its name and nothing else, so that the id is plain even where
    /// the name is a secret: whoever keeps a [`crate::model::SecretNames`] knows better.
    Gone(ResourceId),
    /// Nothing of ours.
    Other,
}

/// Message of one event.
const EVENT: &str = "proto.Event";

/// Reads one event.
///
/// # Errors
/// Bytes that are not an event, or a resource in it that cannot be read: list again.
#[expect(clippy::needless_pass_by_value, reason = "the bytes are handed over for good")]
pub fn watched(
    cluster: &Cluster,
    event: Bytes,
    key: &FingerprintKey,
) -> Result<Watched, WireError> {
    let mut operation: i32 = message::proto::Operation::Init.into();
    let mut resource = None;
    for field in fields(EVENT, &event) {
        let Raw { number, value, bytes: _ } = field?;
        match value {
            RawValue::Varint(value) if Some(number) == number_of(EVENT, "type") => {
                operation = i32::try_from(value).unwrap_or(-1);
            }
            RawValue::Bytes(bytes) => resource = Some((number, event.slice_ref(bytes))),
            RawValue::Varint(_) | RawValue::Other => {}
        }
    }
    match (message::proto::Operation::try_from(operation), resource) {
        (Ok(message::proto::Operation::Init), resource) => opened(resource),
        (Ok(message::proto::Operation::Put), Some((number, bytes))) => {
            put_event(cluster, number, bytes, key)
        }
        (Ok(message::proto::Operation::Delete), Some((_, bytes))) => gone(cluster, bytes),
        (_, None) => Err(WireError::new(EVENT, "it holds no resource")),
        (Err(_), Some(_)) => Err(WireError::new(EVENT, "its type is unknown")),
    }
}

/// A server that does not say what it confirms confirms nothing: those kinds are polled.
fn opened(resource: Option<(u32, Bytes)>) -> Result<Watched, WireError> {
    let status = number_of(EVENT, "watch_status");
    let Some((_, bytes)) = resource.filter(|(number, _)| Some(*number) == status) else {
        return Ok(Watched::Opened(Vec::new()));
    };
    let status = message::types::WatchStatusV1::decode(bytes)
        .map_err(|error| WireError::new(EVENT, &error.to_string()))?;
    let confirmed = status.spec.map(|spec| spec.kinds).unwrap_or_default();
    let names = confirmed.iter().filter_map(|watched| super::find(&watched.kind));
    Ok(Watched::Opened(names.map(|kind| kind.name).collect()))
}

fn put_event(
    cluster: &Cluster,
    number: u32,
    bytes: Bytes,
    key: &FingerprintKey,
) -> Result<Watched, WireError> {
    let carried = |kind: &&&Kind| match kind.follow {
        Follow::Watch(member) => number_of(EVENT, member) == Some(number),
        Follow::Poll => false,
    };
    match KINDS.iter().find(carried) {
        Some(kind) => canonical::decode(kind, cluster.clone(), bytes, key).map(Watched::Put),
        None => Ok(Watched::Other),
    }
}

fn gone(cluster: &Cluster, bytes: Bytes) -> Result<Watched, WireError> {
    let header = message::types::ResourceHeader::decode(bytes)
        .map_err(|error| WireError::new(EVENT, &error.to_string()))?;
    let name = header.metadata.map(|metadata| metadata.name).unwrap_or_default();
    Ok(match super::find(&header.kind) {
        Some(kind) => Watched::Gone(ResourceId {
            cluster: cluster.clone(),
            kind: kind.name,
            name: name.into(),
        }),
        None => Watched::Other,
    })
}

fn by_name(call: &Call, name: &str) -> Request {
    let number = call.field.and_then(|field| number_of(call.request, field));
    let mut body = Vec::new();
    if let Some(number) = number {
        put(&mut body, number, name.as_bytes());
    }
    Request { path: call.path, body: body.into() }
}

fn with_resource(call: &Call, message: Bytes) -> Request {
    let number = call.field.and_then(|field| number_of(call.request, field));
    let body = match number {
        Some(number) => {
            // A key and a length take at most 5 and 10 bytes.
            let mut body = Vec::with_capacity(message.len().saturating_add(15));
            put(&mut body, number, &message);
            body.into()
        }
        None => message,
    };
    Request { path: call.path, body }
}

/// The resource in an answer: the answer itself, or the field that has its type.
fn resource_in(kind: &Kind, answer_type: &str, answer: &Bytes) -> Result<Option<Bytes>, WireError> {
    if answer_type == kind.message {
        return Ok(Some(answer.clone()));
    }
    let Some(descriptor) = DESCRIPTORS.get_message_by_name(answer_type) else { return Ok(None) };
    let holder = descriptor.fields().find(|field| {
        field.kind().as_message().is_some_and(|message| message.full_name() == kind.message)
    });
    let Some(holder) = holder else { return Ok(None) };
    let mut found = None;
    for field in fields(answer_type, answer) {
        let Raw { number, value, bytes: _ } = field?;
        if let RawValue::Bytes(bytes) = value
            && number == holder.number()
        {
            found = Some(answer.slice_ref(bytes));
        }
    }
    Ok(found)
}

/// The number of a field by its name. The rows' names are checked by a test.
fn number_of(message: &str, field: &str) -> Option<u32> {
    DESCRIPTORS.get_message_by_name(message)?.get_field_by_name(field).map(|field| field.number())
}

fn fields<'a>(
    message: &'a str,
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<Raw<'a>, WireError>> {
    codec::fields(bytes)
        .map(move |field| field.map_err(|problem| WireError::new(message, &problem)))
}

fn put(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}
