//! The receiver of every benchmark: hands each request to whoever counts, and answers 200, at once unless it is held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookgate_e2e::TcpServer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::wire::{Reader, Request, WireError};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A server on a free port of 127.0.0.1. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    server: TcpServer,
    is_held: watch::Sender<bool>,
}

/// Requests whose path ends in a number that are answered so late.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hang {
    /// The number.
    pub(crate) endpoint: u64,
    /// How late.
    pub(crate) span: Duration,
}

impl Server {
    /// Starts one; `receive` gets the number at the end of every path, and the body, on the server's own tasks, and must
    /// be quick.
    pub(crate) async fn start(receive: impl Fn(u64, &[u8]) + Send + Sync + 'static) -> Self {
        Self::start_hanging(receive, None).await
    }

    /// The same, with an endpoint that hangs.
    pub(crate) async fn start_hanging(
        receive: impl Fn(u64, &[u8]) + Send + Sync + 'static,
        hang: Option<Hang>,
    ) -> Self {
        let ((is_held, hold), receive) = (watch::channel(false), Arc::new(receive));
        let serve = move |stream| answer(stream, Arc::clone(&receive), hold.clone(), hang);
        Self { server: TcpServer::start(serve).await, is_held }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Whether answers wait from now on; what waits is answered when they no longer do.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }
}

/// Serves one connection until it ends. What it could not read is missing from the count, and so voids the run.
async fn answer(
    mut stream: TcpStream,
    receive: Arc<impl Fn(u64, &[u8])>,
    mut hold: watch::Receiver<bool>,
    hang: Option<Hang>,
) {
    stream.set_nodelay(true).expect("a TCP socket");
    let mut reader = Reader::new();
    loop {
        let number = match reader.next::<Request>(&mut stream).await {
            Ok((number, body)) => {
                receive(number, body);
                number
            }
            Err(WireError::Ended | WireError::Connection(_)) => return,
            Err(error) => return eprintln!("the receiver: {error}"),
        };
        if let Some(hang) = hang.filter(|hang| hang.endpoint == number) {
            sleep(hang.span).await;
        }
        if hold.wait_for(|is_held| !is_held).await.is_err() || stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use std::time::Duration;

    use hookgate_e2e::wait_until;

    use super::*;
    use crate::load::Connection;

    #[tokio::test]
    async fn a_held_receiver_receives_but_answers_only_when_released() {
        let seen = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&seen);
        let server = Server::start(move |endpoint, body| {
            counter.store(endpoint * 100 + body.len() as u64, Relaxed);
        });
        let server = server.await;
        server.hold(true);
        let mut connection = Connection::open(server.address()).await.unwrap();
        let head = "POST /a/7 HTTP/1.1\r\nhost: x\r\ncontent-length: ";
        let mut answer = Box::pin(connection.post(head, b"abc"));
        let received = wait_until("receipt", Duration::from_secs(10), || {
            std::future::ready(match seen.load(Relaxed) {
                0 => Err("nothing"),
                received => Ok(received),
            })
        });
        tokio::select! {
            early = &mut answer => panic!("{early:?} while it was held"),
            received = received => assert_eq!(received, 703, "endpoint 7, three bytes"),
        }
        server.hold(false);
        assert_eq!(answer.await.unwrap(), 200);
    }

    #[tokio::test]
    async fn only_the_endpoint_that_hangs_does() {
        let hang = Hang { endpoint: 7, span: Duration::from_secs(3600) };
        let server = Server::start_hanging(|_, _| {}, Some(hang)).await;
        let mut hanging = Connection::open(server.address()).await.unwrap();
        let mut other = Connection::open(server.address()).await.unwrap();
        let mut never = Box::pin(hanging.post("POST /7 HTTP/1.1\r\nhost: x\r\ncontent-length: ", b""));
        let answer = other.post("POST /8 HTTP/1.1\r\nhost: x\r\ncontent-length: ", b"");
        tokio::select! {
            biased;
            early = &mut never => panic!("{early:?} from what hangs"),
            answer = answer => assert_eq!(answer.unwrap(), 200),
        }
    }
}
