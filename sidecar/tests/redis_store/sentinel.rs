//! The primary that Sentinels name: followed when it changes, without a restart of ours.

use hookgate_e2e::Sentinel;
use hookgate_sidecar::store::Store;

use crate::fixture::*;
use crate::{accept_in_the_end, assert_delivers, store_at, try_accept};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_and_what_was_accepted_is_delivered() {
    let mut redis = Sentinel::start().await;
    let store = store_at(redis.url());
    put(&store, &endpoint("a")).await;
    let before = try_accept(&store, 0).await.unwrap();
    redis.primary().await.command(&["WAIT", "1", "5000"]).await;
    redis.kill_primary().await;
    assert!(try_accept(&store, 1).await.is_err(), "nobody answers yet");
    let after = accept_in_the_end(&store, 2).await;
    assert_ne!(before, after);
    assert!(deliver_all(&store, at(3)).await >= 2);
    assert!(store.event(&before).await.unwrap().is_some());
    redis.restart_killed().await;
    assert_delivers(&store, 4, "the old primary is back, as a replica").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_primary_is_left_though_it_still_answers() {
    let mut redis = Sentinel::start().await;
    let store = store_at(redis.url());
    put(&store, &endpoint("a")).await;
    let old = redis.primary().await.address();
    redis.primary().await.command(&["WAIT", "1", "5000"]).await;
    redis.swap().await;
    crate::redis_server::wait_until("swap", async || redis.primary().await.address() != old).await;
    // the Sentinels demote the old one only seconds later: what it takes until then is lost
    crate::redis_server::wait_until("event at the new one", async || {
        let id = accept_in_the_end(&store, 1).await;
        redis.primary().await.command(&["EXISTS", &format!("hg:{{13}}:{id}")]).await == "1"
    })
    .await;
    deliver_all(&store, at(2)).await;
    assert_delivers(&store, 3, "at the new one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_sentinel_knows_is_no_primary() {
    let redis = Sentinel::start().await;
    let store = store_at(redis.url().replace("/main", "/other"));
    assert!(store.ping().await.is_err());
}
