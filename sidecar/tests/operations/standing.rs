//! An endpoint that wants no more, or that did nothing but fail for days, is disabled; what waits for it waits on.

use std::sync::Arc;
use std::time::Duration;

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Answer, Receiver, Redis, wait_until};
use hookgate_sidecar::model::{Disabled, DisabledReason, Endpoint, Standing, Status};
use hookgate_sidecar::operations::standing::Keeper;
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{News, Store, StoreSettings, Turn};
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::gateway::{BOUND, Gateway, OPEN_MS, PATIENCE, stands};

fn disabled(endpoint: &Endpoint) -> Option<Disabled> {
    endpoint.standing.disabled
}

fn day(days: u64) -> u64 {
    days * 86_400_000
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_disabled_at_once() {
    let (gateway, receiver) = (Gateway::start(), Receiver::start().await);
    receiver.answer(Answer::status(410));
    gateway.endpoint("a", &receiver).await;
    accept(&*gateway.store, 1, at(0)).await;
    let endpoint = gateway.stands("a", "disabling", |endpoint| disabled(endpoint).is_some()).await;
    assert_eq!(disabled(&endpoint), Some(Disabled { reason: DisabledReason::Gone, at: at(0) }));
    assert_eq!(accept(&*gateway.store, 1, at(1)).await[0].deliveries, 0, "it gets no new events");
    gateway.end().await;
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_disabled_and_what_waits_for_it_waits_on() {
    let (gateway, receiver) = (Gateway::start(), Receiver::start().await);
    receiver.answer(Answer::status(500));
    gateway.endpoint("a", &receiver).await;
    let delivery = accept_one(&*gateway.store, at(0)).await;
    gateway.stands("a", "failing", |endpoint| endpoint.standing.failing_since == Some(at(0))).await;

    gateway.turn(at(day(4))).await;
    receiver.wait_for(2, BOUND).await;
    gateway.turn(at(day(5) - 1)).await;
    receiver.wait_for(3, BOUND).await;
    gateway.turn(at(day(5) + OPEN_MS)).await;
    let endpoint = gateway.stands("a", "disabling", |endpoint| disabled(endpoint).is_some()).await;
    let expected = Disabled { reason: DisabledReason::Failing, at: at(day(5) + OPEN_MS) };
    assert_eq!(disabled(&endpoint), Some(expected), "not after four days, nor a moment too early");
    assert_eq!(PATIENCE, Duration::from_millis(day(5)));

    assert_eq!(self::delivery(&*gateway.store, delivery).await.status, Status::Pending);
    assert_eq!(leases(&*gateway.store, at(day(30)), 10).await.len(), 0, "nothing is tried");
    gateway.end().await;
}

#[tokio::test]
async fn a_recovery_begins_the_count_anew() {
    let (gateway, receiver) = (Gateway::start(), Receiver::start().await);
    receiver.script([Answer::status(500), Answer::status(200), Answer::status(500)]);
    gateway.endpoint("a", &receiver).await;
    accept(&*gateway.store, 1, at(0)).await;
    gateway.stands("a", "failing", |endpoint| endpoint.standing.failing_since == Some(at(0))).await;
    gateway.turn(at(day(1))).await;
    gateway.stands("a", "recovery", |endpoint| endpoint.standing == Standing::default()).await;
    gateway.turn(at(day(6))).await;
    accept(&*gateway.store, 1, at(day(6))).await;
    let endpoint = gateway.stands("a", "failing", |endpoint| endpoint.standing != Standing::default()).await;
    let expected = Standing { failing_since: Some(at(day(6))), ..Standing::default() };
    assert_eq!(endpoint.standing, expected);
    gateway.end().await;
}

#[tokio::test]
async fn a_recovery_that_was_never_heard_of_counts_too() {
    let (gateway, receiver) = (Gateway::start(), Receiver::start().await);
    receiver.script([Answer::status(200), Answer::status(500)]);
    let endpoint = gateway.endpoint("a", &receiver).await;
    let standing = Standing { failing_since: Some(at(0)), ..Standing::default() };
    put(&*gateway.store, &Endpoint { standing, ..endpoint }).await;
    gateway.turn(at(day(1))).await;
    let delivery = accept_one(&*gateway.store, at(day(1))).await;
    wait_until("delivery", BOUND, || async {
        let status = self::delivery(&*gateway.store, delivery).await.status;
        if status == Status::Delivered { Ok(()) } else { Err(status) }
    })
    .await;
    gateway.turn(at(day(6))).await;
    accept(&*gateway.store, 1, at(day(6))).await;
    let endpoint = gateway.stands("a", "failing", |endpoint| endpoint.standing != standing).await;
    assert_eq!(endpoint.standing, Standing { failing_since: Some(at(day(6))), ..standing });
    gateway.end().await;
}

#[tokio::test]
async fn a_turn_waits_while_the_store_is_away() {
    let mut redis = Redis::start(Persistence::Always).await;
    let settings = RedisSettings::at(redis.url());
    let store = Arc::new(RedisStore::connect(&settings, StoreSettings::default()).unwrap());
    put(&*store, &endpoint("a")).await;
    put(&*store, &endpoint("b")).await;
    let (turns, keeper) = Keeper::new(Arc::clone(&store) as _, Arc::default(), None, None, 1);
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.run());
    redis.kill();
    for name in ["a", "b"] {
        turns.add(&News { endpoint: endpoint_id(name), turn: Turn::Gone }, at(1));
    }
    wait_until("a store that is away", BOUND, || async {
        store.ping().await.err().ok_or("it answers").map(drop)
    })
    .await;
    redis.restart().await;
    for name in ["a", "b"] {
        stands(&*store, name, "disabling", |endpoint| disabled(endpoint).is_some()).await;
    }
    drop(turns);
    assert!(tokio::time::timeout(BOUND, tasks.join_all()).await.is_ok(), "the keeper ends");
}
