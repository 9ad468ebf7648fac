//! Backpressure: when deliveries fall behind, the door yields, so that what is accepted goes out soon instead of
//! joining a queue that only grows.
//!
//! The pool tells when attempts begin and end ([`Pressure::begin`]); the data listener asks before it accepts
//! ([`Pressure::enter`]) and tells what that brought. Twenty times a second, when something happens, a [`Pacer`] decides
//! from what was seen how fast the door may go. A request waits a quarter of a second at most and is never refused for
//! this: what keeps coming faster than that becomes backlog, and `max_pending` bounds it.
//!
//! Each replica judges by the attempts that it makes. Replicas share their backlog, so all of them see the same waits,
//! and those that accept more than they deliver are slowed by steps until the waits are short again.

mod pacer;
mod slots;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::pacer::{Pacer, TURN};
use self::slots::{Slots, Ticket};
use self::traffic::{Traffic, Trip};
use crate::clock::{Millis, Stopwatch};
use crate::model::Endpoint;
use crate::store::Lease;
use crate::telemetry::metrics::Metrics;

/// The pressure in one process. A clone is the same.
#[derive(Debug, Clone)]
pub struct Pressure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    since: Stopwatch,
    state: Mutex<State>,
    metrics: Metrics,
}

/// All of it, without a clock.
#[derive(Debug)]
struct State {
    traffic: Traffic,
    pacer: Pacer,
    slots: Slots,
    turned: Duration,
}

impl Pressure {
    /// None yet. `workers`: attempts that the pool makes at once.
    #[must_use]
    pub fn new(workers: u16, metrics: Metrics) -> Self {
        let state = Mutex::new(State::new(workers));
        Self(Arc::new(Inner { since: Stopwatch::start(), state, metrics }))
    }

    /// Waits, for 250 ms at most, until a request may be accepted. Cut off, it has used up its slot.
    pub async fn enter(&self) -> Passage {
        let drawn = self.0.since.elapsed();
        let (ticket, mut wait) = self.0.lock().enter(drawn);
        if !wait.is_zero() {
            while !wait.is_zero() {
                tokio::time::sleep(wait).await;
                wait = self.0.lock().slots.wait(ticket, self.0.since.elapsed());
            }
            self.0.metrics.held(self.0.since.elapsed().saturating_sub(drawn));
        }
        Passage { pressure: self.clone(), entered: Stopwatch::start() }
    }

    /// An attempt begins; it ends when the answer is dropped.
    pub fn begin(&self, lease: &Lease, now: Millis) -> UnderWay {
        let is_first = lease.attempt == 1 && lease.event.deliver_at.is_none();
        let age = is_first.then(|| now.since(lease.event.accepted_at));
        let moment = self.0.since.elapsed();
        let trip = {
            let mut state = self.0.lock();
            let trip = state.traffic.begin(&lease.endpoint, age, moment);
            self.0.tell(state.turn(moment));
            trip
        };
        UnderWay { pressure: self.clone(), endpoint: Arc::clone(&lease.endpoint), trip }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        self.metrics.yielding(change == Change::Yields);
        match change {
            Change::Yields => tracing::warn!("deliveries fall behind: events are accepted more slowly"),
            Change::Free => tracing::info!("deliveries keep up again: events are accepted as they come"),
        }
    }
}

/// A request that passed the door.
#[derive(Debug)]
pub struct Passage {
    pressure: Pressure,
    entered: Stopwatch,
}

impl Passage {
    /// The store has accepted what it brought: so many deliveries.
    pub fn accepted(self, deliveries: u32) {
        let took = self.entered.elapsed();
        self.pressure.0.lock().traffic.accepted(deliveries, took);
    }
}

/// An attempt under way.
#[derive(Debug)]
#[must_use]
pub struct UnderWay {
    pressure: Pressure,
    endpoint: Arc<Endpoint>,
    trip: Trip,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = self.pressure.0.since.elapsed();
        self.pressure.0.lock().traffic.end(&self.endpoint.id, self.trip, now);
    }
}

/// What a turn changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Yields,
    Free,
}

impl State {
    fn new(workers: u16) -> Self {
        Self {
            traffic: Traffic::new(workers.into()),
            pacer: Pacer::new(),
            slots: Slots::default(),
            turned: Duration::ZERO,
        }
    }

    /// A place for a request, and how long it waits at first.
    fn enter(&mut self, now: Duration) -> (Ticket, Duration) {
        let ticket = self.slots.draw(now);
        let wait = self.slots.wait(ticket, now);
        if !wait.is_zero() {
            self.traffic.held();
        }
        (ticket, wait)
    }

    /// Decides anew when it is time.
    fn turn(&mut self, now: Duration) -> Option<Change> {
        let span = now.saturating_sub(self.turned);
        if span < TURN {
            return None;
        }
        self.turned = now;
        let before = self.pacer.pace();
        self.pacer = self.pacer.turn(&self.traffic.turn(span));
        self.slots.set(self.pacer.pace(), now);
        match (before, self.pacer.pace()) {
            (None, Some(_)) => Some(Change::Yields),
            (Some(_), None) => Some(Change::Free),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod good;
#[cfg(test)]
mod simulation;
