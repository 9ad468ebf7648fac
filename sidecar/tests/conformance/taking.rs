//! What take promises: enough to make the attempt, nobody twice, nobody starved, nobody flooded.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use hookgate_sidecar::model::{DeliveryId, Endpoint, Next, Standing};
use hookgate_sidecar::store::{BreakerSettings, BreakerState, Settlement, Store, StoreSettings};
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::subject::Subject;

pub async fn a_lease_holds_all_that_an_attempt_needs(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let sent = event(at(0));
    store.accept(&[offer(sent.clone(), &["k"])], at(0)).await.unwrap();
    let lease = lease(&*store, at(3)).await;
    assert_eq!(*lease.event, sent);
    assert_eq!(*lease.endpoint, endpoint("a"));
    assert_eq!((lease.attempt, lease.step), (1, 1));
    assert_eq!(lease.ends_at, lease_end(3));
    assert_eq!(deliveries_of(&*store, sent.id).await[0].id, lease.delivery);
}

pub async fn no_more_is_leased_than_there_is_room_for(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 10, at(0)).await;
    for (room, expected) in [(0, 0), (1, 1), (4, 4), (100, 5), (100, 0)] {
        assert_eq!(leases(&*store, at(0), room).await.len(), expected, "room for {room}");
    }
}

pub async fn one_delivery_is_never_leased_twice_at_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    for name in ["a", "b", "c"] {
        put(&*store, &endpoint(name)).await;
    }
    accept(&*store, 100, at(0)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let leases = leases(&*store, at(0), 7).await;
                if leases.is_empty() {
                    return taken;
                }
                taken.extend(leases.iter().map(|lease| lease.delivery));
            }
        });
    }
    let all: Vec<DeliveryId> = tasks.join_all().await.concat();
    let distinct: HashSet<&DeliveryId> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (300, 300));
}

pub async fn an_endpoint_has_at_most_max_in_flight(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &Endpoint { max_in_flight: NonZeroU16::new(2).unwrap(), ..endpoint("narrow") }).await;
    put(&*store, &endpoint("wide")).await;
    accept(&*store, 5, at(0)).await;
    let taken = leases(&*store, at(0), 100).await;
    let narrow: Vec<_> = taken.iter().filter(|lease| lease.endpoint.id == endpoint_id("narrow")).collect();
    assert_eq!((narrow.len(), taken.len()), (2, 7));
    let health = store.census().await.unwrap().endpoints;
    let narrow_health = health.iter().find(|health| health.endpoint == endpoint_id("narrow")).unwrap();
    assert_eq!((narrow_health.in_flight, narrow_health.pending), (2, 5));
    settle(&*store, succeeded(narrow[0], at(1)), at(1)).await;
    assert_eq!(leases(&*store, at(1), 100).await.len(), 1, "one finished, one more");
    settle(&*store, returned(narrow[1]), at(2)).await;
    assert_eq!(leases(&*store, at(2), 100).await.len(), 1, "one returned, one more");
}

pub async fn an_endpoint_is_offered_no_more_than_its_rate_limit(subject: &impl Subject) {
    let rate = 20_usize;
    let store = subject.open(StoreSettings::default()).await;
    let limit = NonZeroU16::new(u16::try_from(rate).unwrap());
    put(&*store, &Endpoint { rate_limit: limit, ..endpoint("limited") }).await;
    accept(&*store, 200, at(0)).await;
    let mut taken_at: Vec<u64> = Vec::new();
    for ms in (0..5_000).step_by(10) {
        let leases = leases(&*store, at(ms), 100).await;
        let settlements: Vec<Settlement> = leases.iter().map(|lease| succeeded(lease, at(ms))).collect();
        store.settle(&settlements, at(ms)).await.unwrap();
        taken_at.extend(leases.iter().map(|_| ms));
    }
    assert!((5 * rate - 1..=6 * rate).contains(&taken_at.len()), "{} in five seconds", taken_at.len());
    for from in &taken_at {
        let second = taken_at.iter().filter(|ms| (*from..from + 1_000).contains(ms)).count();
        assert!(second <= 2 * rate, "{second} in the second from {from} ms");
    }
}

pub async fn a_disabled_endpoint_waits_and_an_enabled_one_wakes(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = accept_one(&*store, at(0)).await;
    put(&*store, &Endpoint { enabled: false, ..endpoint("a") }).await;
    let taken = take(&*store, at(1), 10).await;
    assert!(taken.leases.is_empty() && taken.next.is_none(), "{taken:?}");
    assert_pending(&*store, id, 0, at(0), "it waits").await;
    hush(&*store, at(1)).await;
    put(&*store, &endpoint("a")).await;
    woken(&*store, "an enabled endpoint").await;
    assert_eq!(lease(&*store, at(2)).await.delivery, id);
}

pub async fn a_paused_endpoint_gets_events_that_wait(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let standing = Standing { paused: true, ..Standing::default() };
    put(&*store, &Endpoint { standing, ..endpoint("a") }).await;
    assert_eq!(accept(&*store, 1, at(0)).await[0].deliveries, 1);
    assert!(leases(&*store, at(1), 10).await.is_empty());
    put(&*store, &endpoint("a")).await;
    assert_eq!(leases(&*store, at(2), 10).await.len(), 1);
}

pub async fn an_endpoint_enabled_anew_has_never_failed(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 1, at(0)).await;
    for ms in 0..u64::from(StoreSettings::default().breaker.failures) {
        let lease = lease(&*store, at(ms)).await;
        settle(&*store, failed(&lease, at(ms), Next::RetryAt(at(ms + 1))), at(ms)).await;
    }
    assert!(leases(&*store, at(10), 10).await.is_empty(), "its breaker is open");
    put(&*store, &Endpoint { description: "other".to_owned(), ..endpoint("a") }).await;
    assert!(leases(&*store, at(11), 10).await.is_empty(), "a change is no reason to try it");
    let standing = Standing { enabled_at: at(12), ..Standing::default() };
    put(&*store, &Endpoint { standing, ..endpoint("a") }).await;
    assert_eq!(store.census().await.unwrap().endpoints[0].breaker, BreakerState::Closed);
    assert_eq!(leases(&*store, at(12), 10).await.len(), 1);
}

pub async fn a_backlog_does_not_delay_the_others(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    for name in ["busy", "quiet"] {
        put(&*store, &Endpoint { event_types: vec![format!("{name}.*").parse().unwrap()], ..endpoint(name) })
            .await;
    }
    put(&*store, &Endpoint { tenant: tenant("other"), ..endpoint("foreign") }).await;
    let typed = |name: &str| event_type(event(at(0)), name);
    let backlog: Vec<_> = (0..1_000).map(|_| offer(typed("busy.1"), &[])).collect();
    store.accept(&backlog, at(0)).await.unwrap();
    assert_eq!(leases(&*store, at(0), 50).await.len(), 50, "alone it may have everything");
    let late = [offer(typed("quiet.1"), &[]), offer(event_of("other", at(1)), &[])];
    store.accept(&late, at(1)).await.unwrap();
    let mut names: Vec<String> =
        leases(&*store, at(1), 3).await.iter().map(|lease| lease.endpoint.id.to_string()).collect();
    names.sort();
    assert_eq!(names, ["busy", "foreign", "quiet"], "a turn for everybody");
    let more: Vec<_> = (0..100).map(|_| offer(typed("quiet.1"), &[])).collect();
    store.accept(&more, at(2)).await.unwrap();
    let taken = leases(&*store, at(2), 20).await;
    let quiet = taken.iter().filter(|lease| lease.endpoint.id == endpoint_id("quiet")).count();
    assert_eq!((quiet, taken.len()), (10, 20), "turn by turn");
}

pub async fn one_endpoint_is_served_in_order_of_due_time(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: 100, ..BreakerSettings::default() };
    let store = subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    let mut fresh = Vec::new();
    for ms in 0..5 {
        fresh.push(accept_one(&*store, at(ms)).await);
    }
    let taken = leases(&*store, at(10), 5).await;
    assert_eq!(taken.iter().map(|lease| lease.delivery).collect::<Vec<_>>(), fresh, "as they were accepted");
    let retries = [300, 100, 500, 200, 400];
    for (lease, ms) in taken.iter().zip(retries) {
        settle(&*store, failed(lease, at(11), Next::RetryAt(at(ms))), at(11)).await;
    }
    let mut order = Vec::new();
    for _ in retries {
        order.extend(leases(&*store, at(1_000), 1).await.iter().map(|lease| lease.delivery));
    }
    assert_eq!(order, [fresh[1], fresh[3], fresh[0], fresh[4], fresh[2]], "as their retries fall due");
}

pub async fn many_endpoints_are_not_many_shares(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    // a tenant of the same shard, so that both are in one turn
    let shard = |name: &str| DeliveryId::fresh(at(0), 0, &tenant(name)).shard_byte();
    let small = (0..).map(|n| format!("small-{n}")).find(|name| shard(name) == shard("large")).unwrap();
    for n in 0..50 {
        put(&*store, &Endpoint { tenant: tenant("large"), ..endpoint(&format!("large-{n}")) }).await;
    }
    put(&*store, &Endpoint { tenant: tenant(&small), ..endpoint("small") }).await;
    let events =
        |name: &str, count| (0..count).map(|_| offer(event_of(name, at(0)), &[])).collect::<Vec<_>>();
    store.accept(&events("large", 20), at(0)).await.unwrap();
    store.accept(&events(&small, 400), at(0)).await.unwrap();
    for room in [1, 7, 100, 300] {
        let (mut smalls, mut all) = (0, 0);
        while all < 100 {
            let taken = leases(&*store, at(1), room).await;
            smalls += taken.iter().filter(|lease| lease.endpoint.id == endpoint_id("small")).count();
            all += taken.len();
        }
        let share = smalls * 100 / all;
        assert!((42..=58).contains(&share), "{share} % of {all} to one of two tenants, room for {room}");
    }
}

pub async fn retries_do_not_drown_first_attempts(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: 1_000, failure_percent: 0, ..BreakerSettings::default() };
    let settings = StoreSettings { breaker, retry_percent: 25, ..StoreSettings::default() };
    let store = subject.open(settings).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 40, at(0)).await;
    let failures: Vec<Settlement> = leases(&*store, at(0), 40)
        .await
        .iter()
        .map(|lease| failed(lease, at(1), Next::RetryAt(at(2))))
        .collect();
    store.settle(&failures, at(1)).await.unwrap();
    accept(&*store, 40, at(100)).await;
    let mut turns = Vec::new();
    for room in [1, 1, 1, 1, 12, 44] {
        turns.extend(leases(&*store, at(100), room).await.iter().map(|lease| lease.step > 1));
    }
    let retries = |turns: &[bool]| turns.iter().filter(|retry| **retry).count();
    assert_eq!(turns.len(), 60);
    assert_eq!(retries(&turns[..4]), 1, "one in four, one by one");
    assert_eq!(retries(&turns[4..16]), 3, "and together");
    assert_eq!(retries(&turns[..52]), 13, "as long as first attempts wait");
    assert_eq!(retries(&turns[52..]), 7, "then all: {turns:?}");
    let rest = leases(&*store, at(100), 100).await;
    assert!(rest.len() == 20 && rest.iter().all(|lease| lease.step == 2), "nothing is lost");
}

pub async fn next_tells_when_to_look_again(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    assert_eq!(take(&*store, at(0), 1).await.next, None, "empty: only a wake-up brings more");
    accept(&*store, 2, at(0)).await;
    let taken = take(&*store, at(0), 1).await;
    assert!(taken.next.is_some_and(|next| next <= at(0)), "more is due than there was room for: {taken:?}");
    let other = lease(&*store, at(0)).await;
    settle(&*store, failed(&taken.leases[0], at(1), Next::RetryAt(at(500))), at(1)).await;
    let taken = take(&*store, at(2), 1).await;
    let soon = |next, limit| at(2) < next && next <= limit;
    assert!(
        taken.leases.is_empty() && taken.next.is_some_and(|next| soon(next, at(500))),
        "a retry: {taken:?}"
    );
    let retried = lease(&*store, at(500)).await;
    settle(&*store, succeeded(&retried, at(501)), at(501)).await;
    let taken = take(&*store, at(502), 1).await;
    assert!(
        taken.leases.is_empty() && taken.next.is_some_and(|next| soon(next, other.ends_at)),
        "a lease: {taken:?}"
    );
    assert_eq!(
        lease(&*store, other.ends_at).await.delivery,
        other.delivery,
        "take itself gets ended leases back"
    );
}

pub async fn a_breaker_makes_deliveries_wait_and_costs_no_attempt(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: 3, open_ms: 1_000, ..BreakerSettings::default() };
    let store = subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 5, at(0)).await;
    for ms in 1..=3 {
        assert_eq!(state_of(&*store, "a").await, BreakerState::Closed, "before failure {ms}");
        let lease = leases(&*store, at(ms), 1).await.remove(0);
        settle(&*store, failed(&lease, at(ms), Next::RetryAt(at(60_000))), at(ms)).await;
    }
    assert_eq!(state_of(&*store, "a").await, BreakerState::Open);
    let waiting = take(&*store, at(1_002), 10).await;
    assert!(waiting.leases.is_empty(), "open: nothing is tried");
    assert!(waiting.next.is_some_and(|next| at(1_002) < next && next <= at(1_003)), "{waiting:?}");
    let probe = lease(&*store, at(1_003)).await;
    assert_eq!((probe.attempt, probe.step), (1, 1), "waiting cost nothing");
    assert_eq!(state_of(&*store, "a").await, BreakerState::HalfOpen);
    assert!(leases(&*store, at(1_004), 10).await.is_empty(), "one probe at a time");
    settle(&*store, failed(&probe, at(1_010), Next::RetryAt(at(60_000))), at(1_010)).await;
    assert!(leases(&*store, at(3_009), 10).await.is_empty(), "a failed probe opens it for twice as long");
    let probe = lease(&*store, at(3_010)).await;
    settle(&*store, returned(&probe), at(3_011)).await;
    let probe = lease(&*store, at(3_012)).await;
    settle(&*store, succeeded(&probe, at(3_020)), at(3_020)).await;
    assert_eq!(state_of(&*store, "a").await, BreakerState::Closed);
    assert_eq!(deliver_all(&*store, at(60_000)).await, 4, "all the rest flows");
}

pub async fn a_straggler_does_not_close_a_breaker(subject: &impl Subject) {
    let breaker = BreakerSettings { failures: 1, open_ms: 1_000, ..BreakerSettings::default() };
    let store = subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    put(&*store, &Endpoint { tenant: tenant("other"), ..endpoint("b") }).await;
    accept(&*store, 3, at(0)).await;
    store.accept(&[offer(event_of("other", at(0)), &[])], at(0)).await.unwrap();
    let mut taken = leases(&*store, at(0), 10).await;
    taken.retain(|lease| lease.endpoint.id == endpoint_id("a"));
    assert_eq!(taken.len(), 3);
    accept(&*store, 2, at(0)).await;
    settle(&*store, failed(&taken[0], at(1), Next::RetryAt(at(9_000))), at(1)).await;
    settle(&*store, succeeded(&taken[1], at(2)), at(2)).await;
    assert_eq!(state_of(&*store, "a").await, BreakerState::Open, "a late success while it is open");
    let probe = leases(&*store, at(1_001), 10).await;
    assert_eq!(probe.len(), 1);
    settle(&*store, succeeded(&taken[2], at(1_002)), at(1_002)).await;
    assert_eq!(state_of(&*store, "a").await, BreakerState::HalfOpen, "a late success while it is half-open");
    assert!(leases(&*store, at(1_003), 10).await.is_empty());
    assert_eq!(state_of(&*store, "b").await, BreakerState::Closed, "another endpoint's is its own");
    settle(&*store, succeeded(&probe[0], at(1_004)), at(1_004)).await;
    assert_eq!(leases(&*store, at(1_005), 10).await.len(), 1);
}

async fn state_of(store: &dyn Store, name: &str) -> BreakerState {
    let census = store.census().await.unwrap();
    census.endpoints.iter().find(|health| health.endpoint == endpoint_id(name)).unwrap().breaker
}
