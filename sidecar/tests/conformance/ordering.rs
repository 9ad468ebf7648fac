//! First in, first out: what of an endpoint's deliveries waits for each other, and for how long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hookgate_sidecar::model::{DeadReason, DeliveryId, Endpoint, Event, EventId, Next, Ordering, Status};
use hookgate_sidecar::store::{
    Again, BreakerSettings, DeliveryFilter, Lease, Settled, Settlement, Store, StoreSettings,
};
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::replaying::replay;
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
async fn bring(store: &dyn Store, event: Event) -> DeliveryId {
    let (id, now) = (event.id, event.accepted_at);
    store.accept(&[offer(event, &[])], now).await.unwrap();
    deliveries_of(store, id).await[0].id
}

/// Accepts `count` events without a key.
async fn bring_many(store: &dyn Store, count: usize, ms: u64) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for acceptance in accept(store, count, at(ms)).await {
        ids.push(deliveries_of(store, acceptance.id).await[0].id);
    }
    ids
}

/// What may be taken now.
async fn taken(store: &dyn Store, ms: u64) -> Vec<DeliveryId> {
    leases(store, at(ms), 100).await.iter().map(|lease| lease.delivery).collect()
}

/// Takes the only one that may be taken, which must be this one.
async fn take_only(store: &dyn Store, expected: DeliveryId, ms: u64, promise: &str) -> Lease {
    let mut leases = leases(store, at(ms), 100).await;
    let ids: Vec<DeliveryId> = leases.iter().map(|lease| lease.delivery).collect();
    assert_eq!(ids, [expected], "{promise}");
    leases.remove(0)
}

async fn end(store: &dyn Store, lease: &Lease, ms: u64) {
    assert_eq!(settle(store, succeeded(lease, at(ms)), at(ms)).await, Settled::Recorded);
}

/// Delivers all these, one after the other.
async fn deliver_in_order(store: &dyn Store, ids: &[DeliveryId], ms: u64, promise: &str) {
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
    hush(&*store);
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

pub async fn what_expires_in_a_line_leaves_it(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let until = |ms| Event { expires_at: Some(at(ms)), ..event(at(0)) };
    let head = bring(&*store, until(100)).await;
    let second = bring_many(&*store, 1, 0).await[0];
    let middle = bring(&*store, until(200)).await;
    let last = bring_many(&*store, 1, 0).await[0];
    let lease = take_only(&*store, head, 0, "the head").await;
    settle(&*store, failed(&lease, at(1), Next::RetryAt(at(10_000))), at(1)).await;
    hush(&*store);
    store.maintain(at(100)).await.unwrap();
    woken(&*store, "the end of a head").await;
    assert_eq!(delivery(&*store, head).await.status, Status::Dead(DeadReason::Expired));
    let lease = take_only(&*store, second, 100, "who stood behind it").await;
    store.maintain(at(200)).await.unwrap();
    assert_eq!(delivery(&*store, middle).await.status, Status::Dead(DeadReason::Expired));
    assert_eq!(taken(&*store, 200).await, [], "an end in the middle frees nobody");
    end(&*store, &lease, 200).await;
    take_only(&*store, last, 200, "and is passed over").await;
    assert_eq!(store.census().await.unwrap().endpoints[0].pending, 1);
}

pub async fn what_is_retried_by_hand_joins_the_end_of_its_line(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let ids = bring_many(&*store, 4, 0).await;
    for id in &ids[..2] {
        let head = take_only(&*store, *id, 0, "the first two").await;
        settle(&*store, failed(&head, at(0), Next::Dead(DeadReason::Exhausted)), at(0)).await;
    }
    let third = take_only(&*store, ids[2], 1, "the third").await;
    settle(&*store, failed(&third, at(1), Next::RetryAt(at(9_000))), at(1)).await;
    for id in [ids[1], ids[0]] {
        let retried = store.retry(&id, at(2)).await.unwrap().unwrap();
        assert_eq!((retried.status, retried.next_attempt_at), (Status::Pending, Some(at(2))));
    }
    assert_eq!(taken(&*store, 2).await, [], "they wait like everybody");
    assert_eq!(store.census().await.unwrap().endpoints[0].pending, 4);
    store.retry(&ids[3], at(3)).await.unwrap();
    assert_eq!(taken(&*store, 3).await, [], "who waits behind a head gets no further by it");
    store.retry(&ids[2], at(4)).await.unwrap();
    deliver_in_order(&*store, &[ids[2], ids[3], ids[1], ids[0]], 4, "the head is due at once").await;
    store.retry(&ids[3], at(5)).await.unwrap();
    take_only(&*store, ids[3], 5, "the end of an empty line is its head").await;
}

pub async fn what_is_replayed_joins_the_end_of_its_line(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let mut unseen = Vec::new();
    for key in ["k", "other"] {
        unseen.push(store.accept(&[offer(keyed(key, 0), &[])], at(0)).await.unwrap()[0].id);
    }
    put(&*store, &ordered("a", Ordering::Key)).await;
    let ids = [bring(&*store, keyed("k", 1)).await, bring(&*store, keyed("k", 1)).await];
    let dead = take_only(&*store, ids[0], 1, "the head").await;
    settle(&*store, failed(&dead, at(1), Next::Dead(DeadReason::Exhausted)), at(1)).await;
    let send = |event: &EventId| Again::Send { event: *event, endpoint: endpoint_id("a") };
    let work = [send(&unseen[0]), send(&unseen[1]), Again::Retry(ids[0])];
    assert_eq!(store.advance(&replay(), &work, at(2)).await.unwrap().unwrap().replayed, 3);
    let sent = deliveries_of(&*store, unseen[0]).await[0].id;
    let other = deliveries_of(&*store, unseen[1]).await[0].id;
    let both = leases(&*store, at(2), 100).await;
    let mut heads: Vec<DeliveryId> = both.iter().map(|lease| lease.delivery).collect();
    heads.sort_unstable();
    let mut expected = [ids[1], other];
    expected.sort_unstable();
    assert_eq!(heads, expected, "who stands there already, and the other key's");
    for lease in &both {
        end(&*store, lease, 2).await;
    }
    deliver_in_order(&*store, &[sent, ids[0]], 3, "in the order of the replay's work").await;
}

pub async fn a_deleted_endpoint_buries_its_lines(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    for (ordering, in_attempt) in [(Ordering::Endpoint, true), (Ordering::Key, true), (Ordering::Key, false)]
    {
        put(&*store, &ordered("a", ordering)).await;
        let offers: Vec<Offer> = (0..620).map(|n| offer(keyed(&format!("k{}", n % 4), 0), &[])).collect();
        store.accept(&offers, at(0)).await.unwrap();
        let held = if in_attempt { leases(&*store, at(0), 2).await } else { Vec::new() };
        let before = store.census().await.unwrap();
        assert_eq!((before.pending, before.endpoints[0].pending), (620, 620), "{ordering:?}");
        assert!(store.delete_endpoint(&endpoint_id("a"), at(1)).await.unwrap());
        let after = store.census().await.unwrap();
        assert_eq!((after.pending, after.dead - before.dead), (0, 620), "{ordering:?}");
        for lease in held {
            assert_eq!(settle(&*store, succeeded(&lease, at(2)), at(2)).await, Settled::LeaseLost);
        }
        let far = take(&*store, at(1_000_000), 10).await;
        assert!(far.leases.is_empty() && far.next.is_none(), "{ordering:?}: {far:?}");
    }
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let ids = bring_many(&*store, 2, 3).await;
    deliver_in_order(&*store, &ids, 3, "a new one of that name has lines of its own").await;
}

pub async fn an_ordering_that_changes_counts_for_what_comes(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    bring_many(&*store, 2, 0).await;
    put(&*store, &ordered("a", Ordering::Endpoint)).await;
    let lined = bring_many(&*store, 3, 0).await;
    let now = leases(&*store, at(0), 100).await;
    assert_eq!(now.len(), 3, "what came before waits for nobody; of what came after the head is due");
    put(&*store, &endpoint("a")).await;
    bring_many(&*store, 2, 1).await;
    assert_eq!(taken(&*store, 1).await.len(), 2, "neither does what comes now");
    let head = now.iter().find(|lease| lease.delivery == lined[0]).expect("the head of the line");
    end(&*store, head, 1).await;
    deliver_in_order(&*store, &lined[1..], 1, "a line drains in its order").await;
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

/// Of the durable stores.
pub async fn lines_are_in_order_after_opening_again(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &ordered("a", Ordering::Key)).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(bring(&*store, keyed("k", 10 - n)).await);
    }
    let head = take_only(&*store, ids[0], 20, "whoever came first, whatever the clock said").await;
    settle(&*store, failed(&head, at(20), Next::Dead(DeadReason::Exhausted)), at(20)).await;
    let second = take_only(&*store, ids[1], 20, "the second").await;
    settle(&*store, failed(&second, at(20), Next::RetryAt(at(500))), at(20)).await;
    store.retry(&ids[0], at(21)).await.unwrap();
    drop(store);
    let store = subject.open(StoreSettings::default()).await;
    assert_eq!(store.census().await.unwrap().endpoints[0].pending, 4);
    assert_eq!(taken(&*store, 499).await, [], "the head is still to be retried");
    let again = take_only(&*store, ids[1], 500, "it").await;
    assert_eq!(again.attempt, 2);
    end(&*store, &again, 500).await;
    let late = bring(&*store, keyed("k", 1)).await;
    deliver_in_order(&*store, &[ids[2], ids[3], ids[0], late], 501, "in the order in which they joined")
        .await;
}
