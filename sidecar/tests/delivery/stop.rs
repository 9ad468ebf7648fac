//! How a pool stops: in time, and without losing a delivery.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use hookgate_sidecar::clock::Clock;
use hookgate_sidecar::delivery::Drained;
use tokio::sync::Semaphore;

use crate::support::{FakeStore, FakeTransport, Running, TokioClock, lease, settings, wait_until};

#[tokio::test(start_paused = true)]
async fn settles_what_it_took_before_it_stops() {
    let (store, transport) = (FakeStore::with((1..=3).map(|n| lease(n, "gated"))), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(4));
    wait_until("three attempts", || transport.began(3)).await;
    pool.tell();
    store.add(lease(4, "ok"));
    transport.gate.add_permits(3);
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.attempted(), [1, 2, 3]);
    assert_eq!(transport.began(0).unwrap(), [1, 2, 3], "nothing is taken after the stop");
}

#[tokio::test(start_paused = true)]
async fn cuts_off_what_outlives_the_drain() {
    let due = [lease(1, "hang"), lease(2, "ok"), lease(3, "hang")];
    let (store, transport) = (FakeStore::with(due), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(4));
    wait_until("three attempts", || transport.began(3)).await;
    let clock = TokioClock::start();
    assert_eq!(pool.stop().await, Drained::CutOff(2));
    let took = clock.now().since(TokioClock::START);
    assert!((20_000..20_100).contains(&took.as_millis()), "the drain, no more and no less: {took:?}");
    assert_eq!(store.attempted(), [2]);
    assert_eq!(store.returned(), [1, 3], "due again at once");
}

#[tokio::test(start_paused = true)]
async fn gives_back_what_a_take_brings_after_the_stop() {
    let (store, transport) = (FakeStore::with([lease(1, "ok"), lease(2, "ok")]), FakeTransport::new());
    let gate = Arc::new(Semaphore::new(0));
    *store.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let pool = Running::start(&store, &transport, settings(4));
    let looked = || if store.asks.lock().unwrap().is_empty() { Err("no look yet") } else { Ok(()) };
    wait_until("a look", looked).await;
    pool.tell();
    gate.add_permits(1);
    assert_eq!(pool.stop().await, Drained::Clean);
    assert_eq!(store.returned(), [1, 2]);
    assert!(transport.began(1).is_err(), "no attempt was made");
}

#[tokio::test(start_paused = true)]
async fn tells_the_store_that_nobody_waits_any_more() {
    let (store, transport) = (FakeStore::with([]), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(4));
    let looked = || if store.asks.lock().unwrap().is_empty() { Err("no look yet") } else { Ok(()) };
    wait_until("a look", looked).await;
    assert_eq!(pool.stop().await, Drained::Clean);
    let asks = store.asks.lock().unwrap();
    assert!(asks.first().is_some_and(|ask| (ask.room, ask.ahead) == (4, true)), "{asks:?}");
    assert!(asks.last().is_some_and(|ask| (ask.room, ask.ahead) == (0, false)), "{asks:?}");
}

#[tokio::test(start_paused = true)]
async fn does_not_wait_for_a_take_that_hangs() {
    let (store, transport) = (FakeStore::with([lease(1, "ok")]), FakeTransport::new());
    *store.gate.lock().unwrap() = Some(Arc::new(Semaphore::new(0)));
    let pool = Running::start(&store, &transport, settings(4));
    let looked = || if store.asks.lock().unwrap().is_empty() { Err("no look yet") } else { Ok(()) };
    wait_until("a look", looked).await;
    let clock = TokioClock::start();
    assert_eq!(pool.stop().await, Drained::Clean);
    assert!(clock.now().since(TokioClock::START) < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn ends_even_when_the_store_is_away_for_good() {
    let (store, transport) = (FakeStore::with((1..=8).map(|n| lease(n, "gated"))), FakeTransport::new());
    let pool = Running::start(&store, &transport, settings(8));
    wait_until("eight attempts", || transport.began(8)).await;
    store.away.store(true, SeqCst);
    transport.gate.add_permits(8);
    let clock = TokioClock::start();
    assert_eq!(pool.stop().await, Drained::Clean, "the attempts did end");
    assert!(clock.now().since(TokioClock::START) <= Duration::from_secs(6));
    assert_eq!(store.settled.lock().unwrap().len(), 0, "their leases end, and they are made again");
}
