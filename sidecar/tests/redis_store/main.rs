//! What only a store over Redis has to promise: that it lives through whatever happens to Redis, and that several
//! processes share it. What every store promises is in `conformance`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
#![allow(clippy::indexing_slicing, reason = "tests fail loudly")]
#![allow(unreachable_pub, reason = "what suites share is public in each")]

mod faults;
#[path = "../conformance/fixture.rs"]
#[expect(dead_code, reason = "another suite uses the rest")]
mod fixture;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod replicas;
mod shards;

use hookgate_sidecar::store::redis::RedisStore;
use hookgate_sidecar::store::{StoreError, StoreSettings};

use crate::redis_server::{RedisServer, wait_until};

/// A store over this server, as one process has it.
fn store(server: &RedisServer) -> RedisStore {
    store_with(server, StoreSettings::default()).unwrap()
}

fn store_with(server: &RedisServer, settings: StoreSettings) -> Result<RedisStore, StoreError> {
    RedisStore::connect(&server.url(), 4, settings)
}

/// Waits until so many processes hear of each other.
async fn listening(server: &RedisServer, processes: usize) {
    wait_until("listeners", async || {
        let subscribers = server.command(redis::cmd("PUBSUB").arg("NUMSUB").arg("hg:wake").to_owned()).await;
        format!("{subscribers:?}").contains(&format!("int({processes})"))
    })
    .await;
}
