//! A cluster: one of its nodes is lost and another takes its place; a shard that moves is away, not half there.

use std::time::Duration;

use hookgate_e2e::Cluster;
use hookgate_sidecar::model::Endpoint;
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{EventFilter, Offer, Retention, Store, StoreFault, StoreSettings};

use crate::fixture::*;
use crate::redis_server::wait_until;
use crate::{accept_in_the_end, assert_delivers, store_at, try_accept};

/// A key of the shard of the tenant `default`.
const DEFAULT: &str = "hg:{13}:2:sums";

async fn put_everywhere(store: &dyn Store) -> Vec<Offer> {
    let names: Vec<String> = (0..64).map(|n| format!("t{n}")).collect();
    for name in &names {
        let endpoint = Endpoint { tenant: tenant(name), ..endpoint(&format!("of-{name}")) };
        put(store, &endpoint).await;
    }
    put(store, &endpoint("a")).await;
    names.iter().map(|name| offer(event_of(name, at(0)), &[])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_primary_costs_nothing_that_was_accepted() {
    let mut cluster = Cluster::start().await;
    let (store, other) = (store_at(cluster.url()), store_at(cluster.url()));
    let offers = put_everywhere(&store).await;
    store.accept(&offers, at(0)).await.unwrap();
    cluster.primary_of(DEFAULT).await.command(&["WAIT", "1", "5000"]).await;
    cluster.kill_primary(DEFAULT).await;
    assert_eq!(try_accept(&store, 1).await, Err(StoreFault::Unavailable));
    accept_in_the_end(&store, 2).await;
    accept_in_the_end(&other, 2).await;
    let mut delivered = 0;
    wait_until("delivery of all", async || {
        delivered += deliver_all(&store, at(3)).await;
        delivered >= offers.len() + 2
    })
    .await;
    for offer in &offers {
        assert!(store.event(&offer.event.id).await.unwrap().is_some());
    }
    cluster.restart_killed().await;
    cluster.healthy().await;
    assert_delivers(&store, 4, "whole again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moving_shard_is_away_and_then_there_again() {
    let mut cluster = Cluster::start().await;
    let store = store_at(cluster.url());
    put_everywhere(&store).await;
    assert_delivers(&store, 0, "before").await;
    let slot = cluster.nodes()[0].command(&["CLUSTER", "KEYSLOT", DEFAULT]).await;
    let from = cluster.primary_of(DEFAULT).await;
    let (from_address, from_id) = (from.address(), from.command(&["CLUSTER", "MYID"]).await);
    let to = cluster.nodes().iter().position(|node| node.address() != from_address).unwrap();
    let to_id = cluster.nodes()[to].command(&["CLUSTER", "MYID"]).await;
    let to_port = cluster.nodes()[to].address().port().to_string();
    cluster.nodes()[to].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    cluster.primary_of(DEFAULT).await.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    assert_eq!(try_accept(&store, 1).await, Err(StoreFault::Unavailable), "its keys are on their way");

    let from = cluster.primary_of(DEFAULT).await;
    loop {
        let keys: Vec<String> = slot_keys(&from.url(), &slot).await;
        if keys.is_empty() {
            break;
        }
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &to_port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        assert_eq!(from.command(&migrate).await, "OK");
    }
    for node in cluster.nodes() {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    assert_delivers(&store, 2, "where it is now").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flushed_node_is_a_loss_and_its_endpoints_come_back() {
    let mut cluster = Cluster::start().await;
    let store = store_at(cluster.url());
    put_everywhere(&store).await;
    store.ping().await.unwrap();
    assert_eq!(store.losses(), 0);
    cluster.primary_of(DEFAULT).await.command(&["FLUSHALL"]).await;
    store.ping().await.unwrap();
    assert_eq!(store.losses(), 1, "though the layout itself may be at another node");
    assert_eq!(store.census().await.unwrap().endpoints.len(), 65);
    assert_delivers(&store, 1, "its endpoint is back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upkeep_is_done_where_a_node_answers_and_then_fails_for_the_other() {
    let mut cluster = Cluster::start().await;
    let retention = Retention::of(Duration::from_secs(1));
    let redis = RedisSettings { pool: 4, ..RedisSettings::at(cluster.url()) };
    let store = RedisStore::connect(&redis, StoreSettings { retention, ..StoreSettings::default() }).unwrap();
    let lost = cluster.primary_of(DEFAULT).await.address();
    let mut elsewhere = None;
    for name in (0..64).map(|n| format!("t{n}")) {
        let key = format!("hg:{{{:02}}}:2:sums", tenant(&name).shard_byte() % 16);
        store.accept(&[offer(event_of(&name, at(0)), &[])], at(0)).await.unwrap();
        if cluster.primary_of(&key).await.address() != lost {
            elsewhere = Some(tenant(&name));
            break;
        }
    }
    // enough that the lost node has failed long before it is done
    let elsewhere = elsewhere.expect("a shard of another node");
    for _ in 0..10 {
        let many: Vec<Offer> = (0..500).map(|_| offer(event_of(elsewhere.as_str(), at(0)), &[])).collect();
        store.accept(&many, at(0)).await.unwrap();
    }
    cluster.kill_primary(DEFAULT).await;
    assert_eq!(store.maintain(at(1_000)).await.unwrap_err().fault, StoreFault::Unavailable);
    let left = store.events(&EventFilter::of(Some(elsewhere)), &first(10)).await.unwrap();
    assert!(left.data.is_empty(), "all of it is forgotten, by the one call that failed");
}

async fn slot_keys(url: &str, slot: &str) -> Vec<String> {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut keys = redis::cmd("CLUSTER");
    keys.arg("GETKEYSINSLOT").arg(slot).arg(100).query_async(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_accepts_wakes_another_at_another_node() {
    let cluster = Cluster::start().await;
    let (here, there) = (store_at(cluster.url()), store_at(cluster.url()));
    put(&here, &endpoint("a")).await;
    // once `there` listens, an accept is heard before the next look at everything
    wait_until("news", async || {
        take(&there, at(0), 10).await;
        hush(&there, at(0)).await;
        accept(&here, 1, at(1)).await;
        let wake = there.wake();
        let heard = tokio::time::timeout(Duration::from_millis(300), wake.notified()).await;
        deliver_all(&there, at(2)).await;
        heard.is_ok()
    })
    .await;
}
