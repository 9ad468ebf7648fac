//! One of the two sidecars that are compared: its endpoints, what it is sent, and when that arrives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookgate_e2e::sidecar::{API_KEY, Setup};
use hookgate_e2e::{Sidecar, Store};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::Scene;
use crate::load::{Connection, nanos};
use crate::payload::{self, Stamp};
use crate::server::{Hang, Server};
use crate::spread::Spread;
use crate::wire::WireError;

/// How many connections send.
const CONNECTIONS: u64 = 16;
const BODY_BYTES: usize = 1024;
/// Sent before anything is measured: connections are made, and the endpoint that hangs has all that it gets.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long what was sent may take to arrive once the sending ended.
const DRAIN: Duration = Duration::from_secs(5);

/// What was measured.
#[derive(Debug)]
pub(super) struct Seen {
    /// From before each event for the others was sent to its receipt.
    pub(super) others: Spread,
    pub(super) most_waiting: u64,
    pub(super) missing: u64,
    pub(super) broken: Vec<String>,
}

/// Events for the others that have not arrived, by number, with when they were sent; and those that have.
#[derive(Debug)]
struct Book {
    waiting: BTreeMap<u64, Instant>,
    most_waiting: usize,
    arrived: Spread,
}

/// A sidecar, its subscriber and its store.
#[derive(Debug)]
pub(super) struct Side {
    scene: Scene,
    sidecar: Sidecar,
    book: Arc<Mutex<Book>>,
    _subscriber: Server,
}

impl Side {
    /// With default settings. `hangs`: whether endpoint 0 does.
    pub(super) async fn set(scene: Scene, store: Store, hangs: bool) -> Self {
        let sidecar = Setup::on(store).start().await;
        let book = Book { waiting: BTreeMap::new(), most_waiting: 0, arrived: Spread::new() };
        let book = Arc::new(Mutex::new(book));
        let arrivals = Arc::clone(&book);
        let receive = move |endpoint: u64, body: &[u8]| {
            if let Some(stamp) = payload::read(body).filter(|_| endpoint != 0) {
                lock(&arrivals).arrive(stamp.number, Instant::now());
            }
        };
        let hang = hangs.then_some(Hang { endpoint: 0, span: scene.hang });
        let subscriber = Server::start_hanging(receive, hang).await;
        for endpoint in 0..scene.endpoints {
            let url = format!("http://{}/{endpoint}", subscriber.address());
            let (tenant, types) = (tenant(scene, endpoint), [format!("to.{endpoint}")]);
            sidecar
                .create_endpoint(
                    &json!({ "url": url, "tenant": tenant, "event_types": types, "timeout_ms": 60_000 }),
                )
                .await;
        }
        Self { scene, sidecar, book, _subscriber: subscriber }
    }

    /// Sends for `span`, after a warm-up, and waits a while for what has not arrived.
    pub(super) async fn measure(self, span: Duration) -> Seen {
        let from = Instant::now() + Duration::from_millis(50);
        let mut tasks = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let (scene, address, book) = (self.scene, self.sidecar.data(), Arc::clone(&self.book));
            tasks.spawn(async move {
                let sending =
                    Sending { scene, from, measured_from: from + WARM_UP, until: from + WARM_UP + span };
                sending.send(connection, address, &book).await.err().map(|error| error.to_string())
            });
        }
        let broken = tasks.join_all().await.into_iter().flatten().collect();
        let deadline = Instant::now() + DRAIN;
        while !lock(&self.book).waiting.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        let mut book = lock(&self.book);
        let (missing, now) = (book.waiting.len() as u64, Instant::now());
        for number in book.waiting.keys().copied().collect::<Vec<_>>() {
            book.arrive(number, now);
        }
        Seen { others: book.arrived.clone(), most_waiting: book.most_waiting as u64, missing, broken }
    }
}

/// Events at fixed moments, every second one for endpoint 0, the others for the others in turn.
#[derive(Debug, Clone, Copy)]
struct Sending {
    scene: Scene,
    from: Instant,
    measured_from: Instant,
    until: Instant,
}

impl Sending {
    async fn send(self, connection: u64, address: SocketAddr, book: &Mutex<Book>) -> Result<(), WireError> {
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\ncontent-length: "
        );
        let (mut line, mut body) = (Connection::open(address).await?, Vec::with_capacity(BODY_BYTES));
        for number in (connection..).step_by(CONNECTIONS as usize) {
            let due = self.from + Duration::from_secs(1) * number as u32 / self.scene.per_second;
            if due >= self.until {
                break;
            }
            sleep_until(due.into()).await;
            let (endpoint, sent_at) = (self.endpoint(number), Instant::now());
            let tenant = tenant(self.scene, endpoint);
            let head = format!(r#"{{"type":"to.{endpoint}","tenant":"{tenant}""#);
            payload::write(
                &mut body,
                &head,
                Stamp { number, sent_ns: nanos(sent_at - self.from) },
                BODY_BYTES,
            );
            if endpoint != 0 && due >= self.measured_from {
                lock(book).send(number, sent_at);
            }
            if line.post(&request, &body).await? != 202 {
                return Err(WireError::Unread("an answer other than 202"));
            }
        }
        Ok(())
    }

    fn endpoint(self, number: u64) -> u64 {
        if number.is_multiple_of(2) { 0 } else { 1 + number / 2 % (self.scene.endpoints - 1) }
    }
}

impl Book {
    fn send(&mut self, number: u64, at: Instant) {
        self.waiting.insert(number, at);
        self.most_waiting = self.most_waiting.max(self.waiting.len());
    }

    /// Its first arrival counts.
    fn arrive(&mut self, number: u64, at: Instant) {
        if let Some(sent_at) = self.waiting.remove(&number) {
            self.arrived.record(at - sent_at);
        }
    }
}

fn tenant(scene: Scene, endpoint: u64) -> &'static str {
    if scene.is_apart && endpoint == 0 { "other" } else { "acme" }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
