//! Redis loses its scripts, and all its data, under load.

use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Redis, Store, wait_until};

use super::producers::Producers;
use super::scale::rounds;
use super::stage::Stage;

const QUICK: Duration = Duration::from_millis(5);
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_flush_under_load_costs_nothing() {
    let redis = Redis::start(Persistence::Always).await;
    let mut stage = Stage::set("script flush", QUICK).await;
    let sidecar = stage.sidecar(&Store::Redis(redis.url())).await;
    stage.create_endpoints(&sidecar).await;
    let producers = Producers::start(&[sidecar.data()], QUICK);
    let flushes = rounds(10, 100);
    for _ in 0..flushes {
        stage.moment(&producers).await;
        assert_eq!(redis.command(&["SCRIPT", "FLUSH"]).await, "OK");
    }
    // not a fault to the account: no attempt may be made twice, no request be put off
    let account = stage.settle(producers, &sidecar, &format!("; flushes {flushes}")).await;
    assert!(account.dead() > 0, "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_is_emptied_nothing_that_is_answered_afterwards_is_lost() {
    let redis = Redis::start(Persistence::Always).await;
    let mut stage = Stage::set("redis emptied", QUICK).await;
    let mut sidecar = stage.sidecar(&Store::Redis(redis.url())).await;
    stage.create_endpoints(&sidecar).await;
    let producers = Producers::start(&[sidecar.data()], QUICK);
    for _ in 0..rounds(3, 20) {
        stage.moment(&producers).await;
        let told = losses(&sidecar.process().log());
        let began = Instant::now();
        assert_eq!(redis.command(&["FLUSHALL"]).await, "OK");
        stage.emptied(began);
        wait_until("a plain word about the loss", BOUND, || {
            let now = losses(&sidecar.process().log());
            std::future::ready(if now > told { Ok(()) } else { Err("nothing was said") })
        })
        .await;
    }
    stage.moment(&producers).await;
    let account = stage.settle(producers, &sidecar, "").await;
    assert!(account.emptied() > 0, "the test empties a Redis that held something: {account}");
}

/// How often the log said, as an error, that Redis lost its data.
fn losses(log: &str) -> usize {
    log.lines().filter(|line| line.contains("ERROR") && line.contains("redis lost its data")).count()
}
