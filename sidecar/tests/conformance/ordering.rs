//! First in, first out: what of an endpoint's deliveries waits for each other, and for how long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hookgate_sidecar::model::{DeadReason, DeliveryId, Endpoint, Event, EventId, Next, Ordering, Status};
use hookgate_sidecar::store::{
    BreakerSettings, DeliveryFilter, Lease, Settled, Settlement, Store, StoreSettings,
};
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::subject::Subject;

/// An [`endpoint`] whose deliveries wait for each other.
pub fn ordered(name: &str, ordering: Ordering) -> Endpoint {
    Endpoint { ordering, ..endpoint(name) }
}

/// An [`event`] with an ordering key.
pub fn keyed(key: &str, ms: u64) -> Event {
    Event { ordering_key: Some(key.parse().unwrap()), ..event(at(ms)) }
}

/// Accepts one event; answers its delivery to the one endpoint.
pub async fn bring(store: &dyn Store, event: Event) -> DeliveryId {
    let (id, now) = (event.id, event.accepted_at);
    store.accept(&[offer(event, &[])], now).await.unwrap();
    deliveries_of(store, id).await[0].id
}

/// Accepts `count` events without a key.
pub async fn bring_many(store: &dyn Store, count: usize, ms: u64) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for acceptance in accept(store, count, at(ms)).await {
        ids.push(deliveries_of(store, acceptance.id).await[0].id);
    }
    ids
}

/// What may be taken now.
pub async fn taken(store: &dyn Store, ms: u64) -> Vec<DeliveryId> {
    leases(store, at(ms), 100).await.iter().map(|lease| lease.delivery).collect()
}

/// Takes the only one that may be taken, which must be this one.
pub async fn take_only(store: &dyn Store, expected: DeliveryId, ms: u64, promise: &str) -> Lease {
    let mut leases = leases(store, at(ms), 100).await;
    let ids: Vec<DeliveryId> = leases.iter().map(|lease| lease.delivery).collect();
    assert_eq!(ids, [expected], "{promise}");
    leases.remove(0)
}

pub async fn end(store: &dyn Store, lease: &Lease, ms: u64) {
    assert_eq!(settle(store, succeeded(lease, at(ms)), at(ms)).await, Settled::Recorded);
}

/// Delivers all these, one after the other.
pub async fn deliver_in_order(store: &dyn Store, ids: &[DeliveryId], ms: u64, promise: &str) {
    for id in ids {
        let lease = take_only(store, *id, ms, promise).await;
        end(store, &lease, ms).await;
    }
    assert_eq!(taken(store, ms).await, [], "{promise}: and no more");
}

pub async fn an_ordered_endpoint_is_served_strictly_in_order(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let mut ids = bring_many(&*store, 3, 0).await;
    ids.extend(bring_many(&*store, 2, 0).await);
    let head = take_only(&*store, ids[0], 0, "the first that was accepted").await;
    assert_eq!(taken(&*store, 1).await, [], "alone, while it is in its attempt");
    settle(&*store, failed(&head, at(1), Next::RetryAt(at(500))), at(1)).await;
    let waits = take(&*store, at(499), 100).await;
    assert!(waits.leases.is_empty(), "it blocks the others while it is to be retried");
    assert_eq!(waits.next, Some(at(500)), "and they have no moment of their own");
    let again = take_only(&*store, ids[0], 500, "the same one again").await;
    assert_eq!(again.attempt, 2);
    settle(&*store, returned(&again), at(501)).await;
    let again = take_only(&*store, ids[0], 501, "and again after a lease that came back").await;
    hush(&*store, at(501)).await;
    end(&*store, &again, 502).await;
    woken(&*store, "the end of a head").await;
    deliver_in_order(&*store, &ids[1..], 502, "in order of acceptance").await;
}

/// What ends an attempt.
type End = fn(&Lease) -> Settlement;

pub async fn whatever_ends_a_head_the_next_one_is_due(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let ids = bring_many(&*store, 5, 0).await;
    let ends: [(&str, End); 4] = [
        ("delivered", |lease| succeeded(lease, at(1))),
        ("exhausted", |lease| attempted(lease, at(1), BAD, Next::Dead(DeadReason::Exhausted))),
        ("gone", |lease| attempted(lease, at(1), BAD, Next::Dead(DeadReason::Gone))),
        ("given up", given_up),
    ];
    for ((promise, settlement), id) in ends.into_iter().zip(&ids) {
        let head = take_only(&*store, *id, 1, promise).await;
        settle(&*store, settlement(&head), at(1)).await;
    }
    take_only(&*store, ids[4], 1, "the last").await;
}

pub async fn keys_do_not_wait_for_each_other(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Key)).await;
    let keys = ["x", "y", "x", "=", "y", "x"];
    let mut ids = Vec::new();
    for key in keys {
        ids.push(bring(&*store, keyed(key, 0)).await);
    }
    let free = bring_many(&*store, 2, 0).await;
    let mut first = taken(&*store, 0).await;
    first.sort_unstable();
    let mut expected = vec![ids[0], ids[1], ids[3], free[0], free[1]];
    expected.sort_unstable();
    assert_eq!(first, expected, "a head for each key, and who has no key");
    let now = lease_end(0).0 - at(0).0;
    let heads = leases(&*store, at(now), 100).await;
    assert_eq!(heads.len(), 5, "the same ones, whose leases had ended");
    let x = heads.iter().find(|lease| lease.delivery == ids[0]).unwrap();
    end(&*store, x, now).await;
    take_only(&*store, ids[2], now, "only the next of the key whose head is over").await;
}

pub async fn endpoints_do_not_wait_for_each_other(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let orderings = [("a", Ordering::Endpoint), ("b", Ordering::Key), ("c", Ordering::None)];
    for (name, ordering) in orderings {
        put(&*store, &ordered(name, ordering)).await;
    }
    for _ in 0..3 {
        store.accept(&[offer(keyed("k", 0), &[])], at(0)).await.unwrap();
    }
    let leases = leases(&*store, at(0), 100).await;
    let count = |name: &str| leases.iter().filter(|lease| lease.endpoint.id == endpoint_id(name)).count();
    assert_eq!((count("a"), count("b"), count("c")), (1, 1, 3), "one event is in a line here and free there");
    for lease in leases.iter().filter(|lease| lease.endpoint.id == endpoint_id("a")) {
        end(&*store, lease, 1).await;
    }
    assert_eq!(taken(&*store, 1).await.len(), 1, "the next of that endpoint and of no other");
}

/// What many workers saw of one line.
#[derive(Debug, Default)]
struct Seen {
    in_flight: usize,
    first_attempts: Vec<EventId>,
}

/// Takes and settles until all is over; every second attempt of an event fails.
async fn work(store: Arc<dyn Store>, lines: Arc<Mutex<HashMap<String, Seen>>>) {
    let line = |lease: &Lease| lease.event.ordering_key.as_ref().unwrap().as_str().to_owned();
    while store.census().await.unwrap().pending > 0 {
        let leases = leases(&*store, at(1), 3).await;
        let mut settlements = Vec::new();
        for lease in &leases {
            let mut lines = lines.lock().unwrap();
            let seen = lines.entry(line(lease)).or_default();
            seen.in_flight += 1;
            assert_eq!(seen.in_flight, 1, "two of a line in attempts at once");
            if lease.attempt == 1 {
                seen.first_attempts.push(lease.event.id);
            }
            let retry = lease.attempt == 1 && seen.first_attempts.len().is_multiple_of(2);
            settlements.push(if retry {
                failed(lease, at(1), Next::RetryAt(at(1)))
            } else {
                succeeded(lease, at(1))
            });
        }
        tokio::task::yield_now().await;
        leases.iter().for_each(|lease| lines.lock().unwrap().get_mut(&line(lease)).unwrap().in_flight -= 1);
        store.settle(&settlements, at(1)).await.unwrap();
    }
}

pub async fn many_workers_keep_every_line_in_order(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: u32::MAX, failure_percent: 0, ..BreakerSettings::default() };
    let store = subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await;
    put(&*store, &ordered("a", Ordering::Key)).await;
    let (lines, mut accepted) = (Arc::default(), HashMap::<String, Vec<EventId>>::new());
    let mut workers = JoinSet::new();
    for n in 0..60 {
        let event = keyed(&format!("k{}", n % 3), 0);
        accepted.entry(format!("k{}", n % 3)).or_default().push(event.id);
        store.accept(&[offer(event, &[])], at(0)).await.unwrap();
        if n % 15 == 5 {
            workers.spawn(work(Arc::clone(&store), Arc::clone(&lines)));
        }
    }
    workers.spawn(work(Arc::clone(&store), Arc::clone(&lines)));
    workers.join_all().await;
    assert_eq!(store.census().await.unwrap().delivered, 60);
    let lines = lines.lock().unwrap();
    for (key, ids) in accepted {
        assert_eq!(lines[&key].first_attempts, ids, "{key}: first attempts in order of acceptance");
    }
}

pub async fn a_lease_of_a_head_that_ended_is_taken_again_before_the_next(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let ids = bring_many(&*store, 2, 0).await;
    let lost = take_only(&*store, ids[0], 0, "the head").await;
    let end = lease_end(0).0 - at(0).0;
    assert_eq!(taken(&*store, end - 1).await, [], "one before its end");
    let again = take_only(&*store, ids[0], end, "at its end").await;
    let late = settle(&*store, succeeded(&lost, at(end)), at(end)).await;
    assert_eq!(late, Settled::LeaseLost, "a result that comes late frees nobody");
    assert_eq!(taken(&*store, end).await, []);
    settle(&*store, succeeded(&again, at(end)), at(end)).await;
    take_only(&*store, ids[1], end, "the next").await;
}

pub async fn a_scheduled_event_keeps_its_place(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let scheduled = bring(&*store, Event { deliver_at: Some(at(900)), ..event(at(0)) }).await;
    let behind = bring_many(&*store, 1, 1).await[0];
    let later = bring(&*store, Event { deliver_at: Some(at(2_000)), ..event(at(2)) }).await;
    let waits = take(&*store, at(3), 10).await;
    assert_eq!((waits.leases.len(), waits.next), (0, Some(at(900))), "it blocks who came after it");
    let head = take_only(&*store, scheduled, 900, "once it is due").await;
    end(&*store, &head, 900).await;
    let next = take_only(&*store, behind, 900, "then the next").await;
    end(&*store, &next, 901).await;
    let waits = take(&*store, at(1_999), 10).await;
    assert_eq!((waits.leases.len(), waits.next), (0, Some(at(2_000))), "who is due later still waits");
    take_only(&*store, later, 2_000, "for its moment").await;
}

pub async fn a_line_waits_with_its_endpoint(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let on = ordered("a", Ordering::Endpoint);
    put(&*store, &on).await;
    let ids = bring_many(&*store, 3, 0).await;
    let head = take_only(&*store, ids[0], 0, "the head").await;
    put(&*store, &Endpoint { enabled: false, ..on.clone() }).await;
    end(&*store, &head, 1).await;
    assert_eq!(taken(&*store, 1).await, [], "its endpoint is disabled");
    put(&*store, &on).await;
    deliver_in_order(&*store, &ids[1..], 1, "enabled, it goes on").await;
    let pending = store.deliveries(&DeliveryFilter::default(), &first(10)).await.unwrap().data;
    assert!(pending.iter().all(|delivery| delivery.status == Status::Delivered));
}

pub async fn a_head_is_the_probe_of_its_endpoint(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let ids = bring_many(&*store, 2, 0).await;
    for _ in 0..StoreSettings::default().breaker.failures {
        let head = take_only(&*store, ids[0], 0, "the head again").await;
        settle(&*store, failed(&head, at(0), Next::RetryAt(at(0))), at(0)).await;
    }
    let open_ms = StoreSettings::default().breaker.open_ms;
    let waits = take(&*store, at(open_ms - 1), 10).await;
    assert_eq!((waits.leases.len(), waits.next), (0, Some(at(open_ms))), "while the breaker is open");
    let probe = take_only(&*store, ids[0], open_ms, "the probe").await;
    end(&*store, &probe, open_ms).await;
    take_only(&*store, ids[1], open_ms, "and it closes").await;
}

pub async fn a_worker_that_waits_gets_the_head_and_no_more(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    assert!(take_and_wait(&*store, at(0), 10).await.is_empty());
    let mut ids = bring_many(&*store, 2, 0).await;
    ids.extend(bring_many(&*store, 1, 0).await);
    let waited = take_and_wait(&*store, at(1), 10).await;
    assert_eq!(waited.iter().map(|lease| lease.delivery).collect::<Vec<_>>(), [ids[0]]);
    ids.extend(bring_many(&*store, 1, 1).await);
    assert!(take_and_wait(&*store, at(2), 10).await.is_empty(), "what comes now stands behind it");
    end(&*store, &waited[0], 2).await;
    deliver_in_order(&*store, &ids[1..], 2, "the others, one after the other").await;
}
