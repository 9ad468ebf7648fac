//! The receiver of every benchmark: answers 200 at once and hands the body to whoever counts.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wire::{Reader, Request, WireError};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A server on a free port of 127.0.0.1. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts one; `receive` gets every body, on the server's own tasks, and must be quick.
    pub(crate) async fn start(receive: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::new(receive)));
        Self { address, _tasks: tasks }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, receive: Arc<impl Fn(&[u8]) + Send + Sync + 'static>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(answer(stream, Arc::clone(&receive)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until it ends. What it could not read is missing from the count, and so voids the run.
async fn answer(mut stream: TcpStream, receive: Arc<impl Fn(&[u8])>) {
    stream.set_nodelay(true).expect("a TCP socket");
    let mut reader = Reader::new();
    let mut pending = 0;
    loop {
        match reader.next::<Request>(&mut stream).await {
            Ok(((), body)) => receive(body),
            Err(WireError::Ended | WireError::Connection(_)) => return,
            Err(error) => return eprintln!("the receiver: {error}"),
        }
        pending += 1;
        if !reader.has_more() && stream.write_all(&ANSWER.repeat(std::mem::take(&mut pending))).await.is_err()
        {
            return;
        }
    }
}
