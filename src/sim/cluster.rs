//! The embedded plane's core behind the port that production calls, with faults.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::futile::without_field;
use super::source::SECRET;
use crate::kind::Kind;
use crate::live::Observed;
use crate::model::{Cluster as Which, Digest, KindName, Now};
use crate::plane::status::code;
use crate::plane::{Caller, Core, Status};
use crate::port::{CallCode, CallError, Cluster, calls};

/// What happens to the next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallFault {
    /// It does not arrive.
    Before(CallCode),
    /// It is done and its answer is lost.
    After,
}

/// The plane, in virtual time.
#[derive(Debug)]
pub(super) struct SimCluster {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub core: Core,
    pub now: Now,
    pub fault: Option<CallFault>,
    /// The identity is over: nothing is sent.
    pub expired: bool,
    /// The fault waits for a write: the read before it is spared.
    pub spare_reads: bool,
    /// Whether the last write was done.
    pub done: bool,
    /// A role of which a field is not kept, whatever we write.
    pub stubborn: Option<String>,
    /// How often it was not.
    pub dropped: u64,
    /// What each kind's last list gave, at which version of the kind.
    lists: BTreeMap<KindName, (u64, Observed)>,
    /// What each content that an oracle asked for says.
    pub said: BTreeMap<(KindName, Bytes), Said>,
}

/// What an oracle asks of a stored resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub digest: Digest,
    /// It bears our mark, and no other program keeps it.
    pub is_ours: bool,
}

impl Inner {
    /// Whether the next call arrives and is answered.
    const fn is_sent(&self) -> bool {
        self.fault.is_none() && !self.expired
    }
}

impl SimCluster {
    pub(super) fn new(core: Core, now: Now, stubborn: Option<String>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                core,
                now,
                fault: None,
                expired: false,
                spare_reads: false,
                done: false,
                stubborn,
                dropped: 0,
                lists: BTreeMap::new(),
                said: BTreeMap::new(),
            }),
        }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists one kind. Where nothing of it changed since the last list, that one is given again:
    /// to answer, send and read the same once more was most of a simulation's time.
    pub(super) fn list(&self, kind: &Kind, which: Which) -> Observed {
        if let Some(observed) = self.listed(kind.name) {
            return observed;
        }
        let is_sent = self.inner().is_sent();
        let listed = at_once(calls::list(self, kind, which, &super::KEY));
        let observed = listed.unwrap_or_else(|| Observed::unknown("it would wait"));
        if is_sent {
            let mut inner = self.inner();
            let version = inner.core.version(kind.name.as_str());
            inner.lists.insert(kind.name, (version, observed.clone()));
        }
        observed
    }

    /// The last list of a kind, if another one would give the same.
    fn listed(&self, kind: KindName) -> Option<Observed> {
        let inner = self.inner();
        let is_due = inner.core.next_wakeup(inner.now) == Some(Duration::ZERO);
        let (version, observed) = inner.lists.get(&kind)?;
        let is_same = inner.is_sent() && !is_due && *version == inner.core.version(kind.as_str());
        is_same.then(|| observed.clone())
    }

    fn answer(&self, path: &str, request: &[u8]) -> Result<Bytes, CallError> {
        let mut inner = self.inner();
        let now = inner.now;
        if inner.expired {
            inner.done = false;
            let message = "identity expired".to_owned();
            return Err(CallError { code: CallCode::Barred, message });
        }
        let is_read = path.contains("/Get") || path.contains("/List");
        let spared = is_read && inner.spare_reads;
        let fault = if spared { None } else { inner.fault.take() };
        if let Some(CallFault::Before(code)) = fault {
            return Err(CallError { code, message: quote(request) });
        }
        let less = inner.stubborn.as_ref().and_then(|name| without_field(name, path, request));
        let answer =
            inner.core.call(now, &Caller::admin(), path, less.as_deref().unwrap_or(request));
        inner.dropped += u64::from(less.is_some() && answer.result.is_ok());
        inner.done = !is_read && answer.result.is_ok();
        if fault == Some(CallFault::After) {
            let message = "the answer was lost".to_owned();
            return Err(CallError { code: CallCode::NoAnswer, message });
        }
        answer.result.map(Bytes::from).map_err(|status| call_error(&status))
    }
}

impl Cluster for SimCluster {
    async fn call(
        &self,
        path: &'static str,
        request: Bytes,
        _deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.answer(path, &request)
    }
}

/// A server's text that quotes the secrets that it was sent.
fn quote(request: &[u8]) -> String {
    let contains = |text: &str| request.windows(text.len()).any(|it| it == text.as_bytes());
    let quoted = if contains(SECRET) { SECRET } else { "nothing" };
    format!("a fault of the simulation over \"{quoted}\"")
}

fn call_error(status: &Status) -> CallError {
    let code = match status.code {
        code::INVALID_ARGUMENT => CallCode::InvalidArgument,
        code::NOT_FOUND => CallCode::NotFound,
        code::ALREADY_EXISTS => CallCode::AlreadyExists,
        code::PERMISSION_DENIED => CallCode::PermissionDenied,
        code::FAILED_PRECONDITION => CallCode::FailedPrecondition,
        code::UNIMPLEMENTED => CallCode::Unimplemented,
        code::UNAVAILABLE => CallCode::Unavailable,
        code::UNKNOWN => CallCode::Unknown,
        _other => CallCode::Internal,
    };
    CallError { code, message: status.message.clone() }
}

/// Runs a future that never waits.
pub(super) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
