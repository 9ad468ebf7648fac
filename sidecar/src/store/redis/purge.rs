//! Forgetting dead letters by hand.

use std::collections::BTreeMap;

use super::fault::failed;
use super::keys::Shard;
use super::link::Again;
use super::{Shared, StoreError, scripts};
use crate::model::DeliveryId;

const OPERATION: &str = "purge";
/// Dead letters forgotten by one script: a script blocks everybody.
const BATCH: usize = 250;

impl Shared {
    /// What one script did stays done when a later one fails; the same call again does the rest.
    pub(super) async fn purge(&self, ids: &[DeliveryId]) -> Result<u64, StoreError> {
        self.open(OPERATION).await?;
        let mut shards: BTreeMap<Shard, Vec<String>> = BTreeMap::new();
        for id in ids {
            shards.entry(Shard::of_byte(id.shard_byte())).or_default().push(id.to_string());
        }
        let mut purged = 0_u64;
        for (shard, ids) in shards {
            for ids in ids.chunks(BATCH) {
                let mut call = scripts::PURGE.prepare_invoke();
                call.key(self.keys.prefix(shard)).arg(ids);
                let done: u64 = self.link.run(shard, &call, Again::Safe).await.map_err(failed(OPERATION))?;
                purged = purged.saturating_add(done);
            }
        }
        Ok(purged)
    }
}
