//! What comes by itself: the events of the watch, and hints about secrets.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::{Stream, StreamExt as _};

use crate::adapter::cluster::Remote;
use crate::adapter::teleport::Link;
use crate::adapter::watch::SourceWatch;
use crate::engine::Event;
use crate::kind::Kind;
use crate::kind::call::{self, Watched};
use crate::model::{Cluster, FingerprintKey};
use crate::port::CallError;

/// Longest wait for the first message of a watch that was accepted: what is silent for so long is
/// asked for anew, on another connection perhaps.
const INIT_MAX: Duration = Duration::from_secs(30);

/// Why a watch ends that nobody listens to.
const REPLACED: &str = "replaced by a newer watch";

/// A watch's events and the task that brings them.
pub(super) type Watching = (mpsc::Receiver<Event>, AbortHandle);

/// The next event of the watch; none, while there is no watch.
pub(super) async fn next_of(watch: &mut Option<Watching>) -> Option<Event> {
    match watch {
        Some((told, _)) => told.recv().await,
        None => None,
    }
}

/// Waits until the secrets move; for ever, if nothing watches them.
pub(super) async fn changed(watch: &mut Option<SourceWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Passes on what the watch says until it ends; why it ended.
pub(super) async fn follow(
    port: &Remote<Link>,
    kinds: &[&Kind],
    key: &FingerprintKey,
    tell: &mpsc::Sender<Event>,
) -> String {
    let request = call::watch(kinds);
    match port.watch(request.path, request.body).await {
        Ok(stream) => pass_on(stream, INIT_MAX, key, tell).await,
        Err(error) => error.to_string(),
    }
}

async fn pass_on(
    stream: impl Stream<Item = Result<Bytes, CallError>>,
    patience: Duration,
    key: &FingerprintKey,
    tell: &mpsc::Sender<Event>,
) -> String {
    let mut stream = std::pin::pin!(stream);
    let mut opened = false;
    loop {
        let next = if opened {
            stream.next().await
        } else {
            match tokio::time::timeout(patience, stream.next()).await {
                Ok(next) => next,
                Err(_) => return format!("the server did not open the watch within {patience:?}"),
            }
        };
        let Some(item) = next else { return "the server ended the watch".to_owned() };
        let event = match item.map(|bytes| call::watched(&Cluster::Parent, bytes, key)) {
            Ok(Ok(Watched::Opened(kinds))) => {
                opened = true;
                Event::WatchOpened(kinds)
            }
            Ok(Ok(Watched::Put(live))) => Event::Put(live),
            Ok(Ok(Watched::Gone(id))) => Event::Gone(id),
            Ok(Ok(Watched::Other)) => continue,
            Ok(Err(unreadable)) => return unreadable.to_string(),
            Err(error) => return error.to_string(),
        };
        if tell.send(event).await.is_err() {
            return REPLACED.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_watch_that_is_never_opened_ends_and_a_quiet_one_does_not() {
        let key = FingerprintKey([7; 32]);
        let (tell, mut told) = mpsc::channel(4);
        let why = pass_on(tokio_stream::pending(), SOON, &key, &tell).await;
        assert_eq!(why, "the server did not open the watch within 20ms");

        // An event without a field is INIT.
        let quiet = tokio_stream::once(Ok(Bytes::new())).chain(tokio_stream::pending());
        let following = pass_on(quiet, SOON, &key, &tell);
        assert!(tokio::time::timeout(SOON * 10, following).await.is_err(), "it was given up");
        assert!(matches!(told.try_recv(), Ok(Event::WatchOpened(_))));
    }
}
