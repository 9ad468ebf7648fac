//! The two ends of a delivery: who sends, and who receives and counts, over one account.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookgate_e2e::sidecar::API_KEY;

use crate::ledger::Ledger;
use crate::load::{Load, nanos};
use crate::payload::{self, Stamp};
use crate::server::Server;
use crate::spread::{Quantiles, Spread};

/// How many connections send at once.
pub(crate) const CONNECTIONS: u32 = 32;
/// The size of what is posted.
pub(crate) const BODY_BYTES: usize = 1024;

/// A receiver that knows every event, and when it was sent.
#[derive(Debug)]
pub(crate) struct Scene {
    start: Instant,
    ledger: Arc<Ledger>,
    arrivals: Arc<Mutex<Arrivals>>,
    receiver: Server,
}

/// The arrivals that are measured, each delivery's first.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    /// Events with a lower number are the warm-up's.
    measured_from: u64,
    end_to_end: Spread,
    last: Option<Instant>,
}

impl Scene {
    /// For at most `events` events to `endpoints` endpoints, whose URLs end in their numbers from 0.
    pub(crate) async fn set(events: usize, endpoints: usize) -> Self {
        let (start, ledger) = (Instant::now(), Arc::new(Ledger::new(events, endpoints)));
        let arrivals = Arc::new(Mutex::new(Arrivals::from_event(0)));
        let (book, counted) = (Arc::clone(&ledger), Arc::clone(&arrivals));
        let receiver = Server::start(move |endpoint, body| match payload::read(body) {
            Some(stamp) => {
                let now = Instant::now();
                if book.arrived(stamp.number, endpoint) {
                    lock(&counted).add(stamp, start, now);
                }
            }
            None => book.arrived_unknown(),
        });
        Self { start, ledger, arrivals, receiver: receiver.await }
    }

    /// The receiver.
    pub(crate) fn receiver(&self) -> &Server {
        &self.receiver
    }

    /// The account.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A load of events for `POST /v1/events` at `address`.
    pub(crate) fn load(&self, address: SocketAddr) -> Load {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\ncontent-length: "
        );
        let ledger = Arc::clone(&self.ledger);
        Load { address, head, size: BODY_BYTES, connections: CONNECTIONS, start: self.start, ledger }
    }

    /// What was sent so far was the warm-up; what is sent from now on is measured.
    pub(crate) fn measure(&self) {
        *lock(&self.arrivals) = Arrivals::from_event(self.ledger.sent());
    }

    /// What arrived so far of what is measured.
    pub(crate) fn arrivals(&self) -> Arrivals {
        lock(&self.arrivals).clone()
    }
}

impl Arrivals {
    fn from_event(number: u64) -> Self {
        Self { measured_from: number, end_to_end: Spread::new(), last: None }
    }

    fn add(&mut self, stamp: Stamp, start: Instant, now: Instant) {
        if stamp.number >= self.measured_from {
            let took = nanos(now - start).saturating_sub(stamp.sent_ns);
            self.end_to_end.record(Duration::from_nanos(took));
            self.last = Some(now);
        }
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.end_to_end.count()
    }

    /// From before each was sent to its receipt.
    pub(crate) fn end_to_end(&self) -> Quantiles {
        self.end_to_end.quantiles()
    }

    /// How many a second, from `from` to the last arrival.
    pub(crate) fn per_second(&self, from: Instant) -> f64 {
        let took = self.last.map_or(Duration::ZERO, |last| last - from);
        if took.is_zero() { 0.0 } else { self.count() as f64 / took.as_secs_f64() }
    }
}

fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}
