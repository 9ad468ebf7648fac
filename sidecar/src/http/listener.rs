//! A socket, its connections and its end: bounded in number and in idleness, closed gracefully.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::client::Peer;

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerSettings {
    /// Connections at once; more wait in the kernel.
    pub max_connections: u16,
    /// How long a connection may be idle, or take to send a request's head.
    pub idle_timeout: Duration,
}

/// Serves `router` on `listener` until `stop`; then takes no more connections and ends those that are idle, lets
/// requests under way finish. The caller bounds the wait: dropping the future cuts off what is left.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ListenerSettings,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(settings.max_connections.into()));
    let (graceful, tasks) = (GracefulShutdown::new(), TaskTracker::new());
    let ground = Ground { router, idle: settings.idle_timeout, stop };
    while let Some(accepted) = ground.stop.run_until_cancelled(accept(&listener, &room)).await {
        let Some((stream, peer, permit)) = accepted else { continue };
        let connection = ground.clone().connection(stream, peer, graceful.watcher());
        tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    tasks.close();
    graceful.shutdown().await;
    tasks.wait().await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for one.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            // Mostly: out of file descriptors. Others must end before it gets better.
            tracing::warn!(%error, "cannot accept a connection; pausing");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// What every connection stands on.
#[derive(Clone)]
struct Ground {
    router: Router,
    idle: Duration,
    stop: CancellationToken,
}

impl Ground {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off Nagle's algorithm");
        }
        let Some(is_http2) = self.speaks_http2(&stream).await else { return };
        let idle = self.idle;
        let service = service_fn(move |request| answer(self.router.clone(), peer, request));
        let io = TokioIo::new(stream);
        let ended = if is_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).keep_alive_interval(idle).keep_alive_timeout(idle);
            builder.max_concurrent_streams(128).max_header_list_size(32 << 10);
            watcher.watch(builder.serve_connection(io, service)).await
        } else {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(64 << 10);
            watcher.watch(builder.serve_connection(io, service)).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// Whether the first bytes are HTTP/2's preface (`PRI * HTTP/2.0…`); no method that is served begins like it.
    /// `None`: the connection ended, idled or was stopped before its first byte.
    async fn speaks_http2(&self, stream: &TcpStream) -> Option<bool> {
        let mut start = [0; 2];
        let peek = tokio::time::timeout(self.idle, stream.peek(&mut start));
        let seen = self.stop.run_until_cancelled(peek).await?.ok()?.ok().filter(|seen| *seen > 0)?;
        Some(start.get(..seen) == Some(b"PR"))
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(Peer(peer));
    router.oneshot(request).await
}
