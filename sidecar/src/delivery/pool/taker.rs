//! Takes leases from the store: never more than can be started at once, and without polling for them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::futures::Notified;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::attempt::Attempts;
use super::patience::Patience;
use crate::clock::Millis;
use crate::store::{Ask, Lease, StoreError, Taken};

/// The taker of a pool.
#[derive(Debug)]
pub(super) struct Taker {
    attempts: Attempts,
    room: Arc<Semaphore>,
    patience: Patience,
    rng: StdRng,
}

impl Taker {
    /// Leases in one call, at most.
    const MOST: usize = 256;
    /// How long nothing is looked for when nobody wakes us: a guard against a wake-up that never came.
    const IDLE: Duration = Duration::from_secs(1);
    /// And the least, whatever the store says is due: a store that is wrong about it must not make us spin.
    const LEAST: Duration = Duration::from_millis(2);
    /// How long a take under way may go on after a stop, so that what it leased can be given back.
    const LAST_TAKE: Duration = Duration::from_secs(1);

    pub(super) fn new(attempts: Attempts, places: usize, patience: Patience, rng: StdRng) -> Self {
        Self { attempts, room: Arc::new(Semaphore::new(places)), patience, rng }
    }

    /// Takes until `stop`.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        let mut answered = true;
        while let Some(room) = stop.run_until_cancelled(free(&self.room)).await.flatten() {
            answered = self.turn(room, stop).await;
        }
        if answered {
            self.withdraw(stop).await;
        }
    }

    /// Nothing more is wanted: what the store has leased ahead goes back.
    async fn withdraw(&self, stop: &CancellationToken) {
        match self.take(0, stop).await {
            Some(Ok(taken)) => debug_assert!(taken.leases.is_empty(), "there was no room"),
            Some(Err(error)) => tracing::warn!(%error, "what was leased ahead comes back by itself"),
            None => {}
        }
    }

    /// One look. The wake-up is listened for before looking, so that none is missed in between; and there is room
    /// before there is a lease, so that nothing is leased that could not start at once. Answers whether the store did.
    async fn turn(&mut self, room: OwnedSemaphorePermit, stop: &CancellationToken) -> bool {
        let wake = self.attempts.shared.store.wake();
        let mut woken = pin!(wake.notified());
        woken.as_mut().enable();
        let asked = room.num_permits();
        let answer = self.take(asked, stop).await;
        let answered = answer.is_some();
        match answer {
            None => {}
            Some(Ok(taken)) => {
                self.patience.succeeded();
                let (all, next) = (taken.leases.len() >= asked, taken.next);
                self.start(taken.leases, room, stop).await;
                if !all {
                    stop.run_until_cancelled(self.rest(next, woken)).await.unwrap_or(());
                }
            }
            Some(Err(error)) => {
                let pause = self.patience.failed(&error);
                stop.run_until_cancelled(tokio::time::sleep(pause)).await.unwrap_or(());
            }
        }
        answered
    }

    /// `None` when the pool stopped and the store did not answer in time: what was leased comes back by itself.
    async fn take(&self, asked: usize, stop: &CancellationToken) -> Option<Result<Taken, StoreError>> {
        let shared = &self.attempts.shared;
        let room = u16::try_from(asked).unwrap_or(u16::MAX);
        let ask = Ask { now: shared.clock.now(), room, grace: shared.settings.lease_grace, ahead: room > 0 };
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(Self::LAST_TAKE).await;
        };
        tokio::select! {
            taken = shared.store.take(ask) => Some(taken),
            () = too_late => None,
        }
    }

    /// Starts what was taken, each with its permit; gives back what came after a stop, or beyond the room.
    async fn start(&mut self, leases: Vec<Lease>, mut room: OwnedSemaphorePermit, stop: &CancellationToken) {
        for lease in leases {
            match room.split(1).filter(|_| !stop.is_cancelled()) {
                Some(permit) => self.attempts.start(lease, permit, self.rng.next_u64()),
                None => self.attempts.give_back(&lease).await,
            }
        }
    }

    /// Waits until there may be more: a wake-up, or the moment the store named.
    async fn rest(&self, next: Option<Millis>, woken: std::pin::Pin<&mut Notified<'_>>) {
        let due_in = next.map_or(Self::IDLE, |next| next.since(self.attempts.shared.clock.now()));
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(due_in.clamp(Self::LEAST, Self::IDLE)) => {}
        }
    }
}

/// All the room there is, as one permit, as soon as there is any; at most [`Taker::MOST`]. `None` never happens: the
/// semaphore is not closed.
async fn free(room: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let mut all = Arc::clone(room).acquire_owned().await.ok()?;
    let more = room.available_permits().min(Taker::MOST - 1);
    if let Ok(more) = Arc::clone(room).try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
        all.merge(more);
    }
    Some(all)
}
