//! Keeps how endpoints stand in step with how they answer: one that is gone, or that failed for days, is disabled.
//!
//! What a pool saw waits here until the store has it. Should it be lost all the same (a process that dies, a queue that
//! is full), nothing is wrong for long: an endpoint that is gone answers 410 again, one that fails opens its breaker
//! again, and before one is disabled for failing, the ledger is asked whether it ever delivered meanwhile.

mod judge;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, mpsc};

use self::judge::{Change, is_overdue, take_in};
use super::notices::{Notice, Notices};
use crate::clock::Millis;
use crate::delivery::Patience;
use crate::model::{Endpoint, Status};
use crate::store::{Between, DeliveryFilter, News, Page, Put, Store, StoreError, StoreFault};

/// Turns that wait for the store, at most, twice: some here, some on their way here.
const MOST_WAITING: usize = 1_024;
/// Pages of the ledger that are read to find out whether an endpoint delivered anything.
const MOST_PAGES: usize = 20;

/// One turn, and when it was seen.
#[derive(Debug)]
struct Seen {
    news: News,
    at: Millis,
}

/// Where a pool's turns go. The keeper ends once this is dropped.
#[derive(Debug)]
pub struct Turns(mpsc::Sender<Seen>);

impl Turns {
    /// One more turn, seen at `at`. Does not wait.
    pub fn add(&self, news: &News, at: Millis) {
        if self.0.try_send(Seen { news: news.clone(), at }).is_err() {
            tracing::error!(
                endpoint_id = news.endpoint.as_str(),
                turn = ?news.turn,
                "too many endpoints turned at once: this turn is left out"
            );
        }
    }
}

/// Keeps how endpoints stand.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Store>,
    /// Held while an endpoint is read, changed and written back: by the API of this process, too.
    changing: Arc<Mutex<()>>,
    patience: Option<Duration>,
    notices: Option<Notices>,
    queue: mpsc::Receiver<Seen>,
    waiting: VecDeque<Seen>,
    retries: Patience,
}

impl Keeper {
    /// A keeper that works once it is [`run`](Self::run), and where it hears from. `patience`: how long an endpoint may
    /// do nothing but fail before it is disabled; `None`: for ever. `notices`: where operators are told. `seed`: 64 random bits, for jitter.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        changing: Arc<Mutex<()>>,
        patience: Option<Duration>,
        notices: Option<Notices>,
        seed: u64,
    ) -> (Turns, Self) {
        let (sender, queue) = mpsc::channel(MOST_WAITING);
        let retries = Patience::new("change an endpoint's standing", StdRng::seed_from_u64(seed));
        (Turns(sender), Self { store, changing, patience, notices, queue, waiting: VecDeque::new(), retries })
    }

    /// Works until [`Turns`] is dropped; what the store does not take then is left out. Cut off anywhere, a turn is
    /// taken in or not.
    pub async fn run(mut self) {
        while let Some(seen) = self.next().await {
            match self.settle(&seen).await {
                Ok(changed) => {
                    self.retries.succeeded();
                    if let Some((endpoint, change)) = changed {
                        self.tell(&endpoint, change, seen.at).await;
                    }
                }
                Err(error) if error.fault == StoreFault::Broken || self.queue.is_closed() => {
                    let endpoint_id = seen.news.endpoint.as_str();
                    tracing::error!(error = &error as &dyn Error, endpoint_id, "a turn is left out");
                }
                Err(error) => {
                    self.waiting.push_back(seen);
                    tokio::time::sleep(self.retries.failed(&error)).await;
                }
            }
        }
    }

    /// The next turn, those that failed before among the others.
    async fn next(&mut self) -> Option<Seen> {
        while self.waiting.len() < MOST_WAITING {
            let Ok(seen) = self.queue.try_recv() else { break };
            self.waiting.push_back(seen);
        }
        match self.waiting.pop_front() {
            Some(seen) => Some(seen),
            None => self.queue.recv().await,
        }
    }

    /// Reads the endpoint, changes how it stands and nothing else, and writes it back. Done twice, the second changes
    /// nothing.
    async fn settle(&self, seen: &Seen) -> Result<Option<(Endpoint, Change)>, StoreError> {
        let _alone = self.changing.lock().await;
        let (Seen { news: News { endpoint: id, turn }, at }, patience) = (seen, self.patience);
        let Some(mut endpoint) = self.store.endpoint(id).await? else { return Ok(None) };
        if is_overdue(&endpoint, *turn, *at, patience) && self.has_delivered(&endpoint).await? {
            endpoint.standing.failing_since = None;
        }
        let Some(change) = take_in(&mut endpoint, *turn, *at, patience) else { return Ok(None) };
        let written = self.store.put_endpoint(&endpoint, Put::Replace).await?;
        Ok(written.then_some((endpoint, change)))
    }

    /// Tells the log, and operators.
    async fn tell(&self, endpoint: &Endpoint, change: Change, at: Millis) {
        say(endpoint, change);
        let Some(notices) = &self.notices else { return };
        match change {
            Change::Disabled(_) => {
                if let Some(notice) = Notice::disabled(endpoint) {
                    notices.insist(notice).await;
                }
            }
            Change::Failing { until } => notices.tell(Notice::breaker_opened(endpoint, until, at)),
            Change::Recovered { since } => notices.tell(Notice::recovered(endpoint, since, at)),
        }
    }

    /// Whether it delivered anything since it began to fail: then it recovered, and we never heard.
    async fn has_delivered(&self, endpoint: &Endpoint) -> Result<bool, StoreError> {
        let filter = DeliveryFilter {
            tenant: Some(endpoint.tenant.clone()),
            endpoint: Some(endpoint.id.clone()),
            status: Some(Status::Delivered),
            updated: Between { since: endpoint.standing.failing_since, until: None },
            ..DeliveryFilter::default()
        };
        let mut page = Page { cursor: None, limit: 1 };
        for _ in 0..MOST_PAGES {
            let listed = self.store.deliveries(&filter, &page).await?;
            if !listed.data.is_empty() {
                return Ok(true);
            }
            page.cursor = listed.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        Ok(false)
    }
}

fn say(endpoint: &Endpoint, change: Change) {
    let endpoint_id = endpoint.id.as_str();
    match change {
        Change::Disabled(reason) => tracing::warn!(endpoint_id, ?reason, "an endpoint is disabled"),
        Change::Failing { .. } => tracing::warn!(endpoint_id, "an endpoint began to fail"),
        Change::Recovered { since } => {
            tracing::info!(endpoint_id, since = since.0, "an endpoint recovered");
        }
    }
}
