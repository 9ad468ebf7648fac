//! Whom a limit counts: one client of one source. An IPv6 client is its /64, for it can choose the rest.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

/// Where a client's state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: u16,
    pub(crate) fingerprint: u64,
}

impl Place {
    /// The place of `client` under `scope`, a source's name. A keyless but cryptographic hash: who chooses his address
    /// still cannot choose whose state he shares.
    pub(crate) fn of(scope: &str, client: Option<IpAddr>) -> Self {
        let mut hash = Sha256::new();
        hash.update(scope.as_bytes());
        match client.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => hash.update([&[0, 4], &address.octets()[..]].concat()),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() >> 64;
                hash.update([&[0, 6], &network.to_be_bytes()[..]].concat());
            }
            None => hash.update([0, 0]),
        }
        let digest = <[u8; 32]>::from(hash.finalize());
        let (words, _) = digest.as_chunks::<8>();
        let word = |at: usize| words.get(at).copied().map_or(0, u64::from_be_bytes);
        let [shard, ..] = word(1).to_be_bytes();
        Self { shard: shard.into(), fingerprint: word(0) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn place(scope: &str, client: &str) -> Place {
        Place::of(scope, client.parse().ok())
    }

    #[test]
    fn clients_share_a_place_only_where_they_should() {
        let table = [
            ("the same address", ("a", "192.0.2.1"), ("a", "192.0.2.1"), true),
            ("another address", ("a", "192.0.2.1"), ("a", "192.0.2.2"), false),
            ("another source", ("a", "192.0.2.1"), ("b", "192.0.2.1"), false),
            ("mapped into IPv6", ("a", "192.0.2.1"), ("a", "::ffff:192.0.2.1"), true),
            ("one /64", ("a", "2001:db8::1"), ("a", "2001:db8::ffff:ffff:ffff:ffff"), true),
            ("another /64", ("a", "2001:db8::1"), ("a", "2001:db8:0:1::1"), false),
            ("nobody knows who", ("a", ""), ("a", ""), true),
            ("nobody and somebody", ("a", ""), ("a", "0.0.0.0"), false),
        ];
        for (promise, (a, x), (b, y), shared) in table {
            assert_eq!(place(a, x) == place(b, y), shared, "{promise}");
        }
    }

    #[test]
    fn clients_spread_over_all_shards() {
        let shards: BTreeSet<_> =
            (0..4_096_u32).map(|n| Place::of("a", Some(IpAddr::V4(n.into()))).shard).collect();
        assert_eq!(shards.len(), usize::from(crate::Policy::SHARDS));
    }
}
