//! How deliveries join and leave a line of those that wait for each other: wherever they stand, and for good.

use hookgate_sidecar::model::{DeadReason, DeliveryId, Event, EventId, Next, Ordering, Status};
use hookgate_sidecar::store::{Again, Settled, StoreSettings};

use crate::fixture::*;
use crate::ordering::{bring, bring_many, deliver_in_order, end, keyed, ordered, take_only, taken};
use crate::replaying::replay;
use crate::subject::Subject;

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
    hush(&*store, at(1)).await;
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
