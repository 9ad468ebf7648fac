//! Clients that leave in the middle, and an upstream that is not there: no trap, nothing let in.

use hookgate_e2e::h2_client::H2Client;
use hookgate_e2e::{Client, Framing, Request, wait_until};

use crate::door::{BOUND, Door, Mode, assert_dressed, genuine, signature};

const BODY: &[u8] = b"0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_at_any_moment_leaves_nothing_behind() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for sent in [0, 5, 10] {
            leave_h1(&door, sent).await;
            leave_h2(&door, sent).await;
        }
        let answer = Client::call(door.envoy.address(), &genuine("seed", BODY)).await;
        assert_eq!(answer.status, 200, "{mode:?}: the next one is served");
        let seen = door.upstream.take();
        let whole: Vec<_> = seen.iter().filter(|seen| seen.message.complete).collect();
        assert_eq!(whole.len(), 1, "{mode:?}: {seen:?}");
        let partial = seen.iter().filter(|seen| !seen.message.complete);
        assert!(partial.into_iter().all(|seen| seen.message.body.is_empty()), "{mode:?}: {seen:?}");
        door.assert_never_trapped().await;
    }
}

/// A genuine message of which only `sent` bytes of the body come, one fewer than it says at most.
fn partial() -> Request {
    Request::post("/in/seed").headers(signature("seed", BODY)).framing(Framing::Claimed(11))
}

async fn leave_h1(door: &Door, sent: usize) {
    let before = door.received().await;
    let mut client = Client::connect(door.envoy.address()).await;
    let bytes = partial().body(&BODY[..sent]).frames().concat();
    client.write(&bytes).await.expect("an open connection");
    door.wait_received(before + bytes.len() as u64).await;
    client.reset();
    wait_idle(door).await;
}

async fn leave_h2(door: &Door, sent: usize) {
    let mut client = H2Client::connect(door.envoy.address()).await;
    let before = door.received().await;
    let mut exchange = client.open(&partial(), false).await.expect("an open connection");
    exchange.data(&BODY[..sent], false);
    door.wait_received(before + sent as u64).await;
    exchange.reset();
    wait_idle(door).await;
}

async fn wait_idle(door: &Door) {
    wait_until("end of every request", BOUND, || async {
        match door.envoy.stat("http.webhooks.downstream_rq_active").await {
            0 => Ok(()),
            active => Err(active),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_there_is_said_so_by_envoy_in_our_clothes() {
    for mode in Mode::BOTH {
        let Door { envoy, upstream } = Door::start(mode).await;
        drop(upstream);
        let answer = Client::call(envoy.address(), &genuine("seed", BODY)).await;
        assert_eq!(answer.status, 503, "{mode:?}");
        assert_dressed(&answer, &format!("{mode:?}"));
        assert_eq!(envoy.stats("vm_reload").await.values().sum::<u64>(), 0, "{mode:?}");
    }
}
