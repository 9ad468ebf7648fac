//! What settle, maintain and a retry by hand promise: every result counts once, and nothing is forgotten.

use std::num::NonZeroU16;

use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{DeadReason, DeliveryId, Endpoint, Failure, Next, Outcome, Status};
use hookgate_sidecar::store::{
    BreakerSettings, BreakerState, DeliveryFilter, Settled, Settlement, Store, StoreFault, StoreSettings,
    Turn,
};

use crate::fixture::*;
use crate::subject::Subject;

pub async fn a_success_delivers(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    assert_pending(&*store, id, 0, at(0), "accepted").await;
    let lease = lease(&*store, at(1)).await;
    assert_pending(&*store, id, 0, at(0), "in an attempt").await;
    assert_eq!(settle(&*store, succeeded(&lease, at(2)), at(2)).await, Settled::Recorded);
    let delivered = delivery(&*store, id).await;
    assert_eq!(
        (delivered.status, delivered.attempts, delivered.next_attempt_at),
        (Status::Delivered, 1, None)
    );
    assert_eq!((delivered.created_at, delivered.updated_at), (at(0), at(2)));
    assert_eq!((delivered.event_id, delivered.event_type.as_str()), (lease.event.id, "order.created"));
    assert_eq!((delivered.endpoint_id, delivered.tenant.as_str()), (endpoint_id("a"), "default"));
    let attempts = store.attempts(&id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].number, attempts[0].started_at, attempts[0].duration_ms), (1, at(2), 12));
    assert_eq!((attempts[0].outcome, attempts[0].response.as_str()), (OK, "answer 1"));
    let far = take(&*store, at(1_000_000_000), 10).await;
    assert!(far.leases.is_empty() && far.next.is_none(), "it is over: {far:?}");
}

pub async fn a_retry_waits_until_its_moment(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let first = lease(&*store, at(0)).await;
    settle(&*store, failed(&first, at(5), Next::RetryAt(at(1_000))), at(5)).await;
    assert_pending(&*store, id, 1, at(1_000), "a retry").await;
    assert!(leases(&*store, at(999), 10).await.is_empty(), "one before its moment");
    let second = lease(&*store, at(1_000)).await;
    assert_eq!((second.attempt, second.step), (2, 2));
    assert_ne!(second.token, first.token);
    settle(&*store, succeeded(&second, at(1_001)), at(1_001)).await;
    let attempts = store.attempts(&id).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.outcome)).collect();
    assert_eq!(outcomes, [(1, Outcome::Failed(Failure::Timeout)), (2, OK)], "oldest first");
}

pub async fn a_dead_letter_stays_dead(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    for reason in [DeadReason::Exhausted, DeadReason::Gone, DeadReason::Refused, DeadReason::Expired] {
        let id = accept_one(&*store, at(0)).await;
        let lease = lease(&*store, at(0)).await;
        settle(&*store, attempted(&lease, at(1), BAD, Next::Dead(reason)), at(1)).await;
        let dead = delivery(&*store, id).await;
        assert_eq!((dead.status, dead.attempts, dead.next_attempt_at), (Status::Dead(reason), 1, None));
        let far = take(&*store, at(1_000_000_000), 10).await;
        assert!(far.leases.is_empty() && far.next.is_none(), "{reason:?}: {far:?}");
    }
}

pub async fn a_returned_lease_is_due_at_once_and_counts_nothing(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let first = lease(&*store, at(1)).await;
    hush(&*store, at(1)).await;
    assert_eq!(settle(&*store, returned(&first), at(2)).await, Settled::Recorded);
    woken(&*store, "a returned lease").await;
    assert_eq!(delivery(&*store, id).await.attempts, 0);
    assert!(store.attempts(&id).await.unwrap().is_empty());
    let second = lease(&*store, at(2)).await;
    assert_eq!((second.delivery, second.attempt, second.step), (id, 1, 1));
    assert_eq!(settle(&*store, returned(&first), at(3)).await, Settled::LeaseLost, "it was returned already");
}

pub async fn a_delivery_that_is_given_up_is_dead_without_an_attempt(subject: &impl Subject) {
    let settings = StoreSettings { max_pending: 1, ..StoreSettings::default() };
    let store = subject.open(settings).await;
    put(&*store, &Endpoint { max_in_flight: NonZeroU16::MIN, ..endpoint("a") }).await;
    let id = accept_one(&*store, at(0)).await;
    let once = lease(&*store, at(0)).await;
    settle(&*store, failed(&once, at(1), Next::RetryAt(at(2))), at(1)).await;
    let second = lease(&*store, at(2)).await;
    assert_eq!(settle(&*store, given_up(&second), at(3)).await, Settled::Recorded);
    let dead = delivery(&*store, id).await;
    assert_eq!(
        (dead.status, dead.attempts),
        (Status::Dead(DeadReason::Expired), 1),
        "the attempt that was made"
    );
    assert_eq!((dead.next_attempt_at, dead.updated_at), (None, at(3)));
    assert_eq!(store.attempts(&id).await.unwrap().len(), 1);
    assert_eq!(settle(&*store, given_up(&second), at(4)).await, Settled::LeaseLost, "once");
    let filter = DeliveryFilter { status: Some(dead.status), ..DeliveryFilter::default() };
    assert_eq!(store.deliveries(&filter, &first(10)).await.unwrap().data, [dead], "among the dead letters");
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.dead, census.endpoints[0].in_flight), (0, 1, 0));
    accept_one(&*store, at(5)).await;
    lease(&*store, at(5)).await;
}

pub async fn a_probe_that_is_given_up_leaves_its_turn_to_the_next(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 7, at(0)).await;
    let failures: Vec<Settlement> = leases(&*store, at(0), 5)
        .await
        .iter()
        .map(|lease| failed(lease, at(0), Next::Dead(DeadReason::Exhausted)))
        .collect();
    store.settle(&failures, at(0)).await.unwrap();
    assert!(leases(&*store, at(29_999), 10).await.is_empty(), "the breaker is open");
    let probe = lease(&*store, at(30_000)).await;
    assert!(leases(&*store, at(30_000), 10).await.is_empty(), "one probe at a time");
    settle(&*store, given_up(&probe), at(30_000)).await;
    let next = lease(&*store, at(30_000)).await;
    settle(&*store, succeeded(&next, at(30_001)), at(30_001)).await;
    let census = store.census().await.unwrap();
    assert_eq!(census.endpoints[0].breaker, BreakerState::Closed);
}

pub async fn an_ended_lease_is_reclaimed_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let lost = lease(&*store, at(0)).await;
    let one_before = Millis(lease_end(0).0 - 1);
    assert_eq!(store.maintain(one_before).await.unwrap().reclaimed, 0);
    assert!(leases(&*store, one_before, 10).await.is_empty(), "held until the end");
    assert_eq!(store.maintain(lease_end(0)).await.unwrap().reclaimed, 1);
    assert_eq!(store.maintain(lease_end(0)).await.unwrap().reclaimed, 0, "idempotent");
    assert_eq!(store.census().await.unwrap().endpoints[0].in_flight, 0);
    let again = lease(&*store, lease_end(0)).await;
    assert_eq!((again.delivery, again.attempt, again.step), (id, 1, 1), "a lost attempt is made again");
    assert_ne!(again.token, lost.token);
}

pub async fn a_late_result_changes_nothing(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let lost = lease(&*store, at(0)).await;
    store.maintain(lease_end(0)).await.unwrap();
    let now = lease_end(1);
    let late = [
        ("a late success", succeeded(&lost, now)),
        ("a late failure", failed(&lost, now, Next::Dead(DeadReason::Exhausted))),
        ("a late return", returned(&lost)),
    ];
    for (promise, settlement) in &late {
        assert_eq!(
            settle(&*store, settlement.clone(), now).await,
            Settled::LeaseLost,
            "{promise}, before the next"
        );
    }
    let current = lease(&*store, now).await;
    for (promise, settlement) in late {
        assert_eq!(settle(&*store, settlement, now).await, Settled::LeaseLost, "{promise}, beside the next");
        assert_pending(&*store, id, 0, at(0), promise).await;
        assert_eq!(store.census().await.unwrap().endpoints[0].in_flight, 1, "{promise}");
    }
    assert_eq!(settle(&*store, succeeded(&current, now), now).await, Settled::Recorded);
    assert_eq!(delivery(&*store, id).await.attempts, 1);
    assert_eq!(store.attempts(&id).await.unwrap().len(), 1);
}

pub async fn a_result_settled_twice_counts_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let lease = lease(&*store, at(0)).await;
    let twice = [succeeded(&lease, at(1)), succeeded(&lease, at(1))];
    let settled = store.settle(&twice, at(1)).await.unwrap().settled;
    assert_eq!(settled, [Settled::Recorded, Settled::LeaseLost], "in one batch");
    assert_eq!(settle(&*store, twice[0].clone(), at(2)).await, Settled::LeaseLost, "once more");
    assert_eq!(delivery(&*store, id).await.attempts, 1);
    assert_eq!(store.census().await.unwrap().delivered, 1);
}

pub async fn results_are_answered_in_order(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 4, at(0)).await;
    let leases = leases(&*store, at(0), 4).await;
    let unknown = DeliveryId::fresh(at(0), entropy(), &tenant("default"));
    let settlements = [
        succeeded(&leases[0], at(1)),
        Settlement { token: leases[1].token.wrapping_add(1_000), ..succeeded(&leases[1], at(1)) },
        failed(&leases[2], at(1), Next::RetryAt(at(100))),
        Settlement { delivery: unknown, ..succeeded(&leases[3], at(1)) },
        returned(&leases[3]),
    ];
    let settled = store.settle(&settlements, at(1)).await.unwrap().settled;
    let (recorded, lost) = (Settled::Recorded, Settled::LeaseLost);
    assert_eq!(settled, [recorded, lost, recorded, lost, recorded]);
    assert!(store.settle(&[], at(1)).await.unwrap().settled.is_empty());
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.endpoints[0].in_flight), (3, 1, 1));
}

pub async fn every_turn_of_an_endpoint_is_told_once(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: 2, open_ms: 1_000, ..BreakerSettings::default() };
    let store = subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 7, at(0)).await;
    let taken = leases(&*store, at(0), 4).await;
    let later = Next::RetryAt(at(90_000));
    let failures: Vec<Settlement> = taken[..3].iter().map(|lease| failed(lease, at(1), later)).collect();
    let opened = Turn::BreakerOpened { until: at(1_001) };
    assert_eq!(news_of(&*store, &failures[..1], at(1)).await, [], "one failure is none");
    assert_eq!(news_of(&*store, &failures[1..], at(1)).await, [opened]);
    assert_eq!(news_of(&*store, &failures, at(2)).await, [], "lost leases tell nothing");
    assert_eq!(news_of(&*store, &[succeeded(&taken[3], at(3))], at(3)).await, [], "nor does a straggler");
    let probe = lease(&*store, at(1_001)).await;
    let opened = Turn::BreakerOpened { until: at(3_002) };
    assert_eq!(news_of(&*store, &[failed(&probe, at(1_002), later)], at(1_002)).await, [opened], "again");
    let probe = lease(&*store, at(3_002)).await;
    let success = [succeeded(&probe, at(3_003))];
    assert_eq!(news_of(&*store, &success, at(3_003)).await, [Turn::BreakerClosed]);
    let more = lease(&*store, at(3_004)).await;
    assert_eq!(news_of(&*store, &[succeeded(&more, at(3_005))], at(3_005)).await, [], "it stays closed");
    accept(&*store, 2, at(4_000)).await;
    let taken = leases(&*store, at(4_000), 2).await;
    let gone = |lease| attempted(lease, at(4_001), Outcome::Answered(410), Next::Dead(DeadReason::Gone));
    let gone: Vec<Settlement> = taken.iter().map(gone).collect();
    assert_eq!(news_of(&*store, &gone[..1], at(4_001)).await, [Turn::Gone]);
    let breaker_too = news_of(&*store, &gone[1..], at(4_001)).await;
    assert_eq!(breaker_too.len(), 2, "{breaker_too:?}");
    assert!(breaker_too.contains(&Turn::Gone), "{breaker_too:?}");
}

/// What settling tells of the one endpoint there is.
async fn news_of(store: &dyn Store, settlements: &[Settlement], now: Millis) -> Vec<Turn> {
    let news = store.settle(settlements, now).await.unwrap().news;
    assert!(news.iter().all(|news| news.endpoint == endpoint_id("a")), "{news:?}");
    news.into_iter().map(|news| news.turn).collect()
}

pub async fn a_finished_attempt_frees_its_place_and_wakes(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &Endpoint { max_in_flight: NonZeroU16::MIN, ..endpoint("a") }).await;
    accept(&*store, 2, at(0)).await;
    let lease = lease(&*store, at(0)).await;
    assert!(leases(&*store, at(1), 10).await.is_empty());
    hush(&*store, at(1)).await;
    settle(&*store, succeeded(&lease, at(2)), at(2)).await;
    woken(&*store, "a place that became free").await;
    assert_eq!(leases(&*store, at(2), 10).await.len(), 1);
}

pub async fn the_latest_hundred_attempts_are_kept(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    let breaker_pause = StoreSettings::default().breaker.max_open_ms;
    for n in 1..=105_u64 {
        let now = at(n * breaker_pause * 2);
        let lease = lease(&*store, now).await;
        settle(&*store, failed(&lease, now, Next::RetryAt(now)), now).await;
    }
    let numbers: Vec<u32> = store.attempts(&id).await.unwrap().iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (6..=105).collect::<Vec<u32>>());
    assert_eq!(delivery(&*store, id).await.attempts, 105);
}

pub async fn a_retry_by_hand_starts_a_fresh_schedule(subject: &impl Subject) {
    let table = [
        ("dead", Next::Dead(DeadReason::Exhausted)),
        ("delivered", Next::Delivered),
        ("waiting for its retry", Next::RetryAt(at(1_000_000))),
    ];
    for (promise, next) in table {
        let store = subject.open(StoreSettings::default()).await;
        put(&*store, &endpoint("a")).await;
        let id = accept_one(&*store, at(0)).await;
        let outcome = if next == Next::Delivered { OK } else { BAD };
        let first = lease(&*store, at(0)).await;
        settle(&*store, attempted(&first, at(1), outcome, next), at(1)).await;
        let before = take(&*store, at(2), 10).await;
        assert!(before.leases.is_empty(), "{promise}");
        hush(&*store, at(2)).await;
        let shown = store.retry(&id, at(10)).await.unwrap().unwrap();
        assert_eq!(
            (shown.status, shown.attempts, shown.next_attempt_at),
            (Status::Pending, 1, Some(at(10))),
            "{promise}"
        );
        woken(&*store, promise).await;
        assert_eq!(shown, delivery(&*store, id).await, "{promise}");
        assert_eq!(store.census().await.unwrap().pending, 1, "{promise}");
        let lease = lease(&*store, at(10)).await;
        assert_eq!((lease.delivery, lease.attempt, lease.step), (id, 2, 1), "{promise}");
        settle(&*store, succeeded(&lease, at(11)), at(11)).await;
        let far = take(&*store, at(2_000_000), 10).await;
        assert!(far.leases.is_empty() && far.next.is_none(), "{promise}: the old schedule is gone: {far:?}");
        assert_eq!(store.attempts(&id).await.unwrap().len(), 2, "{promise}");
        assert!(store.delete_endpoint(&endpoint_id("a"), at(12)).await.unwrap());
    }
}

pub async fn a_retry_by_hand_leaves_an_attempt_alone(subject: &impl Subject) {
    let store = subject.open(StoreSettings { max_pending: 1, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    let unknown = DeliveryId::fresh(at(0), entropy(), &tenant("default"));
    assert_eq!(store.retry(&unknown, at(0)).await.unwrap(), None);
    let id = accept_one(&*store, at(0)).await;
    let lease = lease(&*store, at(0)).await;
    let shown = store.retry(&id, at(5)).await.unwrap().unwrap();
    assert_eq!((shown.status, shown.next_attempt_at), (Status::Pending, Some(at(0))));
    assert!(leases(&*store, at(5), 10).await.is_empty(), "no second attempt beside it");
    assert_eq!(settle(&*store, succeeded(&lease, at(6)), at(6)).await, Settled::Recorded);
    accept(&*store, 1, at(7)).await;
    let refused = store.retry(&id, at(8)).await.unwrap_err();
    assert_eq!(refused.fault, StoreFault::Full, "it would be one more than max_pending");
    assert_eq!(delivery(&*store, id).await.status, Status::Delivered);
}

pub async fn the_census_is_exact_at_every_step(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    assert_census(&*store, "empty", (0, 0, 0), &[]).await;
    put(&*store, &endpoint("a")).await;
    put(&*store, &endpoint("b")).await;
    assert_census(&*store, "endpoints", (0, 0, 0), &[("a", 0, 0), ("b", 0, 0)]).await;
    accept(&*store, 3, at(0)).await;
    assert_census(&*store, "accepted", (6, 0, 0), &[("a", 3, 0), ("b", 3, 0)]).await;
    let taken = leases(&*store, at(0), 6).await;
    assert_census(&*store, "taken", (6, 0, 0), &[("a", 3, 3), ("b", 3, 3)]).await;
    let of =
        |name: &str| taken.iter().filter(|lease| lease.endpoint.id == endpoint_id(name)).collect::<Vec<_>>();
    let (a, b) = (of("a"), of("b"));
    settle(&*store, succeeded(a[0], at(1)), at(1)).await;
    settle(&*store, attempted(a[1], at(1), BAD, Next::Dead(DeadReason::Gone)), at(1)).await;
    settle(&*store, returned(a[2]), at(1)).await;
    settle(&*store, failed(b[0], at(1), Next::RetryAt(at(50_000))), at(1)).await;
    assert_census(&*store, "settled", (4, 1, 1), &[("a", 1, 0), ("b", 3, 2)]).await;
    store.maintain(lease_end(0)).await.unwrap();
    assert_census(&*store, "reclaimed", (4, 1, 1), &[("a", 1, 0), ("b", 3, 0)]).await;
    store.retry(&a[1].delivery, at(2)).await.unwrap();
    assert_census(&*store, "retried", (5, 1, 0), &[("a", 2, 0), ("b", 3, 0)]).await;
    assert_eq!(deliver_all(&*store, at(60_000)).await, 5);
    assert_census(&*store, "delivered", (0, 6, 0), &[("a", 0, 0), ("b", 0, 0)]).await;
    accept(&*store, 1, at(60_000)).await;
    store.delete_endpoint(&endpoint_id("b"), at(60_001)).await.unwrap();
    assert_census(&*store, "deleted", (1, 6, 1), &[("a", 1, 0)]).await;
}

async fn assert_census(store: &dyn Store, step: &str, sums: (u64, u64, u64), endpoints: &[(&str, u64, u32)]) {
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), sums, "{step}: pending, delivered, dead");
    let mut seen: Vec<_> = census
        .endpoints
        .iter()
        .map(|health| (health.endpoint.as_str(), health.pending, health.in_flight))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, endpoints, "{step}: endpoint, pending, in flight");
}
