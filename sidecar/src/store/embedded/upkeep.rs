//! What is done by itself and seldom: the registry's writes, retrying by hand, reclaiming and forgetting.

use std::sync::Arc;

use super::changes::Changes;
use super::expiry::expire;
use super::fault::Trouble;
use super::owner::Owner;
use super::registry;
use super::replay::advance;
use super::schedule::{Rules, Slot};
use super::settle::{Hand, retry};
use super::trim::{BATCH, Horizon, bury, purge, trim};
use crate::clock::Millis;
use crate::model::{DeadReason, Delivery, DeliveryId, Endpoint, EndpointId, Replay, Status};
use crate::store::{Again, Census, Health, Maintained, Put};

/// What one round of upkeep did, and whether another one would find more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) did: Maintained,
    pub(super) more: bool,
}

impl Owner {
    /// Writes an endpoint if `put` allows it.
    pub(super) fn put(&mut self, endpoint: &Endpoint, put: Put) -> Result<bool, Trouble> {
        if !self.registry.allows(endpoint, put) {
            return Ok(false);
        }
        // Only for placing what waits; a take looks again by its own clock.
        let now = endpoint.updated_at;
        let slot = self.change(now, |owner| {
            let slot = registry::write(&owner.connection, endpoint, &owner.seal)?;
            // A name that comes back while its former bearer is being buried: that one's deliveries are dead first.
            let most = if owner.burying.contains(&slot) { u32::MAX } else { 0 };
            Ok((slot, owner.bury(slot, now, most)?.0))
        })?;
        self.burying.remove(&slot);
        self.registry.insert(slot, Arc::new(endpoint.clone()));
        self.schedule.open(slot, &endpoint.tenant, Rules::from(endpoint), now);
        self.wake_if_sooner(now);
        Ok(true)
    }

    /// Deletes an endpoint and buries the first of its pending deliveries. `None`: not there; else its slot, and
    /// whether [`Self::bury_more`] is to be called.
    pub(super) fn delete(&mut self, id: &EndpointId, now: Millis) -> Result<Option<(Slot, bool)>, Trouble> {
        let Some(slot) = self.registry.get(id).map(|entry| entry.slot) else { return Ok(None) };
        let more = self.change(now, |owner| {
            registry::mark_deleted(&owner.connection, slot)?;
            let (changes, more) = owner.bury(slot, now, BATCH)?;
            Ok((more, changes))
        })?;
        self.registry.remove(id);
        self.schedule.close(slot);
        if more {
            self.burying.insert(slot);
        }
        Ok(Some((slot, more)))
    }

    /// Buries some more of a deleted endpoint's deliveries; answers whether there may still be others.
    pub(super) fn bury_more(&mut self, slot: Slot, now: Millis) -> Result<bool, Trouble> {
        if !self.burying.contains(&slot) {
            return Ok(false);
        }
        let more = self.change(now, |owner| {
            let (changes, more) = owner.bury(slot, now, BATCH)?;
            Ok((more, changes))
        })?;
        if !more {
            self.burying.remove(&slot);
        }
        Ok(more)
    }

    /// Makes a delivery due by hand.
    pub(super) fn retry(&mut self, id: DeliveryId, now: Millis) -> Result<Option<Delivery>, Trouble> {
        self.change(now, |owner| retry(owner.hand(), id, now))
    }

    /// Does one step of a replay.
    pub(super) fn advance(
        &mut self,
        replay: &Replay,
        work: &[Again],
        now: Millis,
    ) -> Result<Option<Replay>, Trouble> {
        self.change(now, |owner| advance(owner.hand(), replay, work, now))
    }

    fn hand(&self) -> Hand<'_> {
        let (connection, registry, schedule) = (&self.connection, &self.registry, &self.schedule);
        Hand { connection, registry, schedule, max_pending: self.settings.max_pending }
    }

    /// Forgets those of `ids` that are dead letters.
    pub(super) fn purge(&mut self, ids: &[DeliveryId]) -> Result<u64, Trouble> {
        self.change(Millis(0), |owner| {
            let (purged, sums) = purge(&owner.connection, ids)?;
            Ok((purged, Changes { sums, ..Changes::default() }))
        })
    }

    /// Takes ended leases back and does a bounded part of the expiring and forgetting.
    pub(super) fn tend(&mut self, now: Millis) -> Result<Round, Trouble> {
        let reclaimed = self.schedule.reclaim(now);
        if reclaimed > 0 {
            self.wake_if_sooner(now);
        }
        let half_buried = self.burying.first().copied();
        let burying = half_buried.map_or(Ok(false), |slot| self.bury_more(slot, now))?;
        let expiring = self.change(now, |owner| expire(&owner.connection, &owner.schedule, now))?;
        let horizon = Horizon::due(&self.settings, now);
        let trimmed = self.change(now, |owner| {
            let trimmed = trim(&owner.connection, horizon)?;
            let sums = trimmed.sums;
            Ok((trimmed, Changes { sums, ..Changes::default() }))
        })?;
        Ok(Round {
            did: Maintained { reclaimed, trimmed: trimmed.rows },
            more: burying || expiring || trimmed.more,
        })
    }

    /// Sums and conditions.
    pub(super) fn census(&self) -> Census {
        let health = |slot, endpoint: &Endpoint| {
            let count = self.schedule.count(slot)?;
            Some(Health {
                endpoint: endpoint.id.clone(),
                breaker: count.breaker,
                pending: count.pending,
                in_flight: count.in_flight,
                concurrency: count.concurrency,
                held_until: count.held_until,
            })
        };
        Census {
            pending: self.schedule.pending(),
            delivered: u64::try_from(self.sums.delivered).unwrap_or_default(),
            dead: u64::try_from(self.sums.dead).unwrap_or_default(),
            endpoints: self.registry.iter().filter_map(|entry| health(entry.slot, &entry.endpoint)).collect(),
        }
    }

    fn bury(&self, slot: Slot, now: Millis, most: u32) -> Result<(Changes, bool), Trouble> {
        let mut changes = Changes::default();
        let buried = bury(&self.connection, slot, now, most)?;
        let count = i64::try_from(buried).unwrap_or(i64::MAX);
        changes.sums.count(Status::Dead(DeadReason::EndpointDeleted), count);
        Ok((changes, u32::try_from(buried).is_ok_and(|buried| buried >= most)))
    }
}
