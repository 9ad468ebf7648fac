//! Sends events, as fast as they are answered or at a fixed rate, and says when each was sent and how long its answer took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::ledger::{Answer, Ledger};
use crate::payload::{self, Stamp};
use crate::spread::Spread;
use crate::wire::{Reader, Response, WireError};

/// What is sent, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The request's head up to `content-length: `, which follows with the length and the end of the head.
    pub(crate) head: String,
    /// The size of each body, bytes.
    pub(crate) size: usize,
    /// How many connections send at once.
    pub(crate) connections: u32,
    /// When the run began: what stamps count from.
    pub(crate) start: Instant,
    /// Where every event is written down.
    pub(crate) ledger: Arc<Ledger>,
}

/// How fast to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each connection sends its next event when the last is answered.
    Saturation,
    /// So many events a second, at fixed moments, whatever the answers.
    PerSecond(u32),
}

/// What the sending came to.
#[derive(Debug)]
pub(crate) struct Sent {
    /// From the first event to the last answer.
    pub(crate) took: Duration,
    /// How long the answers took.
    pub(crate) answers: Spread,
    /// How long after its moment an event was sent at worst: with a fixed rate, what the load tool itself adds.
    pub(crate) late: Duration,
    /// Why connections ended before their time.
    pub(crate) broken: Vec<String>,
}

impl Load {
    /// Sends for `span`.
    pub(crate) async fn send(&self, pace: Pace, span: Duration) -> Sent {
        let from = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in 0..self.connections {
            tasks.spawn(self.clone().connection(Schedule::new(
                pace,
                connection,
                self.connections,
                from,
                span,
            )));
        }
        let parts = tasks.join_all().await;
        let mut sent =
            Sent { took: from.elapsed(), answers: Spread::new(), late: Duration::ZERO, broken: Vec::new() };
        for part in parts {
            sent.answers.add(&part.answers);
            sent.late = sent.late.max(part.late);
            sent.broken.extend(part.broken);
        }
        sent
    }

    async fn connection(self, schedule: Schedule) -> Part {
        let mut part = Part { answers: Spread::new(), late: Duration::ZERO, broken: None };
        part.broken = self.run(schedule, &mut part).await.err().map(|error| error.to_string());
        part
    }

    async fn run(&self, schedule: Schedule, part: &mut Part) -> Result<(), WireError> {
        let mut connection = Connection::open(self.address).await?;
        let mut body = Vec::with_capacity(self.size);
        for turn in 0.. {
            let due = schedule.due(turn);
            // At a fixed rate all its moments count, also those that come late.
            if due.unwrap_or_else(Instant::now) >= schedule.until {
                break;
            }
            if let Some(due) = due {
                sleep_until(due.into()).await;
                part.late = part.late.max(due.elapsed());
            }
            let sent_at = Instant::now();
            let Some(number) = self.ledger.send() else { break };
            payload::write(
                &mut body,
                payload::HEAD,
                Stamp { number, sent_ns: nanos(sent_at - self.start) },
                self.size,
            );
            let status = connection.post(&self.head, &body).await?;
            part.answers.record(sent_at.elapsed());
            self.ledger.answered(
                number,
                if matches!(status, 200 | 202) { Answer::Accepted } else { Answer::Refused },
            );
        }
        Ok(())
    }
}

/// What one connection's sending came to.
#[derive(Debug)]
struct Part {
    answers: Spread,
    late: Duration,
    broken: Option<String>,
}

/// When one connection sends.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    first: Option<Instant>,
    step: Duration,
    until: Instant,
}

impl Schedule {
    /// The moments of a fixed rate are dealt to the connections in turn.
    fn new(pace: Pace, connection: u32, connections: u32, from: Instant, span: Duration) -> Self {
        let until = from + span;
        match pace {
            Pace::Saturation => Self { first: None, step: Duration::ZERO, until },
            Pace::PerSecond(rate) => {
                let between = Duration::from_secs(1) / rate;
                Self { first: Some(from + between * connection), step: between * connections, until }
            }
        }
    }

    /// When the connection's event number `turn` is to be sent; `None`: at once.
    fn due(&self, turn: u32) -> Option<Instant> {
        self.first.map(|first| first + self.step * turn)
    }
}

/// A kept connection that asks one thing at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    reader: Reader,
    request: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, WireError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, reader: Reader::new(), request: Vec::new() })
    }

    /// Sends a body behind a head (see [`Load::head`]) and answers the status.
    ///
    /// # Errors
    /// When no answer came; the connection is of no use after that.
    pub(crate) async fn post(&mut self, head: &str, body: &[u8]) -> Result<u16, WireError> {
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await?;
        let (status, _) = self.reader.next::<Response>(&mut self.stream).await?;
        Ok(status)
    }
}

/// A span as stamps count it.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_rate_is_dealt_to_the_connections_without_gap_or_double() {
        let from = Instant::now();
        let schedule =
            |connection| Schedule::new(Pace::PerSecond(200), connection, 4, from, Duration::from_secs(1));
        let mut due: Vec<_> =
            (0..4).flat_map(|connection| (0..3).map(move |turn| schedule(connection).due(turn))).collect();
        due.sort();
        let expected: Vec<_> = (0..12).map(|event| Some(from + Duration::from_millis(5) * event)).collect();
        assert_eq!(due, expected);
    }

    #[tokio::test]
    async fn every_event_sent_to_a_receiver_is_in_the_account() {
        let ledger = Arc::new(Ledger::new(1_000_000, 1));
        let at_receiver = Arc::clone(&ledger);
        let receive = move |endpoint, body: &[u8]| {
            assert!(at_receiver.arrived(payload::read(body).expect("a stamp").number, endpoint));
        };
        let server = crate::server::Server::start(receive).await;
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ".to_owned();
        let (address, start) = (server.address(), Instant::now());
        let load = Load { address, head, size: 300, connections: 3, start, ledger: Arc::clone(&ledger) };
        let fast = load.send(Pace::Saturation, Duration::from_millis(50)).await;
        let steady = load.send(Pace::PerSecond(100), Duration::from_millis(200)).await;
        assert_eq!((fast.broken, steady.broken), (Vec::new(), Vec::new()));
        let balance = ledger.balance(0, 0);
        assert!(balance.is_exact(), "{balance}");
        assert_eq!(steady.answers.count(), 20, "100 a second for 0.2 s");
    }
}
