//! Two sidecars on one Redis: one is killed, or stopped past its leases and let go on.

use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Redis, Sidecar, Store, wait_until};
use rustix::process::Signal;

use super::producers::Producers;
use super::scale::rounds;
use super::stage::{Stage, metric};

/// Slow enough that more is in flight than one of them can hold.
const SLOW: Duration = Duration::from_millis(60);
const PACE: Duration = Duration::from_millis(40);
const BOUND: Duration = Duration::from_secs(20);
/// Leases of a process that is gone, as the others count them.
const RECLAIMED: &str = "webhook_lease_reclaims_total";
const DELIVERED: &str = r#"webhook_deliveries_total{status="delivered",event_type="chaos.sent"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_one_of_two_sidecars_is_killed() {
    let (_redis, mut stage, [mut one, other]) = two("one of two sidecars killed").await;
    let producers = Producers::start(&[one.data(), other.data()], PACE);
    for _ in 0..rounds(2, 20) {
        let before = metric(&other, RECLAIMED).await;
        stage.busy_moment(&producers).await;
        let began = Instant::now();
        one.kill();
        reclaims(&other, before).await;
        one.restart().await;
        stage.fault(began);
    }
    stage.settle(producers, &other, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_one_of_two_sidecars_is_stopped_past_its_leases() {
    let (redis, mut stage, [mut one, other]) = two("one of two sidecars stopped").await;
    let producers = Producers::start(&[one.data(), other.data()], PACE);
    for _ in 0..rounds(2, 20) {
        let before = metric(&other, RECLAIMED).await;
        stage.busy_moment(&producers).await;
        let began = Instant::now();
        one.process().signal(Signal::STOP);
        reclaims(&other, before).await;
        one.process().signal(Signal::CONT);
        are_known(&redis).await;
        delivers(&one).await;
        stage.fault(began);
    }
    stage.settle(producers, &one, "").await;
}

async fn two(name: &'static str) -> (Redis, Stage, [Sidecar; 2]) {
    let redis = Redis::start(Persistence::Always).await;
    let stage = Stage::set(name, SLOW).await;
    let store = Store::Redis(redis.url());
    let sidecars = [stage.sidecar(&store).await, stage.sidecar(&store).await];
    stage.create_endpoints(&sidecars[0]).await;
    (redis, stage, sidecars)
}

/// Waits until it takes leases back; there are some.
async fn reclaims(sidecar: &Sidecar, before: u64) {
    grows(sidecar, RECLAIMED, before).await;
}

/// Waits until both have said that they live. What a process leases before that goes back only when its leases end.
async fn are_known(redis: &Redis) {
    wait_until("two processes that live", BOUND, || async {
        let owners = redis.command(&["ZCARD", "hg:{hg:layout}:owners"]).await;
        if owners == "2" { Ok(()) } else { Err(owners) }
    })
    .await;
}

/// Waits until it delivers, as one does that is well.
async fn delivers(sidecar: &Sidecar) {
    let before = metric(sidecar, DELIVERED).await;
    grows(sidecar, DELIVERED, before).await;
}

async fn grows(sidecar: &Sidecar, name: &str, before: u64) {
    wait_until(name, BOUND, || async {
        let now = metric(sidecar, name).await;
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
}
