//! An accept that waits for replicas is answered when they have it, and not before.

use std::time::Duration;

use hookgate_e2e::Redis;
use hookgate_e2e::redis::Persistence;
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore, ReplicaWait};
use hookgate_sidecar::store::{Store, StoreFault, StoreSettings};
use tokio::time::timeout;

use crate::assert_delivers;
use crate::fixture::*;

#[tokio::test]
async fn without_enough_replicas_nothing_is_answered_not_even_again() {
    let primary = Redis::start(Persistence::Always).await;
    let mut replica = primary.start_replica().await;
    let wait = Some(ReplicaWait { replicas: 1, timeout: Duration::from_millis(700) });
    let redis = RedisSettings { wait, ..RedisSettings::at(primary.url()) };
    let store = RedisStore::connect(&redis, StoreSettings::default()).unwrap();
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "a replica has it").await;
    primary.command(&["SCRIPT", "FLUSH"]).await;
    assert_delivers(&store, 1, "though the script was forgotten").await;

    replica.freeze(true);
    let once = [offer(event(at(2)), &["key"])];
    for what in ["written here only", "known here only"] {
        let answer = timeout(Duration::from_millis(1500), store.accept(&once, at(2))).await.expect(what);
        assert_eq!(answer.unwrap_err().fault, StoreFault::Unavailable, "{what}");
    }
    let leases = leases(&store, at(2), 10).await;
    assert_eq!(leases.len(), 1, "only accepts wait, and it may stay");

    replica.freeze(false);
    let answers = store.accept(&once, at(3)).await.unwrap();
    assert!(answers[0].duplicate, "the producer's next try finds out");
}
