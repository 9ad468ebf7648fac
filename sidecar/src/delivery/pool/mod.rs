//! The worker pool: takes leases it has room for, makes their attempts, settles what came of them, and stops without
//! losing any.

mod attempt;
mod maintain;
mod patience;
mod settler;
mod taker;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::attempt::Attempts;
pub(crate) use self::patience::Patience;
use self::settler::Settler;
use self::taker::Taker;
use super::attempt::Transport;
use super::witness::Witness;
use crate::clock::Clock;
use crate::pressure::Pressure;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// How much a pool does at once, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Workers. Default 10.
    pub workers: NonZeroU16,
    /// Attempts that each of them has under way at once, at endpoints that answer promptly: most of an attempt is
    /// waiting. Default 8.
    pub worker_attempts: NonZeroU16,
    /// Attempts at once, beside those, that have taken longer than 50 ms. When there are more they hold workers. Default
    /// 2000.
    pub slow_attempts: u16,
    /// What the span of this pool calls it.
    pub worker_id: String,
    /// How long attempts under way may go on after a stop. Default 20 s; settling what is left may take 5 s more.
    pub drain: Duration,
    /// How long a lease outlives its endpoint's timeout, for connecting late, settling late, and clocks that differ.
    /// Also how long a delivery whose worker died waits at most, beyond that timeout. Default 15 s.
    pub lease_grace: Duration,
    /// The longest time for which an endpoint is left alone because it asked for it (`Retry-After`). Default 1 h.
    pub longest_hold: Duration,
    /// How often ended leases are given back and old rows trimmed. Default 1 s.
    pub maintain_every: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            workers: NonZeroU16::MIN.saturating_add(9),
            worker_attempts: NonZeroU16::MIN.saturating_add(7),
            slow_attempts: 2_000,
            worker_id: format!("pid-{}", std::process::id()),
            drain: Duration::from_secs(20),
            lease_grace: Duration::from_secs(15),
            longest_hold: Duration::from_secs(3600),
            maintain_every: Duration::from_secs(1),
        }
    }
}

impl PoolSettings {
    /// Attempts at once at endpoints that answer promptly.
    fn places(&self) -> usize {
        usize::from(self.workers.get()).saturating_mul(self.worker_attempts.get().into())
    }
}

/// How a pool came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every attempt ended by itself.
    Clean,
    /// So many attempts outlived the drain. Their deliveries were given back and are due at once: subscribers may
    /// see them twice.
    CutOff(usize),
}

/// What all parts of a pool share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    transport: Arc<dyn Transport>,
    metrics: Metrics,
    pressure: Pressure,
    witness: Option<Arc<dyn Witness>>,
    settings: PoolSettings,
}

/// The worker pool.
#[derive(Debug)]
pub struct Pool {
    shared: Shared,
    seed: StdRng,
}

impl Pool {
    /// A pool that works once it is [`run`](Self::run). `seed`: 64 random bits, for jitter.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        transport: Arc<dyn Transport>,
        metrics: Metrics,
        settings: PoolSettings,
        seed: u64,
    ) -> Self {
        let pressure = Pressure::new(metrics.clone());
        let shared = Shared { store, clock, transport, metrics, pressure, witness: None, settings };
        Self { shared, seed: StdRng::seed_from_u64(seed) }
    }

    /// Tells how it keeps up to `pressure`, which the door goes by.
    #[must_use]
    pub fn under(mut self, pressure: Pressure) -> Self {
        self.shared.pressure = pressure;
        self
    }

    /// Tells `witness` what it sees of endpoints; it is dropped once everything is settled.
    #[must_use]
    pub fn seen_by(mut self, witness: Arc<dyn Witness>) -> Self {
        self.shared.witness = Some(witness);
        self
    }

    /// Works until `stop` is cancelled, and then to the end: nothing more is taken, attempts under way get
    /// `settings.drain`, those that outlive it are cut off and their deliveries given back, and everything is
    /// settled. Dropping the future instead loses no delivery: leases end and deliveries are tried again.
    pub async fn run(self, stop: CancellationToken) -> Drained {
        let span = tracing::info_span!("webhook.worker", worker.id = %self.shared.settings.worker_id);
        let Self { shared, seed } = self;
        Crew { shared: Arc::new(shared), seed }.work(stop).instrument(span).await
    }
}

/// A pool at work.
#[derive(Debug)]
struct Crew {
    shared: Arc<Shared>,
    seed: StdRng,
}

impl Crew {
    async fn work(mut self, stop: CancellationToken) -> Drained {
        let places = self.shared.settings.places();
        let (results, queue) = mpsc::channel(places);
        let (attempts, background) = (TaskTracker::new(), TaskTracker::new());
        let (cut, hurry) = (CancellationToken::new(), CancellationToken::new());

        let settler =
            Settler::new(Arc::clone(&self.shared), self.patience("settle"), queue, attempts.clone());
        background.spawn(settler.run(hurry.clone()).in_current_span());
        let patience = self.patience("maintain");
        background.spawn(maintain::run(Arc::clone(&self.shared), patience, stop.clone()).in_current_span());
        background.close();

        let slow = Arc::new(Semaphore::new(self.shared.settings.slow_attempts.into()));
        let (shared, tasks) = (Arc::clone(&self.shared), attempts.clone());
        let started = Attempts { shared, tasks, results, cut: cut.clone(), slow };
        Taker::new(started, places, self.patience("take"), self.fork()).run(&stop).await;

        attempts.close();
        let in_time = tokio::time::timeout(self.shared.settings.drain, attempts.wait()).await.is_ok();
        let drained = if in_time { Drained::Clean } else { Drained::CutOff(attempts.len()) };
        cut.cancel();
        hurry.cancel();
        attempts.wait().await;
        background.wait().await;
        tracing::info!(?drained, "the worker pool has stopped");
        drained
    }

    fn patience(&mut self, operation: &'static str) -> Patience {
        Patience::new(operation, self.fork())
    }

    fn fork(&mut self) -> StdRng {
        StdRng::seed_from_u64(self.seed.next_u64())
    }
}
