//! Data of the first schema: led to ours by whoever opens first, wherever that was cut off, with nothing lost; and what
//! processes of another schema can do beside us.

use std::sync::Arc;

use hookgate_e2e::Cluster;
use hookgate_sidecar::model::{DeadReason, DeliveryId, EventId, Next, Status};
use hookgate_sidecar::store::{Ask, BreakerState, EventFilter, Put, Store, StoreFault};
use redis::cmd;
use serde_json::json;

use crate::fixture::*;
use crate::redis_server::{RedisServer, wait_until};
use crate::{store, store_at, try_accept};

/// The shard of the tenant `default`.
const P: &str = "hg:{13}:";
/// When the open breaker of [`first_schema`] may be probed, and when its waiting retry is due.
const PROBE: u64 = 20_000;
const RETRY: u64 = 60_000;

async fn run(server: &RedisServer, name: &str, args: &[&str]) -> redis::Value {
    server.command(cmd(name).arg(args).to_owned()).await.unwrap()
}

/// A command on a key of the shard.
async fn write(server: &RedisServer, name: &str, key: &str, rest: &[&str]) {
    let key = format!("{P}{key}");
    run(server, name, &[&[key.as_str()], rest].concat()).await;
}

fn moment(ms: u64) -> String {
    at(ms).0.to_string()
}

async fn endpoint_of_first_schema(server: &RedisServer, name: &str, state: &[(&str, &str)]) {
    let json = json!({
        "id": name, "tenant": "default", "url": format!("https://{name}.example/"), "event_types": ["*"],
        "secrets": ["whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="], "headers": {}, "max_in_flight": 10, "rate_limit": null,
        "timeout_ms": 1000, "retry": {"max_attempts": 15, "base_ms": 5000, "max_ms": 43_200_000}, "enabled": true,
        "declared": false, "description": "", "created_at": at(0), "updated_at": at(0),
    })
    .to_string();
    let fixed = ["tenant", "default", "json", &json, "on", "1", "max", "10", "timeout", "1000", "gap", "0"];
    let state: Vec<&str> = state.iter().flat_map(|(field, value)| [*field, *value]).collect();
    write(server, "HSET", &format!("ep:{name}"), &[&fixed[..], &state].concat()).await;
    write(server, "HSET", "tenant:default", &[name, &json, "@", "0123456789abcdef"]).await;
    write(server, "ZADD", "endpoints", &["0", name]).await;
}

/// An event with one delivery, accepted at the beginning; `state`: status, attempts, due, token.
async fn delivery_of_first_schema(
    server: &RedisServer,
    endpoint: &str,
    (status, attempts, due, token): (&str, u32, u64, &str),
) -> DeliveryId {
    let tenant = tenant("default");
    let event = EventId::fresh(at(0), entropy(), &tenant).to_string();
    let id = DeliveryId::fresh(at(0), entropy(), &tenant);
    let (name, tries) = (id.to_string(), attempts.to_string());
    let head = json!({"tenant": "default", "type": "order.created", "content_type": "application/json",
        "request_id": "req-1", "accepted_at": at(0)});
    let (now, due) = (moment(0), moment(due));
    let fields = ["e", &event, "p", endpoint, "s", status, "a", &tries, "b", "0", "due", &due, "u", &now];
    write(server, "HSET", &name, &fields).await;
    write(server, "HSET", &name, &["t", token]).await;
    let fields = ["t", "default", "m", &head.to_string(), "p", "{}", "d", &name, "n", "1", "k", "1"];
    write(server, "HSET", &event, &fields).await;
    write(server, "ZADD", "events", &["0", &event]).await;
    for number in 1..=attempts {
        let attempt = json!({"number": number, "started_at": at(0), "duration_ms": 9, "outcome": {"answered": 500},
            "response": ""});
        write(server, "RPUSH", &format!("try:{name}"), &[&attempt.to_string()]).await;
    }
    match (status, token) {
        ("pending", "") => write(server, "ZADD", &format!("queue:{endpoint}"), &[&due, &name]).await,
        ("pending", _) => write(server, "ZADD", "leases", &[&moment(6_000), &name]).await,
        _ => write(server, "ZADD", "finished", &[&now, &name]).await,
    }
    if status.starts_with("dead") {
        write(server, "ZADD", "dead", &["0", &format!("{event}.{name}")]).await;
    }
    id
}

/// What [`first_schema`] has written.
struct Old {
    first_attempt: DeliveryId,
    retry: DeliveryId,
    leased: DeliveryId,
    probed: DeliveryId,
    dead: DeliveryId,
    known: EventId,
}

/// A deployment as the first version left it: no layout but one for all, retries among first attempts, an open breaker
/// of few words, an attempt under way.
async fn first_schema(server: &RedisServer) -> Old {
    run(server, "HSET", &["hg:layout", "schema", "1", "shards", "16"]).await;
    endpoint_of_first_schema(server, "a", &[("flight", "1")]).await;
    let open = [("breaker", "open"), ("until", &moment(PROBE)), ("failures", "0"), ("flight", "0")];
    endpoint_of_first_schema(server, "b", &open).await;
    let old = Old {
        first_attempt: delivery_of_first_schema(server, "a", ("pending", 0, 0, "")).await,
        retry: delivery_of_first_schema(server, "a", ("pending", 1, RETRY, "")).await,
        leased: delivery_of_first_schema(server, "a", ("pending", 0, 0, "deadbeef.77")).await,
        probed: delivery_of_first_schema(server, "b", ("pending", 5, 1_000, "")).await,
        dead: delivery_of_first_schema(server, "a", ("dead:exhausted", 2, 0, "")).await,
        known: EventId::fresh(at(0), entropy(), &tenant("default")),
    };
    delivery_of_first_schema(server, "a", ("delivered", 1, 0, "")).await;
    write(server, "SET", "key:default:k", &[&format!("{} {} 1", moment(86_400_000), old.known)]).await;
    write(server, "HSET", "sums", &["pending", "4", "delivered", "1", "dead", "1", "serial", "9"]).await;
    write(server, "ZADD", "turn", &["9", "a"]).await;
    write(server, "ZADD", "wait", &[&moment(PROBE), "b"]).await;
    old
}

/// pending, delivered, dead
async fn assert_sums(store: &dyn Store, sums: (u64, u64, u64), promise: &str) {
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), sums, "{promise}");
}

/// pending, in flight and breaker of `a` and `b`
async fn assert_health(store: &dyn Store, expected: [(u64, u32, BreakerState); 2], promise: &str) {
    let endpoints = store.census().await.unwrap().endpoints;
    let health: Vec<_> = endpoints.iter().map(|h| (h.pending, h.in_flight, h.breaker)).collect();
    assert_eq!(health, expected, "{promise}");
}

/// Holds what is there against what was written, delivers all, each at its moment, and forgets it.
async fn assert_nothing_is_lost(store: &dyn Store, old: &Old, promise: &str) {
    assert_sums(store, (4, 1, 1), promise).await;
    assert_health(store, [(3, 1, BreakerState::Closed), (1, 0, BreakerState::Open)], promise).await;
    let again = store.accept(&[offer(event(at(1)), &["k"])], at(1)).await.unwrap()[0];
    assert_eq!((again.id, again.duplicate), (old.known, true), "{promise}: a known key");
    deliver_each_in_time(store, old, promise).await;
    assert_sums(store, (0, 5, 1), promise).await;
    assert_health(store, [(0, 0, BreakerState::Closed); 2], promise).await;
    assert_ledger(store, old, promise).await;
    maintain_fully(store, at(8 * 86_400_000)).await;
    assert_sums(store, (0, 0, 0), promise).await;
}

async fn deliver_each_in_time(store: &dyn Store, old: &Old, promise: &str) {
    let moments =
        [(10, old.first_attempt, 1), (6_000, old.leased, 1), (PROBE, old.probed, 6), (RETRY, old.retry, 2)];
    for (ms, id, attempt) in moments {
        let lease = lease(store, at(ms)).await;
        assert_eq!((lease.delivery, lease.attempt, lease.step), (id, attempt, attempt), "{promise}");
        settle(store, succeeded(&lease, at(ms)), at(ms)).await;
    }
}

/// What was over before is still known, and can be sent again.
async fn assert_ledger(store: &dyn Store, old: &Old, promise: &str) {
    assert_eq!(store.attempts(&old.retry).await.unwrap().len(), 2, "{promise}");
    assert_eq!(store.events(&EventFilter::default(), &first(250)).await.unwrap().data.len(), 6, "{promise}");
    assert_eq!(delivery(store, old.dead).await.status, Status::Dead(DeadReason::Exhausted), "{promise}");
    store.retry(&old.dead, at(RETRY)).await.unwrap().unwrap();
    assert_eq!(deliver_all(store, at(RETRY)).await, 1, "{promise}");
}

/// One step of a migration, of few rows, as a process that is killed after it leaves it.
async fn step(server: &RedisServer) -> redis::Value {
    let script = include_str!("../../src/store/redis/lua/migrate/1.lua");
    run(server, "EVAL", &[script, "1", &format!("{P}layout"), P, "1"]).await
}

#[tokio::test]
async fn the_first_schema_is_led_to_ours_wherever_that_was_cut_off() {
    let server = RedisServer::start().await;
    let mut steps = 0;
    loop {
        run(&server, "FLUSHALL", &[]).await;
        let old = first_schema(&server).await;
        write(&server, "HSET", "layout", &["schema", "1", "shards", "16", "epoch", "e"]).await;
        let mut last = redis::Value::Nil;
        for _ in 0..steps {
            last = step(&server).await;
        }
        assert_nothing_is_lost(&store(&server), &old, &format!("after {steps} steps")).await;
        if last == redis::Value::Int(0) {
            break;
        }
        steps += 1;
    }
    assert!(steps > 4, "cut off in the middle of queues too: {steps}");
}

#[tokio::test]
async fn a_shard_without_a_layout_of_its_own_is_of_the_first_schema() {
    let server = RedisServer::start().await;
    let old = first_schema(&server).await;
    assert_nothing_is_lost(&store(&server), &old, "opened by one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_open_at_once_migrate_it_once() {
    let server = RedisServer::start().await;
    let old = first_schema(&server).await;
    for _ in 0..1_300 {
        delivery_of_first_schema(&server, "c", ("pending", 1, RETRY, "")).await;
    }
    endpoint_of_first_schema(&server, "c", &[]).await;
    write(&server, "HINCRBY", "sums", &["pending", "1300"]).await;
    let stores: Vec<_> = (0..4).map(|_| Arc::new(store(&server))).collect();
    let mut opening = tokio::task::JoinSet::new();
    for store in stores.clone() {
        opening.spawn(async move { store.census().await.unwrap() });
    }
    let seen = opening.join_all().await;
    assert!(seen.iter().all(|census| census.pending == 1_304 && *census == seen[0]), "{seen:?}");
    assert_eq!(deliver_all(&*stores[0], at(RETRY - 1)).await, 3, "nothing before its time");
    assert_eq!(deliver_all(&*stores[1], at(RETRY)).await, 1_301);
    assert_eq!(delivery(&*stores[2], old.retry).await.attempts, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_migrated_shard_by_shard() {
    let mut cluster = Cluster::start().await;
    let before = store_at(cluster.url());
    put(&before, &endpoint("a")).await;
    let id = accept_one(&before, at(0)).await;
    drop(before);
    // back to the first schema: it had other names for what is worked on
    let node = cluster.primary_of(P).await;
    for name in ["sums", "turn", "events", "endpoints", "ep:a", "tenant:default"] {
        assert_eq!(
            node.command(&["RENAME", &format!("{P}2:{name}"), &format!("{P}{name}")]).await,
            "OK",
            "{name}"
        );
    }
    node.command(&["HSET", &format!("{P}layout"), "schema", "1"]).await;
    let node = cluster.primary_of("hg:layout").await;
    node.command(&["HSET", "hg:layout", "schema", "1"]).await;
    let store = store_at(cluster.url());
    assert_sums(&store, (1, 0, 0), "found").await;
    assert_eq!(lease(&store, at(0)).await.delivery, id);
    let node = cluster.primary_of("hg:layout").await;
    assert_eq!(node.command(&["HGET", "hg:layout", "schema"]).await, "2", "what is no shard's too");
}

#[tokio::test]
async fn a_process_of_the_first_schema_finds_nothing_that_it_could_harm() {
    let server = RedisServer::start().await;
    let old = first_schema(&server).await;
    let store = store(&server);
    store.census().await.unwrap();
    // what its scripts ask for before they write: the sums, turns, leases; an endpoint; the token of its lease
    for question in [
        cmd("HGET").arg(format!("{P}sums")).arg("pending"),
        cmd("HINCRBY").arg(format!("{P}sums")).arg("serial").arg(1),
    ] {
        let asked = server.command(question.to_owned()).await;
        assert!(asked.unwrap_err().to_string().contains("WRONGTYPE"), "its accept fails");
    }
    for key in ["turn", "wait", "leases", "finished", "gone", "endpoints", "ep:a", "ep:b", "tenant:default"] {
        assert_eq!(run(&server, "EXISTS", &[&format!("{P}{key}")]).await, redis::Value::Int(0), "{key}");
    }
    let token = run(&server, "HGET", &[&format!("{P}{}", old.leased), "t"]).await;
    assert_ne!(token, redis::Value::BulkString(b"deadbeef.77".to_vec()), "its results come too late");
    assert_nothing_is_lost(&store, &old, "beside it").await;
}

#[tokio::test]
async fn a_process_leaves_alone_what_a_newer_one_has_moved_on() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    let id = accept_one(&store, at(0)).await;
    let lease = lease(&store, at(0)).await;
    accept(&store, 1, at(0)).await;
    let before = run(&server, "DUMP", &[&format!("{P}2:sums")]).await;
    write(&server, "HSET", "layout", &["schema", "3"]).await;
    assert_eq!(try_accept(&store, 1).await, Err(StoreFault::Unavailable));
    let faults = [
        store.settle(&[failed(&lease, at(1), Next::Delivered)], at(1)).await.unwrap_err().fault,
        store.retry(&id, at(1)).await.unwrap_err().fault,
        store.maintain(at(100_000)).await.unwrap_err().fault,
        store.delete_endpoint(&endpoint_id("a"), at(1)).await.unwrap_err().fault,
        store.put_endpoint(&endpoint("a"), Put::Upsert).await.unwrap_err().fault,
    ];
    assert_eq!(faults, [StoreFault::Unavailable; 5]);
    assert!(store.take(Ask { now: at(1), room: 9, grace: GRACE, ahead: false }).await.is_err());
    let told = store.ping().await.unwrap_err();
    assert_eq!(told.fault, StoreFault::Broken);
    let why = std::error::Error::source(&told).unwrap().to_string();
    assert_eq!(why, "schema 3 is newer than 2: upgrade this program");
    assert_eq!(run(&server, "DUMP", &[&format!("{P}2:sums")]).await, before, "nothing was changed");
    write(&server, "HSET", "layout", &["schema", "2"]).await;
    wait_until("accept", async || try_accept(&store, 2).await.is_ok()).await;
    settle(&store, succeeded(&lease, at(2)), at(2)).await;
    assert_eq!(delivery(&store, id).await.status, Status::Delivered);
}
