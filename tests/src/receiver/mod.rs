//! A steerable subscriber: what it answers can be changed while it runs, and it remembers what it was sent.

mod answer;
mod socket;

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub use answer::{Answer, Reply};
use socket::Socket;

use crate::{TcpServer, wait_until};

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
    /// What it was answered; `None` while it is not, and when its sender left before.
    pub answered: Option<Answered>,
}

/// What a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// With which status; `None`: its connection was ended instead.
    pub status: Option<u16>,
    /// When.
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

struct State {
    script: VecDeque<Answer>,
    otherwise: Choice,
    received: Vec<Received>,
}

/// What answers a request, the `usize`th of this receiver, from 0.
type Choice = Box<dyn Fn(usize, &Received) -> Answer + Send>;

impl Debug for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("received", &self.received.len()).finish_non_exhaustive()
    }
}

/// A subscriber on a free port of 127.0.0.1. Answers 200 until told otherwise; ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    server: TcpServer,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let otherwise: Choice = Box::new(|_, _| Answer::status(200));
        let state = Arc::new(Mutex::new(State { script: VecDeque::new(), otherwise, received: Vec::new() }));
        let served = Arc::clone(&state);
        let server = TcpServer::start(move |stream| serve(stream, Arc::clone(&served))).await;
        Self { server, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A URL of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// What it answers from now on, once its script is played.
    pub fn answer(&self, answer: Answer) {
        self.answer_by(move |_, _| answer.clone());
    }

    /// The same, chosen for each request by its number (from 0, in order of arrival) and by what it is.
    pub fn answer_by(&self, choice: impl Fn(usize, &Received) -> Answer + Send + 'static) {
        lock(&self.state).otherwise = Box::new(choice);
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

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
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
    let at = Instant::now();
    let received = Received { method, target, headers: head.headers, body, at, answered: None };
    let (number, answer) = take_in(&mut lock(&state), received);
    let answered = |status| {
        let answered = Answered { status, at: Instant::now() };
        if let Some(one) = lock(&state).received.get_mut(number) {
            one.answered = Some(answered);
        }
    };
    match answer {
        Answer::Reply(reply) => {
            let (status, response) = (reply.status, response(reply).await);
            answered(Some(status));
            Ok(response)
        }
        Answer::Hang => pending().await,
        Answer::Close => {
            answered(None);
            Err(io::Error::other("told to close"))
        }
        Answer::Reset => {
            answered(None);
            reset.store(true, Ordering::Release);
            Err(io::Error::other("told to reset"))
        }
    }
}

/// Remembers a request; its number, and what it is answered.
fn take_in(state: &mut State, received: Received) -> (usize, Answer) {
    let number = state.received.len();
    let scripted = state.script.pop_front();
    let answer = scripted.unwrap_or_else(|| (state.otherwise)(number, &received));
    state.received.push(received);
    (number, answer)
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
