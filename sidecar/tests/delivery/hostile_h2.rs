//! The same in HTTP/2: frames written by hand, over real TLS.

use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::delivery::attempt::{HttpTransport, Sent, Transport};
use hookgate_sidecar::delivery::egress::Egress;
use hookgate_sidecar::model::{Failure, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::egress::{Names, reaching};
use crate::support::{TokioClock, lease_to};
use crate::tls::{issuer, server};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// `:status: 200` in HPACK, from the static table.
const STATUS_200: u8 = 0x88;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What an endpoint writes once a request has come: once, and then again and again.
#[derive(Clone)]
struct Trick {
    once: Vec<u8>,
    again: Vec<u8>,
}

fn once(frames: &[Vec<u8>]) -> Trick {
    Trick { once: frames.concat(), again: Vec::new() }
}

fn again(frames: &[Vec<u8>], again: Vec<u8>) -> Trick {
    Trick { once: frames.concat(), again }
}

/// Plays a trick on one connection after another.
async fn serve(listener: TcpListener, tls: TlsAcceptor, trick: Trick) {
    let mut playing = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        playing.spawn(play(stream, tls.clone(), trick.clone()));
    }
}

async fn play(stream: TcpStream, tls: TlsAcceptor, trick: Trick) -> std::io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let mut read = Vec::new();
    while !read.windows(12).any(|twelve| twelve == br#"{"order":17}"#) && !trick.once.is_empty() {
        let more = tokio::time::timeout(Duration::from_millis(50), stream.read_buf(&mut read)).await;
        if more.is_err() {
            break;
        }
    }
    stream.write_all(&trick.once).await?;
    while !trick.again.is_empty() {
        stream.write_all(&trick.again).await?;
    }
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

async fn outcome(promise: &str, trick: Trick) -> (Outcome, String) {
    let [sent] = attempts(trick).await;
    assert!(sent.duration < Duration::from_secs(2), "{promise}: {:?}", sent.duration);
    (sent.reply.outcome, sent.response)
}

/// Attempts, one after another.
async fn attempts<const N: usize>(trick: Trick) -> [Sent; N] {
    let (issuer, listener) = (issuer(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let mut config = server(Some(&issuer), |_| {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut lease = lease_to(&format!("https://good.example:{}/", listener.local_addr().unwrap().port()));
    Arc::make_mut(&mut lease.endpoint).timeout_ms = 500;
    let serving = JoinSet::from_iter([serve(listener, TlsAcceptor::from(Arc::new(config)), trick)]);
    let names = Names::of([("good.example", &[&["127.0.0.1"], &["127.0.0.1"], &["127.0.0.1"]])]);
    let egress = Egress::with_resolver(reaching("127.0.0.0/8"), [issuer.der().clone()], names).unwrap();
    let transport = HttpTransport::new(Arc::new(egress), TokioClock::start()).unwrap();
    let mut sent = Vec::new();
    for _ in 0..N {
        sent.push(transport.send(&lease).await);
    }
    drop(serving);
    sent.try_into().unwrap()
}

fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// A header of 4 KB that goes into the table, and a thousand mentions of it: 4 MB in 5 KB.
fn header_bomb() -> Vec<u8> {
    let literal = [&[STATUS_200, 0x40, 3][..], b"x-a", &[0x7f, 0xa1, 0x1e], &[b'b'; 4000]].concat();
    frame(HEADERS, 5, 1, &[literal, vec![0xbe; 1000]].concat())
}

#[tokio::test]
async fn tricks_of_http2_cost_one_bounded_attempt() {
    let (timeout, protocol) = (Failure::Timeout, Failure::Protocol);
    let table = [
        ("says nothing", once(&[]), timeout),
        ("settings, and nothing more", once(&[settings()]), timeout),
        ("no streams allowed", once(&[frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0])]), timeout),
        ("pings for ever", again(&[settings()], frame(PING, 0, 0, &[0; 8])), timeout),
        ("settings for ever", again(&[settings()], settings()), timeout),
        ("goes away", once(&[settings(), frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])]), protocol),
        ("resets the stream", once(&[settings(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])]), protocol),
        (
            "pushes what nobody asked for",
            once(&[settings(), frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2, 0x82, 0x84, 0x87])]),
            protocol,
        ),
        ("headers larger than they look", once(&[settings(), header_bomb()]), protocol),
        (
            "headers without end",
            again(
                &[settings(), frame(HEADERS, 0, 1, &[STATUS_200])],
                frame(CONTINUATION, 0, 1, &[0; 16_000]),
            ),
            protocol,
        ),
        ("headers that are none", once(&[settings(), frame(HEADERS, 5, 1, &[0xff; 64])]), protocol),
        ("a stream of its own", once(&[settings(), frame(HEADERS, 4, 2, &[STATUS_200])]), protocol),
        ("a frame too large", once(&[settings(), vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]]), protocol),
        ("HTTP/1.1 after all", once(&[b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()]), protocol),
    ];
    for (promise, trick, failure) in table {
        assert_eq!(outcome(promise, trick).await.0, Outcome::Failed(failure), "{promise}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_and_the_status_counts() {
    let head = frame(HEADERS, 4, 1, &[STATUS_200]);
    let (outcome, response) =
        outcome("data", again(&[settings(), head], frame(DATA, 0, 1, &[b'x'; 1_000]))).await;
    assert_eq!((outcome, response.as_str()), (Outcome::Answered(200), "x".repeat(1_024).as_str()));
}

#[tokio::test]
async fn a_connection_that_takes_no_more_requests_is_left_for_another() {
    let answer = frame(HEADERS, 5, 1, &[STATUS_200]);
    let last = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    let sent: [Sent; 3] = attempts(once(&[settings(), answer, last])).await;
    assert_eq!(sent.map(|sent| sent.reply.outcome), [Outcome::Answered(200); 3]);
}
