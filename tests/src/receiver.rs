//! A steerable subscriber: what it answers can be changed while it runs, and it remembers what it was sent.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wait_until;

/// What the receiver does with one request, once it has read it whole.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answers.
    Reply(Reply),
    /// Never answers, and keeps the connection.
    Hang,
    /// Resets the connection.
    Reset,
    /// Ends the connection without an answer.
    Close,
}

impl Answer {
    /// An answer without headers and body, at once.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply(Reply { status, headers: Vec::new(), body: Bytes::new(), after: Duration::ZERO })
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        self.with(|reply| reply.headers.push((name, value.to_owned())))
    }

    /// The same with a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.with(|reply| reply.body = body.into())
    }

    /// The same, but only after a while.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        self.with(|reply| reply.after = pause)
    }

    fn with(mut self, change: impl FnOnce(&mut Reply)) -> Self {
        match &mut self {
            Self::Reply(reply) => change(reply),
            Self::Hang | Self::Reset | Self::Close => panic!("{self:?} is no reply"),
        }
        self
    }
}

/// An answer as it goes out.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
    /// How long the sender waits for it.
    pub after: Duration,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, to the byte.
    pub body: Bytes,
    /// When its end arrived.
    pub at: Instant,
}

impl Received {
    /// The one value of a header; `None` when it is absent, doubled or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { value.to_str().ok() }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

#[derive(Debug)]
struct State {
    script: VecDeque<Answer>,
    otherwise: Answer,
    received: Vec<Received>,
}

/// A subscriber on a free port of 127.0.0.1. Answers 200 until told otherwise; ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let otherwise = Answer::status(200);
        let state = Arc::new(Mutex::new(State { script: VecDeque::new(), otherwise, received: Vec::new() }));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, _server: server }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it answers from now on, once its script is played.
    pub fn answer(&self, answer: Answer) {
        lock(&self.state).otherwise = answer;
    }

    /// What it answers to the next requests, one each.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).script.extend(answers);
    }

    /// All that came so far, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }

    /// Looks at all that came so far without copying it.
    pub fn look<T>(&self, at: impl FnOnce(&[Received]) -> T) -> T {
        at(&lock(&self.state).received)
    }

    /// How many requests came so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.look(<[Received]>::len)
    }

    /// Waits for the first `count` requests and answers all that came.
    #[track_caller]
    pub fn wait_for(&self, count: usize, bound: Duration) -> impl Future<Output = Vec<Received>> {
        wait_until("requests at the subscriber", bound, move || async move {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(format!("{} of {count}", received.len())) }
        })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve_connection(stream, Arc::clone(&state)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, state: Arc<Mutex<State>>) {
    let reset = Arc::new(AtomicBool::new(false));
    let socket = TokioIo::new(Socket { stream, reset: Arc::clone(&reset) });
    let service = service_fn(|request| respond(request, Arc::clone(&state), Arc::clone(&reset)));
    // A sender that goes away is its own business.
    drop(http1::Builder::new().serve_connection(socket, service).await);
}

/// Reads a request whole, remembers it, and does what the script says; `Err` ends the connection.
async fn respond(
    request: http::Request<Incoming>,
    state: Arc<Mutex<State>>,
    reset: Arc<AtomicBool>,
) -> Result<http::Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (method, target) = (head.method.to_string(), head.uri.to_string());
    let received = Received { method, target, headers: head.headers, body, at: Instant::now() };
    let answer = {
        let mut state = lock(&state);
        state.received.push(received);
        state.script.pop_front().unwrap_or_else(|| state.otherwise.clone())
    };
    match answer {
        Answer::Reply(reply) => Ok(response(reply).await),
        Answer::Hang => pending().await,
        Answer::Close => Err(io::Error::other("told to close")),
        Answer::Reset => {
            reset.store(true, Ordering::Release);
            Err(io::Error::other("told to reset"))
        }
    }
}

async fn response(reply: Reply) -> http::Response<Full<Bytes>> {
    if !reply.after.is_zero() {
        tokio::time::sleep(reply.after).await;
    }
    let mut response = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(Full::new(reply.body)).expect("an answer that HTTP can carry")
}

/// A socket that ends with a reset instead of a farewell when told so.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire) {
            self.stream.set_zero_linger().expect("an open socket");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// A farewell before the reset would undo it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
