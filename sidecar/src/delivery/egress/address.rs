//! Which IP addresses a delivery may be sent to: the public ones, and those the operator allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// IPv4 that is not the public internet. std's `is_private` covers RFC 1918 only, its `is_global` is unstable.
const REFUSED_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),       // "this" network; 0.0.0.0 reaches loopback on Linux (RFC 1122)
    v4(10, 0, 0, 0, 8),      // private (RFC 1918)
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT, and a cloud's metadata (RFC 6598)
    v4(127, 0, 0, 0, 8),     // loopback (RFC 1122)
    v4(169, 254, 0, 0, 16),  // link-local, metadata (RFC 3927)
    v4(172, 16, 0, 0, 12),   // private (RFC 1918)
    v4(192, 0, 0, 0, 24),    // protocol assignments, a cloud's metadata (RFC 6890)
    v4(192, 0, 2, 0, 24),    // documentation (RFC 5737)
    v4(192, 88, 99, 0, 24),  // 6to4 relays (RFC 7526)
    v4(192, 168, 0, 0, 16),  // private (RFC 1918)
    v4(198, 18, 0, 0, 15),   // benchmarking (RFC 2544)
    v4(198, 51, 100, 0, 24), // documentation (RFC 5737)
    v4(203, 0, 113, 0, 24),  // documentation (RFC 5737)
    v4(224, 0, 0, 0, 4),     // multicast (RFC 5771)
    v4(240, 0, 0, 0, 4),     // reserved, and broadcast (RFC 1112, 919)
];

/// IPv6 outside this is not the public internet: loopback, mapped, NAT64, unique local, link-local, multicast, …
const PUBLIC_V6: Ipv6Net = v6(0x2000, 0, 3);

/// And inside it these are not either.
const REFUSED_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),      // Teredo, ORCHID, benchmarking (RFC 2928, 4380, 5180, 7343)
    v6(0x2001, 0x0db8, 32), // documentation (RFC 3849)
    v6(0x2002, 0, 16),      // 6to4, whatever is inside (RFC 3056, 7526)
    v6(0x3fff, 0, 20),      // documentation (RFC 9637)
];

/// Whether an address is on the public internet. IPv4 inside IPv6 (`::ffff:a.b.c.d`) is judged as the IPv4 it is.
#[must_use]
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => !REFUSED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => PUBLIC_V6.contains(&ip) && !REFUSED_V6.iter().any(|net| net.contains(&ip)),
    }
}

/// The ranges that deliveries may reach though they are not public: `HOOKGATE_EGRESS_ALLOW`, CIDRs or single
/// addresses with commas between. An allowed address may be reached on **every port**, and by names that are
/// otherwise refused (`localhost`, `*.svc.cluster.local`) when all they resolve to is allowed; nothing else opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<IpNet>);

impl AllowList {
    /// Whether it allows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of its ranges.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// An allow-list that cannot be. Says which entry, never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} is not an address range such as 10.0.0.0/8 or fd00::/8")]
pub struct InvalidAllowList {
    /// Which entry, from 1.
    pub entry: usize,
}

impl FromStr for AllowList {
    type Err = InvalidAllowList;

    /// Reads the comma-separated list; spaces around an entry do not matter, nothing at all allows nothing.
    fn from_str(text: &str) -> Result<Self, InvalidAllowList> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let net = |entry: &str| entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)).ok();
        let numbered = text.split(',').zip(1..);
        numbered
            .map(|(entry, number)| net(entry.trim()).ok_or(InvalidAllowList { entry: number }))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(address: Ipv4Addr, by: i64) -> Option<Ipv4Addr> {
        u32::try_from(i64::from(u32::from(address)) + by).ok().map(Ipv4Addr::from)
    }

    #[test]
    fn every_refused_range_ends_exactly_where_it_should() {
        for net in REFUSED_V4 {
            let inside = [net.network(), net.broadcast()];
            let outside = [step(net.network(), -1), step(net.broadcast(), 1)];
            for ip in inside {
                assert!(!is_public(ip.into()), "{ip} is in {net}");
                assert!(!is_public(ip.to_ipv6_mapped().into()), "{ip} mapped is in {net}");
            }
            for ip in outside.into_iter().flatten() {
                let in_another = REFUSED_V4.iter().any(|other| other.contains(&ip));
                assert!(is_public(ip.into()) || in_another, "{ip} is not in {net}");
            }
        }
        for (address, public) in [
            ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("2000::", true),
            ("2000:ffff::", true),
            ("2001::", false),
            ("2001:1ff:ffff::", false),
            ("2001:200::", true),
            ("2001:db7:ffff::", true),
            ("2001:db8::", false),
            ("2001:db9::", true),
            ("2001:ffff::", true),
            ("2002::", false),
            ("2003::", true),
            ("3ffe:ffff::", true),
            ("3fff::", false),
            ("3fff:0fff:ffff::", false),
            ("3fff:1000::", true),
            ("3fff:ffff::", true),
            ("4000::", false),
            ("64:ff9b::808:808", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn an_allow_list_holds_what_it_names_and_no_more() {
        let list: AllowList = "127.0.0.0/8, 10.1.2.3,fd00::/8".parse().unwrap();
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("128.0.0.0", false),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            assert_eq!(list.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!("".parse(), Ok(AllowList::default()));
        for (text, entry) in
            [("127.0.0.0/8,", 2), ("localhost", 1), ("10.0.0.0/33", 1), ("::1,10.0.0.0/8,x", 3)]
        {
            assert_eq!(text.parse::<AllowList>(), Err(InvalidAllowList { entry }), "{text}");
        }
    }
}
