//! Tells operators what became of endpoints and deliveries, by events of the operations tenant, which are accepted,
//! delivered and signed like any others.
//!
//! Nothing is told of that tenant's own endpoints: what cannot be delivered there would bring more of the same. That an
//! endpoint was disabled is told for certain: tried until the store accepts it and, should the process end before, by
//! the next one. The rest is left out when too much waits.

mod allowance;
mod event;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use self::allowance::Allowance;
pub(super) use self::event::Notice;
use crate::clock::{Clock, Millis};
use crate::delivery::{Death, Patience};
use crate::entropy::Entropy;
use crate::model::{Endpoint, Tenant};
use crate::store::{Offer, Page, Store, StoreError, StoreFault};

/// Notices of each kind that wait, at most.
const MOST_WAITING: usize = 1_024;
/// Notices that become events in one call, at most.
const BATCH: usize = 64;

/// Where notices go. The herald ends once all clones are dropped.
#[derive(Debug, Clone)]
pub struct Notices {
    to: Tenant,
    certain: mpsc::Sender<Notice>,
    others: mpsc::Sender<Notice>,
    deaths: Arc<Mutex<Allowance>>,
}

impl Notices {
    /// Tells it for certain: waits for room.
    pub(super) async fn insist(&self, notice: Notice) {
        if notice.tenant != self.to && self.certain.send(notice).await.is_err() {
            tracing::error!("stopped before a notice was told");
        }
    }

    /// Tells it if there is room.
    pub(super) fn tell(&self, notice: Notice) {
        if notice.tenant == self.to {
            return;
        }
        if let Err(left_out) = self.others.try_send(notice) {
            let notice = left_out.into_inner();
            self.allowance(|deaths| deaths.left_out(&notice.endpoint, notice.deaths()));
            tracing::warn!(endpoint_id = notice.endpoint.as_str(), "too many notices wait: one is left out");
        }
    }

    /// Tells of a dead letter, if not too many of the same endpoint were told of at once.
    pub(super) fn died(&self, death: &Death, at: Millis) {
        if death.tenant == self.to {
            return;
        }
        if let Some(left_out) = self.allowance(|deaths| deaths.take(&death.endpoint, at)) {
            self.tell(Notice::dead(death, left_out, at));
        }
    }

    fn allowance<T>(&self, ask: impl FnOnce(&mut Allowance) -> T) -> T {
        ask(&mut self.deaths.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes events of notices.
#[derive(Debug)]
pub struct Herald {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    to: Tenant,
    recall: Duration,
    certain: mpsc::Receiver<Notice>,
    others: mpsc::Receiver<Notice>,
    retries: Patience,
}

impl Herald {
    /// A herald that works once it is [`run`](Self::run), and where it hears from. `to`: the operations tenant.
    /// `recall`: how far back it looks, at start, for endpoints of whose disabling nobody may have been told; less than
    /// an idempotency key is known. `seed`: 64 random bits, for jitter.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Entropy,
        to: Tenant,
        recall: Duration,
        seed: u64,
    ) -> (Notices, Self) {
        let (certain, certain_queue) = mpsc::channel(MOST_WAITING);
        let (others, others_queue) = mpsc::channel(MOST_WAITING);
        let retries = Patience::new("tell operators", StdRng::seed_from_u64(seed));
        let notices = Notices { to: to.clone(), certain, others, deaths: Arc::default() };
        let herald =
            Self { store, clock, entropy, to, recall, certain: certain_queue, others: others_queue, retries };
        (notices, herald)
    }

    /// Works until all [`Notices`] are dropped; what the store does not take then is left out. Cut off anywhere, a
    /// notice is told once, or not at all.
    pub async fn run(mut self) {
        self.recall().await;
        while let Some(notices) = self.next().await {
            let (now, to) = (self.clock.now(), &self.to);
            let offers =
                notices.iter().filter_map(|notice| notice.offer(to, now, (self.entropy)())).collect();
            self.accept(offers).await;
        }
    }

    /// Waits for notices, those first that are told for certain. `None`: there will be none.
    async fn next(&mut self) -> Option<Vec<Notice>> {
        let first = tokio::select! {
            biased;
            Some(notice) = self.certain.recv() => notice,
            Some(notice) = self.others.recv() => notice,
            else => return None,
        };
        let mut notices = vec![first];
        while notices.len() < BATCH {
            let Ok(notice) = self.certain.try_recv().or_else(|_none| self.others.try_recv()) else { break };
            notices.push(notice);
        }
        Some(notices)
    }

    /// Has events accepted, trying on. The keys make sure that none is accepted twice.
    async fn accept(&mut self, offers: Vec<Offer>) {
        loop {
            match self.store.accept(&offers, self.clock.now()).await {
                Ok(_) => return self.retries.succeeded(),
                Err(error) if self.gives_up(&error) => {
                    let left_out = offers.len();
                    tracing::error!(error = &error as &dyn Error, left_out, "notices are left out");
                    return;
                }
                Err(error) => tokio::time::sleep(self.retries.failed(&error)).await,
            }
        }
    }

    /// Tells again of the endpoints that were disabled a while ago: the process that should have told may have died.
    async fn recall(&mut self) {
        let mut cursor = None;
        loop {
            match self.store.endpoints(None, &Page { cursor: cursor.clone(), limit: 250 }).await {
                Ok(listed) => {
                    self.retries.succeeded();
                    let offers = self.untold(&listed.data);
                    if !offers.is_empty() {
                        self.accept(offers).await;
                    }
                    cursor = listed.next_cursor;
                    if cursor.is_none() {
                        return;
                    }
                }
                Err(error) if self.gives_up(&error) => return,
                Err(error) => tokio::time::sleep(self.retries.failed(&error)).await,
            }
        }
    }

    fn untold(&self, endpoints: &[Endpoint]) -> Vec<Offer> {
        let now = self.clock.now();
        let lately = |notice: &Notice| notice.tenant != self.to && now.since(notice.at) < self.recall;
        let notices = endpoints.iter().filter_map(Notice::disabled).filter(lately);
        notices.filter_map(|notice| notice.offer(&self.to, now, (self.entropy)())).collect()
    }

    fn gives_up(&self, error: &StoreError) -> bool {
        error.fault == StoreFault::Broken || self.certain.is_closed()
    }
}
