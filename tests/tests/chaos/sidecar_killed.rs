//! `kill -9` of the sidecar at random moments, also while it starts.

use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Redis, Store};

use super::producers::Producers;
use super::scale::rounds;
use super::stage::Stage;

const QUICK: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_sidecar_is_killed_on_sqlite() {
    survives_kills("sidecar killed, sqlite", Store::File).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_sidecar_is_killed_on_redis() {
    let redis = Redis::start(Persistence::Always).await;
    survives_kills("sidecar killed, redis", Store::Redis(redis.url())).await;
}

async fn survives_kills(name: &'static str, store: Store) {
    let mut stage = Stage::set(name, QUICK).await;
    let mut sidecar = stage.sidecar(&store).await;
    stage.create_endpoints(&sidecar).await;
    let producers = Producers::start(&[sidecar.data()], QUICK);
    for _ in 0..rounds(12, 100) {
        stage.moment(&producers).await;
        if stage.chance.below(4) == 0 {
            let began = Instant::now();
            sidecar.respawn();
            stage.fault(began);
            stage.chance.pause(Duration::from_millis(100)).await;
        }
        let began = Instant::now();
        sidecar.restart().await;
        stage.fault(began);
    }
    let account = stage.settle(producers, &sidecar, "").await;
    assert!(account.dead() > 0, "some deliveries never succeed, and are seen to be dead: {account}");
}
