//! Whatever the text of a URL and whatever its name resolves to: no attempt is led to a forbidden network. The table
//! that this is held against is the published one of the vectors, not the guard's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use futures_util::FutureExt;
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use url::{Host, Url};

use super::guard::{Guard, Route};
use super::{EgressSettings, Resolver, check_url};

#[derive(Debug, Clone, Deserialize)]
struct Table {
    deny_v4: Vec<Ipv4Net>,
    allow_v6: Ipv6Net,
    deny_v6: Vec<Ipv6Net>,
    ports: Vec<u16>,
}

impl Table {
    fn published() -> Self {
        #[derive(Deserialize)]
        struct Vectors {
            policy: Table,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/ssrf.json");
        serde_json::from_slice::<Vectors>(&std::fs::read(path).unwrap()).unwrap().policy
    }

    fn forbids(&self, address: IpAddr) -> bool {
        let v4 = |ip: Ipv4Addr| self.deny_v4.iter().any(|net| net.contains(&ip));
        match address {
            IpAddr::V4(ip) => v4(ip),
            IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(
                || !self.allow_v6.contains(&ip) || self.deny_v6.iter().any(|net| net.contains(&ip)),
                v4,
            ),
        }
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::published);

/// Answers every name with these.
#[derive(Debug)]
struct Fixed(Vec<IpAddr>);

#[async_trait]
impl Resolver for Fixed {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

/// Where an attempt at this URL would go, when its name resolves to these; `None` when it is refused.
fn led_to(url: &str, answers: Vec<IpAddr>) -> Option<(Vec<IpAddr>, u16)> {
    let settings = EgressSettings::default();
    let checked = check_url(url, &settings).ok()?;
    let guard = Guard::new(Arc::new(settings), Arc::new(Fixed(answers)));
    let route = guard.route(&checked).now_or_never().expect("this resolver never waits").ok()?;
    let Route::Direct(sockets) = route else { panic!("there is no proxy") };
    assert!(sockets.iter().all(|socket| socket.port() == checked.port));
    Some((sockets.into_iter().map(|socket| socket.ip()).collect(), checked.port))
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let inside = (select(TABLE.deny_v4.clone()), any::<u32>()).prop_map(|(net, bits)| {
        let host = bits & u32::from(net.hostmask());
        Ipv4Addr::from(u32::from(net.network()) | host)
    });
    prop_oneof![3 => inside, 1 => any::<Ipv4Addr>()]
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let prefixes = vec![
        "::",
        "::ffff:0:0",
        "64:ff9b::",
        "2002::",
        "2001::",
        "2001:db8::",
        "fc00::",
        "fe80::",
        "2606:4700::",
    ];
    let near = (select(prefixes), any::<[u8; 16]>(), 0..=128_u32).prop_map(|(prefix, noise, kept)| {
        let mask = u128::MAX.checked_shr(kept).unwrap_or(0);
        Ipv6Addr::from(u128::from(prefix.parse::<Ipv6Addr>().unwrap()) | (u128::from_be_bytes(noise) & mask))
    });
    prop_oneof![near, v4().prop_map(|ip| ip.to_ipv6_mapped()), any::<Ipv6Addr>()]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4().prop_map(IpAddr::from), v6().prop_map(IpAddr::from)]
}

/// The many ways to write an IPv4 address that some parser or other reads.
fn written(ip: Ipv4Addr, way: &Index) -> String {
    let (number, [a, b, c, d]) = (u32::from(ip), ip.octets());
    let ways = [
        ip.to_string(),
        format!("{ip}."),
        number.to_string(),
        format!("{number:#x}"),
        format!("0{number:o}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a}.{}", number & 0xff_ffff),
        format!("{a}.{b}.{}", number & 0xffff),
        format!("[::ffff:{ip}]"),
        format!("[::ffff:{:x}:{:x}]", number >> 16, number & 0xffff),
        ip.to_string().chars().map(fullwidth).collect(),
        ip.to_string().replace('.', "%2e"),
        ip.to_string().replace('.', "。"),
    ];
    ways[way.index(ways.len())].clone()
}

fn fullwidth(c: char) -> char {
    c.to_digit(10).and_then(|digit| char::from_u32(0xff10 + digit)).unwrap_or(c)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (v4(), any::<Index>()).prop_map(|(ip, way)| written(ip, &way)),
        2 => v6().prop_map(|ip| format!("[{ip}]")),
        1 => "[a-z0-9]{1,8}(\\.[a-z0-9-]{1,8}){0,3}\\.?",
        1 => select(vec!["localhost", "LOCALHOST.", "a.local", "x.svc.cluster.local", "metadata.google.internal"])
            .prop_map(ToOwned::to_owned),
        1 => "\\PC{0,12}",
    ]
}

/// URLs of good form, of bad form, and of none.
fn url() -> impl Strategy<Value = String> {
    let scheme = select(vec!["http", "https", "HTTPS", "ftp", "file", "ws", "gopher"]);
    let slashes = select(vec!["://", ":", ":/", ":\\\\", ":///"]);
    let before = prop_oneof![4 => Just(String::new()), 1 => "[a-z0-9.]{0,8}(:[a-z0-9]{0,4})?@"];
    let port = prop_oneof![4 => Just(String::new()), 1 => "(:[0-9]{0,5})?"];
    let after = prop_oneof![2 => Just("/".to_owned()), 1 => "[/?#\\\\@][a-z0-9.@:/#?]{0,12}"];
    prop_oneof![
        8 => (scheme, slashes, before, host(), port, after)
            .prop_map(|(scheme, slashes, before, host, port, after)| {
                format!("{scheme}{slashes}{before}{host}{port}{after}")
            }),
        1 => "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_url_leads_to_a_forbidden_address(url in url(), answers in prop::collection::vec(address(), 1..4)) {
        if let Some((led_to, port)) = led_to(&url, answers.clone()) {
            let forbidden = led_to.iter().find(|ip| TABLE.forbids(**ip));
            prop_assert_eq!(forbidden, None, "{}", url);
            prop_assert!(TABLE.ports.contains(&port), "{}: port {}", url, port);
            let literal = match Url::parse(&url).unwrap().host().unwrap() {
                Host::Domain(_) => None,
                Host::Ipv4(ip) => Some(IpAddr::from(ip)),
                Host::Ipv6(ip) => Some(IpAddr::from(ip)),
            };
            prop_assert_eq!(led_to, literal.map_or(answers, |ip| vec![ip]), "{}", url);
        }
    }

    #[test]
    fn a_good_name_is_led_to_its_answers_exactly_when_all_are_public(
        answers in prop::collection::vec(address(), 1..4),
    ) {
        let all_public = !answers.iter().any(|ip| TABLE.forbids(*ip));
        let led_to = led_to("https://hooks.example.com/", answers.clone());
        prop_assert_eq!(led_to, all_public.then_some((answers, 443)));
    }

    #[test]
    fn an_address_is_judged_alike_however_it_is_written(ip in v4(), way in any::<Index>()) {
        let host = written(ip, &way);
        let refused = check_url(&format!("http://{host}/"), &EgressSettings::default()).is_err();
        prop_assert_eq!(refused, TABLE.forbids(ip.into()), "{}", host);
    }
}
