//! SIGTERM to the real process, on both stores: no new work, what is under way ends or goes back, exit 0 in time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::time::Duration;

use hookgate_e2e::sidecar::{Setup, event};
use hookgate_e2e::stack::{Kept, store_of};
use hookgate_e2e::{Answer, Client, Receiver, Redis, Sidecar, wait_until};
use serde_json::json;

/// Less than a lease lasts (15 s for the attempt, 15 s of grace): nobody waits for the end of one.
const BOUND: Duration = Duration::from_secs(20);
const DRAIN: Duration = Duration::from_secs(2);

macro_rules! on_both_stores {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded { $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Kept::File).await; })+ }
        mod redis { $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Kept::Redis).await; })+ }
    };
}

on_both_stores!(
    an_attempt_under_way_is_finished_and_not_made_again,
    an_attempt_that_outlives_the_drain_is_given_back_and_made_again,
);

/// A sidecar with one subscriber.
struct Pair {
    sidecar: Sidecar,
    receiver: Receiver,
    _redis: Option<Redis>,
}

impl Pair {
    /// One event is on its way to a subscriber that answers `after` a while.
    async fn with_one_attempt_under_way(kept: Kept, after: Duration) -> Self {
        let (store, redis) = store_of(kept).await;
        let setup = Setup::on(store).env("HOOKGATE_DRAIN_MS", &DRAIN.as_millis().to_string());
        let (sidecar, receiver) = (setup.start().await, Receiver::start().await);
        receiver.answer(Answer::status(200).after(after));
        sidecar.create_endpoint(&json!({ "url": receiver.url("/hook") })).await;
        let accepted = Client::call(sidecar.data(), &event(&json!({ "type": "a", "data": 1 }))).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        receiver.wait_for(1, BOUND).await;
        Self { sidecar, receiver, _redis: redis }
    }

    /// Asks the process to end, and sees it end by itself.
    async fn stop(&mut self) {
        let ended = self.sidecar.process().stop_within(5 * DRAIN).await;
        assert_eq!(ended.code(), Some(0), "{}", self.sidecar.process().log());
    }

    async fn wait_until_delivered(&self) {
        wait_until("delivery in the ledger", BOUND, || async {
            let delivered = self.sidecar.read("/v1/deliveries?status=delivered").await;
            if delivered["data"].as_array().is_some_and(|rows| rows.len() == 1) {
                Ok(())
            } else {
                Err(delivered)
            }
        })
        .await;
    }
}

async fn an_attempt_under_way_is_finished_and_not_made_again(kept: Kept) {
    let mut pair = Pair::with_one_attempt_under_way(kept, DRAIN / 8).await;
    pair.stop().await;
    pair.sidecar.restart().await;
    pair.wait_until_delivered().await;
    assert_eq!(pair.receiver.count(), 1, "settled before the end");
}

async fn an_attempt_that_outlives_the_drain_is_given_back_and_made_again(kept: Kept) {
    let mut pair = Pair::with_one_attempt_under_way(kept, 10 * DRAIN).await;
    pair.stop().await;
    pair.receiver.answer(Answer::status(200));
    pair.sidecar.restart().await;
    pair.wait_until_delivered().await;
    assert_eq!(pair.receiver.count(), 2, "one that was cut off, one that was made again");
}
