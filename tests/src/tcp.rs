//! A TCP server on a free port: what every server of the harness begins with.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server on a free port of 127.0.0.1. Ends when dropped, and its connections with it.
#[derive(Debug)]
pub struct TcpServer {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl TcpServer {
    /// Starts one that serves each connection so, all at once.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start<F>(serve: impl FnMut(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, serve));
        Self { address, _tasks: tasks }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept<F>(listener: TcpListener, mut serve: impl FnMut(TcpStream) -> F + Send)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
