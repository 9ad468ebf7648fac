//! The store that several replicas share: Redis 7 or later, or Valkey.
//!
//! **Layout.** Tenants are spread over shards; all keys of a shard carry its hash tag (`hg:{05}:…`), and every change
//! is one Lua script over one shard, so it is atomic and stays in one cluster slot; accepts that arrive together share
//! one (`group.rs`). `lua/lib.lua` names the keys. Events and deliveries are hashes called by their own ids; an endpoint has a state hash and a queue (a sorted
//! set by due time); `turn` holds the endpoints that may be served now, in the order of their turns, `wait` those
//! that may be later, `leases` what is in an attempt, `line:` what waits for each other (only a line's head stands in the
//! queue), `finished` what retention will forget.
//!
//! **The layout has a number**, its schema, in each shard. Whoever opens first leads an older one to ours, in small steps
//! (`lua/migrate`), and every script looks at it first: what a newer process has moved on is left alone, as `Unavailable`,
//! by those that still run; whoever starts beside it is refused. What is worked on has the schema in its name, because
//! processes of the first schema do not look.
//!
//! **What a 202 waits for** is what Redis waits for before it answers: the disk with `appendonly yes` and `appendfsync
//! always`; with `everysec` a crash of Redis may lose its last second; without an append-only file, what the last
//! snapshot lacks. Redis must not evict (`maxmemory-policy noeviction`): full, it refuses new events (`Full`), while
//! what it has is still delivered.
//!
//! **A batch over tenants of several shards** is several scripts. When a later one fails the earlier ones are done,
//! the call fails, and the same call again completes it: idempotency keys, and event ids, make that safe. Room for
//! the whole batch is looked for before the first.
//!
//! **What is believed here, and checked there.** The endpoints of a tenant are remembered with their version, and
//! the accept script refuses a version that moved on. What Redis has lost (a flush, a failover to an older copy) is
//! noticed by the version that is gone; the endpoints are then written again from memory, events are not.

mod accept;
mod ahead;
mod census;
mod claims;
mod draft;
mod fault;
mod group;
mod horizon;
mod keys;
mod layout;
mod ledger;
mod link;
mod listener;
mod listing;
mod loss;
mod maintain;
mod owners;
mod purge;
mod record;
mod registry;
mod replay;
mod reseal;
mod scripts;
mod settings;
mod settle;
mod take;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, OnceCell};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::ahead::Ahead;
use self::census::Pending;
use self::claims::Claims;
use self::fault::broken;
use self::group::Groups;
use self::horizon::Horizons;
use self::keys::Keys;
pub use self::link::InvalidRedis;
use self::link::Link;
use self::loss::Losses;
use self::owners::Others;
use self::registry::Registry;
pub use self::settings::{RedisSettings, RedisTls, ReplicaWait};
use self::take::EndpointCache;
use super::{
    Acceptance, Again, Ask, Census, DeliveryFilter, EventFilter, Listed, Maintained, Offer, Page, Put,
    ReplayFilter, Settlement, Settling, Store, StoreError, StoreFault, StoreSettings, Taken,
};
use crate::clock::Millis;
use crate::model::{
    Attempt, Delivery, DeliveryId, Endpoint, EndpointId, Event, EventId, Replay, ReplayId, Tenant,
};
use crate::seal::Seal;

/// Longest wait for the first look at Redis, which reads all endpoints.
const OPEN: Duration = Duration::from_secs(5);

/// The store over Redis. Dropping it ends its tasks: one listens for news of other processes, one tells them that this
/// one lives. Soon after that the others take back what it has leased.
#[derive(Debug)]
pub struct RedisStore {
    shared: Arc<Shared>,
    _background: DropGuard,
}

impl RedisStore {
    /// A store in this Redis. Waits for nothing: Redis may be away, and [`Store::ping`] tells. Must be called inside
    /// a Tokio runtime, which runs the store's own tasks.
    ///
    /// # Errors
    /// `Broken` when the URL or a certificate is none.
    pub fn connect(redis: &RedisSettings, settings: StoreSettings) -> Result<Self, StoreError> {
        Self::connect_sealed(redis, settings, Seal::default())
    }

    /// [`Self::connect`] where endpoints are kept sealed. What is sealed with a key that `seal` has not is
    /// `Unavailable`, and deliveries to its endpoint wait for a process that has it.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_sealed(
        redis: &RedisSettings,
        settings: StoreSettings,
        seal: Seal,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(redis, settings, seal)?);
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(listener::listen(Arc::clone(&shared), stop.clone()));
        TaskTracker::new().spawn(owners::beat(Arc::clone(&shared), stop.clone()));
        Ok(Self { shared, _background: stop.drop_guard() })
    }
}

/// What the verbs and the listener share.
#[derive(Debug)]
struct Shared {
    link: Link,
    keys: Keys,
    settings: StoreSettings,
    seal: Seal,
    horizons: Horizons,
    registry: Registry,
    losses: Losses,
    pending: Pending,
    endpoints: EndpointCache,
    groups: Groups,
    ahead: Ahead,
    claims: Claims,
    entropy: Mutex<StdRng>,
    /// By what this process knows its own messages, and others its leases.
    origin: String,
    others: Others,
    /// Set once Redis was found to be laid out as we need it.
    opened: OnceCell<()>,
}

impl Shared {
    fn new(redis: &RedisSettings, settings: StoreSettings, seal: Seal) -> Result<Self, StoreError> {
        let mut entropy = StdRng::try_from_rng(&mut SysRng).map_err(broken("connect"))?;
        let origin = format!("{:016x}", entropy.random::<u64>());
        let keys = Keys::new(&redis.namespace);
        Ok(Self {
            link: Link::new(redis, &keys).map_err(broken("connect"))?,
            keys,
            settings,
            seal,
            horizons: Horizons::new(),
            registry: Registry::default(),
            losses: Losses::default(),
            pending: Pending::default(),
            endpoints: EndpointCache::default(),
            groups: Groups::default(),
            ahead: Ahead::default(),
            claims: Claims::default(),
            entropy: Mutex::new(entropy),
            origin,
            others: Others::default(),
            opened: OnceCell::new(),
        })
    }

    /// Random bits, for ids, tokens and versions.
    fn random<T>(&self) -> T
    where
        rand::distr::StandardUniform: rand::distr::Distribution<T>,
    {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// Before the first use: looks whether the data is laid out as we need it, and learns what is there. However
    /// many ask while Redis does not answer, none waits longer than [`OPEN`].
    async fn open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.opened.initialized() {
            return Ok(());
        }
        let open = || async {
            self.check_layout(operation).await?;
            self.learn_endpoints(operation).await?;
            self.count_pending(operation).await?;
            self.introduce(operation).await.map(drop)
        };
        match timeout(OPEN, self.opened.get_or_try_init(open)).await {
            Ok(opened) => opened.copied(),
            Err(late) => {
                let source = Some(late.into());
                Err(StoreError { operation, fault: StoreFault::Unavailable, source })
            }
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn accept(&self, offers: &[Offer], now: Millis) -> Result<Vec<Acceptance>, StoreError> {
        self.shared.accept(offers, now).await
    }

    async fn take(&self, ask: Ask) -> Result<Taken, StoreError> {
        self.shared.take(ask).await
    }

    async fn settle(&self, settlements: &[Settlement], now: Millis) -> Result<Settling, StoreError> {
        self.shared.settle(settlements, now).await
    }

    async fn maintain(&self, now: Millis) -> Result<Maintained, StoreError> {
        self.shared.maintain(now).await
    }

    fn wake(&self) -> Arc<Notify> {
        self.shared.horizons.wake()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.shared.ping().await
    }

    fn losses(&self) -> u64 {
        self.shared.losses.count()
    }

    async fn census(&self) -> Result<Census, StoreError> {
        self.shared.census().await
    }

    async fn put_endpoint(&self, endpoint: &Endpoint, put: Put) -> Result<bool, StoreError> {
        self.shared.put_endpoint(endpoint, put).await
    }

    async fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>, StoreError> {
        Ok(self
            .shared
            .find_endpoint("endpoint", id)
            .await?
            .map(|(_, endpoint)| Arc::unwrap_or_clone(endpoint)))
    }

    async fn endpoints(&self, tenant: Option<&Tenant>, page: &Page) -> Result<Listed<Endpoint>, StoreError> {
        self.shared.endpoints(tenant, page).await
    }

    async fn delete_endpoint(&self, id: &EndpointId, now: Millis) -> Result<bool, StoreError> {
        self.shared.delete_endpoint(id, now).await
    }

    async fn reseal(&self) -> Result<u64, StoreError> {
        self.shared.reseal().await
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        self.shared.event(id).await
    }

    async fn events(&self, filter: &EventFilter, page: &Page) -> Result<Listed<Event>, StoreError> {
        self.shared.events(filter, page).await
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.shared.delivery("delivery", id).await
    }

    async fn deliveries(&self, filter: &DeliveryFilter, page: &Page) -> Result<Listed<Delivery>, StoreError> {
        self.shared.deliveries(filter, page).await
    }

    async fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.shared.attempts(id).await
    }

    async fn retry(&self, id: &DeliveryId, now: Millis) -> Result<Option<Delivery>, StoreError> {
        self.shared.retry(id, now).await
    }

    async fn purge(&self, ids: &[DeliveryId]) -> Result<u64, StoreError> {
        self.shared.purge(ids).await
    }

    async fn advance(
        &self,
        replay: &Replay,
        work: &[Again],
        now: Millis,
    ) -> Result<Option<Replay>, StoreError> {
        self.shared.advance(replay, work, now).await
    }

    async fn replay(&self, id: &ReplayId) -> Result<Option<Replay>, StoreError> {
        self.shared.replay(id).await
    }

    async fn replays(&self, filter: &ReplayFilter, page: &Page) -> Result<Listed<Replay>, StoreError> {
        self.shared.replays(filter, page).await
    }
}
