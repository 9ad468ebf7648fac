//! Brings results to the store, many in one call, and keeps at it while the store is away.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt::{Beside, Owed};
use super::{Patience, Shared};
use crate::clock::Millis;
use crate::store::{Settled, Settlement, Settling, StoreError, StoreFault, Turn};

/// The settler of a pool.
#[derive(Debug)]
pub(super) struct Settler {
    shared: Arc<Shared>,
    patience: Patience,
    queue: mpsc::Receiver<Owed>,
    attempts: TaskTracker,
}

/// Results of one call. Two lists because the store takes one of them.
#[derive(Debug, Default)]
struct Batch {
    settlements: Vec<Settlement>,
    beside: Vec<Beside>,
}

impl Settler {
    /// Results in one call, at most.
    const MOST: usize = 256;
    /// How long settling may go on once the pool has stopped.
    const FLUSH: Duration = Duration::from_secs(5);
    /// How long a result waits for company, at most.
    const LINGER: Duration = Duration::from_millis(30);
    /// And for how much of it.
    const COMPANY: usize = 8;
    /// Attempts under way, at most, while which results wait for company.
    const AT_REST: usize = 2;

    /// `attempts`: those that send results.
    pub(super) const fn new(
        shared: Arc<Shared>,
        patience: Patience,
        queue: mpsc::Receiver<Owed>,
        attempts: TaskTracker,
    ) -> Self {
        Self { shared, patience, queue, attempts }
    }

    /// Settles until every sender of results is gone; after `hurry` for at most [`Self::FLUSH`] more. What is
    /// dropped then, or cut off in the middle of a call, is settled or its lease ends.
    pub(super) async fn run(mut self, hurry: CancellationToken) {
        let too_late = async {
            hurry.cancelled().await;
            tokio::time::sleep(Self::FLUSH).await;
        };
        tokio::select! {
            () = self.work() => {}
            () = too_late => tracing::error!("the store is away: results were left unsettled, their leases will end"),
        }
    }

    async fn work(&mut self) {
        let mut owed = Vec::with_capacity(Self::MOST);
        while self.queue.recv_many(&mut owed, Self::MOST).await > 0 {
            self.gather(&mut owed).await;
            self.settle(Batch::of(owed.drain(..))).await;
        }
    }

    /// While hardly anything goes on, a call to the store costs more than what it does: results that can wait do so for
    /// a moment, for others to go along. Under load they come together by themselves.
    async fn gather(&mut self, owed: &mut Vec<Owed>) {
        let mut moment = pin!(tokio::time::sleep(Self::LINGER));
        while self.can_wait(owed) {
            tokio::select! {
                more = self.queue.recv_many(owed, Self::MOST) => if more == 0 { return },
                () = &mut moment => return,
            }
        }
    }

    fn can_wait(&self, owed: &[Owed]) -> bool {
        let at_rest = owed.len() < Self::COMPANY && self.attempts.len() <= Self::AT_REST;
        at_rest && owed.iter().all(|owed| owed.beside.can_wait)
    }

    /// Settles a batch, trying on as long as the leases hold.
    async fn settle(&mut self, mut batch: Batch) {
        while !batch.settlements.is_empty() {
            let now = self.shared.clock.now();
            match self.shared.store.settle(&batch.settlements, now).await {
                Ok(settling) => {
                    self.patience.succeeded();
                    return self.take_in(&settling, &batch.beside, now);
                }
                Err(error) if error.fault == StoreFault::Broken => {
                    return self.settle_each(&batch, &error).await;
                }
                Err(error) => tokio::time::sleep(self.patience.failed(&error)).await,
            }
            batch = self.held(batch);
        }
    }

    /// One by one, so that one row the store cannot take does not take the others with it.
    async fn settle_each(&mut self, batch: &Batch, error: &StoreError) {
        tracing::error!(
            error = error as &dyn Error,
            results = batch.settlements.len(),
            "the store refused a batch"
        );
        for (one, beside) in batch.settlements.iter().zip(&batch.beside) {
            let now = self.shared.clock.now();
            match self.shared.store.settle(std::slice::from_ref(one), now).await {
                Ok(settling) => self.take_in(&settling, std::slice::from_ref(beside), now),
                Err(error) => {
                    tracing::error!(error = &error as &dyn Error, delivery_id = %one.delivery, "result not settled");
                }
            }
        }
    }

    /// Counts what came late, and says what died and how endpoints turned.
    fn take_in(&self, settling: &Settling, beside: &[Beside], now: Millis) {
        for _ in settling.settled.iter().filter(|one| **one == Settled::LeaseLost) {
            self.shared.metrics.came_late();
        }
        if let Some(witness) = &self.shared.witness {
            let recorded =
                settling.settled.iter().zip(beside).filter(|(settled, _)| **settled == Settled::Recorded);
            recorded
                .filter_map(|(_, beside)| beside.death.as_deref())
                .for_each(|death| witness.died(death, now));
            settling.news.iter().for_each(|news| witness.turned(news, now));
        }
        for news in &settling.news {
            let endpoint_id = news.endpoint.as_str();
            match news.turn {
                Turn::BreakerOpened { until } => {
                    tracing::warn!(endpoint_id, until = until.0, "an endpoint's breaker opened");
                }
                Turn::BreakerClosed => tracing::info!(endpoint_id, "an endpoint's breaker closed"),
                Turn::Gone => tracing::warn!(endpoint_id, "an endpoint answered 410: it wants no more"),
            }
        }
    }

    /// What is still worth settling after a failed try: results whose lease holds. Of the others the attempts are
    /// made again.
    fn held(&self, batch: Batch) -> Batch {
        let (now, before) = (self.shared.clock.now(), batch.settlements.len());
        let kept = batch.owed().filter(|owed| owed.beside.lease_ends_at > now);
        let batch = Batch::of(kept);
        let lost = before.saturating_sub(batch.settlements.len());
        if lost > 0 {
            tracing::error!(
                results = lost,
                "leases ended before the store was back; attempts will be made again"
            );
        }
        batch
    }
}

impl Batch {
    fn of(owed: impl Iterator<Item = Owed>) -> Self {
        let (settlements, beside) = owed.map(|owed| (owed.settlement, owed.beside)).unzip();
        Self { settlements, beside }
    }

    fn owed(self) -> impl Iterator<Item = Owed> {
        let both = self.settlements.into_iter().zip(self.beside);
        both.map(|(settlement, beside)| Owed { settlement, beside })
    }
}
