//! How things are called in Redis. The only place that spells a key outside the scripts.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use crate::model::Tenant;

/// How many shards tenants are spread over. Written into Redis once and refused when it differs: every key depends
/// on it.
pub(super) const SHARDS: u8 = 16;

/// Which part of the tenants. Displayed as two digits, as in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shard(u8);

impl Shard {
    /// The shard of an id that carries this byte.
    pub(super) const fn of_byte(byte: u8) -> Self {
        Self(byte % SHARDS)
    }

    pub(super) fn of(tenant: &Tenant) -> Self {
        Self::of_byte(tenant.shard_byte())
    }

    pub(super) fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        (0..SHARDS).map(Self)
    }

    /// Where in an array of [`SHARDS`] places.
    pub(super) fn index(self) -> usize {
        self.0.into()
    }

    /// What [`Display`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| *number < SHARDS).map(Self)
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// What always lies together: a shard, or what no shard has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// How all of the data is laid out.
    Layout,
    /// All of a shard.
    Shard(Shard),
}

impl Place {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Layout).chain(Shard::all().map(Self::Shard))
    }

    /// Where it stands in [`Self::all`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Layout => 0,
            Self::Shard(shard) => shard.index().saturating_add(1),
        }
    }
}

impl From<Shard> for Place {
    fn from(shard: Shard) -> Self {
        Self::Shard(shard)
    }
}

/// The names under which one deployment's data is kept; several may share a Redis.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    namespace: Arc<str>,
}

impl Keys {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into() }
    }

    /// What every key of a shard begins with. Its hash tag keeps the shard in one cluster slot.
    pub(super) fn prefix(&self, shard: Shard) -> String {
        format!("{}:{{{shard}}}:", self.namespace)
    }

    /// The key of an event, a delivery, its attempts, or an endpoint's queue.
    pub(super) fn of(&self, shard: Shard, name: impl Display) -> String {
        format!("{}:{{{shard}}}:{name}", self.namespace)
    }

    /// The key of a sum or an index of a shard, or of what is known of an endpoint or a tenant: of what has names of
    /// its schema.
    pub(super) fn index(&self, shard: Shard, name: impl Display) -> String {
        self.of(shard, format_args!("2:{name}"))
    }

    /// The hash that says how the data is laid out.
    pub(super) fn layout(&self) -> String {
        format!("{}:layout", self.namespace)
    }

    /// The processes that hold leases, by when they were last heard of. In the layout's slot.
    pub(super) fn owners(&self) -> String {
        format!("{}:{{{}}}:owners", self.namespace, self.layout())
    }

    /// The hash that says how a place's data is laid out, and which data it is.
    pub(super) fn layout_of(&self, place: Place) -> String {
        match place {
            Place::Layout => self.layout(),
            Place::Shard(shard) => self.of(shard, "layout"),
        }
    }

    /// What every key of this place begins with, if it is a shard.
    pub(super) fn prefix_of(&self, place: Place) -> String {
        match place {
            Place::Layout => String::new(),
            Place::Shard(shard) => self.prefix(shard),
        }
    }

    /// A key of this place, whether it is used or not: all others of the place are in the same slot.
    pub(super) fn somewhere_in(&self, place: Place) -> String {
        match place {
            Place::Layout => self.layout(),
            Place::Shard(shard) => self.prefix(shard),
        }
    }

    /// The channel on which processes tell each other of work and of changed endpoints.
    pub(super) fn channel(&self) -> String {
        format!("{}:wake", self.namespace)
    }
}
