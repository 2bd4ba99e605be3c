//! What stands behind an address: a proxy (and of what kind), or an Auth Service.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::Settings;
use super::address::{Address, PORT_AUTH, PORT_WEB, joined};
use super::dial::{DialError, Target, Way};
use super::identity::Identity;
use super::tls;

/// Longest wait for a proxy's description of itself.
const FIND_MAX: Duration = Duration::from_secs(10);
/// Largest description that is read, in bytes; a real one has 2 kB.
const FIND_SIZE_MAX: usize = 256 * 1024;

/// What was found behind an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How to go on.
    pub way: Way,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What a proxy calls its cluster; an Auth Service says it only to those who are in.
    pub cluster: Option<String>,
    /// The version that a proxy tells.
    pub version: Option<String>,
}

/// Why no way was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoverError {
    /// Another cluster than the identity's.
    #[error(
        "{address} is the cluster `{found}`, and the identity belongs to `{wanted}`; correct \
         `control_plane.address`, or sign an identity for `{found}`"
    )]
    OtherCluster {
        /// Where.
        address: String,
        /// What it calls itself.
        found: String,
        /// What the identity says.
        wanted: String,
    },
    /// A proxy that does not multiplex TLS.
    #[error(
        "{address} is a proxy that does not multiplex TLS; name the Auth Service (port \
         {PORT_AUTH}) in `control_plane.address`, or set `proxy_listener_mode: multiplex` there"
    )]
    NotMultiplexed {
        /// Where.
        address: String,
    },
    /// A proxy, but no way through it.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Neither a proxy nor an Auth Service.
    #[error("as an Auth Service: {direct}; as a proxy: {find}")]
    Neither {
        /// Its answer to mutual TLS.
        direct: DialError,
        /// Its answer to HTTPS.
        find: String,
    },
}

impl DiscoverError {
    /// Whether trying again is of no use before a person has acted.
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::OtherCluster { .. } | Self::NotMultiplexed { .. } => true,
            Self::Dial(error) => error.is_final(),
            // An error page of a load balancer says nothing for ever.
            Self::Neither { direct, find: _ } => {
                !matches!(direct, DialError::NoAuthService { .. }) && direct.is_final()
            }
        }
    }
}

/// Why a proxy did not describe itself.
#[derive(Debug)]
enum FindError {
    /// Its HTTPS is not trusted; why.
    Untrusted(String),
    /// Anything else.
    Other(String),
}

/// `/webapi/find`, as far as we need it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Find {
    proxy: Proxy,
    server_version: String,
    cluster_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Proxy {
    tls_routing_enabled: bool,
}

/// Finds out.
///
/// # Errors
/// Why there is no way.
pub async fn discover(settings: &Settings, identity: &Identity) -> Result<Found, DiscoverError> {
    let Address { host, port } = &settings.address;
    let web = port.unwrap_or(PORT_WEB);
    // An Auth Service answers mutual TLS at once; so this goes first where the port is its own.
    let direct = port.unwrap_or(PORT_AUTH);
    let auth_first = *port == Some(PORT_AUTH);
    if auth_first {
        match try_direct(settings, identity, direct).await {
            Ok(found) => return Ok(found),
            Err(error @ DialError::OtherCluster { .. }) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let find = match find(settings, web).await {
        Ok(find) => find,
        Err(error) => {
            let found = try_direct(settings, identity, direct).await;
            return found.map_err(|direct| neither(settings, web, direct, error));
        }
    };
    let address = joined(host, web);
    if !find.cluster_name.is_empty() && find.cluster_name != identity.names.cluster {
        return Err(DiscoverError::OtherCluster {
            address,
            found: find.cluster_name,
            wanted: identity.names.cluster.clone(),
        });
    }
    if !find.proxy.tls_routing_enabled {
        return Err(DiscoverError::NotMultiplexed { address });
    }
    let upgrade = match settings.upgrade {
        Some(upgrade) => upgrade,
        None => settings.target(web).needs_upgrade().await?,
    };
    let told = |text: String| (!text.is_empty()).then_some(text);
    Ok(Found {
        way: if upgrade { Way::Upgrade } else { Way::Proxy },
        host: host.clone(),
        port: web,
        cluster: told(find.cluster_name),
        version: told(find.server_version),
    })
}

/// What two failures mean together.
fn neither(settings: &Settings, web: u16, direct: DialError, find: FindError) -> DiscoverError {
    let address = joined(&settings.address.host, web);
    match (direct, find) {
        // It is an Auth Service, whose certificate is nothing for HTTPS.
        (error @ DialError::OtherCluster { .. }, _)
        | (error @ DialError::OtherAuthority { .. }, FindError::Untrusted(_)) => error.into(),
        // Nobody listens: once is enough.
        (error @ DialError::Network { .. }, _) if settings.address.port.is_some() => error.into(),
        (
            DialError::NoAuthService { .. }
            | DialError::Network { .. }
            | DialError::HttpProxy { .. }
            | DialError::Untrusted { .. }
            | DialError::Tls { .. }
            | DialError::NotHttp2 { .. },
            FindError::Untrusted(message),
        ) => DialError::Untrusted { address, message }.into(),
        (direct, FindError::Other(find)) => DiscoverError::Neither { direct, find },
    }
}

async fn try_direct(
    settings: &Settings,
    identity: &Identity,
    port: u16,
) -> Result<Found, DialError> {
    settings.target(port).connect(Way::Direct, identity).await?;
    let host = settings.address.host.clone();
    Ok(Found { way: Way::Direct, host, port, cluster: None, version: None })
}

/// Asks a proxy about itself: `find`, and `ping` for what older ones leave out of it.
async fn find(settings: &Settings, port: u16) -> Result<Find, FindError> {
    let client = web_client(settings, port).map_err(FindError::Other)?;
    let base = format!("https://{}/webapi", joined(&settings.address.host, port));
    let mut found = get(&client, &format!("{base}/find")).await?;
    if found.cluster_name.is_empty() || found.server_version.is_empty() {
        // What `find` says of the listeners stands; a failing `ping` takes nothing away.
        if let Ok(ping) = get(&client, &format!("{base}/ping")).await {
            found.cluster_name = ping.cluster_name;
            found.server_version = ping.server_version;
        }
    }
    Ok(found)
}

fn web_client(settings: &Settings, port: u16) -> Result<reqwest::Client, String> {
    let tls = tls::outer(&settings.roots, &[b"http/1.1"]).map_err(|error| error.to_string())?;
    let Address { host, port: _ } = &settings.address;
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .timeout(FIND_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(via) = settings.proxy.to(host, port) {
        let scheme = if via.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}", joined(&via.host, via.port));
        let mut proxy = reqwest::Proxy::all(url).map_err(|error| error.to_string())?;
        if let Some(value) = &via.authorization {
            let value = http::HeaderValue::from_str(value).map_err(|error| error.to_string())?;
            proxy = proxy.custom_http_auth(value);
        }
        client = client.proxy(proxy);
    }
    client.build().map_err(|error| words(&error))
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Find, FindError> {
    let failed = |error: reqwest::Error| match untrusted(&error) {
        Some(message) => FindError::Untrusted(message),
        None => FindError::Other(words(&error)),
    };
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(FindError::Other(format!("{url}: status {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > FIND_SIZE_MAX {
            let text = format!("{url}: the answer is larger than {FIND_SIZE_MAX} bytes");
            return Err(FindError::Other(text));
        }
    }
    serde_json::from_slice(&body).map_err(|error| FindError::Other(format!("{url}: {error}")))
}

/// Why the server's certificate was refused, if that is what went wrong. An I/O error passes over
/// what it wraps when it is asked for its source.
fn untrusted(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(refused @ rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return Some(refused.to_string());
    }
    let wrapped = error.downcast_ref().and_then(std::io::Error::get_ref);
    let wrapped = wrapped.and_then(|error| untrusted(error));
    wrapped.or_else(|| untrusted(error.source()?))
}

/// An error with its causes; those of reqwest say little by themselves.
fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

impl Settings {
    pub(super) fn target(&self, port: u16) -> Target<'_> {
        let roots: &Arc<_> = &self.roots;
        Target { host: &self.address.host, port, proxy: &self.proxy, roots }
    }
}
