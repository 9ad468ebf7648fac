//! Works at replays, step by step, until they are done or cancelled.
//!
//! Every process looks for replays that are running and that nobody works at; the lease in a replay says who does. It
//! only saves two from doing the same looking: that no step is done twice is [`Store::advance`]'s promise. A process
//! that dies is replaced when its lease ends.
//!
//! A replay must not drown what comes in: a step is small, steps are a pause apart, and the next one waits while the
//! last delivery of the one before it has not been tried.

mod step;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Millis};
use crate::model::{DeliveryId, Replay, ReplayId, ReplayState, Status};
use crate::store::{Again, Page, ReplayFilter, Store, StoreError};
use crate::telemetry::logs::Chain;

/// Most replays that run at once.
pub const MOST_RUNNING: u16 = 100;
/// Between two steps: at most some 500 deliveries a second.
const PAUSE: Duration = Duration::from_millis(100);
/// How often replays of others are looked for, and what failed is tried again.
const LOOK: Duration = Duration::from_secs(5);
/// How long a step waits for the deliveries of the one before it: an endpoint that is not tried at all (disabled, its
/// breaker open) holds a replay up, and does not stop it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a process that does not move a replay keeps it.
const LEASE: Duration = Duration::from_secs(30);

/// Works at replays.
#[derive(Debug)]
pub struct Replays {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    name: String,
    wake: Arc<Notify>,
    /// The last delivery that each replay made due here, and when.
    last: HashMap<ReplayId, (DeliveryId, Millis)>,
}

impl Replays {
    /// `name`: unlike any other process's. `wake`: notified when there is a new replay.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, name: String, wake: Arc<Notify>) -> Self {
        Self { store, clock, name, wake, last: HashMap::new() }
    }

    /// Works until `stop`. Cut off anywhere, the next process goes on with what was kept.
    pub async fn run(mut self, stop: CancellationToken) {
        let wake = Arc::clone(&self.wake);
        let work = async {
            loop {
                match self.round().await {
                    true => sleep(PAUSE).await,
                    false => timeout(LOOK, wake.notified()).await.unwrap_or(()),
                }
            }
        };
        stop.run_until_cancelled(work).await.unwrap_or(());
    }

    /// One step of every replay that is ours or nobody's; answers whether there was any.
    async fn round(&mut self) -> bool {
        let page = Page { cursor: None, limit: MOST_RUNNING };
        let running = self.store.replays(&ReplayFilter { tenant: None, running: true }, &page).await;
        let running = running.map(|listed| listed.data).unwrap_or_else(|error| {
            tracing::debug!(error = %Chain(&error), "replays wait for the store");
            Vec::new()
        });
        self.last.retain(|id, _| running.iter().any(|replay| replay.id == *id));
        let mut busy = false;
        for replay in running {
            busy |= self.turn(&replay).await.unwrap_or_else(|error| {
                tracing::debug!(replay_id = %replay.id, error = %Chain(&error), "a replay waits for the store");
                false
            });
        }
        busy
    }

    /// One step, if it is ours to do; answers whether it is.
    async fn turn(&mut self, replay: &Replay) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if replay.leased_until > now && replay.runner.as_ref() != Some(&self.name) {
            return Ok(false);
        }
        if self.lags(replay.id, now).await? {
            return Ok(true);
        }
        let found = step::find(&*self.store, replay, now).await?;
        let next = step::after(replay, &found, &self.name, now.plus(LEASE));
        // Somebody else may have moved it meanwhile, or cancelled it: then it is looked at again.
        if let Some(kept) = self.store.advance(&next, &found.work, now).await? {
            self.last.extend(found.work.last().map(|again| (kept.id, (delivery(again), now))));
            if kept.state == ReplayState::Done {
                let (replayed, failed) = (kept.replayed, kept.failed);
                tracing::info!(replay_id = %kept.id, replayed, failed, "a replay is done");
            }
        }
        Ok(true)
    }

    /// Whether what the last step made due still waits for its first try.
    async fn lags(&mut self, id: ReplayId, now: Millis) -> Result<bool, StoreError> {
        let Some((delivery, made_due)) = self.last.get(&id).copied() else { return Ok(false) };
        if now.since(made_due) >= PATIENCE {
            return Ok(false);
        }
        let waits = self.store.delivery(&delivery).await?.is_some_and(|delivery| {
            delivery.status == Status::Pending && delivery.next_attempt_at == Some(made_due)
        });
        Ok(waits)
    }
}

fn delivery(again: &Again) -> DeliveryId {
    match again {
        Again::Retry(id) => *id,
        Again::Send { event, endpoint } => DeliveryId::replayed(event, endpoint),
    }
}
