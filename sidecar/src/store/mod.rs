//! The one seam to what is durable. Two implementations, `embedded` (SQLite) and `redis`, are held to the same
//! promises by one conformance suite (`tests/conformance`).
//!
//! A **lease** is why two workers never try the same delivery at once, and how a delivery outlives its worker: it
//! is taken for longer than an attempt's hard deadline, and when it ends unsettled the delivery is due again.
//! Exactly-once is not promised by it: an attempt whose result was lost is made again (at least once).

mod census;
pub mod embedded;
mod error;
mod filter;
mod page;
pub mod redis;
mod retention;
mod settings;
pub mod vitals;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::Notify;

pub use census::{BreakerState, Census, Health};
pub use error::{StoreError, StoreFault};
pub use filter::{Between, DeliveryFilter, EventFilter};
pub(crate) use page::BadCursor;
pub use page::{Listed, Page};
pub use retention::Retention;
pub use settings::{BreakerSettings, StoreSettings};

use crate::clock::Millis;
use crate::model::{
    Attempt, DeadReason, Delivery, DeliveryId, Endpoint, EndpointId, Event, EventId, IdempotencyKey, Next,
    Replay, ReplayId, Signal, Tenant,
};

/// An event to accept, with the keys by which it counts as known (0–6: a signed message brings one per live secret, a client up to two).
#[derive(Debug, Clone)]
pub struct Offer {
    /// The event.
    pub event: Arc<Event>,
    /// Any one known key makes it a duplicate; all are remembered with it.
    pub keys: Vec<IdempotencyKey>,
}

/// What became of an [`Offer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Acceptance {
    /// The event's id; of a duplicate, the first one's.
    pub id: EventId,
    /// How many deliveries it has; of a duplicate, the first one's.
    pub deliveries: u32,
    /// Whether one of its keys was known.
    pub duplicate: bool,
}

/// The right to make one attempt, until `ends_at`.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Which taking of it: a result that carries another token comes too late.
    pub token: u64,
    /// What to send.
    pub event: Arc<Event>,
    /// Where to.
    pub endpoint: Arc<Endpoint>,
    /// The number of the attempt to make, from 1.
    pub attempt: u32,
    /// Where that attempt stands in the retry schedule, from 1. [`Store::retry`] begins a fresh schedule, while
    /// `attempt` counts on: whether an attempt was the last one is decided by this number.
    pub step: u32,
    /// When somebody else may take it.
    pub ends_at: Millis,
}

impl Lease {
    /// Whether others wait for its end: it stands in a line.
    #[must_use]
    pub fn heads_a_line(&self) -> bool {
        self.endpoint.ordering.line(self.event.ordering_key.as_ref()).is_some()
    }
}

/// What a worker asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The present.
    pub now: Millis,
    /// Most leases wanted.
    pub room: u16,
    /// How long after the endpoint's own timeout each lease shall still hold.
    pub grace: Duration,
    /// Whether the worker waits for what this ask leaves room for: a store may then lease what is accepted here at once,
    /// up to that room, and hand it out with the next ask. What has no room there goes back.
    pub ahead: bool,
}

/// What a worker got.
#[derive(Debug, Default)]
pub struct Taken {
    /// At most `room` leases.
    pub leases: Vec<Lease>,
    /// When there may be more without anybody waking us: the earliest due retry or ending lease. `None`: only a
    /// wake-up brings more. May be in the past, when more is due than there was room for.
    pub next: Option<Millis>,
}

/// What comes back for a lease.
#[derive(Debug, Clone)]
pub enum Report {
    /// An attempt was made.
    Attempted {
        /// Its record.
        attempt: Attempt,
        /// What it does to the delivery.
        next: Next,
        /// What it says of the endpoint.
        signal: Signal,
    },
    /// None was made (shutdown): due again at once, nothing counted.
    Returned,
    /// None was made, and none will be: a dead letter.
    Over(DeadReason),
}

/// A [`Report`] with the lease it is for.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Under which lease.
    pub token: u64,
    /// What happened.
    pub report: Report,
}

/// What [`Store::settle`] did with one settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Recorded.
    Recorded,
    /// The lease had ended and the delivery moved on: nothing was changed, nothing is counted twice.
    LeaseLost,
}

/// How an endpoint's condition turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its breaker opened, or opened again.
    BreakerOpened {
        /// When one attempt may probe.
        until: Millis,
    },
    /// Its breaker closed: it recovered.
    BreakerClosed,
    /// It answered 410: it wants no more, and is to be disabled.
    Gone,
}

/// What became of an endpoint by the results of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// What happened.
    pub turn: Turn,
}

/// What [`Store::settle`] answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settling {
    /// One for each settlement, in order.
    pub settled: Vec<Settled>,
    /// In any order. Every turn is told to one caller, once; should that caller die, it is not told again.
    pub news: Vec<News>,
}

/// What [`Store::maintain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Leases that ended unsettled and whose deliveries are due again.
    pub reclaimed: u64,
    /// Events, deliveries, payloads, attempts and keys forgotten because their time was over.
    pub trimmed: u64,
}

/// One delivery that a step of a replay makes due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// A finished one, with a fresh schedule.
    Retry(DeliveryId),
    /// A new one, of an event that `endpoint` has no delivery of.
    Send {
        /// What.
        event: EventId,
        /// Where to.
        endpoint: EndpointId,
    },
}

/// Which replays; an empty field is no demand.
#[derive(Debug, Clone, Default)]
pub struct ReplayFilter {
    /// Of this tenant.
    pub tenant: Option<Tenant>,
    /// Only those that are running.
    pub running: bool,
}

/// How a put must find the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It must be new.
    Create,
    /// It must be there.
    Replace,
    /// Either.
    Upsert,
}

/// The seam. Every method may be called from any task at once; dropping its future leaves the store sound, with the
/// call done or not done.
///
/// # Errors
/// Every method fails with a [`StoreError`] that says whether to try again; a listing also with `BadCursor`.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Atomically, each offer for itself, and all of them together whose tenants share a shard: a known key answers
    /// the first result; else the event, its keys and one delivery per matching endpoint are written, each at the end
    /// of its [`Line`](crate::model::Line) if it stands in one. `Ok` only after all of it is durable.
    async fn accept(&self, offers: &[Offer], now: Millis) -> Result<Vec<Acceptance>, StoreError>;

    /// Leases due deliveries, fair over endpoints, each within its endpoint's `max_in_flight`, `rate_limit` and
    /// breaker. Of those in one line only the first is due, until it is delivered or dead. A lease ends at
    /// `now + endpoint.timeout_ms + ask.grace`.
    async fn take(&self, ask: Ask) -> Result<Taken, StoreError>;

    /// Records results, in order, answering one [`Settled`] each, and how endpoints turned by them. What an attempt
    /// says of its endpoint also moves its breaker; what was not attempted does not.
    async fn settle(&self, settlements: &[Settlement], now: Millis) -> Result<Settling, StoreError>;

    /// Ended leases go back, what waits and has expired becomes a dead letter, what [`Retention`] says is forgotten.
    /// Idempotent; safe on every replica at once.
    async fn maintain(&self, now: Millis) -> Result<Maintained, StoreError>;

    /// Woken (`notify_waiters` and one permit) whenever work may have become due sooner than `Taken::next` said: by
    /// an accept, a retry, an enabled endpoint, a settle that makes room at one; on this process or another.
    fn wake(&self) -> Arc<Notify>;

    /// Whether the store answers and can accept.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How often, since this process began, data that had been accepted was found gone: a flushed Redis, an empty node
    /// promoted. A store that only it can lose never does.
    fn losses(&self) -> u64 {
        0
    }

    /// Sums and conditions, for metrics and the API.
    async fn census(&self) -> Result<Census, StoreError>;

    /// Writes an endpoint as `put` demands; `Ok(false)` when it was (not) there and nothing was written. An id that
    /// is another tenant's is there for `Create`, not there for `Replace`, and neither for `Upsert`: `Ok(false)`.
    async fn put_endpoint(&self, endpoint: &Endpoint, put: Put) -> Result<bool, StoreError>;

    /// One endpoint.
    async fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>, StoreError>;

    /// Endpoints by id.
    async fn endpoints(&self, tenant: Option<&Tenant>, page: &Page) -> Result<Listed<Endpoint>, StoreError>;

    /// Removes an endpoint; its pending deliveries, those in an attempt too, become dead letters
    /// (`EndpointDeleted`). `Ok(false)`: not there.
    async fn delete_endpoint(&self, id: &EndpointId, now: Millis) -> Result<bool, StoreError>;

    /// Writes every endpoint again that is not kept as it would be kept now: sealed with the first key of the store's
    /// [`Seal`](crate::seal::Seal). Answers how many. Changes nothing else, and never undoes what somebody changes at
    /// the same moment. Idempotent; safe on every replica at once. A store that keeps nothing has nothing to do.
    async fn reseal(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// One event; without its payload, once that is forgotten ([`Event::forgotten_bytes`]).
    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError>;

    /// Events, newest first.
    async fn events(&self, filter: &EventFilter, page: &Page) -> Result<Listed<Event>, StoreError>;

    /// One delivery.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Deliveries, newest first. A page whose filter fits few of very many rows may come back short, with a cursor.
    async fn deliveries(&self, filter: &DeliveryFilter, page: &Page) -> Result<Listed<Delivery>, StoreError>;

    /// A delivery's attempts, oldest first: the latest 100.
    async fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError>;

    /// Makes a delivery due at once, whatever its state, with a fresh schedule (`attempts` counts on). In its line it
    /// keeps its place, or joins the end when it was over, as in [`Self::advance`]. One that is in an attempt stays as
    /// it is, and so does one whose endpoint is gone. `Ok(None)`: there is none. `Full` when it would be one more
    /// pending than `max_pending`; `Forgotten` when the payload of its event is.
    async fn retry(&self, id: &DeliveryId, now: Millis) -> Result<Option<Delivery>, StoreError>;

    /// Forgets those of `ids` that are dead letters, attempts and all; an event goes with the last of its deliveries.
    /// Answers how many. Idempotent.
    async fn purge(&self, ids: &[DeliveryId]) -> Result<u64, StoreError>;

    /// Does one step of a replay, all or nothing: if what is kept of it has the `version` of `replay` (0: nothing is
    /// kept), does `work`, counts it in `replayed` and `failed`, and keeps the rest of `replay` as it is, one version
    /// on. Once `wanted.limit` are made due, the rest of `work` is left. Answers what is kept now; `Ok(None)`: another step came first, and nothing was done. So no step is done twice,
    /// whoever tries it again. Work of other tenants fails; a `Send` whose delivery is there is not counted. `Full` when
    /// it would pass `max_pending`. One that is not running is forgotten in the end, as deliveries are.
    async fn advance(
        &self,
        replay: &Replay,
        work: &[Again],
        now: Millis,
    ) -> Result<Option<Replay>, StoreError>;

    /// One replay.
    async fn replay(&self, id: &ReplayId) -> Result<Option<Replay>, StoreError>;

    /// Replays, newest first.
    async fn replays(&self, filter: &ReplayFilter, page: &Page) -> Result<Listed<Replay>, StoreError>;
}
