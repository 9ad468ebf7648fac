//! How a pool takes: what it has room for, when there is something, one trouble at a time.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::clock::Clock;
use hookgate_sidecar::delivery::{Drained, PoolSettings};
use hookgate_sidecar::model::{DeadReason, Endpoint, Event, Next, Ordering};
use hookgate_sidecar::store::Lease;
use hookgate_sidecar::telemetry::metrics::Metrics;

use crate::support::{FakeStore, FakeTransport, Running, TokioClock, lease, settings, wait_until};

#[tokio::test(start_paused = true)]
async fn delivers_what_is_due_and_settles_it() {
    let store = FakeStore::with((1..=50).map(|n| lease(n, "ok")));
    let pool = Running::start(&store, &FakeTransport::new(), settings(4));
    wait_until("50 results", || pool.settled(50)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), (1..=50).collect::<Vec<_>>());
    assert_eq!(store.next_of(7), Some(Next::Delivered));
}

#[tokio::test(start_paused = true)]
async fn asks_for_no_more_than_could_start_at_once() {
    let (store, transport) = (FakeStore::with((1..=9).map(|n| lease(n, "gated"))), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(3));
    wait_until("three attempts", || transport.began(3)).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(
        transport.began(0).unwrap().len(),
        3,
        "the others wait in the store, for other replicas to take"
    );
    transport.gate.add_permits(9);
    wait_until("nine results", || pool.settled(9)).await;
    assert!(store.asks.lock().unwrap().iter().all(|ask| (1..=3).contains(&ask.room)));
    assert_eq!(pool.stop().await, Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_does_not_stop_the_others() {
    let mut due = vec![lease(1, "hang")];
    due.extend((2..=100).map(|n| lease(n, "ok")));
    let store = FakeStore::with(due);
    let pool = Running::start(&store, &FakeTransport::new(), settings(2));
    wait_until("99 results", || pool.settled(99)).await;
    assert_eq!(store.attempted(), (2..=100).collect::<Vec<_>>());
    assert_eq!(pool.stop().await, Drained::CutOff(1));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_take_long_give_their_workers_back_as_far_as_there_is_room_beside() {
    for (slow_attempts, hanging, delivered) in [(3, 4, true), (3, 5, false)] {
        let mut due: Vec<_> = (1..=hanging).map(|n| lease(n, "hang")).collect();
        due.extend((101..=150).map(|n| lease(n, "ok")));
        let store = FakeStore::with(due);
        let pool =
            Running::start(&store, &FakeTransport::new(), PoolSettings { slow_attempts, ..settings(2) });
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(
            pool.settled(50).is_ok(),
            delivered,
            "two workers, {slow_attempts} beside, {hanging} hang"
        );
        assert_eq!(pool.stop().await, Drained::CutOff(usize::try_from(hanging).unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn results_of_a_quiet_moment_go_along_together_where_places_are_to_spare() {
    let at = |token, places, ordering| {
        let lease = lease(token, "ok");
        let max_in_flight = NonZeroU16::new(places).unwrap();
        let endpoint = Endpoint { max_in_flight, ordering, ..(*lease.endpoint).clone() };
        Lease { endpoint: Arc::new(endpoint), ..lease }
    };
    let table: [(&str, u16, Ordering, u64, &[usize]); 5] = [
        ("together", 8, Ordering::None, 5, &[2]),
        ("each for itself where a place is dear", 7, Ordering::None, 5, &[1, 1]),
        ("or where others wait for its end", 8, Ordering::Endpoint, 5, &[1, 1]),
        ("not without a key", 8, Ordering::Key, 5, &[2]),
        ("and none waits for long", 8, Ordering::None, 31, &[1, 1]),
    ];
    for (promise, places, ordering, apart, batches) in table {
        let store = FakeStore::with([at(1, places, ordering)]);
        let pool = Running::start(&store, &FakeTransport::new(), settings(4));
        tokio::time::sleep(Duration::from_millis(apart)).await;
        store.add(at(2, places, ordering));
        wait_until("two results", || pool.settled(2)).await;
        assert_eq!(*store.batches.lock().unwrap(), batches, "{promise}");
        assert_eq!(pool.stop().await, Drained::Clean);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_costs_nobody_else_a_place() {
    let due = [lease(1, "bug"), lease(2, "bug"), lease(3, "ok"), lease(4, "ok")];
    let store = FakeStore::with(due);
    let pool = Running::start(&store, &FakeTransport::new(), settings(1));
    wait_until("two results", || pool.settled(2)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), [3, 4], "the leases of the others end by themselves");
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_between_looking_and_resting_is_not_missed() {
    let (store, transport) = (FakeStore::with([]), FakeTransport::new());
    *store.meanwhile.lock().unwrap() = Some(lease(1, "ok"));
    let clock = TokioClock::start();
    let pool = Running::start(&store, &transport, settings(1));
    wait_until("the attempt", || transport.began(1)).await;
    assert!(clock.now().since(TokioClock::START) < Duration::from_millis(100), "not by the fallback look");
    assert_eq!(pool.stop().await, Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_time_is_over_is_not_tried() {
    let until = |token, end| {
        let lease = lease(token, "ok");
        Lease { event: Arc::new(Event { expires_at: Some(end), ..(*lease.event).clone() }), ..lease }
    };
    let (over, in_time) = (TokioClock::START, TokioClock::START.plus(Duration::from_secs(60)));
    let (store, transport) = (FakeStore::with([until(1, over), until(2, in_time)]), FakeTransport::new());
    let metrics = Metrics::new();
    let pool = Running::start_with(&store, &transport, settings(1), metrics.clone());
    wait_until("the other's result", || pool.settled(1)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(transport.began(0).unwrap(), [2]);
    assert_eq!(store.next_of(1), Some(Next::Dead(DeadReason::Expired)));
    assert_eq!((store.attempted(), store.next_of(2)), (vec![2], Some(Next::Delivered)));
    let text = metrics.scrape(None);
    let dead = r#"webhook_deliveries_total{status="dead",event_type="order.created"} 1"#;
    assert!(text.lines().any(|line| line == dead), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_ends_the_rest_at_once() {
    let (store, transport) = (FakeStore::with([]), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(1));
    let looked = || if store.asks.lock().unwrap().is_empty() { Err("no look yet") } else { Ok(()) };
    wait_until("a first look", looked).await;
    let clock = TokioClock::start();
    store.add(lease(1, "ok"));
    wait_until("the attempt", || transport.began(1)).await;
    assert!(clock.now().since(TokioClock::START) < Duration::from_millis(100), "not by the fallback look");
    assert_eq!(pool.stop().await, Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn looks_again_when_the_store_said_and_no_sooner() {
    let store = FakeStore::with([]);
    *store.next.lock().unwrap() = Some(TokioClock::START.plus(Duration::from_millis(300)));
    let pool = Running::start(&store, &FakeTransport::new(), settings(1));
    let looks =
        || store.asks.lock().unwrap().iter().map(|ask| ask.now.since(TokioClock::START)).collect::<Vec<_>>();
    wait_until("a second look", || if looks().len() < 2 { Err(looks()) } else { Ok(()) }).await;
    let second = looks()[1].as_millis();
    assert!((300..=310).contains(&second), "{second} ms");
    assert_eq!(pool.stop().await, Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_wrong_about_what_is_due_does_not_make_it_spin() {
    let store = FakeStore::with([]);
    *store.next.lock().unwrap() = Some(TokioClock::START);
    let pool = Running::start(&store, &FakeTransport::new(), settings(1));
    let (clock, looks) = (TokioClock::start(), || store.asks.lock().unwrap().len());
    wait_until("a second to pass", || match clock.now().since(TokioClock::START).as_millis() {
        0..1_000 => Err(looks()),
        _ => Ok(()),
    })
    .await;
    assert!(looks() <= 600, "{} looks in a second", looks());
    assert_eq!(pool.stop().await, Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn maintains_on_a_tick_and_counts_what_came_back() {
    let (store, metrics) = (FakeStore::with([]), Metrics::new());
    let pool = Running::start_with(&store, &FakeTransport::new(), settings(1), metrics.clone());
    let ticks = || store.maintained.lock().unwrap().clone();
    wait_until("three ticks", || if ticks().len() < 3 { Err(ticks()) } else { Ok(()) }).await;
    let third = ticks()[2].since(TokioClock::START).as_millis();
    assert!((2_250..=3_760).contains(&third), "every second, give or take a quarter: {third} ms");
    assert!(metrics.scrape(None).contains("webhook_lease_reclaims_total 3"), "{}", metrics.scrape(None));
    assert_eq!(pool.stop().await, Drained::Clean);
}
