//! Redis itself killed, and Redis away for a while. The sidecar finds it again by itself.

use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Client, Redis, Sidecar, Store, wait_until};

use super::producers::{Producers, event};
use super::scale::{rounds, seconds};
use super::stage::Stage;

const QUICK: Duration = Duration::from_millis(5);
/// An answer that waits for nothing takes no longer, also on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_redis_is_killed() {
    let mut redis = Redis::start(Persistence::Always).await;
    let mut stage = Stage::set("redis killed", QUICK).await;
    let sidecar = stage.sidecar(&Store::Redis(redis.url())).await;
    stage.create_endpoints(&sidecar).await;
    let producers = Producers::start(&[sidecar.data()], QUICK);
    for _ in 0..rounds(5, 20) {
        stage.moment(&producers).await;
        let began = Instant::now();
        redis.kill();
        stage.chance.pause(Duration::from_millis(200)).await;
        redis.restart().await;
        stage.fault(began);
    }
    stage.settle(producers, &sidecar, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_producers_are_put_off_at_once_and_nothing_is_lost() {
    let mut redis = Redis::start(Persistence::Always).await;
    let mut stage = Stage::set("redis away", QUICK).await;
    let sidecar = stage.sidecar(&Store::Redis(redis.url())).await;
    stage.create_endpoints(&sidecar).await;
    let producers = Producers::start(&[sidecar.data()], Duration::from_millis(20));
    stage.moment(&producers).await;
    let began = Instant::now();
    redis.kill();
    put_off_until(&sidecar, began + seconds(5, 60)).await;
    redis.restart().await;
    let back = Instant::now();
    producers.accept(1).await;
    let accepted_again = back.elapsed();
    ready(&sidecar, 200).await;
    stage.fault(began);
    stage.moment(&producers).await;
    let remark = format!("; away {:?}, accepts again {accepted_again:?} after", back - began);
    stage.settle(producers, &sidecar, &remark).await;
}

/// All the while an event is answered 503 at once, with when to come again, and the sidecar says that it is not ready.
async fn put_off_until(sidecar: &Sidecar, end: Instant) {
    ready(sidecar, 503).await;
    for turn in 0_u64.. {
        let asked = Instant::now();
        if asked >= end {
            return;
        }
        let answer = Client::call(sidecar.data(), &event(&format!("put-off-{turn}"))).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        let took = asked.elapsed();
        assert!(took < AT_ONCE, "{took:?} to be put off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ready(sidecar: &Sidecar, status: u16) {
    wait_until("readiness to change", BOUND, || async {
        let answer = sidecar.ask("GET", "/readyz", None).await.status;
        if answer == status { Ok(()) } else { Err(answer) }
    })
    .await;
}
