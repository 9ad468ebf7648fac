//! A raw recording upstream: which bytes of which request arrived, and whether their end did.
//!
//! Unlike the receiver it shows a request from its first byte on, so that a test can tell "nothing came through" from
//! "half of it came through".

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::decoder::Decoder;
use crate::wire::Message;
use crate::{TcpServer, wait_until};

/// When the upstream answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// At the end of the request.
    #[default]
    Complete,
    /// At the end of its head, whatever of the body is still to come.
    Head,
    /// Never.
    Never,
}

/// One request, as far as it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was understood.
    pub message: Message,
    /// The connection ended (by the peer or by an error) before the request did.
    pub cut_off: bool,
}

#[derive(Debug)]
struct State {
    when: When,
    answer: Vec<u8>,
    seen: Vec<Seen>,
}

/// An HTTP/1.1 server on a free port of 127.0.0.1. Ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    server: TcpServer,
    state: Arc<Mutex<State>>,
}

impl Upstream {
    /// Starts one that answers 200 to complete requests.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
        let state = Arc::new(Mutex::new(State { when: When::Complete, answer, seen: Vec::new() }));
        let served = Arc::clone(&state);
        let server = TcpServer::start(move |stream| serve(stream, Arc::clone(&served))).await;
        Self { server, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// When it answers from now on, and with which bytes.
    pub fn answer(&self, when: When, bytes: impl Into<Vec<u8>>) {
        let mut state = lock(&self.state);
        (state.when, state.answer) = (when, bytes.into());
    }

    /// Every request of which at least the head arrived, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }

    /// Forgets what it saw; answers it. Only between requests.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.state).seen)
    }

    /// Waits until `enough` holds of what it saw.
    #[track_caller]
    pub fn wait_for(
        &self,
        what: &str,
        bound: Duration,
        enough: impl Fn(&[Seen]) -> bool,
    ) -> impl Future<Output = Vec<Seen>> {
        let look = move || {
            let seen = self.seen();
            std::future::ready(if enough(&seen) { Ok(seen) } else { Err(seen) })
        };
        wait_until(what, bound, look)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one connection is at.
struct Connection {
    decoder: Decoder,
    /// Where the request under way stands in `State::seen`, once its head is there.
    slot: Option<usize>,
    answered: bool,
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut connection = Connection { decoder: Decoder::request(), slot: None, answered: false };
    let mut portion = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut portion).await {
            Ok(read) if read > 0 => connection.decoder.feed(&portion[..read]),
            Ok(_) | Err(_) => return connection.record(&state, true),
        }
        while connection.advance(&state, &mut stream).await {}
    }
}

impl Connection {
    /// Records what arrived and answers if it is time; `true` when a request ended and another may be waiting.
    async fn advance(&mut self, state: &Mutex<State>, stream: &mut TcpStream) -> bool {
        self.record(state, false);
        let complete = self.decoder.message().complete;
        if let Some(answer) = self.due(state, complete) {
            self.answered = true;
            // The gateway may be gone; what it sent is recorded all the same.
            drop(stream.write_all(&answer).await);
        }
        if complete {
            let done = std::mem::replace(&mut self.decoder, Decoder::request());
            *self = Self { decoder: done.next().1, slot: None, answered: false };
        }
        complete
    }

    fn due(&self, state: &Mutex<State>, complete: bool) -> Option<Vec<u8>> {
        let state = lock(state);
        let due = match state.when {
            When::Complete => complete,
            When::Head => self.slot.is_some(),
            When::Never => false,
        };
        (due && !self.answered).then(|| state.answer.clone())
    }

    fn record(&mut self, state: &Mutex<State>, ended: bool) {
        let message = self.decoder.message();
        if message.start.is_empty() {
            return;
        }
        let mut state = lock(state);
        let slot = *self.slot.get_or_insert_with(|| {
            state.seen.push(Seen::default());
            state.seen.len() - 1
        });
        if let Some(seen) = state.seen.get_mut(slot) {
            *seen = Seen { message: message.clone(), cut_off: ended && !message.complete };
        }
    }
}
