//! Who a request comes from: the peer, or whom a trusted proxy says it speaks for.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The peer of the connection, in every request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The client's address: the last in `X-Forwarded-For` that is no trusted proxy, if the peer is one. What stands
/// before it may be invented and is not looked at; neither is a list that cannot be read.
pub(super) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").into_iter().collect::<Vec<_>>();
    let entries = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    for entry in entries {
        if !trusted.iter().any(|network| network.contains(&client)) {
            break;
        }
        let Some(address) = address(entry.trim()) else { break };
        client = address.to_canonical();
    }
    client
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8"].map(|net| net.parse().unwrap()).into();
        let table: [(&str, &str, &[&str], &str); 10] = [
            ("no header", "127.0.0.1", &[], "127.0.0.1"),
            ("one client", "127.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            (
                "an untrusted peer's header is its own invention",
                "198.51.100.1",
                &["203.0.113.7"],
                "198.51.100.1",
            ),
            (
                "an invented entry stands before the true one",
                "127.0.0.1",
                &["1.1.1.1, 203.0.113.7"],
                "203.0.113.7",
            ),
            ("two trusted hops", "127.0.0.1", &["203.0.113.7, 10.1.2.3"], "203.0.113.7"),
            ("over two lines", "127.0.0.1", &["203.0.113.7", "10.1.2.3"], "203.0.113.7"),
            ("all are trusted: the first", "127.0.0.1", &["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
            ("what cannot be read ends the walk", "127.0.0.1", &["203.0.113.7, junk"], "127.0.0.1"),
            ("with a port", "127.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("IPv4 inside IPv6", "::ffff:127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ];
        for (promise, peer, lines, expected) in table {
            let headers = lines
                .iter()
                .map(|line| (http::HeaderName::from_static("x-forwarded-for"), line.parse().unwrap()));
            let client = client_ip(peer.parse().unwrap(), &headers.collect(), &trusted);
            assert_eq!(client.to_string(), expected, "{promise}");
        }
    }
}
