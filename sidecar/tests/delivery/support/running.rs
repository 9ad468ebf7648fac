//! A pool at work, over a fake store and transport.

use std::sync::Arc;

use hookgate_sidecar::delivery::attempt::Transport;
use hookgate_sidecar::delivery::{Drained, Pool, PoolSettings};
use hookgate_sidecar::telemetry::metrics::Metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{FakeStore, TokioClock};

/// It ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    store: Arc<FakeStore>,
    stop: CancellationToken,
    pool: JoinSet<Drained>,
}

impl Running {
    pub(crate) fn start<T: Transport + 'static>(
        store: &Arc<FakeStore>,
        transport: &Arc<T>,
        settings: PoolSettings,
    ) -> Self {
        Self::start_with(store, transport, settings, Metrics::new())
    }

    pub(crate) fn start_with<T: Transport + 'static>(
        store: &Arc<FakeStore>,
        transport: &Arc<T>,
        settings: PoolSettings,
        metrics: Metrics,
    ) -> Self {
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        let (store, transport) = (Arc::clone(store), Arc::clone(transport));
        let pool = Pool::new(Arc::clone(&store) as _, TokioClock::start(), transport, metrics, settings, 1);
        running.spawn(pool.run(stop.clone()));
        Self { store, stop, pool: running }
    }

    /// Tells the pool to stop, and does not wait.
    pub(crate) fn tell(&self) {
        self.stop.cancel();
    }

    /// Stops the pool and waits for its end.
    pub(crate) async fn stop(mut self) -> Drained {
        self.stop.cancel();
        self.pool.join_next().await.unwrap().unwrap()
    }

    /// Whether so many attempts were settled.
    pub(crate) fn settled(&self, count: usize) -> Result<(), Vec<u64>> {
        let settled = self.store.attempted();
        if settled.len() >= count { Ok(()) } else { Err(settled) }
    }
}
