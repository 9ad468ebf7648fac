//! Endpoints that mean harm: each costs one bounded attempt, and the outcome says what it was.

use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::delivery::attempt::{HttpTransport, Sent, Transport};
use hookgate_sidecar::delivery::egress::Egress;
use hookgate_sidecar::delivery::retry::decide;
use hookgate_sidecar::model::{Failure, Next, Outcome, Retry};
use hookgate_sidecar::store::Lease;
use rustls::ServerConfig;
use serde::Deserialize;

use crate::egress::{Names, over, reaching};
use crate::proxies::proxies_of_the_environment_are_ignored;
use crate::support::{Answer, Receiver, TokioClock, http, lease_to, wait_until};
use crate::tls::{issuer, server};

#[derive(Debug, Deserialize)]
struct Vectors {
    redirects: Vec<Redirect>,
    responses: Vec<Response>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    status: u16,
    location: String,
}

#[derive(Debug, Deserialize)]
struct Response {
    name: String,
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/ssrf.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

const BOUND_MS: u32 = 300;

fn bounded(url: &str) -> Lease {
    let mut lease = lease_to(url);
    Arc::make_mut(&mut lease.endpoint).timeout_ms = BOUND_MS;
    lease
}

/// An attempt at an endpoint that answers so, and what the endpoint saw.
async fn attempt(answer: Answer) -> (Sent, Receiver) {
    let receiver = Receiver::start(answer).await;
    let sent = over(reaching("127.0.0.0/8"), Names::of([])).send(&bounded(&receiver.url())).await;
    assert!(sent.duration < Duration::from_secs(2), "{:?}", sent.duration);
    assert!(sent.response.len() <= 1_024);
    (sent, receiver)
}

async fn outcome(answer: Answer) -> Outcome {
    attempt(answer).await.0.reply.outcome
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// How long `Retry-After` is obeyed here.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

fn next(sent: &Sent) -> Next {
    decide(sent.reply, 1, &Retry::default(), TokioClock::START, 0, LONGEST_HOLD)
}

#[tokio::test]
async fn redirects_of_the_vectors_are_failures_and_nothing_is_sent_to_their_target() {
    let target = Receiver::start(http("200 OK", "", "")).await;
    let names = Names::of([("other.example", &[&["127.0.0.1"]])]);
    let transport = over(reaching("127.0.0.0/8"), Arc::clone(&names));
    for Redirect { status, location } in vectors().redirects {
        for location in [location.clone(), location.replace("127.0.0.1", &target.address.to_string())] {
            let answer = http(&format!("{status} Elsewhere"), &format!("location: {location}\r\n"), "");
            let receiver = Receiver::start(answer).await;
            let sent = transport.send(&bounded(&receiver.url())).await;
            assert_eq!(sent.reply.outcome, Outcome::Answered(status), "{location}: {sent:?}");
            assert!(matches!(next(&sent), Next::RetryAt(_)), "{status} to {location} is a failure");
            assert_eq!(receiver.requests().len(), 1, "{status} to {location}");
        }
    }
    assert_eq!((target.connections(), names.unasked()), (0, 1), "no packet, not even a look-up");
}

#[tokio::test]
async fn every_response_of_the_vectors_is_survived() {
    let names: Vec<_> = vectors().responses.into_iter().map(|response| response.name).collect();
    assert_eq!(names.len(), 16);
    for name in names {
        survive(&name).await;
    }
}

async fn survive(name: &str) {
    match name {
        "body-bomb" => no_body_is_too_long().await,
        "gzip-bomb" => nothing_is_decompressed().await,
        "slow-headers" => timed_out(Answer::Drip(bytes("HTTP/1.1 200 OK"))).await,
        "slow-body" => a_status_counts_without_its_body().await,
        "accept-silent" => timed_out(Answer::Hang(Vec::new())).await,
        "header-flood" => no_head_is_too_long().await,
        "endless-1xx" => timed_out(Answer::Endless(Vec::new(), bytes("HTTP/1.1 100 Continue\r\n\r\n"))).await,
        "upgrade" => no_protocol_is_switched().await,
        "retry-after-huge" => no_wait_is_too_long().await,
        "set-cookie" => no_cookie_comes_back().await,
        "env-proxy" => proxies_of_the_environment_are_ignored().await,
        "response-splitting" => no_header_is_split().await,
        tls => no_doubtful_tls(tls).await,
    }
}

async fn no_body_is_too_long() {
    let head = bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let (sent, receiver) = attempt(Answer::Endless(head, bytes("5\r\nabcde\r\n"))).await;
    assert_eq!(sent.reply.outcome, Outcome::Answered(200));
    let closed = || (receiver.given_up() == 1).then_some(()).ok_or(receiver.given_up());
    wait_until("the connection to be closed", closed).await;
}

async fn nothing_is_decompressed() {
    let bomb = "\u{1f}\u{8b}bomb".repeat(2_000);
    let (sent, receiver) = attempt(http("200 OK", "content-encoding: gzip\r\n", &bomb)).await;
    assert_eq!(sent.reply.outcome, Outcome::Answered(200));
    assert!(sent.response.len() > 1_000 && bomb.starts_with(&sent.response), "raw");
    assert_eq!(receiver.requests()[0].all("accept-encoding"), [""; 0]);
}

async fn a_status_counts_without_its_body() {
    let head = bytes("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart");
    assert_eq!(outcome(Answer::Hang(head)).await, Outcome::Answered(200));
}

async fn no_head_is_too_long() {
    for headers in ["x-a: b\r\n".repeat(10_000), format!("x-a: {}\r\n", "b".repeat(1 << 20))] {
        protocol(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).await;
    }
}

async fn no_protocol_is_switched() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let (sent, _receiver) = attempt(Answer::Hang(bytes(switch))).await;
    assert!(matches!(next(&sent), Next::RetryAt(_)), "{sent:?}");
}

async fn no_wait_is_too_long() {
    let (sent, _receiver) = attempt(http("503 Busy", "retry-after: 99999999999\r\n", "")).await;
    let most = TokioClock::START.plus(LONGEST_HOLD);
    assert_eq!(next(&sent), Next::RetryAt(most));
}

async fn timed_out(answer: Answer) {
    assert_eq!(outcome(answer.clone()).await, Outcome::Failed(Failure::Timeout), "{answer:?}");
}

async fn protocol(text: &str) {
    let start: String = text.chars().take(80).collect();
    assert_eq!(outcome(Answer::Close(bytes(text))).await, Outcome::Failed(Failure::Protocol), "{start:?}");
}

async fn no_cookie_comes_back() {
    let receiver = Receiver::start(http("200 OK", "set-cookie: a=b\r\n", "")).await;
    let transport = over(reaching("127.0.0.0/8"), Names::of([]));
    for _ in 0..2 {
        transport.send(&bounded(&receiver.url())).await;
    }
    assert!(receiver.requests().iter().all(|request| request.all("cookie").is_empty()));
    assert_eq!(receiver.requests().len(), 2);
}

async fn no_header_is_split() {
    let receiver = Receiver::start(http("200 OK", "", "")).await;
    let mut lease = bounded(&receiver.url());
    let headers = &mut Arc::make_mut(&mut lease.endpoint).headers;
    headers.insert("x-a".to_owned(), "b\r\nx-evil: c".to_owned());
    let sent = over(reaching("127.0.0.0/8"), Names::of([])).send(&lease).await;
    assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Unsendable));
    assert_eq!(receiver.connections(), 0);
}

async fn no_doubtful_tls(case: &str) {
    let issuer = issuer();
    let config: ServerConfig = match case {
        "tls-self-signed" => server(None, |_| {}),
        "tls-wrong-name" => server(Some(&issuer), |params| {
            params.subject_alt_names =
                rcgen::CertificateParams::new(["other.example".to_owned()]).unwrap().subject_alt_names;
        }),
        "tls-expired" => server(Some(&issuer), |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)),
        "tls1.0" => return old_tls().await,
        other => panic!("nothing is done for {other}"),
    };
    let receiver = Receiver::start_tls(http("200 OK", "", ""), config).await;
    let names = Names::of([("good.example", &[&["127.0.0.1"]])]);
    let egress = Egress::with_resolver(reaching("127.0.0.0/8"), [issuer.der().clone()], names).unwrap();
    let transport = HttpTransport::new(Arc::new(egress), TokioClock::start()).unwrap();
    let lease = bounded(&format!("https://good.example:{}/", receiver.address.port()));
    assert_eq!(transport.send(&lease).await.reply.outcome, Outcome::Failed(Failure::Tls), "{case}");
    assert_eq!((receiver.requests().len(), receiver.connections()), (0, 1), "{case}: no second way");
}

/// A server hello of TLS 1.0, and the alert that such a server may send instead.
async fn old_tls() {
    let mut hello = vec![0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    for answer in [hello, vec![0x15, 3, 1, 0, 2, 2, 70]] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let serving = tokio::task::JoinSet::from_iter([async move {
            let mut stream = listener.accept().await.unwrap().0;
            tokio::io::AsyncWriteExt::write_all(&mut stream, &answer).await.unwrap();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await.map(drop)
        }]);
        let sent = over(reaching("127.0.0.0/8"), Names::of([])).send(&bounded(&url)).await;
        assert_eq!(sent.reply.outcome, Outcome::Failed(Failure::Tls), "{sent:?}");
        drop(serving);
    }
}

#[tokio::test]
async fn answers_that_break_the_rules_of_http1_are_no_answers() {
    for text in [
        "\r\n\0\0HTTP/1.1 200 OK\r\n\r\n",
        "garbage HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a\0: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "<html>OK</html>",
        "",
    ] {
        protocol(text).await;
    }
}

#[tokio::test]
async fn bodies_that_lie_do_not_take_back_a_status() {
    for (promise, text, kept) in [
        ("longer than it was", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort", "short"),
        (
            "a chunk that never ends",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\nab",
            "ab",
        ),
        ("no chunk at all", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", ""),
    ] {
        let (sent, _receiver) = attempt(Answer::Close(bytes(text))).await;
        assert_eq!((sent.reply.outcome, sent.response.as_str()), (Outcome::Answered(200), kept), "{promise}");
    }
}

#[tokio::test]
async fn an_answer_before_its_question_is_nobodys() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 204 Smuggled\r\n\r\n";
    let receiver = Receiver::start(Answer::Bytes(bytes(two))).await;
    let transport = over(reaching("127.0.0.0/8"), Names::of([]));
    for number in 1..=3 {
        let sent = transport.send(&bounded(&receiver.url())).await;
        assert_eq!(sent.reply.outcome, Outcome::Answered(200), "attempt {number}: {sent:?}");
    }
    assert_eq!(receiver.connections(), 3, "a connection with more on it than was asked for is closed");
}
