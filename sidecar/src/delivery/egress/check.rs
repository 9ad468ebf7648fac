//! What can be said of a URL before its name is resolved, and of every address after. Parsed once; the parsed value
//! is what is judged and what is connected to.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Position, Url};

use super::identity::Fingerprint;
use super::pool::Origin;
use super::proxy::EgressProxy;
use super::{AllowList, EgressRefusal, OwnListeners};

/// What deliveries may reach.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// Ranges that may be reached though they are not public. `HOOKGATE_EGRESS_ALLOW`; none by default.
    pub allow: AllowList,
    /// Ports of public addresses. 80, 443, 8080 and 8443 by default.
    pub ports: Vec<u16>,
    /// Whether `http` may be used besides `https`. By default it may: signatures protect what is delivered from
    /// being altered, but not from being read; switch it off where events are confidential.
    pub http: bool,
    /// Our own listeners.
    pub own: OwnListeners,
    /// How deliveries leave, when not straight. `HOOKGATE_EGRESS_PROXY`; none by default.
    pub proxy: Option<EgressProxy>,
    /// How long an answer for a name is believed. Every attempt asks; this bounds how late it notices a change. 5 s
    /// by default.
    pub names_fresh: Duration,
    /// Connections that may rest between attempts. `HOOKGATE_POOL`, 100 by default.
    pub kept: usize,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self {
            allow: AllowList::default(),
            ports: vec![80, 443, 8080, 8443],
            http: true,
            own: OwnListeners::default(),
            proxy: None,
            names_fresh: Duration::from_secs(5),
            kept: 100,
        }
    }
}

/// What the addresses behind a host must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// Public or allowed.
    Reachable,
    /// Allowed; if one is not, this is why: the name or the port is otherwise refused.
    Allowed(EgressRefusal),
}

/// A URL that a delivery may go to, as far as can be said without resolving its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedUrl {
    pub(super) url: Url,
    pub(super) port: u16,
    pub(super) demand: Demand,
}

impl CheckedUrl {
    /// The host as it is connected to, without port or path: what logs may show.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host as an address or a name. There always is one: a URL without was refused.
    pub(super) fn host_parts(&self) -> Host<&str> {
        self.url.host().unwrap_or(Host::Domain(""))
    }

    /// Host, and port where it is not the scheme's own: what the endpoint is called in a request.
    pub(super) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    pub(super) fn origin(&self, identity: Option<Fingerprint>) -> Origin {
        Origin { https: self.is_https(), host: self.host().to_owned(), port: self.port, identity }
    }
}

/// Names that only private networks resolve.
const PRIVATE_ZONES: [&str; 10] = [
    "localhost",
    "local",
    "internal",
    "svc",
    "cluster.local",
    "localdomain",
    "home.arpa",
    "lan",
    "intranet",
    "corp",
];

/// Checks the URL of an endpoint. Asked when an endpoint is registered, for an early and clear no, and again at every
/// attempt, when the addresses behind a name are checked as well.
///
/// # Errors
/// Why a delivery may not go there.
pub fn check_url(text: &str, settings: &EgressSettings) -> Result<CheckedUrl, EgressRefusal> {
    let mut url = parse(text)?;
    if !(url.scheme() == "https" || settings.http && url.scheme() == "http") {
        return Err(EgressRefusal::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EgressRefusal::Userinfo);
    }
    url.set_fragment(None);
    let port = url.port_or_known_default().ok_or(EgressRefusal::Port)?;
    let demand = match url.host().ok_or(EgressRefusal::Unparsable)? {
        Host::Ipv4(ip) => check_literal(ip.into(), port, settings)?,
        Host::Ipv6(ip) => check_literal(ip.into(), port, settings)?,
        Host::Domain(name) => check_name(name, port, settings)?,
    };
    Ok(CheckedUrl { url, port, demand })
}

/// Checks one address that a connection is about to be made to.
pub(super) fn check_address(
    address: IpAddr,
    port: u16,
    demand: Demand,
    settings: &EgressSettings,
) -> Result<(), EgressRefusal> {
    let address = address.to_canonical();
    if settings.own.contain(address, port) {
        return Err(EgressRefusal::OwnListener);
    }
    match demand {
        _ if settings.allow.contains(address) => Ok(()),
        Demand::Allowed(otherwise) => Err(otherwise),
        Demand::Reachable if super::address::is_public(address) => Ok(()),
        Demand::Reachable => Err(EgressRefusal::Address),
    }
}

/// The one parse. What other parsers would read in another way is refused before.
fn parse(text: &str) -> Result<Url, EgressRefusal> {
    let outer = |byte: Option<&u8>| byte == Some(&b' ');
    let bytes = text.as_bytes();
    if bytes.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\')
        || outer(bytes.first())
        || outer(bytes.last())
    {
        return Err(EgressRefusal::Noncanonical);
    }
    Url::parse(text).ok().ok_or(EgressRefusal::Unparsable)
}

fn check_literal(address: IpAddr, port: u16, settings: &EgressSettings) -> Result<Demand, EgressRefusal> {
    check_address(address, port, Demand::Reachable, settings)?;
    if settings.ports.contains(&port) {
        return Ok(Demand::Reachable);
    }
    let demand = Demand::Allowed(EgressRefusal::Port);
    check_address(address, port, demand, settings).map(|()| demand)
}

fn check_name(name: &str, port: u16, settings: &EgressSettings) -> Result<Demand, EgressRefusal> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.split('.').any(str::is_empty) {
        return Err(EgressRefusal::Name);
    }
    let otherwise = if is_private(name) {
        EgressRefusal::Name
    } else if settings.ports.contains(&port) {
        return Ok(Demand::Reachable);
    } else {
        EgressRefusal::Port
    };
    if settings.allow.is_empty() { Err(otherwise) } else { Ok(Demand::Allowed(otherwise)) }
}

/// Whether a name, lower-case and without its last dot, has a single label or lies in a private zone.
fn is_private(name: &str) -> bool {
    let under =
        |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.contains('.') || PRIVATE_ZONES.iter().any(|zone| under(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(allow: &str) -> EgressSettings {
        EgressSettings { allow: allow.parse().unwrap(), ..EgressSettings::default() }
    }

    #[test]
    fn an_allow_list_opens_its_ranges_and_nothing_else() {
        use EgressRefusal::{Address, Name, OwnListener, Port, Scheme, Userinfo};
        let settings = allowing("127.0.0.0/8");
        settings.own.add("127.0.0.1:8701".parse().unwrap());
        let table = [
            ("an allowed literal", "http://127.0.0.1/", Ok(())),
            ("on any port", "http://127.0.0.1:9000/hook", Ok(())),
            ("in any spelling", "http://0x7f.1:9000/", Ok(())),
            ("mapped into IPv6", "http://[::ffff:127.0.0.1]/", Ok(())),
            ("a private name, for its answers to decide", "http://localhost:9000/", Ok(())),
            ("not our own listener", "http://127.0.0.1:8701/v1/endpoints", Err(OwnListener)),
            ("nor in another spelling", "http://[::ffff:7f00:1]:8701/", Err(OwnListener)),
            ("no other private range", "http://10.0.0.1/", Err(Address)),
            ("no port of a public address", "http://1.1.1.1:22/", Err(Port)),
            ("no empty label", "http://localhost../", Err(Name)),
            ("no user", "http://u@127.0.0.1/", Err(Userinfo)),
            ("no other scheme", "ftp://127.0.0.1/", Err(Scheme)),
        ];
        for (promise, url, expected) in table {
            assert_eq!(check_url(url, &settings).map(|_| ()), expected, "{promise}");
        }
    }

    #[test]
    fn what_only_an_allow_list_opened_must_resolve_into_it() {
        let settings = allowing("10.0.0.0/8");
        for (url, otherwise) in [
            ("http://receiver:9000/", EgressRefusal::Name),
            ("http://shop.svc.cluster.local/", EgressRefusal::Name),
            ("http://example.com:9000/", EgressRefusal::Port),
        ] {
            let checked = check_url(url, &settings).unwrap();
            let judge =
                |ip: &str| check_address(ip.parse().unwrap(), checked.port, checked.demand, &settings);
            assert_eq!(judge("10.1.1.1"), Ok(()), "{url}");
            assert_eq!(judge("1.1.1.1"), Err(otherwise), "{url}");
            assert_eq!(judge("127.0.0.1"), Err(otherwise), "{url}");
        }
    }

    #[test]
    fn http_can_be_switched_off() {
        let settings = EgressSettings { http: false, ..EgressSettings::default() };
        assert_eq!(check_url("http://example.com/", &settings), Err(EgressRefusal::Scheme));
        assert!(check_url("https://example.com/", &settings).is_ok());
    }

    #[test]
    fn no_refusal_tells_whether_an_internal_host_exists() {
        let shown = |url: &str| check_url(url, &EgressSettings::default()).unwrap_err().to_string();
        let texts = ["http://10.0.0.1/", "http://db.internal/", "http://1.1.1.1:5432/", "http://localhost/"]
            .map(shown);
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }
}
