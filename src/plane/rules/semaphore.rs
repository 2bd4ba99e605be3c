//! Semaphores: leases with an end, at most so many at a time.

use prost::Message as _;

use super::access::READ_NO_SECRETS;
use super::metadata::quoted;
use super::{Expiry, NAMESPACE, Rules, Tx, decode, empty, page, read, uuid, write};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::{proto, types};

const KIND: &str = "semaphore";

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        write("/proto.AuthService/AcquireSemaphore", acquire),
        write("/proto.AuthService/KeepAliveSemaphoreLease", keep_alive),
        write("/proto.AuthService/CancelSemaphoreLease", cancel),
        read("/proto.AuthService/GetSemaphores", list),
        read("/proto.AuthService/ListSemaphores", list_page),
        write("/proto.AuthService/DeleteSemaphore", delete),
    ],
    events: None,
    expire: None,
};

/// Two names in one: neither may hold the separator, which no message of text does.
fn key(kind: &str, name: &str) -> String {
    format!("{kind}\0{name}")
}

fn load(item: &Item) -> Result<types::SemaphoreV3, Status> {
    let mut semaphore: types::SemaphoreV3 = decode(&item.value)?;
    semaphore.metadata.get_or_insert_default().revision.clone_from(&item.revision);
    Ok(semaphore)
}

fn required(fields: &[(&str, bool)]) -> Result<(), Status> {
    match fields.iter().find(|(_, missing)| *missing) {
        Some((field, _)) => Err(Status::invalid(format!("missing parameter {field}"))),
        None => Ok(()),
    }
}

/// Whether that time is set and before another.
fn before(at: Option<&prost_types::Timestamp>, other: Expiry) -> bool {
    Expiry::of(at).0 < other.0
}

fn now(tx: &Tx<'_>) -> Expiry {
    Expiry(Some(tx.now.wall))
}

fn acquire(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: types::AcquireSemaphoreRequest = decode(body)?;
    tx.allow_all(KIND, &["create", "update"])?;
    let (kind, name) = (request.semaphore_kind.as_str(), request.semaphore_name.as_str());
    let expires = request.expires;
    required(&[
        ("SemaphoreKind", kind.is_empty()),
        ("SemaphoreName", name.is_empty()),
        ("MaxLeases", request.max_leases == 0),
        ("Expires", Expiry::of(expires.as_ref()) == Expiry::NEVER),
    ])?;
    if before(expires.as_ref(), now(tx)) {
        return Err(Status::invalid("cannot acquire expired semaphore lease"));
    }
    let mut semaphore = match tx.stored(KIND, &key(kind, name)) {
        Some(item) => load(item)?,
        None => new(kind, name),
    };
    let leases = &mut semaphore.spec.get_or_insert_default().leases;
    purge(leases, now(tx));
    if i64::try_from(leases.len()).unwrap_or(i64::MAX) >= request.max_leases {
        return Err(Status::exhausted(format!(
            "cannot acquire semaphore {kind}/{name} (err-max-leases)"
        )));
    }
    let lease_id = uuid(tx.rng);
    leases.push(types::SemaphoreLeaseRef {
        lease_id: lease_id.clone(),
        expires,
        holder: request.holder.clone(),
    });
    put(tx, semaphore);
    let lease = types::SemaphoreLease {
        semaphore_kind: kind.to_owned(),
        semaphore_name: name.to_owned(),
        lease_id,
        expires,
    };
    Ok(lease.encode_to_vec())
}

fn new(kind: &str, name: &str) -> types::SemaphoreV3 {
    types::SemaphoreV3 {
        kind: KIND.to_owned(),
        sub_kind: kind.to_owned(),
        version: "v3".to_owned(),
        metadata: Some(types::Metadata {
            name: name.to_owned(),
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        }),
        spec: Some(types::SemaphoreSpecV3::default()),
    }
}

fn purge(leases: &mut Vec<types::SemaphoreLeaseRef>, now: Expiry) {
    leases.retain(|lease| Expiry::of(lease.expires.as_ref()).0 > now.0);
}

fn check_lease(lease: &types::SemaphoreLease) -> Result<(), Status> {
    required(&[
        ("SemaphoreKind", lease.semaphore_kind.is_empty()),
        ("SemaphoreName", lease.semaphore_name.is_empty()),
        ("LeaseID", lease.lease_id.is_empty()),
    ])?;
    if Expiry::of(lease.expires.as_ref()) == Expiry::NEVER {
        return Err(Status::invalid("missing lease expiry time"));
    }
    Ok(())
}

fn keep_alive(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let lease: types::SemaphoreLease = decode(body)?;
    tx.allow(KIND, "update")?;
    check_lease(&lease)?;
    if before(lease.expires.as_ref(), now(tx)) {
        return Err(Status::invalid(format!("lease {} has expired", lease.lease_id)));
    }
    let (kind, name) = (&lease.semaphore_kind, &lease.semaphore_name);
    let Some(item) = tx.stored(KIND, &key(kind, name)) else {
        return Err(Status::not_found(format!(
            "cannot keepalive, semaphore not found: {kind}/{name}"
        )));
    };
    let mut semaphore = load(item)?;
    let leases = &mut semaphore.spec.get_or_insert_default().leases;
    purge(leases, now(tx));
    let Some(held) = leases.iter_mut().find(|it| it.lease_id == lease.lease_id) else {
        return Err(Status::not_found(format!(
            "cannot keepalive, lease not found: {}",
            quoted(&lease.lease_id)
        )));
    };
    held.expires = lease.expires;
    put(tx, semaphore);
    Ok(empty())
}

fn cancel(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let lease: types::SemaphoreLease = decode(body)?;
    tx.allow(KIND, "update")?;
    check_lease(&lease)?;
    if before(lease.expires.as_ref(), now(tx)) {
        return Err(Status::invalid(format!("the lease {} has expired", lease.lease_id)));
    }
    let (kind, name) = (&lease.semaphore_kind, &lease.semaphore_name);
    let item = tx.stored(KIND, &key(kind, name)).ok_or_else(|| missing(kind, name))?;
    let mut semaphore = load(item)?;
    let leases = &mut semaphore.spec.get_or_insert_default().leases;
    let held = leases.len();
    leases.retain(|it| it.lease_id != lease.lease_id);
    if leases.len() == held {
        return Err(Status::not_found(format!(
            "cannot cancel, lease not found: {}",
            quoted(&lease.lease_id)
        )));
    }
    put(tx, semaphore);
    Ok(empty())
}

fn missing(kind: &str, name: &str) -> Status {
    let key = format!("/semaphores/{kind}/{name}");
    Status::not_found(format!("key {} is not found", quoted(&key)))
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let filter: types::SemaphoreFilter = decode(body)?;
    tx.allow_all(KIND, &[READ_NO_SECRETS, "list"])?;
    let semaphores = found(tx, "", &filter).map(|(_, it)| it).collect();
    Ok(proto::Semaphores { semaphores }.encode_to_vec())
}

/// Newer than 18.0.0.
fn list_page(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::ListSemaphoresRequest = decode(body)?;
    tx.allow_all(KIND, &[READ_NO_SECRETS, "list"])?;
    let filter = request.filter.unwrap_or_default();
    let found = found(tx, &request.page_token, &filter);
    let (semaphores, next_page_token) = page::cut(found, page::size(request.page_size));
    Ok(proto::ListSemaphoresResponse { semaphores, next_page_token }.encode_to_vec())
}

/// Leases that are over stay listed until somebody acquires or keeps alive.
fn found<'a>(
    tx: &'a Tx<'_>,
    start: &'a str,
    filter: &'a types::SemaphoreFilter,
) -> impl Iterator<Item = (String, types::SemaphoreV3)> + 'a {
    let wants = |filter: &str, value: &str| filter.is_empty() || filter == value;
    tx.store.list(View::Backend, KIND, start, tx.now).filter_map(move |(key, item)| {
        let it = load(item).ok()?;
        let name = it.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
        let matches =
            wants(&filter.semaphore_kind, &it.sub_kind) && wants(&filter.semaphore_name, name);
        matches.then(|| (key.to_owned(), it))
    })
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let filter: types::SemaphoreFilter = decode(body)?;
    tx.allow(KIND, "delete")?;
    let (kind, name) = (filter.semaphore_kind.as_str(), filter.semaphore_name.as_str());
    if kind.is_empty() || name.is_empty() {
        return Err(Status::invalid("semaphore kind and name must be specified for deletion"));
    }
    if tx.stored(KIND, &key(kind, name)).is_none() {
        return Err(missing(kind, name));
    }
    tx.remove(KIND, &key(kind, name));
    Ok(empty())
}

/// Stores the semaphore, which vanishes with the last that a lease ever had as its end.
fn put(tx: &mut Tx<'_>, mut semaphore: types::SemaphoreV3) {
    let metadata = semaphore.metadata.get_or_insert_default();
    metadata.revision.clear();
    let ends = semaphore.spec.iter().flat_map(|spec| &spec.leases).filter_map(|it| it.expires);
    let last = ends.chain(metadata.expires).max_by_key(|at| (at.seconds, at.nanos));
    metadata.expires = last;
    let key = key(&semaphore.sub_kind, &metadata.name);
    let expiry = Expiry::of(last.as_ref());
    tx.put(KIND, &key, &semaphore, expiry);
}
