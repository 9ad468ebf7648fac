//! The way through a proxy: it is asked for an address that we have checked, so the guard stays here.

use std::fmt::{self, Debug, Formatter};
use std::future::ready;
use std::io;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use tower::Service;
use url::{Host, Url};

use super::AllowList;
use super::dial::Pipe;

/// How deliveries leave a network that has one door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressProxy {
    /// The proxy. `HOOKGATE_EGRESS_PROXY`. Its own address is not judged by the guard.
    pub url: ProxyUrl,
    /// Addresses that are reached without it. `HOOKGATE_EGRESS_NO_PROXY`.
    pub bypass: AllowList,
    /// Whether the proxy resolves names. **Then the proxy is the guard**: what a name means is its decision, and only
    /// URLs (names, ports, literal addresses) are still judged here. `HOOKGATE_EGRESS_PROXY_RESOLVES`, default false.
    pub resolves: bool,
}

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP `CONNECT`.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 5 (RFC 1928, RFC 1929).
    Socks5,
}

/// `http://`, `https://` or `socks5://`, `user:password@` if the proxy wants it, a host, and a port (else 80, 443,
/// 1080). `Debug` does not show the user.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    pub(super) protocol: Protocol,
    pub(super) host: Host,
    pub(super) port: u16,
    /// User and password, percent-decoded, at most 255 bytes each.
    login: Option<(String, String)>,
}

impl ProxyUrl {
    /// Whether it holds a user and password.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.login.is_some()
    }
}

impl Debug for ProxyUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let login = if self.has_login() { "…@" } else { "" };
        write!(f, "{:?} {login}{}:{}", self.protocol, self.host, self.port)
    }
}

/// A text that names no proxy. Never shows it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://, https:// or socks5:// with a host, and perhaps a port and user:password@")]
pub struct InvalidProxy;

impl FromStr for ProxyUrl {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url = Url::parse(text).ok().ok_or(InvalidProxy)?;
        let (protocol, usual_port) = match url.scheme() {
            "http" => (Protocol::Http, 80),
            "https" => (Protocol::Https, 443),
            "socks5" => (Protocol::Socks5, 1080),
            _ => return Err(InvalidProxy),
        };
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| bare && !host.is_empty()).ok_or(InvalidProxy)?;
        let host = Host::parse(host).ok().ok_or(InvalidProxy)?;
        Ok(Self { protocol, host, port: url.port().unwrap_or(usual_port), login: login(&url)? })
    }
}

/// User and password of a URL, as far as both protocols can carry them.
fn login(url: &Url) -> Result<Option<(String, String)>, InvalidProxy> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| {
        let text = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
        let sound = text.len() <= 255 && !text.chars().any(char::is_control);
        sound.then(|| text.into_owned())
    };
    let user = decoded(url.username()).filter(|user| !user.contains(':')).ok_or(InvalidProxy)?;
    let password = decoded(url.password().unwrap_or_default()).ok_or(InvalidProxy)?;
    Ok(Some((user, password)))
}

/// Asks a proxy, over a stream to it, for a connection to `target`: an address or a name, and a port.
///
/// Plain HTTP is tunnelled as well: in the proxy's own form of it, the address would replace the endpoint's `Host`.
///
/// # Errors
/// What the proxy said, or that it broke off.
pub(super) async fn ask(url: &ProxyUrl, pipe: Pipe, target: &str) -> io::Result<Pipe> {
    let target: Uri = target.parse().map_err(io::Error::other)?;
    let mut once = Some(TokioIo::new(pipe));
    let connected = tower::service_fn(move |_proxy: Uri| {
        ready(once.take().ok_or_else(|| io::Error::other("the stream to the proxy was used before")))
    });
    let proxy = Uri::from_static("http://proxy/");
    let through = match (url.protocol, &url.login) {
        (Protocol::Socks5, None) => {
            SocksV5::new(proxy, connected).call(target).await.map_err(io::Error::other)
        }
        (Protocol::Socks5, Some((user, password))) => {
            let socks = SocksV5::new(proxy, connected).with_auth(user.clone(), password.clone());
            { socks }.call(target).await.map_err(io::Error::other)
        }
        (Protocol::Http | Protocol::Https, None) => {
            Tunnel::new(proxy, connected).call(target).await.map_err(io::Error::other)
        }
        (Protocol::Http | Protocol::Https, Some((user, password))) => {
            let tunnel = Tunnel::new(proxy, connected).with_auth(basic(user, password)?);
            { tunnel }.call(target).await.map_err(io::Error::other)
        }
    };
    through.map(TokioIo::into_inner)
}

fn basic(user: &str, password: &str) -> io::Result<HeaderValue> {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    HeaderValue::try_from(text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_as_it_is_meant_and_its_login_is_never_shown() {
        for (text, shown) in [
            ("http://proxy.example", "Http proxy.example:80"),
            ("http://proxy.example:3128/", "Http proxy.example:3128"),
            ("https://proxy.example", "Https proxy.example:443"),
            ("socks5://10.0.0.1", "Socks5 10.0.0.1:1080"),
            ("socks5://[fd00::1]:9050", "Socks5 [fd00::1]:9050"),
            ("http://user:s3cret@proxy.example:3128", "Http …@proxy.example:3128"),
            ("socks5://user@proxy.example", "Socks5 …@proxy.example:1080"),
        ] {
            assert_eq!(format!("{:?}", text.parse::<ProxyUrl>().unwrap()), shown, "{text}");
        }
        let url: ProxyUrl = "http://us%40er:s3%3Acret@proxy.example".parse().unwrap();
        assert_eq!(url.login, Some(("us@er".to_owned(), "s3:cret".to_owned())), "decoded");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_shown() {
        let long = format!("socks5://{}:x@proxy.example", "u".repeat(256));
        for text in [
            "",
            "proxy.example:3128",
            "ftp://proxy.example",
            "socks4://proxy.example",
            "socks5h://proxy.example",
            "http://",
            "http://proxy.example/path",
            "http://proxy.example/?query",
            "http://us%3Aer:s3cret@proxy.example",
            "http://user:s3cret%0d%0a@proxy.example",
            "http://user:%ff@proxy.example",
            &long,
        ] {
            let refused = text.parse::<ProxyUrl>().unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{text}");
        }
    }
}
