//! A real Teleport: credentials, ways to its Auth Service, and a channel that stays usable while
//! connections die and identities are renewed.
//!
//! Deliberately absent: what is called on it (`adapter::cluster`).

mod address;
mod dial;
mod discover;
mod first_byte;
mod identity;
mod identity_store;
mod link;
mod names;
mod pem;
mod tls;
mod untrusted;
mod websocket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};

pub use self::address::{Address, HttpProxy};
pub use self::dial::{DialError, Way};
pub use self::discover::{DiscoverError, Found, discover};
pub use self::identity::{Identity, IdentityError, Problem, Source};
use self::identity_store::Held;
pub use self::link::Link;
pub use self::names::Names;
pub use self::pem::PemError;
pub use self::tls::{SERVER_NAME, alpn_of, outer_roots, provider};
use crate::model::Timestamp;

/// How a connection on which nothing comes any more is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between pings. The Auth Service closes connections that ping more often than once in
    /// 60 s.
    pub every: Duration,
    /// Longest wait for the answer to a ping.
    pub answer: Duration,
}

impl Default for Keepalive {
    /// 65 s and 20 s.
    fn default() -> Self {
        Self { every: Duration::from_secs(65), answer: Duration::from_secs(20) }
    }
}

/// Longest time for a whole connection with all its steps.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Bytes that may come unasked on one stream: a page of a thousand roles in one go.
const WINDOW_STREAM: u32 = 4 * 1024 * 1024;
/// The same for all streams of the connection.
const WINDOW_CONNECTION: u32 = 16 * 1024 * 1024;
/// Wait after the first failed connection; it doubles from there.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait between two tries to connect.
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// What is needed to reach a Teleport. The environment was read by the caller.
#[derive(Debug)]
pub struct Settings {
    /// Proxy or Auth Service.
    pub address: Address,
    /// Credentials.
    pub source: Source,
    /// Roots of the proxy's HTTPS.
    pub roots: Arc<rustls::RootCertStore>,
    /// The HTTP proxy on the way.
    pub proxy: HttpProxy,
    /// Whether connections are upgraded to WebSocket; absent: found out.
    pub upgrade: Option<bool>,
}

/// A Teleport. Nothing is connected before the first call.
#[derive(Debug, Clone)]
pub struct Teleport {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    held: Mutex<Held>,
    found: Mutex<Option<Found>>,
    gate: Mutex<Gate>,
    on_reached: first_byte::Hook,
}

/// When the next try to connect is allowed.
#[derive(Debug, Default)]
struct Gate {
    failures: u32,
    closed_until: Option<Instant>,
    last: String,
    /// Trying again is of no use before a person has acted.
    is_final: bool,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It was tried.
    #[error("cannot reach Teleport: {message}")]
    Failed {
        /// Why.
        message: String,
        /// As [`ConnectError::is_final`].
        is_final: bool,
    },
    /// It is too early to try again.
    #[error("cannot reach Teleport (the next try waits): {message}")]
    TooSoon {
        /// Why it failed before.
        message: String,
        /// As [`ConnectError::is_final`].
        is_final: bool,
    },
    /// The identity is over.
    #[error("identity expired at {0}; nothing is sent until a new one is there")]
    Expired(Timestamp),
    /// The server is not the one that the state belongs to.
    #[error("{0}")]
    Refused(String),
}

impl ConnectError {
    /// Whether trying again is of no use before a person has acted.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::Failed { message: _, is_final } | Self::TooSoon { message: _, is_final } => {
                *is_final
            }
            Self::Expired(_) | Self::Refused(_) => true,
        }
    }
}

impl Teleport {
    /// Reads the credentials.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(settings: Settings) -> Result<Self, IdentityError> {
        let held = Mutex::new(Held::load(settings.source.clone())?);
        let (found, gate) = (Mutex::default(), Mutex::default());
        let on_reached = first_byte::Hook::default();
        Ok(Self { shared: Arc::new(Shared { settings, held, found, gate, on_reached }) })
    }

    /// `judge` is asked when a server has answered an identity with other authorities than the one
    /// before, the first included, and before anybody gets that answer. What it refuses, for
    /// people, is not connected to. Only the first judge counts.
    pub fn on_reached(
        &self,
        judge: impl Fn(&Identity) -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.shared.on_reached.set(Box::new(judge));
    }

    /// The identity in force.
    pub fn identity(&self) -> Arc<Identity> {
        lock(&self.shared.held).identity()
    }

    /// Finds out what stands behind the address, with no regard to failures of before.
    ///
    /// # Errors
    /// Why there is no way.
    pub async fn discover(&self) -> Result<Found, DiscoverError> {
        let found = discover(&self.shared.settings, &self.identity()).await?;
        *lock(&self.shared.found) = Some(found.clone());
        Ok(found)
    }

    /// A channel to its Auth Service. Connects when first used, again when the connection dies,
    /// and anew when the identity was renewed. When it ended without that, calls fail without
    /// being sent. To be called inside a tokio runtime.
    pub fn link(&self) -> Link {
        self.link_with(Keepalive::default())
    }

    /// The same, with other times between pings.
    pub fn link_with(&self, keepalive: Keepalive) -> Link {
        let shared = Arc::clone(&self.shared);
        let supply = move |since| {
            let number = lock(&shared.held).look();
            (number != since).then(|| {
                // What failed before says nothing about the new identity.
                *lock(&shared.gate) = Gate::default();
                (number, channel(&shared, keepalive))
            })
        };
        let shared = Arc::clone(&self.shared);
        Link::turning(channel(&self.shared, keepalive), supply, move || shared.troubles())
    }
}

fn channel(shared: &Arc<Shared>, keepalive: Keepalive) -> Channel {
    let shared = Arc::clone(shared);
    let connector = tower::service_fn(move |_: Uri| {
        let shared = Arc::clone(&shared);
        async move {
            let (stream, identity) = shared.connect().await?;
            let told = move || shared.reached(&identity);
            Ok::<_, ConnectError>(TokioIo::new(first_byte::Reaching::new(stream, told)))
        }
    });
    // The scheme says that no TLS is added: the connector brings it.
    Endpoint::from_static("http://teleport.cluster.local")
        .origin(Uri::from_static("https://teleport.cluster.local"))
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(keepalive.every)
        .keep_alive_timeout(keepalive.answer)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_STREAM)
        .initial_connection_window_size(WINDOW_CONNECTION)
        .connect_with_connector_lazy(connector)
}

impl Shared {
    async fn connect(&self) -> Result<(dial::Boxed, Arc<Identity>), ConnectError> {
        let (ended, refused) = {
            let mut held = lock(&self.held);
            held.look();
            (held.ended(), held.refused())
        };
        if let Some(at) = ended {
            return Err(ConnectError::Expired(at));
        }
        if let Some(why) = refused {
            return Err(ConnectError::Refused(why));
        }
        {
            let gate = lock(&self.gate);
            if gate.closed_until.is_some_and(|until| Instant::now() < until) {
                let (message, is_final) = (gate.last.clone(), gate.is_final);
                return Err(ConnectError::TooSoon { message, is_final });
            }
        }
        match self.dial().await {
            Ok(reached) => {
                *lock(&self.gate) = Gate::default();
                Ok(reached)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &DiscoverError) -> ConnectError {
        // What stands behind the address may have changed.
        *lock(&self.found) = None;
        let (message, is_final) = (error.to_string(), error.is_final());
        let mut gate = lock(&self.gate);
        let wait = backoff(gate.failures);
        gate.failures = gate.failures.saturating_add(1);
        gate.closed_until = Some(Instant::now() + wait);
        gate.is_final = is_final;
        if gate.last != message {
            tracing::warn!("cannot reach Teleport: {message}");
            gate.last.clone_from(&message);
        }
        ConnectError::Failed { message, is_final }
    }

    async fn dial(&self) -> Result<(dial::Boxed, Arc<Identity>), DiscoverError> {
        let identity = lock(&self.held).identity();
        let known = lock(&self.found).clone();
        let found = if let Some(found) = known {
            found
        } else {
            let found = discover(&self.settings, &identity).await?;
            tracing::debug!("{} is reached as {:?}", self.settings.address, found.way);
            *lock(&self.found) = Some(found.clone());
            found
        };
        let stream = self.settings.target(found.port).connect(found.way, &identity).await?;
        Ok((stream, identity))
    }

    /// The server has answered an identity.
    ///
    /// # Errors
    /// It is not the server that is meant.
    fn reached(&self, identity: &Identity) -> Result<(), String> {
        if lock(&self.held).has_reached(&identity.authorities) {
            return Ok(());
        }
        let judged = self.on_reached.judge(identity);
        lock(&self.held).reach(identity, &judged);
        judged
    }

    fn troubles(&self) -> Vec<String> {
        let mut troubles = lock(&self.held).troubles();
        let gate = lock(&self.gate);
        if !gate.last.is_empty() {
            troubles.push(format!("cannot reach Teleport: {}", gate.last));
        }
        troubles
    }
}

/// Doubles with each failure; half of it is chance, so that many agents do not come at once.
fn backoff(failures: u32) -> Duration {
    let most = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures.min(10)));
    let most = most.min(BACKOFF_MAX);
    most.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
