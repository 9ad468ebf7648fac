//! Names of things. An event or delivery id carries the tenant's hash, so that its store shard is known from it alone.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::clock::Millis;

/// An id or tenant that cannot be. Shows what was expected, never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidId {
    /// The rule in words.
    pub expected: &'static str,
}

/// Whose events and endpoints they are: 1–64 of `A–Z a–z 0–9 _ - .`; `default` when nobody says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    const RULE: InvalidId = InvalidId { expected: "a tenant: 1–64 of A–Z a–z 0–9 _ - ." };

    /// The tenant's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The byte that ids of this tenant end in, and that names its shard: FNV-1a over the name, folded.
    /// Stable for ever: stored data depends on it.
    #[must_use]
    pub fn shard_byte(&self) -> u8 {
        let hash = self
            .0
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        hash.to_be_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for Tenant {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(sound) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Self::RULE)
        }
    }
}

impl Display for Tenant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The latest moment that an id can tell: 48 bits of milliseconds.
const LAST_MILLI: u64 = (1 << 48) - 1;

/// A `UUIDv7` whose last byte is the tenant's shard byte: sorts by time, tells its shard.
fn fresh(now: Millis, entropy: u128, tenant: &Tenant) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&entropy.to_be_bytes()[..10]);
    random[9] = tenant.shard_byte();
    uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id. `entropy`: 128 random bits.
            #[must_use]
            pub fn fresh(now: Millis, entropy: u128, tenant: &Tenant) -> Self {
                Self(fresh(now, entropy, tenant))
            }

            /// No id made at `moment` or later is less than this one, which nothing is called.
            #[must_use]
            pub fn least(moment: Millis) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(moment.0.min(LAST_MILLI), &[0; 10]).into_uuid())
            }

            /// The id as a store keeps it. Sorts as the id does.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id that [`Self::as_bytes`] was taken from.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The shard byte of the tenant this was made for.
            #[must_use]
            pub const fn shard_byte(&self) -> u8 {
                self.0.as_bytes()[15]
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(InvalidId { expected: concat!("an id: ", $prefix, " and 32 lower-case hex digits") })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// An event: `evt_` and 32 hex digits. Subscribers see it as `webhook-id`, the same on every retry.
    EventId,
    "evt_"
);
id!(
    /// A delivery: `dlv_` and 32 hex digits.
    DeliveryId,
    "dlv_"
);
id!(
    /// A replay: `rpl_` and 32 hex digits.
    ReplayId,
    "rpl_"
);

impl DeliveryId {
    /// The one id of a delivery that a replay makes of `event` for `endpoint`: made twice, it is the same one. Sorts as
    /// the event does by time.
    #[must_use]
    pub fn replayed(event: &EventId, endpoint: &EndpointId) -> Self {
        let [a, b, c, d, e, f, .., shard] = *event.as_bytes();
        let milli = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let named = event.as_bytes().iter().chain(endpoint.as_str().as_bytes());
        let hash = named.fold(FNV_OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(FNV_PRIME));
        let [g, h, i, j, k, l, m, n, o, ..] = hash.to_be_bytes();
        let tail = [g, h, i, j, k, l, m, n, o, shard];
        Self(uuid::Builder::from_unix_timestamp_millis(milli, &tail).into_uuid())
    }
}

/// FNV-1a over 128 bits (draft-eastlake-fnv). Not against malice: who names endpoints harms only himself.
const FNV_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// An endpoint: `ep_` and hex digits when the API made it, or the operator's own name from the configuration.
/// 1–64 of `A–Z a–z 0–9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EndpointId(String);

impl EndpointId {
    /// A new id. `entropy`: 128 random bits.
    #[must_use]
    pub fn fresh(now: Millis, entropy: u128, tenant: &Tenant) -> Self {
        Self(format!("ep_{}", fresh(now, entropy, tenant).simple()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EndpointId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(sound) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { expected: "an endpoint id: 1–64 of A–Z a–z 0–9 _ -" })
        }
    }
}

impl Display for EndpointId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EndpointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_sorts_by_time_and_tells_its_shard() {
        let tenant: Tenant = "acme".parse().unwrap();
        let early = DeliveryId::fresh(Millis(1), u128::MAX, &tenant);
        let late = DeliveryId::fresh(Millis(2), 0, &tenant);
        assert!(early < late && DeliveryId::least(Millis(2)) < late && early < DeliveryId::least(Millis(2)));
        assert_eq!(early.shard_byte(), tenant.shard_byte());
        assert_eq!(early.to_string().parse::<DeliveryId>(), Ok(early));
        assert_eq!(DeliveryId::from_bytes(*early.as_bytes()), early);
    }

    #[test]
    fn the_shard_byte_never_changes() {
        assert_eq!(Tenant::default().shard_byte(), 0x2d, "stored data depends on it");
    }

    #[test]
    fn a_replayed_delivery_has_one_id_for_each_event_and_endpoint() {
        let tenant: Tenant = "acme".parse().unwrap();
        let (first, second) =
            (EventId::fresh(Millis(7), 1 << 64, &tenant), EventId::fresh(Millis(8), 1 << 64, &tenant));
        let (a, b): (EndpointId, EndpointId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let id = DeliveryId::replayed(&first, &a);
        assert_eq!(id, DeliveryId::replayed(&first, &a));
        assert_eq!(id.shard_byte(), tenant.shard_byte());
        assert!(id != DeliveryId::replayed(&first, &b) && id < DeliveryId::replayed(&second, &a));
        assert!(id >= DeliveryId::least(Millis(7)) && id < DeliveryId::least(Millis(8)));
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in
            ["", "evt_", "dlv_00000000000000000000000000000000", "evt_0000000000000000000000000000000G"]
        {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        for text in ["", "a b", "é", &"x".repeat(65)] {
            assert!(text.parse::<Tenant>().is_err() && text.parse::<EndpointId>().is_err(), "{text}");
        }
    }
}
