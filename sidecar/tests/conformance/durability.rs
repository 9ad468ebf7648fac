//! What a store that outlives its process promises: it is opened again and nothing is missing.

use hookgate_sidecar::model::{DeadReason, Endpoint, Next, Status};
use hookgate_sidecar::store::{DeliveryFilter, Settled, Settlement, StoreSettings};

use crate::fixture::*;
use crate::subject::Subject;

pub async fn a_store_opened_again_has_everything(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    put(&*store, &endpoint("b")).await;
    let events = accept(&*store, 3, at(0)).await;
    let taken = leases(&*store, at(0), 4).await;
    settle(&*store, succeeded(&taken[0], at(1)), at(1)).await;
    settle(&*store, attempted(&taken[1], at(1), BAD, Next::Dead(DeadReason::Gone)), at(1)).await;
    settle(&*store, failed(&taken[2], at(1), Next::RetryAt(at(500))), at(1)).await;
    settle(&*store, returned(&taken[3]), at(1)).await;
    let before = store.deliveries(&DeliveryFilter::default(), &first(250)).await.unwrap().data;
    let attempts = store.attempts(&taken[2].delivery).await.unwrap();
    let census = store.census().await.unwrap();
    drop(store);
    let store = subject.open(StoreSettings::default()).await;
    assert_eq!(store.deliveries(&DeliveryFilter::default(), &first(250)).await.unwrap().data, before);
    assert_eq!(store.attempts(&taken[2].delivery).await.unwrap(), attempts);
    assert_eq!(store.census().await.unwrap(), census);
    for event in events {
        assert!(store.event(&event.id).await.unwrap().is_some());
    }
    assert_eq!(store.endpoint(&endpoint_id("b")).await.unwrap(), Some(endpoint("b")));
    assert_eq!(leases(&*store, at(2), 100).await.len(), 3, "what is due");
    let retried = lease(&*store, at(500)).await;
    assert_eq!(
        (retried.delivery, retried.attempt, retried.step),
        (taken[2].delivery, 2, 2),
        "what was to be retried"
    );
}

pub async fn a_lease_from_before_is_lost_and_its_delivery_due(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let lost = lease(&*store, at(0)).await;
    drop(store);
    let store = subject.open(StoreSettings::default()).await;
    let now = lease_end(0);
    store.maintain(now).await.unwrap();
    let again = lease(&*store, now).await;
    assert_eq!((again.delivery, again.attempt), (id, 1));
    let late = Settlement { token: lost.token, ..succeeded(&lost, now) };
    assert_eq!(settle(&*store, late, now).await, Settled::LeaseLost);
    assert_eq!(settle(&*store, succeeded(&again, now), now).await, Settled::Recorded);
    assert_eq!(delivery(&*store, id).await.status, Status::Delivered);
}

pub async fn a_known_key_is_known_after_opening_again(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let first = store.accept(&[offer(event(at(0)), &["k"])], at(0)).await.unwrap()[0];
    drop(store);
    let store = subject.open(StoreSettings::default()).await;
    let again = store.accept(&[offer(event(at(1)), &["k"])], at(1)).await.unwrap()[0];
    assert_eq!((again.id, again.deliveries, again.duplicate), (first.id, 1, true));
}

pub async fn a_disabled_endpoint_is_disabled_after_opening_again(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 2, at(0)).await;
    put(&*store, &Endpoint { enabled: false, ..endpoint("a") }).await;
    drop(store);
    let store = subject.open(StoreSettings::default()).await;
    assert!(leases(&*store, at(1), 10).await.is_empty());
    assert_eq!(store.census().await.unwrap().endpoints[0].pending, 2);
    put(&*store, &endpoint("a")).await;
    assert_eq!(leases(&*store, at(2), 10).await.len(), 2);
}
