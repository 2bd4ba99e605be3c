//! What comes by itself: the events of the watch, and hints about secrets.

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::StreamExt as _;

use crate::adapter::cluster::Remote;
use crate::adapter::teleport::Link;
use crate::adapter::watch::SourceWatch;
use crate::engine::Event;
use crate::kind::Kind;
use crate::kind::call::{self, Watched};
use crate::model::{Cluster, FingerprintKey};

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
    let mut stream = match port.watch(request.path, request.body).await {
        Ok(stream) => std::pin::pin!(stream),
        Err(error) => return error.to_string(),
    };
    while let Some(item) = stream.next().await {
        let event = match item.map(|bytes| call::watched(&Cluster::Parent, bytes, key)) {
            Ok(Ok(Watched::Opened(kinds))) => Event::WatchOpened(kinds),
            Ok(Ok(Watched::Put(live))) => Event::Put(live),
            Ok(Ok(Watched::Gone(id))) => Event::Gone(id),
            Ok(Ok(Watched::Other)) => continue,
            Ok(Err(unreadable)) => return unreadable.to_string(),
            Err(error) => return error.to_string(),
        };
        if tell.send(event).await.is_err() {
            return "replaced by a newer watch".to_owned();
        }
    }
    "the server ended the watch".to_owned()
}
