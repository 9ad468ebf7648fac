//! What the ledger promises: listings that are complete and stable, and forgetting that is on time.

use std::time::Duration;

use hookgate_sidecar::model::{DeadReason, Delivery, DeliveryId, Endpoint, EventId, Next, Status};
use hookgate_sidecar::store::{
    DeliveryFilter, EventFilter, Page, Retention, Store, StoreFault, StoreSettings,
};

use crate::fixture::*;
use crate::subject::Subject;

pub async fn what_is_not_there_is_none(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let id = DeliveryId::fresh(at(0), entropy(), &tenant("default"));
    assert!(store.ping().await.is_ok());
    assert_eq!(store.event(&EventId::fresh(at(0), entropy(), &tenant("default"))).await.unwrap(), None);
    assert_eq!(store.delivery(&id).await.unwrap(), None);
    assert!(store.attempts(&id).await.unwrap().is_empty());
    assert_eq!(store.endpoint(&endpoint_id("none")).await.unwrap(), None);
    let listed = store.events(&EventFilter::default(), &first(10)).await.unwrap();
    assert!(listed.data.is_empty() && listed.next_cursor.is_none());
    let listed = store.deliveries(&DeliveryFilter::default(), &first(10)).await.unwrap();
    assert!(listed.data.is_empty() && listed.next_cursor.is_none());
}

pub async fn events_are_paged_newest_first(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let mut mine = Vec::new();
    for ms in 0..11 {
        mine.push(accept(&*store, 1, at(ms)).await[0].id);
        store.accept(&[offer(event_of("other", at(ms)), &[])], at(ms)).await.unwrap();
    }
    mine.reverse();
    for limit in [1, 3, 11, 250] {
        let seen = all_events(&*store, Some("default"), limit).await;
        assert_eq!(seen, mine, "by {limit}");
        assert_eq!(all_events(&*store, None, limit).await.len(), 22, "by {limit}");
    }
    assert!(all_events(&*store, Some("nobody"), 3).await.is_empty());
}

async fn all_events(store: &dyn Store, whose: Option<&str>, limit: u16) -> Vec<EventId> {
    let whose = whose.map(tenant);
    let (mut seen, mut page) = (Vec::new(), first(limit));
    loop {
        let listed = store.events(&EventFilter::of(whose.clone()), &page).await.unwrap();
        assert!(listed.data.len() <= usize::from(limit));
        seen.extend(listed.data.iter().map(|event| event.id));
        match listed.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return seen,
        }
    }
}

pub async fn all_deliveries(store: &dyn Store, filter: &DeliveryFilter, limit: u16) -> Vec<Delivery> {
    let (mut seen, mut page) = (Vec::new(), first(limit));
    loop {
        let listed = store.deliveries(filter, &page).await.unwrap();
        assert!(listed.data.len() <= usize::from(limit));
        seen.extend(listed.data);
        match listed.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return seen,
        }
    }
}

pub async fn deliveries_are_paged_by_every_filter(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    for name in ["a", "b"] {
        put(&*store, &endpoint(name)).await;
    }
    put(&*store, &Endpoint { tenant: tenant("other"), ..endpoint("c") }).await;
    let mut events = Vec::new();
    for ms in 0..6 {
        events.push(accept(&*store, 1, at(ms)).await[0].id);
        store.accept(&[offer(event_of("other", at(ms)), &[])], at(ms)).await.unwrap();
    }
    for (n, lease) in leases(&*store, at(10), 9).await.iter().enumerate() {
        let next = [Next::Delivered, Next::Dead(DeadReason::Gone), Next::Dead(DeadReason::Exhausted)][n % 3];
        let outcome = if next == Next::Delivered { OK } else { BAD };
        settle(&*store, attempted(lease, at(11), outcome, next), at(11)).await;
    }
    let everything = all_deliveries(&*store, &DeliveryFilter::default(), 250).await;
    assert_eq!(everything.len(), 18);
    assert!(everything.is_sorted_by(|a, b| a.created_at >= b.created_at), "newest first");
    let statuses = [None, Some(Status::Pending), Some(Status::Delivered), dead_of_any_reason()];
    let endpoints = [None, Some("a"), Some("c"), Some("none")];
    let tenants = [None, Some("default"), Some("other"), Some("nobody")];
    for event in [None, Some(events[0])] {
        for ((status, name), whose) in product(&statuses, &endpoints, &tenants) {
            let (endpoint, tenant) = (name.map(endpoint_id), whose.map(tenant));
            let filter = DeliveryFilter { tenant, event, endpoint, status, ..DeliveryFilter::default() };
            let expected: Vec<&Delivery> =
                everything.iter().filter(|delivery| fits(delivery, &filter)).collect();
            for limit in [2, 250] {
                let seen = all_deliveries(&*store, &filter, limit).await;
                assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{filter:?} by {limit}");
            }
        }
    }
}

fn product<A: Copy, B: Copy, C: Copy>(a: &[A], b: &[B], c: &[C]) -> Vec<((A, B), C)> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|pair| c.iter().map(move |c| (pair, *c))).collect()
}

fn fits(delivery: &Delivery, filter: &DeliveryFilter) -> bool {
    let dead = |status: &Status| matches!(status, Status::Dead(_));
    filter.tenant.as_ref().is_none_or(|tenant| *tenant == delivery.tenant)
        && filter.event.is_none_or(|event| event == delivery.event_id)
        && filter.endpoint.as_ref().is_none_or(|endpoint| *endpoint == delivery.endpoint_id)
        && filter
            .status
            .is_none_or(|status| status == delivery.status || dead(&status) && dead(&delivery.status))
}

pub fn dead_of_any_reason() -> Option<Status> {
    Some(Status::Dead(DeadReason::EndpointDeleted))
}

pub async fn a_listing_is_stable_while_events_arrive(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 10, at(0)).await;
    let whole: Vec<_> = all_deliveries(&*store, &DeliveryFilter::default(), 250).await;
    let (mut seen, mut page) = (Vec::new(), first(3));
    loop {
        let listed = store.deliveries(&DeliveryFilter::default(), &page).await.unwrap();
        seen.extend(listed.data);
        let Some(cursor) = listed.next_cursor else { break };
        page.cursor = Some(cursor);
        accept(&*store, 2, at(1)).await;
    }
    assert_eq!(seen, whole, "what came later is on no later page");
}

pub async fn a_foreign_cursor_is_refused(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 3, at(0)).await;
    for cursor in ["", "x y", "dlv_", "é", &"9".repeat(5_000)] {
        let page = Page { cursor: Some(cursor.to_owned()), limit: 10 };
        let faults = [
            store.events(&EventFilter::default(), &page).await.unwrap_err().fault,
            store.deliveries(&DeliveryFilter::default(), &page).await.unwrap_err().fault,
            store.endpoints(None, &page).await.err().map_or(StoreFault::BadCursor, |error| error.fault),
        ];
        assert_eq!(faults, [StoreFault::BadCursor; 3], "{cursor}");
    }
    let events = store.events(&EventFilter::default(), &first(1)).await.unwrap().next_cursor;
    let deliveries = store.deliveries(&DeliveryFilter::default(), &first(1)).await.unwrap().next_cursor;
    assert!(store.events(&EventFilter::default(), &Page { cursor: deliveries, limit: 1 }).await.is_err());
    assert!(store.deliveries(&DeliveryFilter::default(), &Page { cursor: events, limit: 1 }).await.is_err());
}

pub async fn retention_trims_what_is_finished_and_nothing_else(subject: &impl Subject) {
    let retention = Duration::from_secs(100);
    let store =
        subject.open(StoreSettings { retention: Retention::of(retention), ..StoreSettings::default() }).await;
    let unmatched = accept(&*store, 1, at(0)).await[0].id;
    put(&*store, &endpoint("a")).await;
    put(&*store, &Endpoint { event_types: vec!["order.*".parse().unwrap()], ..endpoint("b") }).await;
    let half = accept(&*store, 1, at(0)).await[0].id;
    let taken = leases(&*store, at(0), 10).await;
    settle(&*store, succeeded(&taken[0], at(1_000)), at(1_000)).await;
    settle(&*store, failed(&taken[1], at(1_000), Next::RetryAt(at(300_000))), at(1_000)).await;
    maintain_fully(&*store, at(99_999)).await;
    assert!(store.event(&unmatched).await.unwrap().is_some(), "one before its time");
    maintain_fully(&*store, at(100_999)).await;
    assert_eq!(store.event(&unmatched).await.unwrap(), None, "an event nobody wanted goes with its time");
    assert!(store.delivery(&taken[0].delivery).await.unwrap().is_some(), "time counts from its end");
    maintain_fully(&*store, at(101_000)).await;
    assert_eq!(store.delivery(&taken[0].delivery).await.unwrap(), None, "finished and old");
    assert!(store.attempts(&taken[0].delivery).await.unwrap().is_empty());
    assert!(store.event(&half).await.unwrap().is_some(), "another delivery of it is pending");
    assert_eq!(deliveries_of(&*store, half).await.len(), 1);
    assert_eq!(store.census().await.unwrap().delivered, 0);
    let retried = lease(&*store, at(300_000)).await;
    assert_eq!(retried.event.id, half);
    settle(&*store, attempted(&retried, at(300_000), BAD, Next::Dead(DeadReason::Exhausted)), at(300_000))
        .await;
    maintain_fully(&*store, at(400_000)).await;
    assert_eq!(store.event(&half).await.unwrap(), None, "the last delivery takes its event along");
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), (0, 0, 0));
    assert_eq!(store.maintain(at(400_000)).await.unwrap().trimmed, 0, "idempotent");
}
