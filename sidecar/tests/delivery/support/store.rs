//! A store that a test holds in its hands: what is due, what it answers, and what it was asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{
    Attempt, Delivery, DeliveryId, Endpoint, EndpointId, Event, EventId, Next, Replay, ReplayId, Tenant,
};
use hookgate_sidecar::store::{
    Acceptance, Again, Ask, Census, DeliveryFilter, EventFilter, Lease, Listed, Maintained, Offer, Page, Put,
    ReplayFilter, Report, Settled, Settlement, Settling, Store, StoreError, StoreFault, Taken,
};
use tokio::sync::{Notify, Semaphore};

#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    due: Mutex<VecDeque<Lease>>,
    wake: Arc<Notify>,
    /// What [`Taken::next`] says when nothing is due.
    pub(crate) next: Mutex<Option<Millis>>,
    /// Every look.
    pub(crate) asks: Mutex<Vec<Ask>>,
    pub(crate) settled: Mutex<Vec<Settlement>>,
    /// How many results came in each call.
    pub(crate) batches: Mutex<Vec<usize>>,
    pub(crate) maintained: Mutex<Vec<Millis>>,
    /// Take and settle fail for now.
    pub(crate) away: AtomicBool,
    /// Tries that failed for that.
    pub(crate) failed: Mutex<usize>,
    /// A result with this token cannot be stored, ever.
    pub(crate) poison: Mutex<Option<u64>>,
    /// When set, a take has decided what it leases but does not answer without one of these permits.
    pub(crate) gate: Mutex<Option<Arc<Semaphore>>>,
    /// A lease that becomes due after a take has looked and before it answers. Only who listens already hears of it.
    pub(crate) meanwhile: Mutex<Option<Lease>>,
}

impl FakeStore {
    pub(crate) fn with(due: impl IntoIterator<Item = Lease>) -> Arc<Self> {
        Arc::new(Self { due: Mutex::new(due.into_iter().collect()), ..Self::default() })
    }

    pub(crate) fn add(&self, lease: Lease) {
        self.due.lock().unwrap().push_back(lease);
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// Tokens of the results of attempts that were settled, in order.
    pub(crate) fn attempted(&self) -> Vec<u64> {
        self.tokens(|report| matches!(report, Report::Attempted { .. }))
    }

    /// Tokens of the leases that came back unused.
    pub(crate) fn returned(&self) -> Vec<u64> {
        self.tokens(|report| matches!(report, Report::Returned))
    }

    /// What happened to the delivery of a lease.
    pub(crate) fn next_of(&self, token: u64) -> Option<Next> {
        let settled = self.settled.lock().unwrap();
        settled.iter().find(|one| one.token == token).and_then(|one| match &one.report {
            Report::Attempted { next, .. } => Some(*next),
            Report::Over(reason) => Some(Next::Dead(*reason)),
            Report::Returned => None,
        })
    }

    fn tokens(&self, which: impl Fn(&Report) -> bool) -> Vec<u64> {
        let settled = self.settled.lock().unwrap();
        let mut tokens: Vec<_> =
            settled.iter().filter(|one| which(&one.report)).map(|one| one.token).collect();
        tokens.sort_unstable();
        tokens
    }

    fn present(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.away.load(SeqCst) {
            *self.failed.lock().unwrap() += 1;
            return Err(StoreError { operation, fault: StoreFault::Unavailable, source: None });
        }
        Ok(())
    }
}

/// Nothing in this suite calls it.
fn not_here<T>(operation: &'static str) -> Result<T, StoreError> {
    Err(StoreError { operation, fault: StoreFault::Broken, source: None })
}

#[async_trait]
impl Store for FakeStore {
    async fn take(&self, ask: Ask) -> Result<Taken, StoreError> {
        self.asks.lock().unwrap().push(ask);
        self.present("take")?;
        let leases: Vec<_> = {
            let mut due = self.due.lock().unwrap();
            let room = due.len().min(ask.room.into());
            due.drain(..room).collect()
        };
        if let Some(lease) = self.meanwhile.lock().unwrap().take() {
            self.due.lock().unwrap().push_back(lease);
            self.wake.notify_waiters();
        }
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        Ok(Taken { leases, next: *self.next.lock().unwrap() })
    }

    async fn settle(&self, settlements: &[Settlement], _now: Millis) -> Result<Settling, StoreError> {
        self.present("settle")?;
        let poison = *self.poison.lock().unwrap();
        if settlements.iter().any(|one| Some(one.token) == poison) {
            return not_here("settle");
        }
        self.batches.lock().unwrap().push(settlements.len());
        self.settled.lock().unwrap().extend_from_slice(settlements);
        Ok(Settling { settled: vec![Settled::Recorded; settlements.len()], news: Vec::new() })
    }

    async fn maintain(&self, now: Millis) -> Result<Maintained, StoreError> {
        self.maintained.lock().unwrap().push(now);
        Ok(Maintained { reclaimed: 1, trimmed: 0 })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    async fn accept(&self, _: &[Offer], _: Millis) -> Result<Vec<Acceptance>, StoreError> {
        not_here("accept")
    }

    async fn ping(&self) -> Result<(), StoreError> {
        not_here("ping")
    }

    async fn census(&self) -> Result<Census, StoreError> {
        not_here("census")
    }

    async fn put_endpoint(&self, _: &Endpoint, _: Put) -> Result<bool, StoreError> {
        not_here("put_endpoint")
    }

    async fn endpoint(&self, _: &EndpointId) -> Result<Option<Endpoint>, StoreError> {
        not_here("endpoint")
    }

    async fn endpoints(&self, _: Option<&Tenant>, _: &Page) -> Result<Listed<Endpoint>, StoreError> {
        not_here("endpoints")
    }

    async fn delete_endpoint(&self, _: &EndpointId, _: Millis) -> Result<bool, StoreError> {
        not_here("delete_endpoint")
    }

    async fn event(&self, _: &EventId) -> Result<Option<Event>, StoreError> {
        not_here("event")
    }

    async fn events(&self, _: &EventFilter, _: &Page) -> Result<Listed<Event>, StoreError> {
        not_here("events")
    }

    async fn delivery(&self, _: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        not_here("delivery")
    }

    async fn deliveries(&self, _: &DeliveryFilter, _: &Page) -> Result<Listed<Delivery>, StoreError> {
        not_here("deliveries")
    }

    async fn attempts(&self, _: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        not_here("attempts")
    }

    async fn retry(&self, _: &DeliveryId, _: Millis) -> Result<Option<Delivery>, StoreError> {
        not_here("retry")
    }

    async fn purge(&self, _: &[DeliveryId]) -> Result<u64, StoreError> {
        not_here("purge")
    }

    async fn advance(&self, _: &Replay, _: &[Again], _: Millis) -> Result<Option<Replay>, StoreError> {
        not_here("advance")
    }

    async fn replay(&self, _: &ReplayId) -> Result<Option<Replay>, StoreError> {
        not_here("replay")
    }

    async fn replays(&self, _: &ReplayFilter, _: &Page) -> Result<Listed<Replay>, StoreError> {
        not_here("replays")
    }
}
