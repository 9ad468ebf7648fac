//! What only a store over Redis has to promise: that it lives through whatever happens to Redis, and that several
//! processes share it. What every store promises is in `conformance`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
#![allow(clippy::indexing_slicing, reason = "tests fail loudly")]
#![allow(unreachable_pub, reason = "what suites share is public in each")]

mod cluster;
mod faults;
#[path = "../conformance/fixture.rs"]
#[expect(dead_code, reason = "another suite uses the rest")]
mod fixture;
mod migration;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod replicas;
mod sealing;
mod sentinel;
mod shards;
mod tls;
mod wait;

use hookgate_sidecar::model::{EventId, Status};
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{Store, StoreError, StoreFault, StoreSettings};

use crate::fixture::*;
use crate::redis_server::{RedisServer, wait_until};

/// A store over this server, as one process has it.
fn store(server: &RedisServer) -> RedisStore {
    store_with(server, StoreSettings::default()).unwrap()
}

fn store_with(server: &RedisServer, settings: StoreSettings) -> Result<RedisStore, StoreError> {
    RedisStore::connect(&RedisSettings { pool: 4, ..RedisSettings::at(server.url()) }, settings)
}

/// A store at this URL, with few connections.
fn store_at(url: String) -> RedisStore {
    let redis = RedisSettings { pool: 4, ..RedisSettings::at(url) };
    RedisStore::connect(&redis, StoreSettings::default()).unwrap()
}

/// Accepts one event; what went wrong, if it did.
async fn try_accept(store: &dyn Store, ms: u64) -> Result<EventId, StoreFault> {
    let answer = store.accept(&[offer(event(at(ms)), &[])], at(ms)).await;
    answer.map(|answers| answers[0].id).map_err(|error| error.fault)
}

/// Accepts as soon as the store can again.
async fn accept_in_the_end(store: &dyn Store, ms: u64) -> EventId {
    let mut accepted = None;
    wait_until("accept", async || {
        accepted = try_accept(store, ms).await.ok();
        accepted.is_some()
    })
    .await;
    accepted.unwrap()
}

async fn assert_delivers(store: &dyn Store, ms: u64, what: &str) {
    assert_eq!(accept(store, 1, at(ms)).await[0].deliveries, 1, "{what}");
    let lease = lease(store, at(ms)).await;
    settle(store, succeeded(&lease, at(ms)), at(ms)).await;
    assert_eq!(delivery(store, lease.delivery).await.status, Status::Delivered, "{what}");
}

/// Waits until so many processes hear of each other.
async fn listening(server: &RedisServer, processes: usize) {
    wait_until("listeners", async || {
        let subscribers = server.command(redis::cmd("PUBSUB").arg("NUMSUB").arg("hg:wake").to_owned()).await;
        format!("{subscribers:?}").contains(&format!("int({processes})"))
    })
    .await;
}
