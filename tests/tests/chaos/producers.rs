//! Producers that never give up: each event is sent until it is answered 202, over another connection, and to another
//! sidecar, when there was no answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookgate_e2e::{Client, sidecar, wait_until};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const PRODUCERS: usize = 4;
/// How long a producer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits before it sends an event once more.
const PAUSE: Duration = Duration::from_millis(20);
/// How long all faults of a round may keep an event from being accepted.
const BOUND: Duration = Duration::from_secs(60);

/// An event that was answered 202.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// Its id.
    pub(crate) event: String,
    /// When the request began that was answered so.
    pub(crate) begun: Instant,
}

/// What all producers were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    /// By the producer's key.
    pub(crate) accepted: BTreeMap<String, Accepted>,
    /// Requests without an answer.
    pub(crate) unanswered: usize,
    /// Requests answered 503.
    pub(crate) put_off: usize,
    /// Requests answered anything else: there should be none.
    pub(crate) refused: Vec<(String, u16)>,
}

/// Producers at work until they are told to end.
#[derive(Debug)]
pub(crate) struct Producers {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Producers {
    /// Starts some against these data listeners, each sending an event every `pace`.
    pub(crate) fn start(addresses: &[SocketAddr], pace: Duration) -> Self {
        let (books, stop) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        for number in 0..PRODUCERS {
            let mut addresses = addresses.to_vec();
            let first = number % addresses.len();
            addresses.rotate_left(first);
            let producer = Producer { addresses, client: None, books: Arc::clone(&books) };
            tasks.spawn(producer.work(number, pace, Arc::clone(&stop)));
        }
        Self { books, stop, tasks }
    }

    /// How many events were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        lock(&self.books).accepted.len()
    }

    /// Waits until so many more are accepted.
    pub(crate) async fn accept(&self, more: usize) {
        let enough = self.accepted() + more;
        wait_until("events accepted", BOUND, || {
            let accepted = self.accepted();
            std::future::ready(if accepted >= enough { Ok(()) } else { Err(accepted) })
        })
        .await;
    }

    /// Ends them once each has been told of its last event.
    pub(crate) async fn end(mut self) -> Books {
        self.stop.store(true, Ordering::Release);
        let ends = async {
            while let Some(end) = self.tasks.join_next().await {
                end.expect("a producer that ends by itself");
            }
        };
        timeout(BOUND, ends).await.expect("every event that was sent is accepted in the end");
        std::mem::take(&mut *lock(&self.books))
    }
}

#[derive(Debug)]
struct Producer {
    /// The first is the one it talks to.
    addresses: Vec<SocketAddr>,
    client: Option<Client>,
    books: Arc<Mutex<Books>>,
}

impl Producer {
    async fn work(mut self, number: usize, pace: Duration, stop: Arc<AtomicBool>) {
        for event in 0_u64.. {
            while !self.offer(&format!("{number}-{event}")).await {
                sleep(PAUSE).await;
            }
            if stop.load(Ordering::Acquire) {
                return;
            }
            sleep(pace).await;
        }
    }

    /// Sends an event once; whether it was accepted.
    async fn offer(&mut self, key: &str) -> bool {
        let begun = Instant::now();
        let told = timeout(PATIENCE, self.send(key)).await.ok().flatten();
        let mut books = lock(&self.books);
        match told {
            Some((202, event)) => {
                let former = books.accepted.insert(key.to_owned(), Accepted { event, begun });
                assert!(former.is_none(), "{key} was sent after its 202");
                return true;
            }
            Some((503, _)) => books.put_off += 1,
            Some((status, _)) => books.refused.push((key.to_owned(), status)),
            None => {
                books.unanswered += 1;
                self.client = None;
                self.addresses.rotate_left(1);
            }
        }
        false
    }

    /// The status and the event's id; `None` without an answer.
    async fn send(&mut self, key: &str) -> Option<(u16, String)> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::try_connect(self.addresses[0]).await.ok()?),
        };
        let answer = client.send(&event(key)).await.ok()?;
        let id = if answer.status == 202 { answer.json()["id"].as_str()?.to_owned() } else { String::new() };
        Some((answer.status, id))
    }
}

/// The event of a key.
pub(crate) fn event(key: &str) -> hookgate_e2e::Request {
    sidecar::event(&json!({ "type": "chaos.sent", "id": key, "data": { "key": key } }))
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}
