//! A closed loop of clients and an engine of a fixed speed, under a paused clock: what the door makes of an overload.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Pressure;
use crate::clock::{Millis, Stopwatch};
use crate::model::{DeliveryId, Endpoint, EndpointId, Event, EventId, Ordering, Tenant};
use crate::registry::Draft;
use crate::store::Lease;
use crate::telemetry::metrics::Metrics;

/// Deliveries a millisecond that the engine is good for.
const SPEED: usize = 5;
const RUN: Duration = Duration::from_secs(3);
/// Until then the loop finds its balance.
const BALANCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<Stopwatch>>,
    delivered: Mutex<Vec<Duration>>,
}

/// Accepts `fan_out` deliveries at a time, as fast as the door lets it.
async fn client(pressure: Pressure, queue: Arc<Queue>, fan_out: usize, watch: Stopwatch) {
    let tenant = Tenant::default();
    while watch.elapsed() < RUN {
        pressure.enter(&tenant).await;
        queue.waiting.lock().unwrap().extend(std::iter::repeat_n(Stopwatch::start(), fan_out));
        pressure.accepted(&tenant, Duration::ZERO, u32::try_from(fan_out).unwrap());
        sleep(Duration::from_millis(1)).await;
    }
}

/// Begins [`SPEED`] attempts a millisecond, the oldest first; each takes `took`.
async fn engine(pressure: Pressure, queue: Arc<Queue>, took: Duration, watch: Stopwatch) {
    let (tenant, endpoint): (_, EndpointId) = (Tenant::default(), "a".parse().unwrap());
    while watch.elapsed() < RUN {
        for _ in 0..SPEED {
            let Some(since) = queue.waiting.lock().unwrap().pop_front() else { break };
            let age = since.elapsed();
            pressure.heard(&tenant, &endpoint, age);
            pressure.ended(&endpoint, took);
            if watch.elapsed() > BALANCE {
                queue.delivered.lock().unwrap().push(age);
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Answers the waits of what was delivered, in order, and how much was left.
async fn run(clients: usize, fan_out: usize, took: Duration) -> (Vec<Duration>, usize) {
    let (pressure, queue) = (Pressure::new(Metrics::new()), Arc::new(Queue::default()));
    let (watch, mut tasks) = (Stopwatch::start(), JoinSet::new());
    for _ in 0..clients {
        tasks.spawn(client(pressure.clone(), Arc::clone(&queue), fan_out, watch));
    }
    tasks.spawn(engine(pressure, Arc::clone(&queue), took, watch));
    tasks.join_all().await;
    let mut waits = queue.delivered.lock().unwrap().clone();
    waits.sort_unstable();
    let left = queue.waiting.lock().unwrap().len();
    (waits, left)
}

#[tokio::test(start_paused = true)]
async fn an_overload_waits_at_the_door_and_not_in_a_queue() {
    let full = SPEED * usize::try_from((RUN - BALANCE).as_millis()).unwrap();
    for (clients, fan_out) in [(32, 1), (256, 1), (8, 10)] {
        let (waits, left) = run(clients, fan_out, Duration::from_millis(2)).await;
        let p99 = waits[waits.len() * 99 / 100];
        assert!(p99 <= Duration::from_millis(35), "{clients} clients, {fan_out} each: {p99:?}");
        assert!(
            waits.len() >= full * 95 / 100,
            "{clients} clients, {fan_out} each: {} of {full}",
            waits.len()
        );
        let last = clients * fan_out; // let in when the engine has stopped
        assert!(left <= 35 * SPEED + last, "{clients} clients, {fan_out} each: {left} left");
    }
}

/// A first attempt for a tenant's event that was accepted 100 ms ago, at a prompt endpoint.
fn late(ordering: Ordering, key: Option<&str>) -> (Lease, Millis) {
    let now = Millis(1_000_000);
    let tenant = Tenant::default();
    let event = Event {
        id: EventId::fresh(now, 7 << 64, &tenant),
        tenant: tenant.clone(),
        event_type: "x".parse().unwrap(),
        payload: Bytes::new(),
        forgotten_bytes: None,
        content_type: String::new(),
        source: None,
        request_id: String::new(),
        traceparent: None,
        accepted_at: Millis(now.0 - 100),
        deliver_at: None,
        ordering_key: key.map(|key| key.parse().unwrap()),
        expires_at: None,
    };
    let draft: Draft = serde_json::from_str(r#"{"url":"https://a.example","id":"a"}"#).unwrap();
    let endpoint = Endpoint { ordering, ..draft.endpoint(now, || 7) };
    let lease = Lease {
        delivery: DeliveryId::fresh(now, 7 << 64, &tenant),
        token: 1,
        event: Arc::new(event),
        endpoint: Arc::new(endpoint),
        attempt: 1,
        step: 1,
        ends_at: now,
    };
    (lease, now)
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_others_in_its_line_closes_no_door() {
    let table = [
        (Ordering::None, Some("k"), true),
        (Ordering::Key, None, true),
        (Ordering::Key, Some("k"), false),
        (Ordering::Endpoint, None, false),
    ];
    for (ordering, key, closed) in table {
        let pressure = Pressure::new(Metrics::new());
        let (lease, now) = late(ordering, key);
        pressure.ended(&lease.endpoint.id, Duration::from_millis(2));
        pressure.begins(&lease, now);
        let watch = Stopwatch::start();
        pressure.enter(&lease.event.tenant).await;
        assert_eq!(!watch.elapsed().is_zero(), closed, "{ordering:?} with {key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_slowly_closes_no_door() {
    let (_, left) = run(32, 1, Duration::from_millis(200)).await;
    let came = 32 * usize::try_from(RUN.as_millis()).unwrap();
    assert!(left > came / 2, "its backlog is its own: {left} of {came}");
}
