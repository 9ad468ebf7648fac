//! What finding and forgetting promise: every demand of a filter is met, and a purge takes dead letters only.

use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{DeadReason, Glob, Next, Status};
use hookgate_sidecar::store::{Between, DeliveryFilter, EventFilter, Store, StoreSettings};

use crate::fixture::*;
use crate::ledger::{all_deliveries, dead_of_any_reason};
use crate::subject::Subject;

const HOUR: u64 = 3_600_000;

fn hours(since: Option<u64>, until: Option<u64>) -> Between {
    let moment = |hour| at(hour * HOUR);
    Between { since: since.map(moment), until: until.map(moment) }
}

fn globs(globs: &[&str]) -> Vec<Glob> {
    globs.iter().map(|glob| glob.parse().unwrap()).collect()
}

/// Six dead letters, five hours apart, each dead an hour after it came: gone, exhausted, gone, …
async fn six_dead_letters(store: &dyn Store) {
    put(store, &endpoint("a")).await;
    for (n, name) in ["order.created", "order.paid", "user.left"].iter().cycle().take(6).enumerate() {
        let now = at(n as u64 * 5 * HOUR);
        store.accept(&[offer(event_type(event(now), name), &[])], now).await.unwrap();
        let lease = lease(store, now).await;
        let next = [Next::Dead(DeadReason::Gone), Next::Dead(DeadReason::Exhausted)][n % 2];
        settle(store, attempted(&lease, now, BAD, next), Millis(now.0 + HOUR)).await;
    }
}

pub async fn deliveries_are_found_by_reason_type_and_time(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    six_dead_letters(&*store).await;
    let none = DeliveryFilter::default;
    let (gone, exhausted) = (Some(DeadReason::Gone), Some(DeadReason::Exhausted));
    let all_at_once = DeliveryFilter {
        tenant: Some(tenant("default")),
        reason: gone,
        event_types: globs(&["user.*"]),
        created: hours(Some(1), None),
        updated: hours(None, Some(12)),
        ..none()
    };
    let a = Some(endpoint_id("a"));
    let table: [(&str, DeliveryFilter, &[u64]); 11] = [
        ("all of it", none(), &[25, 20, 15, 10, 5, 0]),
        ("a reason", DeliveryFilter { reason: gone, ..none() }, &[20, 10, 0]),
        ("a reason, at one", DeliveryFilter { reason: exhausted, endpoint: a, ..none() }, &[25, 15, 5]),
        ("what cannot be", DeliveryFilter { reason: gone, status: Some(Status::Delivered), ..none() }, &[]),
        ("types", DeliveryFilter { event_types: globs(&["*.paid", "user.*"]), ..none() }, &[25, 20, 10, 5]),
        ("no such type", DeliveryFilter { event_types: globs(&["x"]), ..none() }, &[]),
        ("since", DeliveryFilter { created: hours(Some(10), None), ..none() }, &[25, 20, 15, 10]),
        ("until", DeliveryFilter { created: hours(None, Some(10)), ..none() }, &[5, 0]),
        (
            "dead, since and until",
            DeliveryFilter { created: hours(Some(5), Some(20)), status: dead_of_any_reason(), ..none() },
            &[15, 10, 5],
        ),
        ("died then", DeliveryFilter { updated: hours(Some(6), Some(21)), ..none() }, &[15, 10, 5]),
        ("all at once", all_at_once, &[10]),
    ];
    for (what, filter, expected) in table {
        for limit in [1, 250] {
            let seen = all_deliveries(&*store, &filter, limit).await;
            let hours: Vec<u64> = seen.iter().map(|one| (one.created_at.0 - at(0).0) / HOUR).collect();
            assert_eq!(hours, expected, "{what}, by {limit}");
        }
    }
}

pub async fn events_are_found_by_type_and_time(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    six_dead_letters(&*store).await;
    let table = [
        ("until", hours(None, Some(10)), &[][..], 2),
        ("since", hours(Some(10), None), &[], 4),
        ("both", hours(Some(5), Some(15)), &[], 2),
        ("types", hours(None, None), &["user.*"], 2),
        ("types since", hours(Some(11), None), &["user.*", "*.created"], 2),
    ];
    for (what, accepted, types, expected) in table {
        let filter = EventFilter { accepted, event_types: globs(types), ..EventFilter::default() };
        let events = store.events(&filter, &first(250)).await.unwrap();
        assert_eq!((events.data.len(), events.next_cursor), (expected, None), "{what}");
    }
}

pub async fn a_purge_forgets_dead_letters_and_nothing_else(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    put(&*store, &endpoint("b")).await;
    let event = accept(&*store, 1, at(0)).await[0].id;
    let taken = leases(&*store, at(0), 10).await;
    settle(&*store, attempted(&taken[0], at(1), BAD, Next::Dead(DeadReason::Gone)), at(1)).await;
    let dead = taken[0].delivery;
    let in_attempt = taken[1].delivery;
    assert_eq!(store.purge(&[in_attempt]).await.unwrap(), 0, "one in an attempt");
    assert_eq!(store.purge(&[dead, in_attempt, dead]).await.unwrap(), 1, "once, however often it is named");
    assert_eq!(store.purge(&[dead]).await.unwrap(), 0, "idempotent");
    assert_eq!(store.delivery(&dead).await.unwrap(), None);
    assert!(store.attempts(&dead).await.unwrap().is_empty());
    assert!(
        all_deliveries(
            &*store,
            &DeliveryFilter { status: dead_of_any_reason(), ..DeliveryFilter::default() },
            9
        )
        .await
        .is_empty()
    );
    assert!(store.event(&event).await.unwrap().is_some(), "another delivery of it is pending");
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), (1, 0, 0));
    settle(&*store, succeeded(&taken[1], at(2)), at(2)).await;
    assert_eq!(store.purge(&[in_attempt]).await.unwrap(), 0, "what was delivered");
    store.retry(&in_attempt, at(3)).await.unwrap();
    let again = lease(&*store, at(3)).await;
    settle(&*store, attempted(&again, at(4), BAD, Next::Dead(DeadReason::Exhausted)), at(4)).await;
    assert_eq!(store.purge(&[in_attempt]).await.unwrap(), 1);
    assert_eq!(store.event(&event).await.unwrap(), None, "the last delivery takes its event along");
    assert_eq!(store.maintain(at(1_000_000_000)).await.unwrap().trimmed, 0, "nothing is left of it to trim");
}
