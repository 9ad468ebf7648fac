//! Attempts over real sockets, against endpoints that behave well, badly and maliciously.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookgate_policy::Scheme;
use hookgate_sidecar::clock::{Clock, Millis};
use hookgate_sidecar::delivery::attempt::{HttpTransport, Sent, Transport};
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings};
use hookgate_sidecar::model::{Failure, Outcome, Secret};
use hookgate_sidecar::store::Lease;

use crate::support::{Answer, Receiver, TokioClock, http, lease_to, wait_until};

fn transport() -> HttpTransport {
    let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    HttpTransport::new(Arc::new(Egress::new(settings, []).unwrap()), TokioClock::start()).unwrap()
}

fn with_timeout(url: &str, timeout_ms: u32) -> Lease {
    let mut lease = lease_to(url);
    Arc::make_mut(&mut lease.endpoint).timeout_ms = timeout_ms;
    lease
}

async fn attempt(answer: Answer, timeout_ms: u32) -> (Sent, Receiver) {
    let receiver = Receiver::start(answer).await;
    let sent = transport().send(&with_timeout(&receiver.url(), timeout_ms)).await;
    (sent, receiver)
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[tokio::test]
async fn an_answer_is_known_by_its_status() {
    for (promise, answer, status) in [
        ("a success", http("200 OK", "", "ok"), 200),
        ("without a body", Answer::Bytes(bytes("HTTP/1.1 204 No Content\r\n\r\n")), 204),
        ("a refusal", http("410 Gone", "", ""), 410),
        (
            "interim answers come first",
            Answer::Bytes(bytes(
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
            )),
            202,
        ),
        (
            "a switch of protocols is an answer, and no success",
            Answer::Hang(bytes(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            )),
            101,
        ),
        ("an answer that ends with its connection", Answer::Close(bytes("HTTP/1.1 200 OK\r\n\r\nok")), 200),
    ] {
        let (sent, _receiver) = attempt(answer, 2_000).await;
        assert_eq!(sent.reply.outcome, Outcome::Answered(status), "{promise}: {sent:?}");
        assert_eq!(sent.host, "127.0.0.1", "{promise}");
    }
}

#[tokio::test]
async fn no_answer_is_known_by_what_went_wrong() {
    let flood = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: b\r\n".repeat(10_000));
    let vast = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n\r\n", "b".repeat(1 << 20));
    for (promise, answer, timeout_ms, failure) in [
        ("never answers", Answer::Hang(Vec::new()), 200, Failure::Timeout),
        ("begins and falls silent", Answer::Hang(bytes("HTTP/1.1 20")), 200, Failure::Timeout),
        (
            "drips, so that no single read is late",
            Answer::Drip(bytes("HTTP/1.1 200 OK\r\nx-a: b")),
            200,
            Failure::Timeout,
        ),
        (
            "interim answers for ever",
            Answer::Endless(Vec::new(), bytes("HTTP/1.1 103 Early Hints\r\n\r\n")),
            200,
            Failure::Timeout,
        ),
        ("resets", Answer::Reset, 5_000, Failure::Protocol),
        ("closes without a word", Answer::Close(Vec::new()), 5_000, Failure::Protocol),
        ("is no HTTP", Answer::Close(bytes("220 smtp.example ESMTP\r\n")), 5_000, Failure::Protocol),
        ("ten thousand headers", Answer::Close(flood.into_bytes()), 5_000, Failure::Protocol),
        ("a header of a megabyte", Answer::Close(vast.into_bytes()), 5_000, Failure::Protocol),
    ] {
        let (sent, _receiver) = attempt(answer, timeout_ms).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(failure), "{promise}: {sent:?}");
        assert!(sent.detail.is_some_and(|detail| !detail.contains("s3cret")), "{promise}");
        let bound = Duration::from_millis(u64::from(timeout_ms) + 1_500);
        assert!(sent.duration < bound, "{promise}: {:?}", sent.duration);
        if failure == Failure::Timeout {
            assert!(
                sent.duration >= Duration::from_millis(timeout_ms.into()),
                "{promise}: {:?}",
                sent.duration
            );
        }
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let url = receiver.url();
    drop(receiver);
    let transport = transport();
    let refused = || async { transport.send(&with_timeout(&url, 1_000)).await.reply.outcome };
    assert_eq!(refused().await, Outcome::Failed(Failure::Connect));
}

#[tokio::test]
async fn of_a_body_only_the_beginning_is_read() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let (sent, receiver) = attempt(Answer::Endless(bytes(head), bytes("5\r\nabcde\r\n")), 10_000).await;
    assert_eq!(sent.reply.outcome, Outcome::Answered(200));
    assert_eq!(sent.response.len(), 1_024);
    let closed = || if receiver.given_up() == 1 { Ok(()) } else { Err(receiver.given_up()) };
    wait_until("the connection to be closed", closed).await;
}

#[tokio::test]
async fn a_body_that_drips_holds_nobody_past_the_deadline_and_the_status_counts() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart";
    let (sent, _receiver) = attempt(Answer::Hang(bytes(head)), 300).await;
    assert_eq!((sent.reply.outcome, sent.response.as_str()), (Outcome::Answered(200), "part"));
    assert!(sent.duration < Duration::from_secs(2), "{:?}", sent.duration);
    let (sent, _receiver) = attempt(Answer::Hang(bytes(head)), 60_000).await;
    assert_eq!(sent.reply.outcome, Outcome::Answered(200));
    assert!(sent.duration < Duration::from_secs(4), "a worker is not held for a text: {:?}", sent.duration);
}

#[tokio::test]
async fn connections_are_used_again_when_the_answer_was_read_to_its_end() {
    let long = "x".repeat(30_000);
    for (promise, answer, connections) in [
        ("a short answer", http("200 OK", "", "ok"), 1),
        ("a failure", http("500 Oops", "", "no"), 1),
        ("a long one", http("200 OK", "", &long), 1),
        ("one too long to read", http("200 OK", "", &long.repeat(4)), 3),
    ] {
        let (receiver, transport) = (Receiver::start(answer).await, transport());
        for _ in 0..3 {
            let sent = transport.send(&lease_to(&receiver.url())).await;
            assert!(matches!(sent.reply.outcome, Outcome::Answered(_)), "{promise}: {sent:?}");
            assert!(sent.response.len() <= 1_024, "{promise}");
        }
        assert_eq!(receiver.connections(), connections, "{promise}");
    }
}

#[tokio::test]
async fn a_request_says_what_it_should() {
    let receiver =
        Receiver::start(http("200 OK", "set-cookie: a=b\r\ncontent-encoding: gzip\r\n", "\x1f\u{8b}")).await;
    let (transport, mut lease) = (transport(), lease_to(&receiver.url()));
    let endpoint = Arc::make_mut(&mut lease.endpoint);
    endpoint.secrets.push(Secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned()).into());
    let own = [
        ("Authorization", "Bearer theirs"),
        ("Host", "evil.example"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Webhook-Id", "theirs"),
        ("User-Agent", "theirs"),
        ("X-Webhook-Signature", "theirs"),
    ];
    endpoint.headers = BTreeMap::from(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for _ in 0..2 {
        let sent = transport.send(&lease).await;
        assert_eq!(sent.response.as_bytes(), "\x1f\u{8b}".as_bytes(), "nothing is decompressed");
    }
    let requests = receiver.requests();
    assert_eq!(receiver.connections(), 1, "the connection is ours to keep");
    for request in &requests {
        assert!(request.head.starts_with("POST /hook?token=s3cret HTTP/1.1"), "{}", request.head);
        assert_eq!(request.body, lease.event.payload);
        for (name, value) in [
            ("content-type", "application/json"),
            ("content-length", "12"),
            ("user-agent", concat!("Hookgate/", env!("CARGO_PKG_VERSION"))),
            ("host", &receiver.address.to_string()),
            ("authorization", "Bearer theirs"),
            ("x-request-id", "req-1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("webhook-id", &lease.event.id.to_string()),
            ("webhook-timestamp", "1760000000"),
        ] {
            assert_eq!(request.header(name), value, "{name}");
        }
        for name in ["accept-encoding", "cookie", "transfer-encoding", "connection"] {
            assert_eq!(request.all(name), [""; 0], "{name}");
        }
    }
    let request = &requests[0];
    for (scheme, header) in
        [("standard-webhooks", "webhook-signature"), ("x-webhook-signature", "x-webhook-signature")]
    {
        let scheme = Scheme::preset(scheme).unwrap();
        let keys: Vec<_> = lease.endpoint.secrets.iter().map(|s| scheme.key(&s.text.0).unwrap()).collect();
        let signed = scheme.sign(&keys, &lease.event.id.to_string(), 1_760_000_000, &lease.event.payload);
        let expected = signed.iter().find(|(name, _)| name.eq_ignore_ascii_case(header)).unwrap();
        assert_eq!(request.header(header), expected.1);
        assert_eq!(request.header(header).matches("v1").count(), 2, "one for each live secret");
    }
}

#[tokio::test]
async fn a_retry_is_the_same_message_signed_at_its_own_time() {
    let receiver = Receiver::start(http("503 Busy", "", "")).await;
    let settings = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    let egress = Arc::new(Egress::new(settings, []).unwrap());
    let lease = lease_to(&receiver.url());
    for seconds in [0, 90] {
        let clock = Arc::new(StandingClock(TokioClock::START.plus(Duration::from_secs(seconds))));
        let transport = HttpTransport::new(Arc::clone(&egress), clock).unwrap();
        transport.send(&lease).await;
    }
    let requests = receiver.requests();
    let headers = |name: &str| [requests[0].header(name).to_owned(), requests[1].header(name).to_owned()];
    for name in ["webhook-id", "x-request-id", "traceparent"] {
        let [first, second] = headers(name);
        assert_eq!(first, second, "{name}");
    }
    assert_eq!(headers("webhook-timestamp"), ["1760000000", "1760000090"]);
    for name in ["webhook-signature", "x-webhook-signature"] {
        let [first, second] = headers(name);
        assert_ne!(first, second, "{name}: of the new time");
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct StandingClock(Millis);

impl Clock for StandingClock {
    fn now(&self) -> Millis {
        self.0
    }
}

#[tokio::test]
async fn retry_after_is_brought_back() {
    let (sent, _receiver) = attempt(http("503 Busy", "retry-after: 17\r\n", ""), 2_000).await;
    assert_eq!(sent.reply.retry_after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_sent() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let transport = transport();
    let change = |change: fn(&mut hookgate_sidecar::model::Endpoint)| {
        let mut lease = lease_to(&receiver.url());
        change(Arc::make_mut(&mut lease.endpoint));
        lease
    };
    for (promise, lease) in [
        ("never unsigned", change(|e| e.secrets.clear())),
        ("no secret that is none", change(|e| e.secrets[0] = Secret("whsec_***".to_owned()).into())),
        (
            "no split header",
            change(|e| drop(e.headers.insert("x-a".to_owned(), "b\r\nx-evil: c".to_owned()))),
        ),
        ("no name that is none", change(|e| drop(e.headers.insert("x a".to_owned(), "b".to_owned())))),
    ] {
        let sent = transport.send(&lease).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Unsendable), "{promise}");
        let detail = sent.detail.unwrap();
        assert!(!detail.contains("***") && !detail.contains("evil"), "{promise}: {detail}");
    }
    assert_eq!(receiver.connections(), 0);
}
