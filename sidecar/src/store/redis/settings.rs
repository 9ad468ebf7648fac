//! What an operator says about Redis: where it is, how to be let in, and who must have a write before it counts.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

/// How to reach Redis. `Debug` shows neither the URL nor a password nor a key.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, `redis+unix:///path`;
    /// `redis+sentinel://[user:password@]host[:port],host…/NAME[/db]` asks Sentinels for the primary called NAME;
    /// `redis+cluster://[user:password@]host[:port],host…` begins with any of these nodes of a cluster. The last two
    /// are `rediss+…` for TLS. What is special in a URL stands percent-encoded in a user or password.
    pub url: String,
    /// What every key begins with, so that several deployments can share a Redis. Default `hg`.
    pub namespace: String,
    /// Most connections to one server. Default 100.
    pub pool: usize,
    /// Whom to trust and who we are, for TLS.
    pub tls: RedisTls,
    /// The Sentinels' own password, when they ask for one.
    pub sentinel_password: Option<String>,
    /// Who else must have an accepted event before it is answered. Default nobody.
    pub wait: Option<ReplicaWait>,
}

/// Files of TLS, as PEM.
#[derive(Clone, Default)]
pub struct RedisTls {
    /// Who may vouch for the server; the system's authorities when there is none.
    pub ca: Option<Vec<u8>>,
    /// Our certificate and its key, when the server asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// An accept is answered once this many replicas have it in their memory.
///
/// One that is not acknowledged in time fails as `Unavailable`, though it may stay: whether it does is not known,
/// and the producer's next try, under the same idempotency key, finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaWait {
    /// How many, at least 1.
    pub replicas: u16,
    /// For how long; what takes longer than [`Self::LONGEST`] counts as that.
    pub timeout: Duration,
}

impl ReplicaWait {
    /// So that an accept fails while its producer still listens.
    pub const LONGEST: Duration = Duration::from_millis(900);
}

impl RedisSettings {
    /// The defaults at this URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: "hg".to_owned(),
            pool: 100,
            tls: RedisTls::default(),
            sentinel_password: None,
            wait: None,
        }
    }
}

impl Debug for RedisSettings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("namespace", &self.namespace)
            .field("pool", &self.pool)
            .field("tls", &self.tls)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

impl Debug for RedisTls {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
