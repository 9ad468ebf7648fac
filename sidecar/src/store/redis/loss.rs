//! Whether Redis still has what it had. Every place carries an epoch, drawn when its first data was written: one that is
//! another, or gone, means that the data is (a flush, an empty disk, an empty node promoted). The places of a cluster
//! are lost each by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;

use super::keys::{Place, SHARDS};
use super::{Shared, StoreError};

/// The epoch of each place when it was last looked at, and how often one had changed.
#[derive(Debug, Default)]
pub(super) struct Losses {
    epochs: Mutex<[Option<String>; SHARDS as usize + 1]>,
    count: AtomicU64,
}

impl Losses {
    /// How often something was found lost since this process began.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Notes an epoch. Answers whether it is another one than before.
    fn moved(&self, place: Place, epoch: String) -> bool {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = epochs.get_mut(place.index()) else { return false };
        let former = last.replace(epoch);
        former.is_some() && former != *last
    }
}

impl Shared {
    /// Writes how the data is laid out where nobody did, and refuses what we cannot read. Answers whether any of the
    /// data is other data than before.
    pub(super) async fn check_layout(&self, operation: &'static str) -> Result<bool, StoreError> {
        let places: Vec<Place> = Place::all().collect();
        let looks = join_all(places.iter().map(|place| self.check_place(operation, *place))).await;
        let (mut moved, mut away, mut seen) = (false, None, false);
        for (place, look) in places.into_iter().zip(looks) {
            match look {
                Ok(epoch) => {
                    seen = true;
                    moved |= self.losses.moved(place, epoch);
                }
                Err(error) if error.fault == super::StoreFault::Broken => return Err(error),
                Err(error) => away = Some(error),
            }
        }
        // of a cluster, what is there counts, and what is away is looked at later
        match away {
            Some(error) if !seen => Err(error),
            Some(_) | None => Ok(moved),
        }
    }

    /// Looks whether Redis lost data since the last look; if so, writes the endpoints again.
    pub(super) async fn look_for_loss(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.check_layout(operation).await? {
            self.losses.count.fetch_add(1, Ordering::Relaxed);
            tracing::error!("redis lost its data; the endpoints are written again, accepted events are gone");
            for tenant in self.registry.known() {
                self.refresh(operation, &tenant).await?;
            }
            self.count_pending(operation).await?;
            self.horizons.forget();
        }
        Ok(())
    }
}
