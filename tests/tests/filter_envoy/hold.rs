//! Mode `hold` on an Envoy that does not hold: nothing passes, and somebody is told.

use std::time::Duration;

use hookgate_e2e::Client;

use crate::door::{Door, Mode, genuine};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_knob_nothing_passes_and_the_counter_says_why() {
    let door = Door::start_with(Mode::Hold, |setup| {
        setup
            .edit("allow_on_headers_stop_iteration: true", "allow_on_headers_stop_iteration: false")
            .edit("stream_idle_timeout: 60s", "stream_idle_timeout: 2s")
    })
    .await;
    let mut client = Client::connect(door.envoy.address()).await;
    for frame in genuine("seed", b"{}").frames() {
        client.write(&frame).await.expect("an open connection");
    }
    let answer = client.read(Duration::from_secs(30)).await.expect("an answer");
    assert!(matches!(answer.status, 408 | 504), "{}", answer.status);
    assert_eq!(door.sent_on().await, 0);
    assert_eq!(door.counter("hookgate_hold_without_knob_total{}").await, 1);
    door.assert_never_trapped().await;
}
