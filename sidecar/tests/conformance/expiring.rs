//! What an event that expires promises: nobody gets it later, and nothing is forgotten.

use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{DeadReason, Delivery, DeliveryId, Endpoint, Event, Next, Status};
use hookgate_sidecar::store::{Settled, Store, StoreSettings};

use crate::fixture::*;
use crate::subject::Subject;

/// Accepts one event that expires at `at(ms)`.
async fn accept_until(store: &dyn Store, now: Millis, ms: u64) -> Vec<Delivery> {
    let event = Event { expires_at: Some(at(ms)), ..event(now) };
    let id = event.id;
    store.accept(&[offer(event, &[])], now).await.unwrap();
    deliveries_of(store, id).await
}

pub async fn what_expires_while_it_waits_is_a_dead_letter(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let tried = accept_until(&*store, at(0), 1_000).await[0].id;
    let once = lease(&*store, at(0)).await;
    settle(&*store, failed(&once, at(1), Next::RetryAt(at(900))), at(1)).await;
    put(&*store, &endpoint("b")).await;
    let fanned: Vec<DeliveryId> =
        accept_until(&*store, at(2), 1_000).await.iter().map(|delivery| delivery.id).collect();
    let scheduled = accept_until(&*store, at(2), 1_001).await[0].id;
    for name in ["a", "b"] {
        put(&*store, &Endpoint { enabled: false, ..endpoint(name) }).await;
    }
    store.maintain(at(999)).await.unwrap();
    assert_eq!(store.census().await.unwrap().pending, 5, "one before their end");
    store.maintain(at(1_000)).await.unwrap();
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.dead), (2, 3), "at their end, nobody having taken them");
    for (id, attempts) in [(tried, 1), (fanned[0], 0), (fanned[1], 0)] {
        let dead = delivery(&*store, id).await;
        assert_eq!((dead.status, dead.attempts), (Status::Dead(DeadReason::Expired), attempts));
    }
    assert_pending(&*store, scheduled, 0, at(2), "another event's end").await;
    for name in ["a", "b"] {
        put(&*store, &endpoint(name)).await;
    }
    assert_eq!(leases(&*store, at(1_000), 10).await.len(), 2, "what has expired is not offered again");
}

pub async fn what_expires_in_an_attempt_is_left_to_its_result(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let (delivered, lost) =
        (accept_until(&*store, at(0), 100).await[0].id, accept_until(&*store, at(0), 100).await[0].id);
    let held = leases(&*store, at(0), 10).await;
    store.maintain(at(100)).await.unwrap();
    assert_eq!(store.census().await.unwrap().pending, 2, "both are in an attempt");
    let success = held.iter().find(|lease| lease.delivery == delivered).unwrap();
    assert_eq!(settle(&*store, succeeded(success, at(101)), at(101)).await, Settled::Recorded);
    put(&*store, &Endpoint { enabled: false, ..endpoint("a") }).await;
    let end = lease_end(0);
    store.maintain(end).await.unwrap();
    store.maintain(end.plus(std::time::Duration::from_millis(1))).await.unwrap();
    assert_eq!(
        delivery(&*store, lost).await.status,
        Status::Dead(DeadReason::Expired),
        "its result never came"
    );
    assert_eq!(delivery(&*store, delivered).await.status, Status::Delivered);
}
