//! Several processes whose seal keys differ, as while a key is changed.

use std::sync::Arc;

use hookgate_sidecar::entropy;
use hookgate_sidecar::model::Endpoint;
use hookgate_sidecar::seal::{Seal, SealKey};
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{Store, StoreSettings};

use crate::assert_delivers;
use crate::fixture::*;
use crate::redis_server::RedisServer;

fn sealed(server: &RedisServer, keys: &[u8]) -> Arc<RedisStore> {
    let keys = keys.iter().map(|byte| SealKey::new(&[*byte; 32]).unwrap()).collect();
    let seal = Seal::new(keys, entropy::system);
    let redis = RedisSettings { pool: 4, ..RedisSettings::at(server.url()) };
    Arc::new(RedisStore::connect_sealed(&redis, StoreSettings::default(), seal).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealing_again_never_undoes_what_another_process_changes() {
    let server = RedisServer::start().await;
    let (old, new) = (sealed(&server, &[1, 2]), sealed(&server, &[2, 1]));
    put(&*old, &endpoint("a")).await;
    let (sealing, mut count) = (Arc::clone(&new), 0);
    let resealing = async {
        for _ in 0..100 {
            count += sealing.reseal().await.unwrap();
        }
    };
    let changing = async {
        for number in 0..100 {
            put(&*old, &Endpoint { description: number.to_string(), ..endpoint("a") }).await;
            let kept = new.endpoint(&endpoint_id("a")).await.unwrap().unwrap();
            assert_eq!(kept.description, number.to_string());
        }
    };
    tokio::join!(resealing, changing);
    assert!(count > 0, "there was something to seal between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sealed_with_a_foreign_key_waits_for_a_process_that_has_it() {
    let server = RedisServer::start().await;
    let (old, new) = (sealed(&server, &[1]), sealed(&server, &[2, 1]));
    put(&*old, &endpoint("a")).await;
    put(&*old, &Endpoint { tenant: tenant("t1"), ..endpoint("b") }).await;
    let waiting = accept_one(&*old, at(0)).await;
    put(&*new, &endpoint("a")).await;
    assert!(leases(&*old, at(0), 10).await.is_empty(), "it cannot be signed");
    let foreign = old.accept(&[offer(event_of("t1", at(1)), &[])], at(1)).await.unwrap();
    assert_eq!(foreign[0].deliveries, 1, "nobody else is kept waiting");
    assert_eq!(leases(&*old, at(1), 10).await.len(), 1);
    let later = lease_end(1);
    new.maintain(later).await.unwrap();
    let taken = leases(&*new, later, 10).await;
    let lease = taken.iter().find(|lease| lease.delivery == waiting).expect("it is due again");
    assert_eq!(lease.attempt, 1, "nothing was counted");
}

#[tokio::test]
async fn what_is_written_again_after_a_loss_is_sealed_too() {
    let server = RedisServer::start().await;
    let store = sealed(&server, &[1]);
    put(&*store, &endpoint("a")).await;
    server.command(redis::cmd("FLUSHALL")).await.unwrap();
    assert_delivers(&*store, 1, "the endpoint is there again").await;
    let kept = server.command(redis::cmd("HGET").arg("hg:{13}:2:ep:a").arg("json").to_owned()).await.unwrap();
    let kept: String = redis::from_redis_value(kept).unwrap();
    assert!(kept.contains(r#""sealed":"#) && !kept.contains("whsec_"), "{kept}");
}
