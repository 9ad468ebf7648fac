//! What becomes of endpoints and deliveries reaches the operations tenant's endpoint as signed webhooks.

use std::sync::Arc;

use hookgate_e2e::receiver::Received;
use hookgate_e2e::{Answer, Receiver, signing, wait_until};
use hookgate_sidecar::model::{BreakerRules, Disabled, DisabledReason, Endpoint, Retry, Secret, Standing};
use hookgate_sidecar::operations::standing::Keeper;
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::{EventFilter, News, Store, StoreSettings, Turn};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::gateway::{BOUND, Gateway, OPEN_MS, OPERATIONS, RECALL, herald, stands};
use crate::hand::Hand;

/// The secret of the operations endpoint, and of no other.
const SECRET: &str = "whsec_b3BlcmF0b3JzLW9wZXJhdG9ycy1vcGVyYXRvcnM=";

/// A receiver at which the operations tenant has an endpoint.
async fn operators(gateway: &Gateway) -> Receiver {
    let receiver = Receiver::start().await;
    let there = Endpoint {
        tenant: tenant(OPERATIONS),
        url: receiver.url("/ops"),
        secrets: vec![Secret(SECRET.to_owned()).into()],
        ..endpoint("operators")
    };
    put(&*gateway.store, &there).await;
    receiver
}

/// Type and data of what arrived.
fn told(received: &[Received]) -> Vec<(String, Value)> {
    let one = |received: &Received| {
        let json = received.json();
        (json["type"].as_str().unwrap().to_owned(), json["data"].clone())
    };
    received.iter().map(one).collect()
}

fn names(received: &[Received]) -> Vec<String> {
    let mut names: Vec<String> = told(received).into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

async fn events_of_operations(store: &dyn Store) -> usize {
    let filter = EventFilter { tenant: Some(tenant(OPERATIONS)), ..EventFilter::default() };
    store.events(&filter, &first(250)).await.unwrap().data.len()
}

#[tokio::test]
async fn a_410_disables_and_the_signed_webhook_says_so() {
    let (gateway, gone) = (Gateway::start(), Receiver::start().await);
    let operators = operators(&gateway).await;
    gone.answer(Answer::status(410));
    gateway.endpoint("shop", &gone).await;
    let delivery = accept_one(&*gateway.store, at(0)).await;
    let received = operators.wait_for(2, BOUND).await;
    assert_eq!(names(&received), ["hookgate.delivery.dead", "hookgate.endpoint.disabled"]);

    for (name, data) in told(&received) {
        assert_eq!((&data["endpoint_id"], &data["tenant"]), (&json!("shop"), &json!("default")), "{name}");
        assert_eq!(data["reason"], "gone", "{name}");
        let expected = if name == "hookgate.delivery.dead" { json!(delivery) } else { Value::Null };
        assert_eq!(data["delivery_id"], expected, "{name}");
    }
    for one in &received {
        let timestamp = one.header("webhook-timestamp").unwrap().parse().unwrap();
        let id = one.header("webhook-id").unwrap();
        for (name, value) in signing::standard_webhooks(SECRET, id, timestamp, &one.body) {
            assert_eq!(one.header(name), Some(&*value), "signed as any other webhook");
        }
    }
    gateway.end().await;
}

#[tokio::test]
async fn trouble_is_told_when_it_begins_and_when_it_is_over() {
    let (gateway, flaky) = (Gateway::start(), Receiver::start().await);
    let operators = operators(&gateway).await;
    flaky.script([Answer::status(500), Answer::status(500), Answer::status(200)]);
    gateway.endpoint("shop", &flaky).await;
    accept(&*gateway.store, 1, at(0)).await;
    let begun = told(&operators.wait_for(1, BOUND).await);
    assert_eq!(begun[0].0, "hookgate.breaker.opened");
    gateway.turn(at(OPEN_MS + 5_000)).await;
    flaky.wait_for(2, BOUND).await;
    gateway.turn(at(3 * OPEN_MS)).await;
    let over = told(&operators.wait_for(2, BOUND).await);
    assert_eq!(over[1].0, "hookgate.endpoint.recovered", "and nothing of the second opening");
    assert_eq!(over[1].1["failing_since"], "2027-01-15T08:00:00Z");
    gateway.end().await;
}

#[tokio::test]
async fn of_many_dead_letters_at_once_few_are_told_of_and_the_others_counted() {
    let (gateway, refusing) = (Gateway::start(), Receiver::start().await);
    let operators = operators(&gateway).await;
    refusing.answer(Answer::status(400));
    let shop = gateway.endpoint("shop", &refusing).await;
    let retry = Retry { non_retryable: vec![400], ..Retry::default() };
    let breaker = BreakerRules { failures: Some(1_000), ..shop.breaker };
    put(&*gateway.store, &Endpoint { retry, breaker, ..shop }).await;
    accept(&*gateway.store, 40, at(0)).await;
    refusing.wait_for(40, BOUND).await;
    let first = told(&operators.wait_for(5, BOUND).await);
    assert!(first.iter().all(|(name, data)| name == "hookgate.delivery.dead" && data["left_out"] == 0));
    wait_for_dead(&gateway, 40).await;
    gateway.turn(at(1_000)).await;
    accept(&*gateway.store, 1, at(1_000)).await;
    let then = told(&operators.wait_for(6, BOUND).await);
    assert_eq!((&then[5].1["left_out"], &then[5].1["reason"]), (&json!(35), &json!("refused")));
    gateway.end().await;
}

async fn wait_for_dead(gateway: &Gateway, count: u64) {
    wait_until("dead letters", BOUND, || async {
        let dead = gateway.store.census().await.unwrap().dead;
        if dead == count { Ok(()) } else { Err(dead) }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_told_of_the_operations_tenants_own_endpoints() {
    let (gateway, gone) = (Gateway::start(), Receiver::start().await);
    gone.answer(Answer::status(410));
    let url = gone.url("/ops");
    put(&*gateway.store, &Endpoint { tenant: tenant(OPERATIONS), url, ..endpoint("operators") }).await;
    let one = offer(event_of(OPERATIONS, at(0)), &[]);
    gateway.store.accept(&[one], at(0)).await.unwrap();
    gateway.stands("operators", "disabling", |endpoint| endpoint.standing.disabled.is_some()).await;
    let store = Arc::clone(&gateway.store);
    gateway.end().await;
    assert_eq!(events_of_operations(&*store).await, 1, "the one that could not be delivered");
}

#[tokio::test]
async fn a_disabling_is_told_once_the_store_has_room_for_it() {
    let full = StoreSettings { max_pending: 1, ..StoreSettings::default() };
    let store = Arc::new(Embedded::open(Location::Memory, full).unwrap());
    put(&*store, &endpoint("shop")).await;
    put(&*store, &Endpoint { tenant: tenant(OPERATIONS), ..endpoint("operators") }).await;
    accept(&*store, 1, at(0)).await;
    let lease = lease(&*store, at(0)).await;
    let (notices, herald) = herald(&store, &Hand::at(at(0)));
    let (turns, keeper) = Keeper::new(Arc::clone(&store) as _, Arc::default(), None, Some(notices), 1);
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.run());
    tasks.spawn(herald.run());
    turns.add(&News { endpoint: endpoint_id("shop"), turn: Turn::Gone }, at(1));
    stands(&*store, "shop", "disabling", |endpoint| endpoint.standing.disabled.is_some()).await;
    assert_eq!(events_of_operations(&*store).await, 0, "there is no room");

    settle(&*store, succeeded(&lease, at(2)), at(2)).await;
    wait_until("notice", BOUND, || async {
        let events = events_of_operations(&*store).await;
        if events == 1 { Ok(()) } else { Err(events) }
    })
    .await;
    drop(turns);
    assert!(tokio::time::timeout(BOUND, tasks.join_all()).await.is_ok(), "both end");
}

#[tokio::test]
async fn a_disabling_that_was_never_told_is_told_by_the_next_process_and_only_once() {
    let gateway = Gateway::start();
    let disabled =
        |reason, ms| Standing { disabled: Some(Disabled { reason, at: at(ms) }), ..Standing::default() };
    let recall_ms = u64::try_from(RECALL.as_millis()).unwrap();
    let table = [
        ("untold", disabled(DisabledReason::Gone, 1)),
        ("untold-too", disabled(DisabledReason::Failing, 2)),
        ("by-hand", disabled(DisabledReason::Operator, 1)),
        ("long-ago", disabled(DisabledReason::Gone, 0)),
        ("well", Standing::default()),
    ];
    for (name, standing) in table {
        put(&*gateway.store, &Endpoint { standing, ..endpoint(name) }).await;
    }
    gateway.clock.set(at(recall_ms));
    let mut tasks = JoinSet::new();
    for process in 0..3 {
        let (notices, herald) = herald(&gateway.store, &gateway.clock);
        tasks.spawn(herald.run());
        drop(notices);
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(events_of_operations(&*gateway.store).await, 2, "process {process}");
    }
    gateway.end().await;
}
