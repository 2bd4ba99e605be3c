//! The channel to a control plane: one for good, or one that is exchanged when the identity is.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::transport::{Channel, Error};

/// What the calls of one link go through.
type Supply = Arc<dyn Fn() -> Option<Channel> + Send + Sync>;

/// A control plane's channel, cheap to clone. Each clone asks for the channel in force anew; a
/// call that has begun stays on the one where it began.
pub struct Link {
    shared: Arc<Mutex<Channel>>,
    supply: Supply,
    own: Option<Channel>,
}

impl Link {
    /// Always the same channel.
    pub fn fixed(channel: Channel) -> Self {
        Self::turning(channel, || None)
    }

    /// `supply` is asked before each call; a channel that it gives replaces the one of before.
    pub(super) fn turning(
        channel: Channel,
        supply: impl Fn() -> Option<Channel> + Send + Sync + 'static,
    ) -> Self {
        Self { shared: Arc::new(Mutex::new(channel)), supply: Arc::new(supply), own: None }
    }

    fn current(&self) -> Channel {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = (self.supply)() {
            *shared = new;
        }
        shared.clone()
    }
}

impl Clone for Link {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), supply: Arc::clone(&self.supply), own: None }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl From<Channel> for Link {
    fn from(channel: Channel) -> Self {
        Self::fixed(channel)
    }
}

impl tower::Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = tonic::transport::channel::ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut channel = match self.own.take() {
            Some(channel) => channel,
            None => self.current(),
        };
        let ready = channel.poll_ready(cx);
        self.own = Some(channel);
        ready
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut channel = match self.own.take() {
            Some(channel) => channel,
            None => self.current(),
        };
        channel.call(request)
    }
}
