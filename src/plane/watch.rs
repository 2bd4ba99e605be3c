//! Watches: who wants to hear of what, and the events that wait for them.

use std::collections::{BTreeMap, VecDeque};

use prost::Message as _;

use super::core::{WatchId, WatchPoll};
use super::rules;
use super::status::Status;
use super::store::Change;
use crate::wire::message::{proto, types};

/// Events that wait for a slow reader before its watch ends; the real server's buffer.
pub(super) const BACKLOG_MAX: usize = 1024;

/// Kinds that the real server's cache follows; a watch on any other is refused.
const WATCHABLE: &[&str] = &[
    "cert_authority",
    "kube_cluster",
    "kube_server",
    "namespace",
    "remote_cluster",
    "role",
    "token",
    "user",
];

#[derive(Debug)]
struct Watch {
    kinds: Vec<types::WatchKind>,
    queue: VecDeque<Vec<u8>>,
    ended: Option<Status>,
}

/// The open watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    open: BTreeMap<WatchId, Watch>,
    last: u64,
}

impl Watches {
    /// Opens a watch; its first event says which kinds it has.
    pub(super) fn open(&mut self, request: proto::Watch) -> Result<WatchId, Status> {
        let kinds = confirm(request)?;
        let init = proto::Event {
            r#type: proto::Operation::Init.into(),
            resource: Some(proto::event::Resource::WatchStatus(types::WatchStatusV1 {
                kind: "watch_status".to_owned(),
                version: "v1".to_owned(),
                metadata: Some(types::Metadata {
                    name: "watch-status".to_owned(),
                    namespace: rules::NAMESPACE.to_owned(),
                    ..Default::default()
                }),
                spec: Some(types::WatchStatusSpecV1 { kinds: kinds.clone() }),
                ..Default::default()
            })),
        };
        self.last += 1;
        let id = WatchId(self.last);
        let queue = VecDeque::from([init.encode_to_vec()]);
        self.open.insert(id, Watch { kinds, queue, ended: None });
        Ok(id)
    }

    /// Tells every watch that wants to know of the change.
    pub(super) fn publish(&mut self, change: &Change) {
        if self.open.is_empty() {
            return;
        }
        let Some(event) = rules::event_of(change) else { return };
        let event = event.encode_to_vec();
        for watch in self.open.values_mut() {
            let wanted = watch.kinds.iter().any(|kind| {
                kind.kind == change.key.kind
                    && (kind.name.is_empty() || kind.name == change.key.name)
            });
            if !wanted || watch.ended.is_some() {
                continue;
            }
            if watch.queue.len() >= BACKLOG_MAX {
                watch.ended = Some(Status::unknown("event fanout system reset"));
            } else {
                watch.queue.push_back(event.clone());
            }
        }
    }

    /// Takes what waits.
    pub(super) fn poll(&mut self, id: WatchId) -> WatchPoll {
        let Some(watch) = self.open.get_mut(&id) else {
            let ended = Some(Status::unknown("event fanout system closed"));
            return WatchPoll { events: Vec::new(), ended };
        };
        let events = watch.queue.drain(..).collect();
        let ended = watch.ended.clone();
        if ended.is_some() {
            self.open.remove(&id);
        }
        WatchPoll { events, ended }
    }

    /// Forgets a watch.
    pub(super) fn close(&mut self, id: WatchId) {
        self.open.remove(&id);
    }

    /// Ends all watches, as the real server does when its feed breaks.
    pub(super) fn reset(&mut self) {
        for watch in self.open.values_mut() {
            watch.ended = Some(Status::unknown("event fanout system reset"));
        }
    }

    /// Whether some watch has something to say.
    pub(super) fn any_ready(&self) -> bool {
        self.open.values().any(|watch| !watch.queue.is_empty() || watch.ended.is_some())
    }
}

fn confirm(request: proto::Watch) -> Result<Vec<types::WatchKind>, Status> {
    if request.kinds.is_empty() {
        return Err(Status::denied("can't setup global watch"));
    }
    let partial = request.allow_partial_success;
    let mut confirmed = Vec::new();
    for kind in request.kinds {
        if WATCHABLE.contains(&kind.kind.as_str()) {
            confirmed.push(kind);
        } else if !partial {
            return Err(Status::invalid(format!(
                "cache \"auth\" does not support watching resource {:?}",
                kind.kind
            )));
        }
    }
    if confirmed.is_empty() {
        return Err(Status::invalid(
            "cache \"auth\" does not support any of the requested resources",
        ));
    }
    Ok(confirmed)
}
