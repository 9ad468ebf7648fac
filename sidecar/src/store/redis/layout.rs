//! How a place is laid out: written where nobody did, led to our schema where it is an older one, refused where it is
//! none that we know.

use super::fault::{broken, failed};
use super::keys::{Place, SHARDS};
use super::link::Again;
use super::scripts::SCHEMA;
use super::{Shared, StoreError, scripts};

/// Rows that one step of a migration looks at: a script blocks everybody.
const STEP: u16 = 500;

impl Shared {
    /// The epoch of a place, once it is laid out as we know it.
    pub(super) async fn check_place(
        &self,
        operation: &'static str,
        place: Place,
    ) -> Result<String, StoreError> {
        let epoch = format!("{:016x}", self.random::<u64>());
        let mut call = scripts::LAYOUT.prepare_invoke();
        call.key(self.keys.layout_of(place)).arg(SCHEMA).arg(SHARDS).arg(epoch);
        call.arg(self.keys.prefix_of(place));
        let (schema, shards, epoch): (u32, u32, String) =
            self.link.run(place, &call, Again::Safe).await.map_err(failed(operation))?;
        if schema > SCHEMA {
            return Err(broken(operation)(format!(
                "schema {schema} is newer than {SCHEMA}: upgrade this program"
            )));
        }
        if shards != u32::from(SHARDS) {
            return Err(broken(operation)(format!("laid out in {shards} shards, not {SHARDS}")));
        }
        if schema < SCHEMA {
            self.migrate(operation, place).await?;
        }
        Ok(epoch)
    }

    /// Leads a place to our schema, step by step. Whoever comes first begins, and whoever comes goes on: being cut off
    /// leaves a place that no script touches but this one.
    async fn migrate(&self, operation: &'static str, place: Place) -> Result<(), StoreError> {
        let mut call = scripts::MIGRATE.prepare_invoke();
        call.key(self.keys.layout_of(place)).arg(self.keys.prefix_of(place)).arg(STEP);
        while self.link.run::<u8>(place, &call, Again::Safe).await.map_err(failed(operation))? > 0 {}
        tracing::info!(place = %self.keys.layout_of(place), schema = SCHEMA, "redis: migrated");
        Ok(())
    }
}
