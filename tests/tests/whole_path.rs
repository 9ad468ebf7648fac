//! Sender → Envoy with the filter → sidecar → subscriber, in both modes of the filter and on both stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails loudly"
)]

use std::time::Duration;

use hookgate_e2e::client::Request;
use hookgate_e2e::receiver::Received;
use hookgate_e2e::sidecar::event;
use hookgate_e2e::signing::{now_s, signed, standard_webhooks, timestamped};
use hookgate_e2e::stack::{DEMO_SECRET, Kept, Mode, Stack};
use hookgate_e2e::{Answer, Client, Receiver, Response, wait_until};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(20);

/// Runs every behaviour on every path.
macro_rules! on_every_path {
    ($($behaviour:ident),+ $(,)?) => {
        mod stream_over_embedded { use super::*; $(on_path!($behaviour, Mode::Stream, Kept::File);)+ }
        mod stream_over_redis { use super::*; $(on_path!($behaviour, Mode::Stream, Kept::Redis);)+ }
        mod hold_over_embedded { use super::*; $(on_path!($behaviour, Mode::Hold, Kept::File);)+ }
        mod hold_over_redis { use super::*; $(on_path!($behaviour, Mode::Hold, Kept::Redis);)+ }
    };
}

macro_rules! on_path {
    ($behaviour:ident, $mode:expr, $kept:expr) => {
        #[tokio::test]
        async fn $behaviour() {
            super::$behaviour(Path::start($mode, $kept).await).await;
        }
    };
}

on_every_path!(
    a_signed_event_is_accepted_once_and_delivered_once,
    what_is_not_genuine_and_fresh_is_refused_and_never_delivered,
    a_flood_is_told_when_to_come_back,
    a_subscriber_that_fails_twice_gets_it_on_the_third_attempt,
    the_subscriber_can_verify_what_it_gets_and_trace_it_back,
    an_event_of_the_api_passes_with_its_key_only,
);

/// The whole path with one subscriber at its end.
struct Path {
    stack: Stack,
    receiver: Receiver,
    secret: String,
}

impl Path {
    async fn start(mode: Mode, kept: Kept) -> Self {
        let (stack, receiver) = (Stack::start(mode, kept).await, Receiver::start().await);
        let retry = json!({ "max_attempts": 5, "base_ms": 20, "max_ms": 100 });
        let endpoint = json!({ "url": receiver.url("/hook"), "retry": retry });
        let created = stack.sidecar.create_endpoint(&endpoint).await;
        let secret = created["secret"].as_str().expect("a secret").to_owned();
        Self { stack, receiver, secret }
    }

    /// Sends to the gateway.
    async fn send(&self, request: &Request) -> Response {
        Client::call(self.stack.envoy.address(), request).await
    }

    /// Sends one more genuine event, waits for it at the subscriber, and answers all that the subscriber got: what
    /// was sent earlier and is not there by then, and not on its way in the ledger, was not let in.
    async fn all_delivered_by_now(&self) -> Vec<Received> {
        let last = signed("/in/demo", DEMO_SECRET, "msg_last", br#"{"type":"demo.last"}"#);
        let id = id_of(&self.send(&last).await);
        wait_until("last event at the subscriber", BOUND, || async {
            let pending = self.stack.sidecar.read("/v1/deliveries?status=pending").await;
            let received = self.receiver.received();
            let arrived = received.iter().any(|one| one.header("webhook-id") == Some(&id));
            if arrived && pending["data"] == json!([]) { Ok(received) } else { Err(pending) }
        })
        .await
    }
}

fn id_of(answer: &Response) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("an event id").to_owned()
}

async fn a_signed_event_is_accepted_once_and_delivered_once(path: Path) {
    let body = br#"{"type":"demo.made","data":{"n":1}}"#;
    let request = signed("/in/demo", DEMO_SECRET, "msg_once", body);
    let first = path.send(&request).await;
    assert_eq!((first.status, &first.json()["duplicate"]), (202, &json!(false)), "{}", first.text());
    let again = path.send(&request).await;
    assert_eq!((again.status, &again.json()["duplicate"]), (202, &json!(true)), "{}", again.text());
    assert_eq!(id_of(&first), id_of(&again));
    let past_the_gateway = Client::call(path.stack.sidecar.data(), &request).await;
    assert_eq!(
        (id_of(&first), &past_the_gateway.json()["duplicate"]),
        (id_of(&past_the_gateway), &json!(true))
    );

    let received = path.all_delivered_by_now().await;
    let of_it: Vec<_> =
        received.iter().filter(|one| one.header("webhook-id") == Some(&id_of(&first))).collect();
    assert_eq!(of_it.len(), 1, "delivered once");
    assert_eq!(of_it[0].body, &body[..], "byte for byte");
}

async fn what_is_not_genuine_and_fresh_is_refused_and_never_delivered(path: Path) {
    let body = br#"{"type":"demo.made"}"#;
    let at = |timestamp_s| {
        Request::post("/in/demo").headers(standard_webhooks(DEMO_SECRET, "msg_1", timestamp_s, body))
    };
    let table = [
        ("a tampered body", at(now_s()).body(br#"{"type":"demo.mad3"}"#), 401),
        ("a body cut short", at(now_s()).body(&body[1..]), 401),
        ("no body", at(now_s()), 401),
        ("a stale timestamp", at(now_s() - 310).body(body), 401),
        ("a timestamp ahead", at(now_s() + 310).body(body), 401),
        (
            "another's secret",
            signed("/in/demo", "whsec_YW5vdGhlciBzZWNyZXQgb2YgbGVuZ3RoIDMyISEhIQ==", "m", body),
            401,
        ),
        ("no signature", Request::post("/in/demo").body(body), 401),
        ("another source", signed("/in/seed", DEMO_SECRET, "msg_1", body), 401),
        ("no source", signed("/in/nobody", DEMO_SECRET, "msg_1", body), 404),
    ];
    for (what, request, status) in table {
        let doors = [("the gateway", path.stack.envoy.address()), ("the sidecar", path.stack.sidecar.data())];
        for (door, address) in doors {
            let answer = Client::call(address, &request).await;
            assert_eq!(answer.status, status, "{what} at {door}: {}", answer.text());
            assert_is_problem(&answer, what);
        }
    }
    assert_eq!(path.all_delivered_by_now().await.len(), 1, "only the last, genuine one");
    let events = path.stack.sidecar.read("/v1/events").await;
    assert_eq!(events["data"].as_array().expect("rows").len(), 1, "nothing else was kept");
}

/// A refusal says a stable code, a safe sentence and the request id, and nothing of what was expected.
fn assert_is_problem(answer: &Response, what: &str) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let problem = answer.json();
    assert!(problem["code"].is_string() && problem["title"].is_string(), "{what}: {problem}");
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
}

async fn a_flood_is_told_when_to_come_back(path: Path) {
    let mut refused = None;
    for number in 0..40 {
        let request = signed("/in/demo", DEMO_SECRET, &format!("msg_{number}"), br#"{"type":"demo.made"}"#);
        let answer = path.send(&request).await;
        match answer.status {
            202 => assert!(answer.header("x-ratelimit-remaining").is_some(), "{answer:?}"),
            429 => refused = Some(answer),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let refused = refused.expect("40 requests at once are more than 20 in 10 s");
    assert_is_problem(&refused, "a flood");
    let seconds: u32 = refused.header("retry-after").expect("when to come back").parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
}

async fn a_subscriber_that_fails_twice_gets_it_on_the_third_attempt(path: Path) {
    path.receiver.script([Answer::status(503), Answer::Reset]);
    let request = signed("/in/demo", DEMO_SECRET, "msg_1", br#"{"type":"demo.made"}"#);
    let id = id_of(&path.send(&request).await);
    let received = path.receiver.wait_for(3, BOUND).await;
    assert!(received.iter().all(|one| one.header("webhook-id") == Some(&id)), "one id on every attempt");
    let of_event = format!("/v1/deliveries?event_id={id}");
    let delivery = wait_until("delivered", BOUND, || async {
        let row = path.stack.sidecar.read(&of_event).await["data"][0].clone();
        if row["status"] == "delivered" { Ok(row) } else { Err(row) }
    })
    .await;
    assert_eq!(delivery["attempt_count"], 3);
}

async fn the_subscriber_can_verify_what_it_gets_and_trace_it_back(path: Path) {
    let body = br#"{"type":"demo.made","text":"\u00e9 \xc3\xa9"}"#;
    let request =
        signed("/in/demo", DEMO_SECRET, "msg_1", body).header("x-request-id", "the-senders-own-id.1");
    let answer = path.send(&request).await;
    let id = id_of(&answer);
    assert_eq!(answer.header("x-request-id"), Some("the-senders-own-id.1"));

    let received = path.receiver.wait_for(1, BOUND).await;
    let [one] = received.as_slice() else { panic!("one request") };
    assert_eq!((one.method.as_str(), one.target.as_str()), ("POST", "/hook"));
    assert_eq!((&one.body[..], one.header("content-type")), (&body[..], Some("application/json")));
    assert_eq!(one.header("x-request-id"), Some("the-senders-own-id.1"));
    let timestamp_s: u64 = one.header("webhook-timestamp").expect("a timestamp").parse().unwrap();
    assert!(now_s().abs_diff(timestamp_s) < 60, "of this attempt");
    let expected = [
        standard_webhooks(&path.secret, &id, timestamp_s, body),
        timestamped("x-webhook-signature", &path.secret, timestamp_s, body),
    ];
    for (name, value) in expected.concat() {
        assert_eq!(one.header(name), Some(value.as_str()), "{name}");
    }
}

async fn an_event_of_the_api_passes_with_its_key_only(path: Path) {
    let body = json!({ "type": "order.made", "data": { "n": 1 } });
    let without = path.send(&Request::post("/v1/events").json(&body)).await;
    assert_eq!(without.status, 401, "{}", without.text());
    assert_is_problem(&without, "no key");
    let id = id_of(&path.send(&event(&body)).await);
    let received = path.receiver.wait_for(1, BOUND).await;
    assert_eq!(received[0].header("webhook-id"), Some(id.as_str()));
    let sent: Value = received[0].json();
    assert_eq!((&sent["type"], &sent["data"]), (&body["type"], &body["data"]));
}

/// Envoy stands beside the sidecar and connects from loopback, whoever asked it.
#[tokio::test]
async fn without_a_key_the_event_api_is_closed_to_the_gateway() {
    let stack = Stack::start_without_key(Mode::Stream).await;
    let body = json!({ "type": "order.made", "data": { "n": 1 } });
    for host in ["hooks.example", "localhost", "127.0.0.1"] {
        let unsigned = Request::post("/v1/events").header("host", host).json(&body);
        let refused = Client::call(stack.envoy.address(), &unsigned).await;
        assert_eq!(refused.status, 401, "as {host}: {}", refused.text());
        assert_is_problem(&refused, host);
    }
    let direct = Request::post("/v1/events").header("host", "localhost").json(&body);
    assert_eq!(Client::call(stack.sidecar.data(), &direct).await.status, 202, "on this machine");
}
