//! What Prometheus sees. Names and buckets are a contract; every label has a bounded number of values.

mod labels;

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::labels::{Build, Class, Delivery, Ended, EndpointLabel, EventTypeLabel, EventTypes};
use crate::model::{EventType, Next, Outcome};
use crate::store::{BreakerState, Census};

/// Seconds; the upper bounds of `webhook_delivery_duration_seconds`.
const BUCKETS: [f64; 6] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Endpoints with a breaker series of their own.
const MOST_ENDPOINTS: usize = 1_000;

type Durations = Family<EventTypeLabel, Histogram, fn() -> Histogram>;
type Breakers = Family<EndpointLabel, Gauge>;

/// The process's metrics. A clone is the same metrics.
///
/// | metric | labels | what |
/// |---|---|---|
/// | `webhook_deliveries_total` | `status`, `event_type` | results of attempts by what they did to their delivery: `delivered`; `failed`, to be tried again; `dead`, given up (when its event expired, without an attempt). A delivery counts as delivered or dead once, as failed for every attempt between |
/// | `webhook_delivery_duration_seconds` | `event_type` | how long attempts took |
/// | `webhook_attempts_total` | `outcome` | attempts by class of answer (`2xx`, …) or failure (`timeout`, …) |
/// | `webhook_attempts_in_flight` | | attempts under way in this process |
/// | `webhook_queue_size` | | deliveries pending, at the scrape |
/// | `webhook_dead_letters` | | dead letters remembered, at the scrape |
/// | `webhook_circuit_breaker_state` | `endpoint_id` | 0 closed, 1 open, 2 half-open, at the scrape |
/// | `webhook_lease_reclaims_total` | | leases that ended unsettled: a worker died or lost the store |
/// | `webhook_late_results_total` | | results that came after their lease had ended, and were not counted |
/// | `webhook_events_held_total` | | requests that had to wait because deliveries were behind |
/// | `webhook_events_held_seconds_total` | | how long they waited, all together |
/// | `webhook_store_losses_total` | | how often accepted data was found gone from the store: a flush, an empty node promoted. Each time, what was pending will not be delivered |
/// | `webhook_build_info` | `version` | 1 |
///
/// The first 100 event types have series of their own, later ones share `other`. Of endpoints at most 1000 are
/// shown, those whose breaker is not closed first.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    event_types: EventTypes,
    deliveries: Family<Delivery, Counter>,
    durations: Durations,
    attempts: Family<Class, Counter>,
    in_flight: Gauge,
    reclaims: Counter,
    late: Counter,
    held: Counter,
    held_seconds: Counter<f64, AtomicU64>,
    losses: Counter,
    queue: Gauge<u64, AtomicU64>,
    dead: Gauge<u64, AtomicU64>,
    breakers: Breakers,
    scraping: Mutex<()>,
}

impl Metrics {
    /// The content type of [`Self::scrape`].
    pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

    /// Metrics that all stand at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            event_types: EventTypes::default(),
            deliveries: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            attempts: Family::default(),
            in_flight: Gauge::default(),
            reclaims: Counter::default(),
            late: Counter::default(),
            held: Counter::default(),
            held_seconds: Counter::default(),
            losses: Counter::default(),
            queue: Gauge::default(),
            dead: Gauge::default(),
            breakers: Family::default(),
            scraping: Mutex::new(()),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// Counts an attempt: what it brought back, how long it took, and what that did to its delivery.
    pub fn attempted(&self, event_type: &EventType, outcome: Outcome, took: Duration, next: Next) {
        let event_type = self.0.event_types.label(event_type);
        self.0
            .durations
            .get_or_create(&EventTypeLabel { event_type: Arc::clone(&event_type) })
            .observe(took.as_secs_f64());
        self.0.attempts.get_or_create(&Class { outcome: labels::class(outcome) }).inc();
        self.0.deliveries.get_or_create(&Delivery { status: Ended::of(next), event_type }).inc();
    }

    /// Counts a delivery as dead that no attempt has ended.
    pub fn given_up(&self, event_type: &EventType) {
        let event_type = self.0.event_types.label(event_type);
        self.0.deliveries.get_or_create(&Delivery { status: Ended::Dead, event_type }).inc();
    }

    /// Counts an attempt as under way for as long as the answer lives.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.0.in_flight.inc();
        InFlight(self.0.in_flight.clone())
    }

    /// Counts leases that ended unsettled and were given back.
    pub fn reclaimed(&self, leases: u64) {
        self.0.reclaims.inc_by(leases);
    }

    /// Counts a result whose lease had ended.
    pub fn came_late(&self) {
        self.0.late.inc();
    }

    /// Counts a request that waits at the door because deliveries are behind.
    pub fn held(&self, wait: Duration) {
        self.0.held.inc();
        self.0.held_seconds.inc_by(wait.as_secs_f64());
    }

    /// How often the store has lost data so far.
    pub fn lost(&self, losses: u64) {
        let counted = self.0.losses.get();
        self.0.losses.inc_by(losses.saturating_sub(counted));
    }

    /// All metrics in Prometheus' text format. `census` is the store's at this moment; without one (the store is
    /// away) the last sums stand, and no breaker is claimed to be in any state.
    #[must_use]
    pub fn scrape(&self, census: Option<&Census>) -> String {
        let _one_at_a_time = self.0.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.breakers.clear();
        if let Some(census) = census {
            self.0.take_census(census);
        }
        let mut text = String::new();
        if prometheus_text::encode(&mut text, &self.0.registry).is_err() {
            tracing::error!("the metrics could not be written as text");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// An attempt under way.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Inner {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "webhook_deliveries",
            "Results of attempts by what they did to their delivery",
            self.deliveries.clone(),
        );
        registry.register(
            "webhook_delivery_duration_seconds",
            "How long attempts took",
            self.durations.clone(),
        );
        registry.register(
            "webhook_attempts",
            "Attempts by class of answer or failure",
            self.attempts.clone(),
        );
        registry.register(
            "webhook_attempts_in_flight",
            "Attempts under way in this process",
            self.in_flight.clone(),
        );
        registry.register("webhook_queue_size", "Deliveries pending", self.queue.clone());
        registry.register("webhook_dead_letters", "Dead letters remembered", self.dead.clone());
        registry.register(
            "webhook_circuit_breaker_state",
            "0 closed, 1 open, 2 half-open",
            self.breakers.clone(),
        );
        registry.register("webhook_lease_reclaims", "Leases that ended unsettled", self.reclaims.clone());
        registry.register(
            "webhook_late_results",
            "Results that came after their lease had ended",
            self.late.clone(),
        );
        registry.register(
            "webhook_store_losses",
            "Times that accepted data was found gone from the store",
            self.losses.clone(),
        );
        self.register_door();
        let registry = &mut self.registry;
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("webhook_build_info", "The version that runs", build);
    }

    fn register_door(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "webhook_events_held",
            "Requests that had to wait because deliveries were behind",
            self.held.clone(),
        );
        registry.register(
            "webhook_events_held_seconds",
            "How long they waited, all together",
            self.held_seconds.clone(),
        );
    }

    fn take_census(&self, census: &Census) {
        self.queue.set(census.pending);
        self.dead.set(census.dead);
        let troubled = |closed: bool| {
            census.endpoints.iter().filter(move |e| (e.breaker == BreakerState::Closed) == closed)
        };
        for health in troubled(false).chain(troubled(true)).take(MOST_ENDPOINTS) {
            let state = match health.breaker {
                BreakerState::Closed => 0,
                BreakerState::Open => 1,
                BreakerState::HalfOpen => 2,
            };
            self.breakers
                .get_or_create(&EndpointLabel { endpoint_id: health.endpoint.as_str().to_owned() })
                .set(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::model::{DeadReason, Failure};
    use crate::store::Health;

    fn event_type(name: &str) -> EventType {
        name.parse().unwrap()
    }

    fn lines<'a>(text: &'a str, with: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.starts_with(with)).collect()
    }

    fn health(id: &str, breaker: BreakerState) -> Health {
        Health {
            endpoint: id.parse().unwrap(),
            breaker,
            pending: 0,
            in_flight: 0,
            concurrency: 16,
            held_until: None,
        }
    }

    #[test]
    fn the_four_metrics_have_their_names_labels_and_buckets() {
        let metrics = Metrics::new();
        let order = event_type("order.created");
        metrics.attempted(
            &order,
            Outcome::Answered(500),
            Duration::from_millis(300),
            Next::RetryAt(Millis(1)),
        );
        metrics.attempted(&order, Outcome::Answered(200), Duration::from_millis(50), Next::Delivered);
        let dead = Next::Dead(DeadReason::Exhausted);
        metrics.attempted(&order, Outcome::Failed(Failure::Timeout), Duration::from_secs(30), dead);
        let endpoints = vec![
            health("a", BreakerState::Closed),
            health("b", BreakerState::Open),
            health("c", BreakerState::HalfOpen),
        ];
        let text = metrics.scrape(Some(&Census { pending: 7, delivered: 1, dead: 2, endpoints }));
        for line in [
            "# TYPE webhook_deliveries_total counter",
            r#"webhook_deliveries_total{status="delivered",event_type="order.created"} 1"#,
            r#"webhook_deliveries_total{status="failed",event_type="order.created"} 1"#,
            r#"webhook_deliveries_total{status="dead",event_type="order.created"} 1"#,
            "# TYPE webhook_delivery_duration_seconds histogram",
            r#"webhook_delivery_duration_seconds_count{event_type="order.created"} 3"#,
            r#"webhook_delivery_duration_seconds_bucket{event_type="order.created",le="0.1"} 1"#,
            r#"webhook_delivery_duration_seconds_bucket{event_type="order.created",le="0.5"} 2"#,
            "# TYPE webhook_queue_size gauge",
            "webhook_queue_size 7",
            "webhook_dead_letters 2",
            r#"webhook_circuit_breaker_state{endpoint_id="a"} 0"#,
            r#"webhook_circuit_breaker_state{endpoint_id="b"} 1"#,
            r#"webhook_circuit_breaker_state{endpoint_id="c"} 2"#,
            r#"webhook_attempts_total{outcome="timeout"} 1"#,
            r#"webhook_attempts_total{outcome="2xx"} 1"#,
        ] {
            assert!(text.lines().any(|seen| seen == line), "no line {line}\n{text}");
        }
        let bounds: Vec<_> = lines(&text, "webhook_delivery_duration_seconds_bucket")
            .iter()
            .filter_map(|line| line.split('"').nth(3))
            .collect();
        assert_eq!(bounds, ["0.1", "0.5", "1", "2", "5", "10", "+Inf"]);
    }

    #[test]
    fn whoever_sends_events_does_not_choose_how_many_series_there_are() {
        let metrics = Metrics::new();
        for number in 0..300 {
            let name = event_type(&format!("type.{number}"));
            metrics.attempted(&name, Outcome::Answered(200), Duration::ZERO, Next::Delivered);
        }
        metrics.attempted(&event_type("type.7"), Outcome::Answered(200), Duration::ZERO, Next::Delivered);
        let text = metrics.scrape(None);
        let series = lines(&text, "webhook_deliveries_total{");
        assert_eq!(series.len(), 101);
        assert!(series.iter().any(|line| line.ends_with(r#"event_type="other"} 200"#)), "{series:?}");
        assert!(series.iter().any(|line| line.ends_with(r#"event_type="type.7"} 2"#)), "{series:?}");
    }

    #[test]
    fn endpoints_that_are_gone_are_not_shown_and_troubled_ones_always_are() {
        let metrics = Metrics::new();
        let mut endpoints: Vec<_> =
            (0..1_500).map(|n| health(&format!("e{n}"), BreakerState::Closed)).collect();
        endpoints.push(health("troubled", BreakerState::Open));
        let text = metrics.scrape(Some(&Census { endpoints, ..Census::default() }));
        let shown = lines(&text, "webhook_circuit_breaker_state{");
        assert_eq!(shown.len(), 1_000);
        assert!(shown.contains(&r#"webhook_circuit_breaker_state{endpoint_id="troubled"} 1"#));
        let text = metrics.scrape(Some(&Census::default()));
        assert_eq!(lines(&text, "webhook_circuit_breaker_state{").len(), 0);
    }

    #[test]
    fn an_attempt_is_in_flight_until_it_is_not() {
        let metrics = Metrics::new();
        let attempt = metrics.in_flight();
        assert_eq!(
            lines(&metrics.scrape(None), "webhook_attempts_in_flight"),
            ["webhook_attempts_in_flight 1"]
        );
        drop(attempt);
        assert_eq!(
            lines(&metrics.scrape(None), "webhook_attempts_in_flight"),
            ["webhook_attempts_in_flight 0"]
        );
    }
}
