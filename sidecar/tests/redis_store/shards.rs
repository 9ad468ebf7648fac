//! Tenants of many shards together: batches, room, turns, ids that do not tell their shard.

use std::collections::HashSet;

use hookgate_sidecar::model::{DeadReason, Endpoint, Status, Tenant};
use hookgate_sidecar::store::{DeliveryFilter, Offer, Put, Settled, Store, StoreFault, StoreSettings};

use crate::fixture::*;
use crate::redis_server::RedisServer;
use crate::{store, store_with};

/// Tenants that between them are in every shard, by their names.
fn tenants() -> Vec<String> {
    let names: Vec<String> = (0..64).map(|n| format!("t{n}")).collect();
    let shards: HashSet<u8> = names.iter().map(|name| tenant(name).shard_byte() % 16).collect();
    assert_eq!(shards.len(), 16);
    names
}

fn endpoint_of(name: &str) -> Endpoint {
    Endpoint { tenant: tenant(name), ..endpoint(&format!("of-{name}")) }
}

fn one_for_each(names: &[String], ms: u64) -> Vec<Offer> {
    names.iter().map(|name| offer(event_of(name, at(ms)), &["k"])).collect()
}

#[tokio::test]
async fn a_batch_over_all_shards_is_answered_in_its_order() {
    let server = RedisServer::start().await;
    let (store, names) = (store(&server), tenants());
    for name in &names {
        put(&store, &endpoint_of(name)).await;
    }
    let offers = one_for_each(&names, 0);
    let answers = store.accept(&offers, at(0)).await.unwrap();
    for (offer, answer) in offers.iter().zip(&answers) {
        assert_eq!((answer.id, answer.deliveries, answer.duplicate), (offer.event.id, 1, false));
    }
    let again = store.accept(&one_for_each(&names, 1), at(1)).await.unwrap();
    assert!(again.iter().zip(&answers).all(|(again, first)| again.duplicate && again.id == first.id));
    assert_eq!(deliver_all(&store, at(2)).await, names.len());
    let listed = store.deliveries(&DeliveryFilter::default(), &first(250)).await.unwrap().data;
    let owners: HashSet<&Tenant> = listed.iter().map(|delivery| &delivery.tenant).collect();
    assert_eq!(owners.len(), names.len());
}

#[tokio::test]
async fn a_batch_that_would_pass_max_pending_over_all_shards_writes_nothing() {
    let server = RedisServer::start().await;
    let store = store_with(&server, StoreSettings { max_pending: 70, ..StoreSettings::default() }).unwrap();
    let names = tenants();
    for name in &names {
        put(&store, &endpoint_of(name)).await;
    }
    store.accept(&one_for_each(&names[..10], 0), at(0)).await.unwrap();
    let batch: Vec<Offer> = names.iter().map(|name| offer(event_of(name, at(1)), &["other"])).collect();
    assert_eq!(store.accept(&batch, at(1)).await.unwrap_err().fault, StoreFault::Full);
    assert_eq!(store.census().await.unwrap().pending, 10);
    let answers = store.accept(&batch[..60], at(2)).await.unwrap();
    assert!(answers.iter().all(|answer| !answer.duplicate));
    assert_eq!(
        store.accept(&one_for_each(&names[60..], 3), at(3)).await.unwrap_err().fault,
        StoreFault::Full
    );
}

#[tokio::test]
async fn with_less_room_than_tenants_everybody_has_a_turn() {
    let server = RedisServer::start().await;
    let (store, names) = (store(&server), tenants());
    for name in &names {
        put(&store, &endpoint_of(name)).await;
    }
    let backlog: Vec<Offer> = (0..100).map(|_| offer(event_of(&names[0], at(0)), &[])).collect();
    store.accept(&backlog, at(0)).await.unwrap();
    store.accept(&one_for_each(&names, 0), at(0)).await.unwrap();
    let mut served = HashSet::new();
    for _ in 0..80 {
        served.extend(leases(&store, at(0), 2).await.iter().map(|lease| lease.endpoint.tenant.clone()));
    }
    assert!(
        served.len() >= 60,
        "{} of 64 tenants served by 160 leases beside a backlog of 100",
        served.len()
    );
}

#[tokio::test]
async fn an_endpoints_name_is_one_over_all_shards() {
    let server = RedisServer::start().await;
    let (store, names) = (store(&server), tenants());
    let of = |name: &str| Endpoint { tenant: tenant(name), ..endpoint("same") };
    let mut others = names.iter().filter(|name| *name != "t0");
    let far = others.find(|name| tenant(name).shard_byte() % 16 != tenant("t0").shard_byte() % 16).unwrap();
    assert!(store.put_endpoint(&of("t0"), Put::Create).await.unwrap());
    for put in [Put::Create, Put::Replace, Put::Upsert] {
        assert!(!store.put_endpoint(&of(far), put).await.unwrap(), "{put:?}");
    }
    assert_eq!(store.endpoint(&endpoint_id("same")).await.unwrap(), Some(of("t0")));
    assert!(store.delete_endpoint(&endpoint_id("same"), at(0)).await.unwrap());
    assert!(store.put_endpoint(&of(far), Put::Create).await.unwrap());
}

#[tokio::test]
async fn an_event_for_a_thousand_endpoints_reaches_each_once() {
    let server = RedisServer::start().await;
    let store = store(&server);
    for n in 0..1_000 {
        put(&store, &endpoint(&format!("e{n}"))).await;
    }
    let answer = accept(&store, 1, at(0)).await[0];
    assert_eq!(answer.deliveries, 1_000);
    let mut reached = HashSet::new();
    for _ in 0..1_000 {
        let leases = leases(&store, at(0), 300).await;
        if leases.is_empty() {
            break;
        }
        assert!(leases.iter().all(|lease| reached.insert(lease.endpoint.id.clone())), "twice");
    }
    assert_eq!(reached.len(), 1_000);
}

#[tokio::test]
async fn thousands_are_taken_and_settled_at_once() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    accept(&store, 2_500, at(0)).await;
    let taken = take(&store, at(0), u16::MAX).await;
    assert_eq!(taken.leases.len(), 2_500);
    let settlements: Vec<_> = taken.leases.iter().map(|lease| succeeded(lease, at(1))).collect();
    let settled = store.settle(&settlements, at(1)).await.unwrap().settled;
    assert_eq!(settled, vec![Settled::Recorded; 2_500]);
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.endpoints[0].in_flight), (0, 2_500, 0));
}

#[tokio::test]
async fn a_long_queue_is_buried_with_its_endpoint() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("doomed")).await;
    accept(&store, 1_700, at(0)).await;
    assert!(store.delete_endpoint(&endpoint_id("doomed"), at(1)).await.unwrap());
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.dead), (0, 1_700));
    let dead = DeliveryFilter { status: Some(Status::Dead(DeadReason::Gone)), ..DeliveryFilter::default() };
    let listed = store.deliveries(&dead, &first(3)).await.unwrap().data;
    assert!(listed.iter().all(|delivery| delivery.status == Status::Dead(DeadReason::EndpointDeleted)));
    assert!(store.put_endpoint(&endpoint("doomed"), Put::Create).await.unwrap(), "its name is free");
}

#[tokio::test]
async fn a_burial_that_was_cut_off_is_ended_by_maintain() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("doomed")).await;
    accept(&store, 1_700, at(0)).await;
    // what a deletion leaves that was cut off after its first script
    for (command, key, rest) in [
        ("DEL", "hg:{13}:2:ep:doomed", None),
        ("SADD", "hg:{13}:2:gone", Some("doomed")),
        ("DEL", "hg:{13}:2:tenant:default", None),
    ] {
        server.command(redis::cmd(command).arg(key).arg(rest).to_owned()).await.unwrap();
    }
    let reused = store.put_endpoint(&endpoint("doomed"), Put::Create).await.unwrap_err();
    assert_eq!(reused.fault, StoreFault::Unavailable, "its queue must not become its successor's");
    store.maintain(at(3)).await.unwrap();
    assert_eq!(store.census().await.unwrap().dead, 1_700);
    assert!(store.put_endpoint(&endpoint("doomed"), Put::Create).await.unwrap());
    assert!(leases(&store, at(4), 10).await.is_empty());
}
