//! Upkeep: ended leases, queues of deleted endpoints, and what is over for long enough.

use futures_util::future::join_all;

use super::fault::{broken, failed};
use super::keys::{Place, Shard};
use super::link::Again;
use super::record::read_horizon;
use super::{Millis, Shared, StoreError, scripts};
use crate::store::Maintained;
use crate::store::retention::Horizon;

const OPERATION: &str = "maintain";
/// Rows of each kind that one script works on: a script blocks everybody.
const BATCH: u16 = 200;
/// Scripts a shard that one call runs; the next call goes on.
const ROUNDS: u16 = 50;

impl Shared {
    /// Also finds a loss of data, before an accept does. A cluster of which a part is away can still accept for the
    /// tenants of the others, so it answers: only when no place has room there is nothing to be had.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "ping";
        self.open(OPERATION).await?;
        self.look_for_loss(OPERATION).await?;
        let looks = join_all(Place::all().map(|place| async move {
            let mut call = scripts::ROOM.prepare_invoke();
            call.key(self.keys.somewhere_in(place));
            self.link.run::<u8>(place, &call, Again::Safe).await
        }));
        let mut looks = looks.await.into_iter();
        let first = looks.next().unwrap_or(Ok(1));
        if looks.any(|look| look.is_ok()) { Ok(()) } else { first.map(|_| ()).map_err(failed(OPERATION)) }
    }

    pub(super) async fn maintain(&self, now: Millis) -> Result<Maintained, StoreError> {
        self.open(OPERATION).await?;
        // of a cluster a part may be away: what is there is tended all the same, and only then it is told
        let (evicted, found) = (self.evict(now).await, self.find_lost(now).await);
        let shards = join_all(Shard::all().map(|shard| self.maintain_shard(shard, now))).await;
        let mut sum = Maintained { reclaimed: evicted?.saturating_add(found?), trimmed: 0 };
        for shard in shards {
            let shard = shard?;
            sum.reclaimed = sum.reclaimed.saturating_add(shard.reclaimed);
            sum.trimmed = sum.trimmed.saturating_add(shard.trimmed);
        }
        Ok(sum)
    }

    /// Takes back what a process that is gone had leased, wherever a shard answers; answers how many leases.
    pub(super) async fn evict_one(&self, owner: &str, now: Millis) -> Result<u64, StoreError> {
        let whose = [owner.to_owned()];
        let evictions = Shard::all().map(|shard| self.evict_from(shard, &whose, now));
        join_all(evictions).await.into_iter().sum()
    }

    /// Takes back what these processes, or calls, have leased in a shard; answers how many leases.
    pub(super) async fn evict_from(
        &self,
        shard: Shard,
        whose: &[String],
        now: Millis,
    ) -> Result<u64, StoreError> {
        let mut call = scripts::EVICT.prepare_invoke();
        call.key(self.keys.prefix(shard)).arg(now.0).arg(whose);
        let reply = self.link.run(shard, &call, Again::Safe).await;
        let (horizon, leases): (String, u64) = reply.map_err(failed(OPERATION))?;
        self.horizons.lower(shard, read_horizon(&horizon).map_err(broken(OPERATION))?);
        Ok(leases)
    }

    async fn maintain_shard(&self, shard: Shard, now: Millis) -> Result<Maintained, StoreError> {
        let Horizon { finished, dead_letters, payloads, attempts } = self.settings.retention.horizon(now);
        let if_set = |moment: Option<Millis>| moment.map_or_else(String::new, |moment| moment.0.to_string());
        let mut done = Maintained::default();
        for _ in 0..ROUNDS {
            let mut call = scripts::MAINTAIN.prepare_invoke();
            call.key(self.keys.prefix(shard)).arg(now.0).arg(BATCH);
            call.arg(finished.0).arg(dead_letters.0).arg(if_set(payloads)).arg(if_set(attempts));
            let reply = self.link.run(shard, &call, Again::Safe).await;
            let (horizon, pending, reclaimed, trimmed, more): (String, u64, u64, u64, u8) =
                reply.map_err(failed(OPERATION))?;
            self.pending.set(shard, pending);
            self.horizons.lower(shard, read_horizon(&horizon).map_err(broken(OPERATION))?);
            done.reclaimed = done.reclaimed.saturating_add(reclaimed);
            done.trimmed = done.trimmed.saturating_add(trimmed);
            if more == 0 {
                break;
            }
        }
        Ok(done)
    }
}
