//! Good values to change one thing of, and verbs that save a promise from repeating itself.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{
    Attempt, BreakerRules, DeadReason, Delivery, DeliveryId, Endpoint, EndpointId, Event, EventId, Failure,
    IdempotencyKey, Next, Ordering, Outcome, Retry, Secret, Signal, Standing, Status, Tenant,
    default_signing,
};
use hookgate_sidecar::store::{
    Acceptance, Ask, DeliveryFilter, Lease, Page, Put, Report, Settled, Settlement, Store, Taken,
};
use tokio::task::JoinSet;

/// The timeout of every [`endpoint`].
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// The grace of every [`take`].
pub const GRACE: Duration = Duration::from_secs(5);
/// An attempt that got a 200.
pub const OK: Outcome = Outcome::Answered(200);
/// An attempt that got a 500.
pub const BAD: Outcome = Outcome::Answered(500);

/// The beginning of every promise, and `ms` later.
pub fn at(ms: u64) -> Millis {
    Millis(1_800_000_000_000 + ms)
}

/// When a lease taken at `at(ms)` ends.
pub fn lease_end(ms: u64) -> Millis {
    at(ms).plus(TIMEOUT).plus(GRACE)
}

pub fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

pub fn endpoint_id(name: &str) -> EndpointId {
    name.parse().unwrap()
}

/// An endpoint of the tenant `default` that wants everything and limits nothing.
pub fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        id: endpoint_id(name),
        tenant: Tenant::default(),
        url: format!("https://{name}.example/hook"),
        event_types: vec!["*".parse().unwrap()],
        filter: None,
        signing: default_signing(),
        secrets: vec![Secret("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=".to_owned()).into()],
        headers: BTreeMap::from([("authorization".to_owned(), "Bearer t".to_owned())]),
        auth: None,
        client_certificate: None,
        max_in_flight: NonZeroU16::MAX,
        rate_limit: None,
        ordering: Ordering::None,
        timeout_ms: u32::try_from(TIMEOUT.as_millis()).unwrap(),
        retry: Retry::default(),
        breaker: BreakerRules::default(),
        enabled: true,
        standing: Standing::default(),
        declared: false,
        description: "for a promise".to_owned(),
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A number that no other call of this process answers, as entropy.
pub fn entropy() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    u128::from(NEXT.fetch_add(1, Relaxed)) << 64
}

/// An event of the tenant `default`, of type `order.created`.
pub fn event(now: Millis) -> Event {
    Event {
        id: EventId::fresh(now, entropy(), &Tenant::default()),
        tenant: Tenant::default(),
        event_type: "order.created".parse().unwrap(),
        payload: Bytes::from_static(b"{\"type\":\"order.created\"}"),
        forgotten_bytes: None,
        content_type: "application/json".to_owned(),
        source: None,
        request_id: "req-1".to_owned(),
        traceparent: None,
        accepted_at: now,
        deliver_at: None,
        ordering_key: None,
        expires_at: None,
    }
}

/// An [`event`] of another tenant.
pub fn event_of(name: &str, now: Millis) -> Event {
    let tenant = tenant(name);
    Event { id: EventId::fresh(now, entropy(), &tenant), tenant, ..event(now) }
}

pub fn offer(event: Event, keys: &[&str]) -> Offer {
    Offer {
        event: Arc::new(event),
        keys: keys.iter().map(|key| key.parse().unwrap()).collect::<Vec<IdempotencyKey>>(),
    }
}

pub use hookgate_sidecar::store::Offer;

pub async fn put(store: &dyn Store, endpoint: &Endpoint) {
    assert!(store.put_endpoint(endpoint, Put::Upsert).await.unwrap(), "endpoint {} is put", endpoint.id);
}

/// Puts a thousand [`endpoint`]s.
pub async fn put_thousand(store: &Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for n in 0..1_000 {
        let store = Arc::clone(store);
        tasks.spawn(async move { put(&*store, &endpoint(&format!("e{n}"))).await });
    }
    tasks.join_all().await;
}

/// Delivers what is due; fails unless a thousand endpoints got one each.
pub async fn assert_each_gets_one(store: &dyn Store, now: Millis) {
    let mut got = BTreeMap::<EndpointId, usize>::new();
    loop {
        let leases = leases(store, now, 250).await;
        if leases.is_empty() {
            break;
        }
        let settlements: Vec<Settlement> = leases.iter().map(|lease| succeeded(lease, now)).collect();
        store.settle(&settlements, now).await.unwrap();
        leases.iter().for_each(|lease| *got.entry(lease.endpoint.id.clone()).or_default() += 1);
    }
    assert_eq!(got.len(), 1_000, "every endpoint");
    assert!(got.values().all(|count| *count == 1), "once");
}

/// Accepts `count` events without keys, in one batch.
pub async fn accept(store: &dyn Store, count: usize, now: Millis) -> Vec<Acceptance> {
    let offers: Vec<Offer> = (0..count).map(|_| offer(event(now), &[])).collect();
    store.accept(&offers, now).await.unwrap()
}

/// Accepts one event for one endpoint; answers its delivery.
pub async fn accept_one(store: &dyn Store, now: Millis) -> DeliveryId {
    let id = accept(store, 1, now).await[0].id;
    let deliveries = deliveries_of(store, id).await;
    assert_eq!(deliveries.len(), 1, "the fixture has one endpoint");
    deliveries[0].id
}

pub async fn deliveries_of(store: &dyn Store, event: EventId) -> Vec<Delivery> {
    let filter = DeliveryFilter { event: Some(event), ..DeliveryFilter::default() };
    store.deliveries(&filter, &first(250)).await.unwrap().data
}

pub async fn delivery(store: &dyn Store, id: DeliveryId) -> Delivery {
    store.delivery(&id).await.unwrap().expect("the delivery is there")
}

/// The first page.
pub fn first(limit: u16) -> Page {
    Page { cursor: None, limit }
}

pub async fn take(store: &dyn Store, now: Millis, room: u16) -> Taken {
    store.take(Ask { now, room, grace: GRACE, ahead: false }).await.unwrap()
}

/// As [`take`], by a worker that waits for what it left room for.
pub async fn take_and_wait(store: &dyn Store, now: Millis, room: u16) -> Vec<Lease> {
    store.take(Ask { now, room, grace: GRACE, ahead: true }).await.unwrap().leases
}

pub async fn leases(store: &dyn Store, now: Millis, room: u16) -> Vec<Lease> {
    take(store, now, room).await.leases
}

/// Takes the one lease there must be.
pub async fn lease(store: &dyn Store, now: Millis) -> Lease {
    let mut leases = leases(store, now, 10).await;
    assert_eq!(leases.len(), 1, "one delivery is due at {now:?}");
    leases.remove(0)
}

/// What comes back for `lease` after an attempt that says what its outcome is.
pub fn attempted(lease: &Lease, now: Millis, outcome: Outcome, next: Next) -> Settlement {
    let signal = if outcome.is_success() { Signal::Success } else { Signal::Failure };
    let attempt = Attempt {
        number: lease.attempt,
        started_at: now,
        duration_ms: 12,
        outcome,
        response: format!("answer {}", lease.attempt),
    };
    Settlement {
        delivery: lease.delivery,
        token: lease.token,
        report: Report::Attempted { attempt, next, signal },
    }
}

pub fn succeeded(lease: &Lease, now: Millis) -> Settlement {
    attempted(lease, now, OK, Next::Delivered)
}

pub fn failed(lease: &Lease, now: Millis, next: Next) -> Settlement {
    attempted(lease, now, Outcome::Failed(Failure::Timeout), next)
}

pub fn returned(lease: &Lease) -> Settlement {
    Settlement { delivery: lease.delivery, token: lease.token, report: Report::Returned }
}

pub fn given_up(lease: &Lease) -> Settlement {
    let report = Report::Over(DeadReason::Expired);
    Settlement { delivery: lease.delivery, token: lease.token, report }
}

pub async fn settle(store: &dyn Store, settlement: Settlement, now: Millis) -> Settled {
    let settled = store.settle(&[settlement], now).await.unwrap().settled;
    assert_eq!(settled.len(), 1, "one answer a settlement");
    settled[0]
}

/// Takes everything due and delivers it.
pub async fn deliver_all(store: &dyn Store, now: Millis) -> usize {
    let mut sum = 0;
    loop {
        let leases = leases(store, now, 100).await;
        if leases.is_empty() {
            return sum;
        }
        sum += leases.len();
        let settlements: Vec<Settlement> = leases.iter().map(|lease| succeeded(lease, now)).collect();
        assert!(
            store
                .settle(&settlements, now)
                .await
                .unwrap()
                .settled
                .iter()
                .all(|settled| *settled == Settled::Recorded)
        );
    }
}

pub async fn assert_pending(
    store: &dyn Store,
    id: DeliveryId,
    attempts: u32,
    next_attempt_at: Millis,
    promise: &str,
) {
    let delivery = delivery(store, id).await;
    assert_eq!(
        (delivery.status, delivery.attempts, delivery.next_attempt_at),
        (Status::Pending, attempts, Some(next_attempt_at)),
        "{promise}"
    );
}

/// Looks until the store says that there is nothing to be had at `now`, and forgets wake-ups that came before: the next
/// one is new. A store that says "look again at once" need not wake anybody for it.
pub async fn hush(store: &dyn Store, now: Millis) {
    for _ in 0..100 {
        let taken = take(store, now, 1).await;
        assert!(taken.leases.is_empty(), "nothing is due: {taken:?}");
        if taken.next.is_none_or(|next| next > now) {
            while store.wake().notified().now_or_never().is_some() {}
            return;
        }
    }
    panic!("always something to look at");
}

/// Fails unless somebody wakes us, in bounded time.
pub async fn woken(store: &dyn Store, promise: &str) {
    let wake = store.wake();
    let waited = tokio::time::timeout(Duration::from_secs(5), wake.notified()).await;
    assert!(waited.is_ok(), "{promise}: nobody woke us");
}

/// Maintains until nothing more is forgotten.
pub async fn maintain_fully(store: &dyn Store, now: Millis) {
    for _ in 0..1_000 {
        if store.maintain(now).await.unwrap().trimmed == 0 {
            return;
        }
    }
    panic!("maintain finds something to trim for ever");
}

/// The same event, of this type.
pub fn event_type(event: Event, name: &str) -> Event {
    Event { event_type: name.parse().unwrap(), ..event }
}
