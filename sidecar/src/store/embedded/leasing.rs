//! Turns the schedule's grants into leases with all that an attempt needs.

use std::collections::HashMap;
use std::sync::Arc;

use super::fault::Trouble;
use super::owner::Owner;
use super::read;
use super::rows::read_u32;
use super::schedule::{Ending, Grant};
use crate::clock::Millis;
use crate::model::{DeliveryId, Event};
use crate::store::{Ask, Lease, Taken};

/// What the ledger says of a delivery that is to be tried.
struct Standing {
    event: i64,
    attempts: u32,
    step: u32,
}

impl Owner {
    /// Leases what may be tried. Writes nothing: should the process die, all of it is simply due again.
    pub(super) fn take(&mut self, ask: Ask) -> Result<Taken, Trouble> {
        self.schedule.reclaim(ask.now);
        let mut leases = Vec::new();
        let mut events = HashMap::new();
        while leases.len() < usize::from(ask.room) {
            let Some(grant) = self.schedule.take(ask.now, ask.grace) else { break };
            match self.lease(grant, &mut events) {
                Ok(Some(lease)) => leases.push(lease),
                Ok(None) => self.forget(grant, ask.now),
                Err(trouble) => {
                    let taken = leases.iter().map(|lease| lease.delivery).chain([grant.delivery]);
                    self.give_back(taken, ask.now);
                    return Err(trouble);
                }
            }
        }
        self.announced = self.schedule.next();
        Ok(Taken { leases, next: self.announced })
    }

    /// Undoes a taking that nobody heard of.
    pub(super) fn give_back(&mut self, deliveries: impl IntoIterator<Item = DeliveryId>, now: Millis) {
        for delivery in deliveries {
            self.schedule.settle(delivery, Ending::Returned, now);
        }
        self.wake_if_sooner(now);
    }

    fn lease(&self, grant: Grant, events: &mut HashMap<i64, Arc<Event>>) -> Result<Option<Lease>, Trouble> {
        let Some(endpoint) = self.registry.at(grant.held.slot) else { return Ok(None) };
        let Some(standing) = self.standing(grant.delivery)? else { return Ok(None) };
        let Some(event) = self.event(standing.event, events)? else { return Ok(None) };
        Ok(Some(Lease {
            delivery: grant.delivery,
            token: grant.held.token,
            event,
            endpoint: Arc::clone(endpoint),
            attempt: standing.attempts.saturating_add(1),
            step: standing.step.saturating_add(1),
            ends_at: grant.held.ends_at,
        }))
    }

    fn standing(&self, delivery: DeliveryId) -> Result<Option<Standing>, Trouble> {
        let mut select =
            self.connection.prepare_cached("SELECT event, attempts, step FROM deliveries WHERE id = ?1")?;
        let mut rows = select.query([delivery.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (attempts, step) = (read_u32(row, "attempts")?, read_u32(row, "step")?);
        Ok(Some(Standing { event: row.get("event")?, attempts, step }))
    }

    /// An event that goes to many is read once.
    fn event(&self, seq: i64, read: &mut HashMap<i64, Arc<Event>>) -> Result<Option<Arc<Event>>, Trouble> {
        if let Some(event) = read.get(&seq) {
            return Ok(Some(Arc::clone(event)));
        }
        let Some(event) = read::event_at(&self.connection, seq)?.map(Arc::new) else { return Ok(None) };
        read.insert(seq, Arc::clone(&event));
        Ok(Some(event))
    }

    /// A delivery of which the ledger knows nothing cannot be tried: a damaged file, or a bug.
    fn forget(&mut self, grant: Grant, now: Millis) {
        tracing::error!(delivery = %grant.delivery, "store: a pending delivery is not in the ledger");
        self.schedule.settle(grant.delivery, Ending::Returned, now);
        self.schedule.remove(grant.held.slot, grant.held.due, grant.delivery, now);
    }
}
