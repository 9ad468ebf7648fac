//! An HTTP/2 client (prior knowledge, no TLS) that sends each frame when it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::{ANSWER_BOUND, Framing, Request};
use crate::wire::{Line, Response};

/// One connection.
#[derive(Debug)]
pub struct H2Client {
    requests: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

/// One opened request: its body can still be sent, its answer is still to come.
#[derive(Debug)]
pub struct H2Exchange {
    body: SendStream<Bytes>,
    answer: ResponseFuture,
}

impl H2Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody there speaks HTTP/2.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a listener");
        stream.set_nodelay(true).expect("a socket");
        let (requests, connection) = h2::client::handshake(stream).await.expect("an HTTP/2 handshake");
        // The end of the connection shows in each exchange.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Self { requests, driver }
    }

    /// Sends a whole request, each part in a frame of its own, and reads the answer.
    ///
    /// # Errors
    /// When the stream or the connection was reset.
    pub async fn call(&mut self, request: &Request) -> Result<Response, h2::Error> {
        let trailers = matches!(request.framing, Framing::Trailers(_));
        let bodiless = request.parts.is_empty() && !trailers;
        let mut exchange = self.open(request, bodiless).await?;
        for (at, part) in request.parts.iter().enumerate() {
            exchange.data(part, !trailers && at + 1 == request.parts.len());
        }
        if let Framing::Trailers(lines) = &request.framing {
            exchange.trailers(lines);
        }
        exchange.answer(ANSWER_BOUND).await
    }

    /// Sends the header frame alone; `end`: nothing follows.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn open(&mut self, request: &Request, end: bool) -> Result<H2Exchange, h2::Error> {
        let mut ready = self.requests.clone().ready().await?;
        let (answer, body) = ready.send_request(head(request), end)?;
        Ok(H2Exchange { body, answer })
    }
}

impl Drop for H2Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl H2Exchange {
    /// Sends (or queues, when the window is full) a data frame. A peer that reset the stream shows in the answer.
    pub fn data(&mut self, part: &[u8], end: bool) {
        drop(self.body.send_data(Bytes::copy_from_slice(part), end));
    }

    /// Sends trailers, which end the stream.
    pub fn trailers(&mut self, lines: &[(&'static str, &'static str)]) {
        let lines = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        drop(self.body.send_trailers(lines.collect()));
    }

    /// Resets the stream.
    pub fn reset(&mut self) {
        self.body.send_reset(h2::Reason::CANCEL);
    }

    /// Reads the answer, also while the body is not at its end.
    ///
    /// # Errors
    /// When the stream or the connection was reset.
    ///
    /// # Panics
    /// When nothing came in time.
    pub async fn answer(self, bound: Duration) -> Result<Response, h2::Error> {
        let Self { body, answer } = self;
        let read = timeout(bound, read(answer)).await.unwrap_or_else(|_| panic!("no answer in {bound:?}"));
        drop(body);
        read
    }
}

fn head(request: &Request) -> http::Request<()> {
    let uri = format!("http://hookgate.test{}", request.target);
    let mut head = http::Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in &request.headers {
        head = head.header(name.to_ascii_lowercase(), value.as_slice());
    }
    if let Some(length) = request.declared_length() {
        head = head.header("content-length", length);
    }
    head.body(()).unwrap_or_else(|error| panic!("{error} in {request:?}"))
}

async fn read(answer: ResponseFuture) -> Result<Response, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let body = read_body(&mut stream).await?;
    let trailers = stream.trailers().await?.map(|map| lines(&map)).unwrap_or_default();
    Ok(Response { status: head.status.as_u16(), headers: lines(&head.headers), body, trailers })
}

async fn read_body(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        stream.flow_control().release_capacity(part.len())?;
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn lines(map: &HeaderMap) -> Vec<Line> {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
