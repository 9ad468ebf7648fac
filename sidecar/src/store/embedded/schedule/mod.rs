//! Who is tried next: every pending delivery's place, every lease, and whose turn it is. Pure: it is told `now`, holds
//! no payload and no file, and is rebuilt from the ledger at any time.
//!
//! Every endpoint has a [`Lane`]. A lane that may be served stands either among the *ready*, in order of its tenant's
//! last turn and its own, or among the *waiting*, by the moment it becomes ready. Serving takes one delivery and sends the lane to the
//! back, so that a thousand waiting for one endpoint cost another one turn. What stands behind others in a line does not
//! wait there before it is the head ([`lines`]). All verbs are logarithmic.

mod lane;
mod lines;
mod pace;
#[cfg(test)]
mod tests;
mod turns;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

pub(super) use self::lane::Rules;
use self::lane::{Lane, Place};
use self::turns::Turns;
use crate::clock::Millis;
use crate::model::{DeliveryId, Line, Next, Signal, Tenant};
use crate::store::vitals::{Admit, Heard};
use crate::store::{BreakerSettings, BreakerState, StoreSettings, Turn};

/// An endpoint's number in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) i64);

/// What the schedule remembers of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) slot: Slot,
    pub(super) token: u64,
    /// Since when it has been due: where it goes back to when the lease is lost.
    pub(super) due: Millis,
    pub(super) ends_at: Millis,
    /// Whether it is the one that decides a half-open breaker.
    pub(super) probe: bool,
    /// Whether it is a retry.
    pub(super) again: bool,
}

/// A delivery that was taken, and under what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) delivery: DeliveryId,
    pub(super) held: Held,
}

/// A delivery that becomes pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) delivery: DeliveryId,
    /// Since or until when it waits.
    pub(super) due: Millis,
    /// Whether it is a retry.
    pub(super) again: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was made.
    Attempted {
        /// What it says of the endpoint.
        signal: Signal,
        /// When it began.
        started_at: Millis,
        /// How long it took.
        duration_ms: u32,
        /// What becomes of the delivery.
        next: Next,
    },
    /// It was not made.
    Returned,
    /// It was not made, and none will be.
    Over,
}

/// One lane's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneCount {
    pub(super) breaker: BreakerState,
    pub(super) pending: u64,
    pub(super) in_flight: u32,
    pub(super) concurrency: u16,
    pub(super) held_until: Option<Millis>,
}

/// The order of everything pending.
#[derive(Debug)]
pub(super) struct Schedule {
    breaker: BreakerSettings,
    retry_percent: u8,
    lanes: HashMap<Slot, Lane>,
    ready: Turns,
    waiting: BTreeSet<(Millis, Slot)>,
    leases: HashMap<DeliveryId, Held>,
    ends: BTreeSet<(Millis, DeliveryId)>,
    pending: u64,
    tokens: u64,
}

impl Schedule {
    /// An empty one. `first_token`: where tokens begin; another one at every start, so that no lease of an earlier
    /// life is ever taken for a present one.
    pub(super) fn new(settings: &StoreSettings, first_token: u64) -> Self {
        Self {
            breaker: settings.breaker,
            retry_percent: settings.retry_percent,
            lanes: HashMap::new(),
            ready: Turns::default(),
            waiting: BTreeSet::new(),
            leases: HashMap::new(),
            ends: BTreeSet::new(),
            pending: 0,
            tokens: first_token,
        }
    }

    /// Deliveries pending, waiting or in an attempt.
    pub(super) const fn pending(&self) -> u64 {
        self.pending
    }

    /// One lane's figures; `None` when there is no such lane.
    pub(super) fn count(&self, slot: Slot) -> Option<LaneCount> {
        let lane = self.lanes.get(&slot)?;
        Some(LaneCount {
            breaker: lane.vitals.breaker(),
            pending: lane.pending(),
            in_flight: lane.in_flight,
            concurrency: lane.vitals.concurrency(lane.rules.max_in_flight),
            held_until: lane.vitals.held_until(),
        })
    }

    /// Opens a tenant's lane, or gives it other rules.
    pub(super) fn open(&mut self, slot: Slot, tenant: &Tenant, rules: Rules, now: Millis) {
        let party = self.ready.party(tenant);
        self.lanes.entry(slot).or_insert_with(|| Lane::new(rules, party)).obey(rules);
        self.place(slot, now);
    }

    /// Closes a lane: everything in it is forgotten, leases too.
    pub(super) fn close(&mut self, slot: Slot) {
        self.displace(slot);
        let Some(lane) = self.lanes.remove(&slot) else { return };
        self.pending = self.pending.saturating_sub(lane.pending());
        let lost: Vec<_> = self.leases.extract_if(|_, held| held.slot == slot).collect();
        for (delivery, held) in lost {
            self.ends.remove(&(held.ends_at, delivery));
        }
    }

    /// A delivery becomes pending, due at `due`; `again`: as a retry. Without a lane it is not taken in.
    pub(super) fn push(&mut self, slot: Slot, due: Millis, delivery: DeliveryId, again: bool, now: Millis) {
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        if lane.waiting.insert(due, delivery, again) {
            self.pending = self.pending.saturating_add(1);
            self.place(slot, now);
        }
    }

    /// A delivery becomes pending at the end of a line: it waits for its turn once those before it are over.
    pub(super) fn line_up(&mut self, slot: Slot, line: Line, waiter: Waiter, now: Millis) {
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        if lane.lines.join(line, waiter.delivery, waiter.due) {
            self.push(slot, waiter.due, waiter.delivery, waiter.again, now);
        } else {
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// A delivery that waits since or until `due` is no longer pending. `false`: it does not wait.
    pub(super) fn remove(&mut self, slot: Slot, due: Millis, delivery: DeliveryId, now: Millis) -> bool {
        let Some(lane) = self.lanes.get_mut(&slot) else { return false };
        let waited = lane.lines.is_behind(delivery) || lane.waiting.remove(due, delivery);
        if waited {
            lane.leave_line(delivery);
            self.pending = self.pending.saturating_sub(1);
            self.place(slot, now);
        }
        waited
    }

    /// A delivery that waits since or until `from` is due at `to` instead, as a first attempt. It keeps its place in
    /// its line.
    pub(super) fn shift(&mut self, slot: Slot, from: Millis, to: Millis, delivery: DeliveryId, now: Millis) {
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        if !lane.lines.put_off(delivery, to) && lane.waiting.remove(from, delivery) {
            lane.waiting.insert(to, delivery, false);
            self.place(slot, now);
        }
    }

    /// The lease under which `delivery` is in an attempt.
    pub(super) fn held(&self, delivery: DeliveryId) -> Option<Held> {
        self.leases.get(&delivery).copied()
    }

    /// Leases one due delivery to whoever has waited longest for its turn. `None`: nothing may be tried at `now`.
    pub(super) fn take(&mut self, now: Millis, grace: Duration) -> Option<Grant> {
        self.ripen(now);
        // A lane that is not ready after all (the clock went back) is not put among the ready again: this ends.
        while let Some(slot) = self.ready.first() {
            self.displace(slot);
            if let Some(grant) = self.serve(slot, now, grace) {
                return Some(grant);
            }
        }
        None
    }

    /// The earliest moment at which [`Self::take`] may answer something, or a lease ends, if nothing else happens. Of
    /// several that have passed, any.
    pub(super) fn next(&self) -> Option<Millis> {
        let ready = self.ready.first().and_then(|slot| self.lanes.get(&slot)?.ready_since());
        let waiting = self.waiting.first().map(|(moment, _)| *moment);
        let ending = self.ends.first().map(|(moment, _)| *moment);
        [ready, waiting, ending].into_iter().flatten().min()
    }

    /// Takes in how an attempt ended, and answers how the lane's breaker turned by it. The lease must be
    /// [`Self::held`].
    pub(super) fn settle(&mut self, delivery: DeliveryId, ending: Ending, now: Millis) -> Option<Turn> {
        let held = self.release(delivery)?;
        let lane = self.lanes.get_mut(&held.slot)?;
        let (again, turn) = match ending {
            Ending::Attempted { signal, started_at, duration_ms, next } => {
                let in_flight = lane.in_flight.saturating_add(1);
                let heard = Heard { signal, probe: held.probe, started_at, duration_ms, in_flight };
                let turn = lane.hear(heard, now, self.breaker);
                match next {
                    Next::RetryAt(due) => (Some((due, true)), turn),
                    Next::Delivered | Next::Dead(_) => (None, turn),
                }
            }
            Ending::Returned => {
                lane.vitals.forgo(held.probe, now);
                (Some((held.due, held.again)), None)
            }
            Ending::Over => {
                lane.vitals.forgo(held.probe, now);
                (None, None)
            }
        };
        match again {
            Some((due, again)) => drop(lane.waiting.insert(due, delivery, again)),
            None => {
                lane.leave_line(delivery);
                self.pending = self.pending.saturating_sub(1);
            }
        }
        self.place(held.slot, now);
        turn
    }

    /// Takes back every lease that has ended; answers how many.
    pub(super) fn reclaim(&mut self, now: Millis) -> u64 {
        let mut reclaimed = 0;
        while let Some((_, delivery)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.settle(delivery, Ending::Returned, now);
            reclaimed += 1;
        }
        reclaimed
    }

    /// Moves the lanes whose moment has come to the ready ones.
    fn ripen(&mut self, now: Millis) {
        while let Some((_, slot)) = self.waiting.first().copied().filter(|(moment, _)| *moment <= now) {
            self.place(slot, now);
        }
    }

    fn serve(&mut self, slot: Slot, now: Millis, grace: Duration) -> Option<Grant> {
        let lane = self.lanes.get_mut(&slot)?;
        if lane.ready_at(now).is_none_or(|moment| moment > now) {
            self.place(slot, now);
            return None;
        }
        let ends_at = now.plus(lane.rules.timeout).plus(grace);
        let (vitals, admit) = lane.vitals.admit(now, ends_at);
        let (due, delivery, again) = lane.waiting.pop(now, self.retry_percent)?;
        lane.turn = self.ready.serve(lane.party);
        lane.vitals = vitals;
        lane.in_flight += 1;
        lane.pace.spend(now);
        self.tokens = self.tokens.wrapping_add(1);
        let held = Held { slot, token: self.tokens, due, ends_at, probe: admit == Admit::Probe, again };
        self.leases.insert(delivery, held);
        self.ends.insert((ends_at, delivery));
        self.place(slot, now);
        Some(Grant { delivery, held })
    }

    fn release(&mut self, delivery: DeliveryId) -> Option<Held> {
        let held = self.leases.remove(&delivery)?;
        self.ends.remove(&(held.ends_at, delivery));
        if let Some(lane) = self.lanes.get_mut(&held.slot) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        Some(held)
    }

    /// Puts a lane where it belongs at `now`.
    fn place(&mut self, slot: Slot, now: Millis) {
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        let (from, to) = (lane.place, lane.belongs(now));
        if from == to {
            return;
        }
        self.displace(slot);
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        lane.place = to;
        match to {
            Place::Nowhere => {}
            Place::Ready(turn, _) => self.ready.join(lane.party, turn, slot),
            Place::Waiting(moment) => drop(self.waiting.insert((moment, slot))),
        }
    }

    fn displace(&mut self, slot: Slot) {
        let Some(lane) = self.lanes.get_mut(&slot) else { return };
        match std::mem::replace(&mut lane.place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Ready(turn, _) => self.ready.leave(lane.party, turn, slot),
            Place::Waiting(moment) => drop(self.waiting.remove(&(moment, slot))),
        }
    }
}
