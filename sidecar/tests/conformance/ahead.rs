//! What holds when a worker waits and a store may lease at once what comes: the same as without.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use hookgate_sidecar::model::{Endpoint, Event, Next};
use hookgate_sidecar::store::{BreakerSettings, Lease, Settled, StoreSettings};

use crate::fixture::*;
use crate::subject::Subject;

pub async fn what_comes_while_a_worker_waits_is_leased_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    hush(&*store, at(0)).await;
    assert!(take_and_wait(&*store, at(0), 10).await.is_empty());
    let accepted = accept(&*store, 3, at(1)).await;
    woken(&*store, "what was accepted").await;
    let taken = take_and_wait(&*store, at(2), 10).await;
    let events: BTreeSet<_> = taken.iter().map(|lease| lease.event.id).collect();
    assert_eq!(events, accepted.iter().map(|accepted| accepted.id).collect());
    for lease in &taken {
        assert_eq!((lease.attempt, lease.step, lease.endpoint.id.as_str()), (1, 1, "a"));
        assert!((lease_end(1)..=lease_end(2)).contains(&lease.ends_at), "{lease:?}");
        assert_eq!(lease.event.payload, event(at(1)).payload);
    }
    assert!(take_and_wait(&*store, at(2), 10).await.is_empty(), "once");
    assert_eq!(in_flight(&*store).await, [3]);
    for lease in &taken {
        assert_eq!(settle(&*store, succeeded(lease, at(3)), at(3)).await, Settled::Recorded);
    }
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.endpoints[0].in_flight), (0, 3, 0));
}

pub async fn a_waiting_worker_gets_what_it_has_room_for(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    assert!(take_and_wait(&*store, at(0), 4).await.is_empty());
    accept(&*store, 6, at(0)).await;
    let mut taken = take_and_wait(&*store, at(1), 2).await;
    assert_eq!(taken.len(), 2, "less than it waited for");
    assert_eq!(take_and_wait(&*store, at(1), 0).await.len(), 0);
    taken.extend(take_and_wait(&*store, at(1), 10).await);
    assert_eq!(taken.len(), 6, "what there was no room for goes back");
    assert!(taken.iter().all(|lease| lease.attempt == 1), "and counts nothing");
    let deliveries: BTreeSet<_> = taken.iter().map(|lease| lease.delivery).collect();
    assert_eq!((deliveries.len(), in_flight(&*store).await), (6, vec![6]));
    for lease in &taken {
        assert_eq!(settle(&*store, succeeded(lease, at(3)), at(3)).await, Settled::Recorded);
    }
}

pub async fn an_endpoints_limits_hold_for_a_waiting_worker(subject: &impl Subject) {
    let two = NonZeroU16::MIN.saturating_add(1);
    let table = [
        ("no limit", endpoint("a"), 4),
        ("two at once", Endpoint { max_in_flight: two, ..endpoint("a") }, 2),
        ("disabled", Endpoint { enabled: false, ..endpoint("a") }, 0),
        ("one a second", Endpoint { rate_limit: Some(NonZeroU16::MIN), ..endpoint("a") }, 1),
    ];
    for (promise, endpoint, leased) in table {
        let store = subject.open(StoreSettings::default()).await;
        put(&*store, &endpoint).await;
        for n in 0..4 {
            let waiting = take_and_wait(&*store, at(n), 10).await;
            assert!(waiting.is_empty() || n > 0, "{promise}");
            accept(&*store, 1, at(n)).await;
        }
        let census = store.census().await.unwrap();
        assert!(u64::from(census.endpoints[0].in_flight) <= leased, "{promise}: {census:?}");
        take_and_wait(&*store, at(4), 10).await;
        assert_eq!(in_flight(&*store).await, [u32::try_from(leased).unwrap()], "{promise}");
        store.delete_endpoint(&endpoint_id("a"), at(5)).await.unwrap();
    }
}

pub async fn an_open_breaker_holds_for_a_waiting_worker(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: 1, open_ms: 1_000, ..BreakerSettings::default() };
    let store = subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 1, at(0)).await;
    let first = lease(&*store, at(0)).await;
    settle(&*store, failed(&first, at(1), Next::RetryAt(at(90_000))), at(1)).await;
    assert!(take_and_wait(&*store, at(2), 10).await.is_empty());
    accept(&*store, 3, at(3)).await;
    assert!(take_and_wait(&*store, at(4), 10).await.is_empty(), "it is open");
    accept(&*store, 1, at(1_500)).await;
    assert_eq!(take_and_wait(&*store, at(1_500), 10).await.len(), 1, "one probe");
    accept(&*store, 1, at(1_501)).await;
    assert!(take_and_wait(&*store, at(1_502), 10).await.is_empty(), "at a time");
}

pub async fn a_lease_for_a_waiting_worker_ends_like_any_other(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    assert!(take_and_wait(&*store, at(0), 10).await.is_empty());
    let id = accept_one(&*store, at(0)).await;
    let taken = take_and_wait(&*store, lease_end(0), 10).await;
    let found: Vec<_> = taken.iter().map(|lease| (lease.delivery, lease.attempt)).collect();
    assert_eq!(found, [(id, 1)], "it came too late for the first lease");
    assert_eq!(taken[0].ends_at, lease_end(6_000));
    assert_eq!(in_flight(&*store).await, [1]);
    let now = lease_end(1);
    assert_eq!(settle(&*store, succeeded(&taken[0], now), now).await, Settled::Recorded);
}

pub async fn nothing_that_waits_is_overtaken_for_a_waiting_worker(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let scheduled = Event { deliver_at: Some(at(100)), ..event(at(0)) };
    let first = scheduled.id;
    store.accept(&[offer(scheduled, &[])], at(0)).await.unwrap();
    assert!(take_and_wait(&*store, at(50), 1).await.is_empty());
    let second = accept(&*store, 1, at(200)).await[0].id;
    let ids = |leases: Vec<Lease>| leases.iter().map(|lease| lease.event.id).collect::<Vec<_>>();
    assert_eq!(ids(take_and_wait(&*store, at(200), 1).await), [first]);
    assert_eq!(ids(take_and_wait(&*store, at(200), 1).await), [second]);
}

async fn in_flight(store: &dyn hookgate_sidecar::store::Store) -> Vec<u32> {
    store.census().await.unwrap().endpoints.iter().map(|health| health.in_flight).collect()
}
