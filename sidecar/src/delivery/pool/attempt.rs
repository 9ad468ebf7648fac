//! One attempt as a task: its span, its permit, its result handed to the settler.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field};

use super::Shared;
use crate::clock::Millis;
use crate::delivery::attempt::Sent;
use crate::delivery::retry::{before, decide, signal};
use crate::delivery::witness::Death;
use crate::model::{DeadReason, Next, Outcome};
use crate::store::{Lease, Report, Settlement};

/// A result on its way to the store.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) settlement: Settlement,
    pub(super) beside: Beside,
}

/// What belongs to a result and is not for the store.
#[derive(Debug)]
pub(super) struct Beside {
    /// From when on it may be too late.
    pub(super) lease_ends_at: Millis,
    /// What to tell once it is recorded.
    pub(super) death: Option<Box<Death>>,
    /// Whether nobody minds if it is settled a moment later: a success, at an endpoint with places to spare.
    pub(super) can_wait: bool,
}

/// Places that an endpoint must have for one of them to be kept a moment longer.
const TO_SPARE: u16 = 8;

/// Starts attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) shared: Arc<Shared>,
    pub(super) tasks: TaskTracker,
    pub(super) results: mpsc::Sender<Owed>,
    pub(super) cut: CancellationToken,
    /// Places for attempts that take long.
    pub(super) slow: Arc<Semaphore>,
}

/// An attempt that takes longer gives its worker back and goes on beside: an endpoint that hangs must not keep the
/// workers from those that answer.
const PROMPT: Duration = Duration::from_millis(50);

impl Attempts {
    /// Starts the attempt of a lease. `worker` is held until its result is with the settler, so that a store that is
    /// away stops the pool from taking more; but no longer than [`PROMPT`] while there is a place for slow ones.
    /// `draw`: 64 random bits for the retry.
    pub(super) fn start(&self, lease: Lease, worker: OwnedSemaphorePermit, draw: u64) {
        let (shared, results, cut) = (Arc::clone(&self.shared), self.results.clone(), self.cut.clone());
        let slow = Arc::clone(&self.slow);
        let span = deliver_span(&lease);
        shared.pressure.begins(&lease, shared.clock.now());
        let attempt = async move {
            let mut place = worker;
            let report = if lease.event.has_expired(shared.clock.now()) {
                give_up(&shared, &lease)
            } else {
                let sending = cut.run_until_cancelled(shared.transport.send(&lease));
                match beside(sending, &mut place, slow).await {
                    Some(sent) => report(&shared, &lease, sent, draw),
                    None => Report::Returned,
                }
            };
            hand_over(&results, &lease, report).await;
            drop(place);
        };
        self.tasks.spawn(attempt.instrument(span));
    }

    /// Gives a lease back unused.
    pub(super) async fn give_back(&self, lease: &Lease) {
        hand_over(&self.results, lease, Report::Returned).await;
    }
}

/// Awaits what may take long; when it does, gives `place` up for one among the slow, if there is any.
async fn beside<T>(
    work: impl Future<Output = T>,
    place: &mut OwnedSemaphorePermit,
    slow: Arc<Semaphore>,
) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(PROMPT, &mut work).await {
        return done;
    }
    if let Ok(another) = slow.try_acquire_owned() {
        *place = another;
    }
    work.await
}

/// The span of one attempt. Fields are named once, here; those not yet known are `Empty` and recorded later.
fn deliver_span(lease: &Lease) -> Span {
    tracing::info_span!(
        "webhook.deliver",
        otel.kind = "client",
        delivery_id = %lease.delivery,
        event_id = %lease.event.id,
        event_type = %lease.event.event_type,
        endpoint_id = %lease.endpoint.id,
        attempt = lease.attempt,
        server.address = field::Empty,
        status = field::Empty,
        duration_ms = field::Empty,
        error.type = field::Empty,
    )
}

/// An event whose time is over is not tried once more.
fn give_up(shared: &Shared, lease: &Lease) -> Report {
    shared.metrics.given_up(&lease.event.event_type);
    tracing::info!(
        delivery_id = %lease.delivery,
        endpoint_id = %lease.endpoint.id,
        event_type = %lease.event.event_type,
        request_id = lease.event.request_id,
        attempts = lease.attempt.saturating_sub(1),
        "expired"
    );
    Report::Over(DeadReason::Expired)
}

fn report(shared: &Shared, lease: &Lease, sent: Sent, draw: u64) -> Report {
    let now = shared.clock.now();
    let (retry, longest_hold) = (&lease.endpoint.retry, shared.settings.longest_hold);
    let next = decide(sent.reply, lease.step, retry, now, draw, longest_hold);
    let next = before(lease.event.expires_at, next);
    let signal = signal(sent.reply, retry, now, longest_hold);
    shared.pressure.ended(&lease.endpoint.id, sent.duration);
    shared.metrics.attempted(&lease.event.event_type, sent.reply.outcome, sent.duration, next);
    tell(lease, &sent, next);
    Report::Attempted { attempt: sent.record(lease.attempt), next, signal }
}

/// Records the outcome in the span and says it in one log line: no body, no secret, no path or query.
fn tell(lease: &Lease, sent: &Sent, next: Next) {
    let span = Span::current();
    let duration_ms = u64::try_from(sent.duration.as_millis()).unwrap_or(u64::MAX);
    let (status, error) = match sent.reply.outcome {
        Outcome::Answered(status) => (Some(status), (!sent.reply.outcome.is_success()).then_some("status")),
        Outcome::Failed(failure) => (None, Some(failure.label())),
    };
    span.record("server.address", sent.host.as_str()).record("duration_ms", duration_ms);
    span.record("status", status).record("error.type", error);
    let (next, again_at) = match next {
        Next::Delivered => ("delivered", None),
        Next::RetryAt(at) => ("retry", Some(at.0)),
        Next::Dead(_) => ("dead", None),
    };
    tracing::info!(
        delivery_id = %lease.delivery,
        endpoint_id = %lease.endpoint.id,
        event_type = %lease.event.event_type,
        request_id = lease.event.request_id,
        attempt = lease.attempt,
        host = sent.host,
        status,
        error,
        detail = sent.detail,
        duration_ms,
        next,
        again_at,
        "attempt"
    );
}

async fn hand_over(results: &mpsc::Sender<Owed>, lease: &Lease, report: Report) {
    let delivered = matches!(report, Report::Attempted { next: Next::Delivered, .. });
    let to_spare = lease.endpoint.max_in_flight.get() >= TO_SPARE && !lease.heads_a_line();
    let can_wait = delivered && to_spare;
    let death = death(lease, &report).map(Box::new);
    let beside = Beside { lease_ends_at: lease.ends_at, death, can_wait };
    let settlement = Settlement { delivery: lease.delivery, token: lease.token, report };
    if results.send(Owed { settlement, beside }).await.is_err() {
        tracing::warn!(delivery_id = %lease.delivery, "stopped before its result was settled; its lease will end");
    }
}

fn death(lease: &Lease, report: &Report) -> Option<Death> {
    let (reason, attempts) = match report {
        Report::Attempted { next: Next::Dead(reason), .. } => (*reason, lease.attempt),
        Report::Over(reason) => (*reason, lease.attempt.saturating_sub(1)),
        Report::Attempted { .. } | Report::Returned => return None,
    };
    Some(Death {
        delivery: lease.delivery,
        event: lease.event.id,
        event_type: lease.event.event_type.clone(),
        endpoint: lease.endpoint.id.clone(),
        tenant: lease.event.tenant.clone(),
        reason,
        attempts,
    })
}
