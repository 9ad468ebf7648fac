//! Bodies around the limit, and clients over theirs.

use hookgate_e2e::h2_client::H2Client;
use hookgate_e2e::{Client, Framing, Response};

use crate::door::{Door, Mode, assert_refusal, genuine};

/// The shipped policy's `max_body_bytes`.
const LIMIT: usize = 1_048_576;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_passes_up_to_the_limit_and_one_byte_more_does_not() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for len in [LIMIT - 1, LIMIT, LIMIT + 1] {
            for (framing, http2) in [
                (Framing::Length, false),
                (Framing::Chunked, false),
                (Framing::Claimed(len as u64), true),
                (Framing::Unsaid, true),
            ] {
                let what = format!("{len} bytes, {framing:?}, http2 {http2}, {mode:?}");
                let answer = post(&door, len, framing, http2).await;
                if len <= LIMIT {
                    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                } else {
                    assert_refusal(&answer, 413, &what);
                }
            }
        }
        let seen = door.upstream.seen();
        assert_eq!(seen.iter().filter(|seen| seen.message.complete).count(), 8, "{mode:?}");
        assert!(seen.iter().all(|seen| seen.message.complete || seen.message.body.is_empty()), "{mode:?}");
        door.assert_never_trapped().await;
    }
}

async fn post(door: &Door, len: usize, framing: Framing, http2: bool) -> Response {
    let body = vec![b'x'; len];
    let parts = body.chunks(64 * 1024);
    let request = genuine("github", &body).framing(framing).parts(parts);
    if http2 {
        H2Client::connect(door.envoy.address()).await.call(&request).await.expect("an answer")
    } else {
        Client::call(door.envoy.address(), &request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_limited_for_all_workers_together_and_says_when_to_come_again() {
    for mode in Mode::BOTH {
        let door = Door::start_with(mode, |setup| setup.concurrency(4)).await;
        let mut answers = Vec::new();
        for _ in 0..40 {
            answers.push(Client::call(door.envoy.address(), &genuine("demo", b"{}")).await);
        }
        let (passed, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        // 20 at once, and what comes back while 40 requests take their time: 2 a second.
        assert!((20..30).contains(&passed.len()), "{mode:?}: {} of 40 passed", passed.len());
        for answer in refused {
            assert_refusal(answer, 429, &format!("{mode:?}"));
            let retry_after: u64 = answer.header("retry-after").expect("a date").parse().expect("seconds");
            assert!((1..=10).contains(&retry_after), "{mode:?}: {retry_after}");
        }
        assert_eq!(passed[0].header("x-ratelimit-limit"), Some("20"), "{mode:?}");
        assert!(passed[0].header("ratelimit").is_some(), "{mode:?}");
        assert_eq!(door.sent_on().await, passed.len() as u64, "{mode:?}: the refused went nowhere");
        door.assert_never_trapped().await;
    }
}
