//! An upstream that answers before the message is whole: its answer is never the client's while no verdict is there.

use hookgate_e2e::h2_client::H2Client;
use hookgate_e2e::upstream::When;
use hookgate_e2e::{Client, Framing, Request};

use crate::door::{BOUND, Door, Mode, assert_refusal, signature};

const BODY: &[u8] = b"0123456789";
const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";

fn request() -> Request {
    Request::post("/in/seed").headers(signature("seed", BODY)).framing(Framing::Claimed(10))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_stream_an_answer_before_the_verdict_becomes_a_refusal() {
    let door = Door::start(Mode::Stream).await;
    door.upstream.answer(When::Head, EARLY);

    let mut client = Client::connect(door.envoy.address()).await;
    let frames = request().body(&BODY[..5]).frames();
    client.write(&frames.concat()).await.expect("an open connection");
    assert_refusal(&client.read(BOUND).await.expect("an answer"), 503, "HTTP/1.1");

    let mut client = H2Client::connect(door.envoy.address()).await;
    let mut exchange = client.open(&request(), false).await.expect("an open connection");
    exchange.data(&BODY[..5], false);
    assert_refusal(&exchange.answer(BOUND).await.expect("an answer"), 503, "HTTP/2");
    door.assert_never_trapped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_hold_upstream_cannot_answer_early_since_it_knows_of_nothing() {
    let door = Door::start(Mode::Hold).await;
    door.upstream.answer(When::Head, EARLY);
    let mut client = Client::connect(door.envoy.address()).await;
    let head = request().frames().concat();
    client.write(&head).await.expect("an open connection");
    client.write(&BODY[..5]).await.expect("an open connection");
    door.wait_received(head.len() as u64 + 5).await;
    assert_eq!(door.sent_on().await, 0);
    client.write(&BODY[5..]).await.expect("an open connection");
    let answer = client.read(BOUND).await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "early"));
    door.assert_never_trapped().await;
}
