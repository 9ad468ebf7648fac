//! Backpressure: when a tenant's deliveries fall behind by our own doing, its events are let in as fast as they go out,
//! so that what is accepted goes out soon instead of joining a queue that only grows.
//!
//! The pool tells when attempts begin and end; a first attempt that had to wait closes its tenant's [`gate`], and from
//! then on those that begin let in as much as they take out. An endpoint's own trouble closes nothing:
//! one that answers slowly ([`pulse`]), that is limited, whose deliveries wait for each other or are from long ago says
//! nothing of us.
//! Nobody waits longer than [`MOST`] and nobody is refused for this: what keeps coming faster is bounded by
//! `max_pending`. Each replica judges by the attempts that it makes itself.

mod gate;
mod pulse;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use self::gate::Gates;
use self::pulse::{Pulses, blend};
use crate::clock::{Millis, Stopwatch};
use crate::model::{EndpointId, Tenant};
use crate::store::Lease;
use crate::telemetry::metrics::Metrics;

/// Longest wait at the door.
const MOST: Duration = Duration::from_millis(500);
/// Whoever waited longer for an attempt did not wait for us, or has been waiting since before we kept up.
const OURS: Duration = Duration::from_secs(2);

/// The pressure in one process. A clone is the same.
#[derive(Debug, Clone)]
pub struct Pressure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    since: Stopwatch,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    gates: Gates,
    pulses: Pulses,
    /// How long the store takes to accept, on average: a wait that is not one for an attempt.
    accepting: Duration,
}

impl Pressure {
    /// None yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner { since: Stopwatch::start(), state: Mutex::default(), metrics }))
    }

    /// Waits until events of this tenant may be accepted. May be dropped at any time.
    pub async fn enter(&self, tenant: &Tenant) {
        let began = self.0.since.elapsed();
        let Some(bell) = self.0.lock().gates.join(tenant, began) else { return };
        let _place = Place { pressure: self, tenant };
        self.wait(tenant, &bell, began).await;
        self.0.metrics.held(self.0.since.elapsed().saturating_sub(began));
    }

    async fn wait(&self, tenant: &Tenant, bell: &Notify, began: Duration) {
        loop {
            let now = self.0.since.elapsed();
            let left = MOST.saturating_sub(now.saturating_sub(began));
            if left.is_zero() || self.0.lock().gates.is_silent(tenant, now) {
                return;
            }
            if timeout(left.min(Gates::SILENT), bell.notified()).await.is_ok() {
                return;
            }
        }
    }

    /// The store accepted an event of this tenant, which took so long and brought so many deliveries.
    pub fn accepted(&self, tenant: &Tenant, took: Duration, deliveries: u32) {
        let mut state = self.0.lock();
        state.accepting = blend(state.accepting, took);
        state.gates.accepted(tenant, deliveries);
    }

    /// An attempt begins.
    pub fn begins(&self, lease: &Lease, now: Millis) {
        let age = now.since(lease.event.accepted_at);
        let kept = lease.event.deliver_at.is_some() || lease.endpoint.rate_limit.is_some();
        let is_ours = lease.attempt == 1 && !kept && !lease.heads_a_line();
        if is_ours && age <= OURS {
            self.heard(&lease.event.tenant, &lease.endpoint.id, age);
        }
    }

    fn heard(&self, tenant: &Tenant, endpoint: &EndpointId, age: Duration) {
        let now = self.0.since.elapsed();
        let mut state = self.0.lock();
        if state.pulses.is_prompt(endpoint) {
            let waited = age.saturating_sub(state.accepting.saturating_mul(2));
            state.gates.heard(tenant, waited, now);
        }
    }

    /// An attempt is over that took so long.
    pub fn ended(&self, endpoint: &EndpointId, took: Duration) {
        self.0.lock().pulses.beat(endpoint, took);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait; given up when dropped.
struct Place<'a> {
    pressure: &'a Pressure,
    tenant: &'a Tenant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pressure.0.lock().gates.leave(self.tenant);
    }
}
