//! The sockets: one connection serves many requests in either protocol, idle ones end, a stop lets requests finish.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Sidecar;

const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Reads until the connection ends; what came.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_connection_is_kept_until_it_idles() {
    let sidecar = Sidecar::with(&[("HOOKGATE_IDLE_TIMEOUT_MS", "100")], "").await;
    let mut busy = TcpStream::connect(sidecar.admin).await.unwrap();
    busy.write_all(&REQUEST.repeat(2)).await.unwrap();
    assert_eq!(rest(&mut busy).await.matches("HTTP/1.1 200 OK").count(), 2);
    for beginning in ["", "P", "GET /livez HTTP/1.1\r\n"] {
        let mut slow = TcpStream::connect(sidecar.admin).await.unwrap();
        slow.write_all(beginning.as_bytes()).await.unwrap();
        assert!(!rest(&mut slow).await.contains(" 200 "), "ends after {beginning:?}");
    }
}

#[tokio::test]
async fn http2_is_spoken_without_being_asked_for() {
    let sidecar = Sidecar::with(&[], "").await;
    let mut stream = TcpStream::connect(sidecar.data).await.unwrap();
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &empty_settings[..]].concat()).await.unwrap();
    let mut frame_head = [0; 9];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut frame_head)).await.unwrap().unwrap();
    assert_eq!(frame_head[3], 4, "the server's settings come first");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once() {
    let sidecar = Sidecar::with(&[], "").await;
    let mut fresh = TcpStream::connect(sidecar.admin).await.unwrap();
    let mut used = TcpStream::connect(sidecar.admin).await.unwrap();
    used.write_all(REQUEST).await.unwrap();
    let mut first = [0; 12];
    used.read_exact(&mut first).await.unwrap();
    drop(sidecar);
    rest(&mut used).await;
    rest(&mut fresh).await;
}

#[tokio::test]
async fn a_stop_lets_a_request_finish() {
    let sidecar = Sidecar::with(&[], "").await;
    let data = sidecar.data;
    let mut stream = TcpStream::connect(data).await.unwrap();
    let head =
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 21\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    drop(sidecar);
    crate::harness::wait_until("refusal of new connections", || async {
        TcpStream::connect(data).await.is_err().then_some(())
    })
    .await;
    stream.write_all(br#"{"type":"a","data":1}"#).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 202 Accepted"));
}
