//! Where a control plane is, and which HTTP proxy leads there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Port of a proxy's web address when none is given.
pub(super) const PORT_WEB: u16 = 443;
/// Port of an Auth Service when none is given.
pub(super) const PORT_AUTH: u16 = 3025;
/// Port of an HTTP proxy when none is given.
const PORT_HTTP: u16 = 80;

/// A host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// As written.
    pub port: Option<u16>,
}

impl FromStr for Address {
    type Err = String;

    /// Reads `host`, `host:port`, `[::1]:port`, with or without `https://` before it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address; write `host` or `host:port`");
        let bare = text.strip_prefix("https://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let (host, port) = split(bare).ok_or_else(wrong)?;
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || !(host.chars().all(named) || host.parse::<IpAddr>().is_ok()) {
            return Err(wrong());
        }
        let port = match port {
            None => None,
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => f.write_str(&joined(&self.host, port)),
            None => f.write_str(&self.host),
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        // More than one colon without brackets: an IPv6 address alone.
        Some((_, port)) if port.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// What the environment says about HTTP proxies.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HttpProxy {
    /// `HTTPS_PROXY`.
    pub via: Option<Via>,
    /// `NO_PROXY`, its entries.
    pub except: Vec<String>,
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Via {
    /// Spoken to by TLS.
    pub tls: bool,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProxy").field("via", &self.via).finish_non_exhaustive()
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", joined(&self.host, self.port))
    }
}

impl HttpProxy {
    /// Reads the values of `HTTPS_PROXY` and `NO_PROXY`; empty ones count as absent.
    ///
    /// # Errors
    /// A proxy that is no `http://` or `https://` address. The text is not repeated: it may hold
    /// a password.
    pub fn read(https_proxy: &str, no_proxy: &str) -> Result<Self, String> {
        let except = no_proxy.split([',', ' ']).map(|entry| entry.trim().to_lowercase());
        let except = except.filter(|entry| !entry.is_empty()).collect();
        let text = https_proxy.trim();
        if text.is_empty() {
            return Ok(Self { via: None, except });
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) if !text.contains("://") => (false, text),
            (None, None) => return Err("HTTPS_PROXY: only http and https are spoken".to_owned()),
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let address: Address =
            rest.parse().map_err(|_| "HTTPS_PROXY is not an address".to_owned())?;
        let port = address.port.unwrap_or(if tls { PORT_WEB } else { PORT_HTTP });
        let authorization = user.map(|user| format!("Basic {}", STANDARD.encode(unescaped(user))));
        let via = Via { tls, host: address.host, port, authorization };
        Ok(Self { via: Some(via), except })
    }

    /// The proxy that leads to an address; none for this machine itself and for exceptions.
    pub fn to(&self, host: &str, port: u16) -> Option<&Via> {
        let via = self.via.as_ref()?;
        let host = host.to_lowercase();
        let ip: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return None;
        }
        let excepted = self.except.iter().any(|entry| matches(entry, &host, ip, port));
        (!excepted).then_some(via)
    }
}

/// One entry of `NO_PROXY`: `*`, a name with everything below it, `.name` or `*.name` for what
/// is below only, an IP address, a network; a port may follow.
fn matches(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let (Some(ip), Some((network, bits))) = (ip, entry.split_once('/')) {
        let (Ok(network), Ok(bits)) = (network.parse(), bits.parse()) else { return false };
        return within(ip, network, bits);
    }
    let Some((name, of)) = split(entry) else { return false };
    if of.is_some_and(|of| of.parse() != Ok(port)) {
        return false;
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || (ip.is_none() && host.ends_with(&format!(".{name}"))),
    }
}

fn within(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 32 && u32::from(ip) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 128 && u128::from(ip) & mask == u128::from(network) & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// `%41` is `A`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        if let Some(byte) = escaped {
            out.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Address, HttpProxy};

    #[test]
    fn addresses() {
        let table = [
            ("parent.teleport.sh", "parent.teleport.sh"),
            ("parent.teleport.sh:443", "parent.teleport.sh:443"),
            ("https://parent.teleport.sh/", "parent.teleport.sh"),
            ("[::1]:3025", "[::1]:3025"),
            ("10.0.0.1:3025", "10.0.0.1:3025"),
        ];
        for (text, shown) in table {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown, "{text}");
        }
        for text in ["", "a:b", "a:0", "a:99999", "http://a", "a/b", "a b", "[::1", ":443"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("is not an address"), "{text}: {error}");
        }
    }

    #[test]
    fn which_hosts_go_through_the_proxy() {
        let proxy = HttpProxy::read(
            "http://user:p%40ss@proxy.corp:3128",
            "inner.test, .below.test,*.star.test,10.0.0.0/8,with.port:8443,fd00::/8",
        )
        .unwrap();
        let table = [
            ("outer.test", 443, true),
            ("localhost", 443, false),
            ("127.0.0.9", 443, false),
            ("inner.test", 443, false),
            ("a.inner.test", 443, false),
            ("notinner.test", 443, true),
            ("below.test", 443, true),
            ("a.below.test", 443, false),
            ("a.star.test", 443, false),
            ("10.2.3.4", 443, false),
            ("11.2.3.4", 443, true),
            ("fd01::1", 443, false),
            ("fe00::1", 443, true),
            ("with.port", 8443, false),
            ("with.port", 443, true),
        ];
        for (host, port, through) in table {
            assert_eq!(proxy.to(host, port).is_some(), through, "{host}:{port}");
        }
        let via = proxy.via.as_ref().unwrap();
        assert_eq!((via.host.as_str(), via.port, via.tls), ("proxy.corp", 3128, false));
        assert_eq!(via.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert!(!format!("{proxy:?}").contains("dXNlcj"), "a password is shown");
        assert!(HttpProxy::read("socks5://x:1", "").is_err());
        assert!(HttpProxy::read("http://proxy:3128", "*").unwrap().to("a", 1).is_none());
        assert!(HttpProxy::read("", "").unwrap().to("a.test", 1).is_none());
    }
}
