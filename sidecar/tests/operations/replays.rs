//! A replay is worked at by one process at a time, in small steps, and by another one when that one died.

use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::model::{DeadReason, Next, Replay, ReplayId, ReplayOf, ReplayState, Tenant, Wanted};
use hookgate_sidecar::operations::replays::Replays;
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::{Store, StoreSettings};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::*;
use crate::hand::Hand;

fn store() -> Arc<Embedded> {
    Arc::new(Embedded::open(Location::Memory, StoreSettings::default()).unwrap())
}

fn worker(store: &Arc<Embedded>, clock: &Arc<Hand>, name: &str) -> Replays {
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    Replays::new(store, clock, name.to_owned(), Arc::<Notify>::default())
}

async fn dead_letters(store: &Embedded, count: usize) {
    put(store, &endpoint("a")).await;
    accept(store, count, at(0)).await;
    for lease in leases(store, at(0), u16::MAX).await {
        let dead = Next::Dead(DeadReason::Exhausted);
        settle(store, attempted(&lease, at(1), OK, dead), at(1)).await;
    }
    assert_eq!(store.census().await.unwrap().dead, count as u64);
}

async fn begin(store: &Embedded, of: ReplayOf, limit: u64) -> ReplayId {
    let wanted = Wanted {
        tenant: Tenant::default(),
        endpoint: None,
        of,
        event_types: Vec::new(),
        since: None,
        until: at(10),
        limit,
    };
    let id = ReplayId::fresh(at(10), entropy(), &wanted.tenant);
    store.advance(&Replay::new(id, wanted, at(10)), &[], at(10)).await.unwrap().unwrap().id
}

/// Delivers what is due until the replay is as `wanted`; answers it, and how many were delivered.
async fn follow(store: &Embedded, id: ReplayId, wanted: impl Fn(&Replay) -> bool) -> (Replay, usize) {
    let mut delivered = 0;
    for _ in 0..100_000 {
        delivered += deliver_all(store, at(100_000_000)).await;
        let replay = store.replay(&id).await.unwrap().unwrap();
        if wanted(&replay) {
            return (replay, delivered + deliver_all(store, at(100_000_000)).await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", store.replay(&id).await.unwrap());
}

fn is_done(replay: &Replay) -> bool {
    replay.state == ReplayState::Done
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_replayed_to_its_end_and_its_limit() {
    let table = [
        ("dead letters", ReplayOf::Dead, u64::MAX, 130),
        ("no more than the limit", ReplayOf::Dead, 70, 70),
        ("what was delivered", ReplayOf::Delivered, u64::MAX, 0),
        ("events that an endpoint never saw", ReplayOf::Unsent, u64::MAX, 130),
        ("of them, no more than the limit", ReplayOf::Unsent, 45, 45),
    ];
    for (what, of, limit, expected) in table {
        let (store, clock, stop) = (store(), Hand::at(at(10)), CancellationToken::new());
        dead_letters(&store, 130).await;
        put(&*store, &endpoint("late")).await;
        let id = begin(&store, of, limit).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(worker(&store, &clock, "one").run(stop.clone()));
        let (replay, delivered) = follow(&store, id, is_done).await;
        assert_eq!((replay.replayed, replay.failed, delivered as u64), (expected, 0, expected), "{what}");
        stop.cancel();
        tasks.join_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_at_once_replay_nothing_twice() {
    let (store, clock, stop) = (store(), Hand::at(at(10)), CancellationToken::new());
    dead_letters(&store, 300).await;
    let id = begin(&store, ReplayOf::Dead, u64::MAX).await;
    let mut tasks = JoinSet::new();
    for name in ["one", "two", "three"] {
        tasks.spawn(worker(&store, &clock, name).run(stop.clone()));
    }
    let (replay, delivered) = follow(&store, id, is_done).await;
    assert_eq!((replay.replayed, replay.failed, delivered), (300, 0, 300));
    stop.cancel();
    tasks.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn who_died_is_replaced_when_the_lease_ends_and_not_before() {
    let (store, clock, stop) = (store(), Hand::at(at(10)), CancellationToken::new());
    dead_letters(&store, 300).await;
    let id = begin(&store, ReplayOf::Dead, u64::MAX).await;
    let mut tasks = JoinSet::new();
    let first = tasks.spawn(worker(&store, &clock, "one").run(CancellationToken::new()));
    let (begun, before) = follow(&store, id, |replay| replay.replayed > 0).await;
    first.abort();
    let begun_at = store.replay(&id).await.unwrap().unwrap();
    assert!(!is_done(&begun) && begun_at.runner.as_deref() == Some("one"), "{begun_at:?}");
    tasks.spawn(worker(&store, &clock, "two").run(stop.clone()));
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(store.replay(&id).await.unwrap().unwrap().runner.as_deref(), Some("one"));
    }
    clock.set(begun_at.leased_until);
    let (replay, after) = follow(&store, id, is_done).await;
    assert_eq!((replay.replayed, replay.failed, before + after), (300, 0, 300), "all of it, each once");
    assert_eq!(replay.runner.as_deref(), Some("two"));
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_step_waits_while_the_one_before_it_is_not_tried() {
    let (store, clock, stop) = (store(), Hand::at(at(10)), CancellationToken::new());
    dead_letters(&store, 130).await;
    let id = begin(&store, ReplayOf::Dead, u64::MAX).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(worker(&store, &clock, "one").run(stop.clone()));
    let mut seen = Vec::new();
    while seen.iter().filter(|replayed| **replayed > 0).count() < 50 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        seen.push(store.replay(&id).await.unwrap().unwrap().replayed);
        assert!(seen.len() < 100_000, "no step is done");
    }
    assert_eq!(seen.last(), Some(&50), "nobody delivers");
    let (replay, _) = follow(&store, id, is_done).await;
    assert_eq!(replay.replayed, 130);
    stop.cancel();
    tasks.join_all().await;
}
