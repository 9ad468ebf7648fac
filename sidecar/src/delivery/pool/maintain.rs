//! The tick that gives ended leases back and trims what is old. Every replica does it; doing it twice does no harm.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Patience, Shared};

/// Ticks until `stop`. Cut off in the middle of a tick, the next one, here or elsewhere, does the rest.
pub(super) async fn run(shared: Arc<Shared>, mut patience: Patience, stop: CancellationToken) {
    let ticking = async {
        loop {
            tokio::time::sleep(patience.spread(shared.settings.maintain_every)).await;
            tick(&shared, &mut patience).await;
        }
    };
    stop.run_until_cancelled(ticking).await.unwrap_or(());
}

async fn tick(shared: &Shared, patience: &mut Patience) {
    match shared.store.maintain(shared.clock.now()).await {
        Ok(done) => {
            patience.succeeded();
            shared.metrics.reclaimed(done.reclaimed);
            if done.reclaimed > 0 {
                tracing::warn!(
                    leases = done.reclaimed,
                    "leases ended unsettled; their deliveries are due again"
                );
            }
        }
        Err(error) => tokio::time::sleep(patience.failed(&error)).await,
    }
}
