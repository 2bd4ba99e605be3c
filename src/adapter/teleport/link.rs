//! The channel to a control plane: one for good, or one that is exchanged when the identity is.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::body::Body;
use tonic::transport::{Channel, Error};

/// Gives the channel in force and its number, unless that is the number it is asked with.
type Supply = Arc<dyn Fn(u64) -> Option<(u64, Channel)> + Send + Sync>;

/// Says what is wrong with identity and connection.
type Troubles = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Time between two looks for another channel while nothing is called.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A control plane's channel, cheap to clone. Each clone asks for the channel in force anew; a
/// call that has begun stays on the one where it began.
pub struct Link {
    shared: Arc<Mutex<(u64, Channel)>>,
    /// Absent: always the same channel.
    supply: Option<Supply>,
    troubles: Option<Troubles>,
    own: Option<Channel>,
}

impl Link {
    /// Always the same channel.
    pub fn fixed(channel: Channel) -> Self {
        let shared = Arc::new(Mutex::new((0, channel)));
        Self { shared, supply: None, troubles: None, own: None }
    }

    /// `supply` is asked before each call; a channel that it gives replaces the one of before.
    /// The first one's number is 0. `troubles` says what is wrong with identity and connection.
    pub(super) fn turning(
        channel: Channel,
        supply: impl Fn(u64) -> Option<(u64, Channel)> + Send + Sync + 'static,
        troubles: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Mutex::new((0, channel)));
        let (supply, troubles) = (Some(Arc::new(supply) as Supply), Arc::new(troubles));
        Self { shared, supply, troubles: Some(troubles), own: None }
    }

    /// What is wrong just now with the identity and the connection, for people.
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.as_ref().map(|troubles| troubles()).unwrap_or_default()
    }

    /// The number of the channel in force.
    pub fn number(&self) -> u64 {
        self.current().0
    }

    /// Waits until another channel than the one of that number is in force, and says which. What
    /// goes on on the old one, a watch say, should move. Loses nothing when it is dropped.
    pub async fn turned(&self, since: u64) -> u64 {
        if self.supply.is_none() {
            return std::future::pending().await;
        }
        loop {
            let number = self.number();
            if number != since {
                return number;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn current(&self) -> (u64, Channel) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = self.supply.as_ref().and_then(|supply| supply(shared.0)) {
            *shared = new;
        }
        shared.clone()
    }
}

impl Clone for Link {
    fn clone(&self) -> Self {
        let (supply, troubles) = (self.supply.clone(), self.troubles.clone());
        Self { shared: Arc::clone(&self.shared), supply, troubles, own: None }
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
            None => self.current().1,
        };
        let ready = channel.poll_ready(cx);
        self.own = Some(channel);
        ready
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut channel = match self.own.take() {
            Some(channel) => channel,
            None => self.current().1,
        };
        channel.call(request)
    }
}
