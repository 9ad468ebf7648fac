//! A pool whose store goes away and comes back.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use hookgate_sidecar::clock::Clock;
use hookgate_sidecar::delivery::Drained;

use crate::support::{FakeStore, FakeTransport, Running, TokioClock, lease, settings, wait_until};

/// Lets a span of paused time pass.
async fn pass(span: Duration) {
    let clock = TokioClock::start();
    let passed = || {
        let passed = clock.now().since(TokioClock::START);
        if passed < span { Err(passed) } else { Ok(()) }
    };
    wait_until("time to pass", passed).await;
}

#[tokio::test(start_paused = true)]
async fn results_wait_for_the_store_and_are_settled_once() {
    let (store, transport) = (FakeStore::with((1..=3).map(|n| lease(n, "gated"))), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(3));
    wait_until("three attempts", || transport.began(3)).await;
    store.away.store(true, SeqCst);
    transport.gate.add_permits(3);
    pass(Duration::from_secs(3)).await;
    assert_eq!(store.settled.lock().unwrap().len(), 0);
    store.away.store(false, SeqCst);
    wait_until("three results", || pool.settled(3)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_result_whose_lease_ended_meanwhile_is_not_forced_on_the_store() {
    let mut short = lease(1, "gated");
    short.ends_at = TokioClock::START.plus(Duration::from_secs(2));
    let (store, transport) = (FakeStore::with([short, lease(2, "gated")]), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(2));
    wait_until("two attempts", || transport.began(2)).await;
    store.away.store(true, SeqCst);
    transport.gate.add_permits(2);
    pass(Duration::from_secs(4)).await;
    store.away.store(false, SeqCst);
    wait_until("a result", || pool.settled(1)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), [2], "the other attempt is made again by whoever takes it");
}

#[tokio::test(start_paused = true)]
async fn results_that_wait_are_settled_together() {
    let (store, transport) = (FakeStore::with((1..=64).map(|n| lease(n, "gated"))), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(64));
    wait_until("64 attempts", || transport.began(64)).await;
    transport.gate.add_permits(64);
    wait_until("64 results", || pool.settled(64)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    let batches = store.batches.lock().unwrap().clone();
    assert!(batches.len() <= 8, "{batches:?}");
}

#[tokio::test(start_paused = true)]
async fn one_result_that_cannot_be_stored_takes_no_other_with_it() {
    let (store, transport) = (FakeStore::with((1..=5).map(|n| lease(n, "gated"))), FakeTransport::new());
    *store.poison.lock().unwrap() = Some(3);
    let pool = Running::start(&store, &transport, settings(5));
    wait_until("five attempts", || transport.began(5)).await;
    transport.gate.add_permits(5);
    wait_until("four results", || pool.settled(4)).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), [1, 2, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_ever_less_often_and_not_given_up() {
    let store = FakeStore::with([]);
    store.away.store(true, SeqCst);
    let pool = Running::start(&store, &FakeTransport::new(), settings(3));
    for _ in 0..30 {
        pass(Duration::from_secs(2)).await;
    }
    let tries = *store.failed.lock().unwrap();
    assert!((10..40).contains(&tries), "{tries} tries in a minute");
    store.away.store(false, SeqCst);
    store.add(lease(1, "ok"));
    for _ in 0..3 {
        pass(Duration::from_secs(2)).await;
    }
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), [1], "it goes on by itself");
}
