//! One open connection to an endpoint, HTTP/1.1 or HTTP/2, and a request on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::dial::Pipe;
use super::tasks::Tasks;
use super::{CheckedUrl, SendError};
use crate::model::Failure;

type Body = Full<Bytes>;
type TrySendError = hyper::client::conn::TrySendError<Request<Body>>;

/// Most bytes of an answer's head. HTTP/1.1 allows 100 headers in it, which is hyper's own bound.
const HEAD_BYTES: usize = 64 * 1024;
/// HTTP/2: bytes of a body that may come before they are asked for; of all bodies on a connection together, 16 times
/// as many.
const WINDOW: u32 = 64 * 1024;

/// A request before it is known which HTTP it is sent in.
#[derive(Debug)]
pub(super) struct Message {
    uri: Uri,
    host: HeaderValue,
    headers: HeaderMap,
    body: Bytes,
}

impl Message {
    /// A post. Fails when the URL's form cannot be sent.
    pub(super) fn post(to: &CheckedUrl, headers: HeaderMap, body: Bytes) -> Result<Self, SendError> {
        let unsendable =
            |error: &(dyn std::error::Error + 'static)| SendError::of(Failure::Unsendable, error);
        let uri: Uri = to.url.as_str().parse().map_err(|error: http::uri::InvalidUri| unsendable(&error))?;
        let host = to.authority().parse();
        let host = host.map_err(|error: http::header::InvalidHeaderValue| unsendable(&error))?;
        Ok(Self { uri, host, headers, body })
    }

    /// HTTP/1.1 names path and `Host`, HTTP/2 the whole URI.
    fn request(&self, version: Version) -> Request<Body> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.version_mut() = version;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        if version == Version::HTTP_2 {
            *request.uri_mut() = self.uri.clone();
        } else {
            let path = self.uri.path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
            request.headers_mut().insert(HOST, self.host.clone());
        }
        request
    }
}

/// Why a connection brought no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It had ended before anything was sent: another one may be tried.
    Unused(hyper::Error),
    /// The endpoint may have seen the request.
    Used(hyper::Error),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    line: Line,
    /// The address at its other end; `None` when a proxy chose it.
    pub(super) reached: Option<IpAddr>,
}

#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "this is where connections live")]
enum Line {
    /// One request after another.
    Http1(http1::SendRequest<Body>),
    /// Many at once; shared by clones. `suspect`: a request got no answer in time, so nobody should rely on it.
    Http2 { sender: http2::SendRequest<Body>, suspect: Arc<AtomicBool> },
}

impl Connection {
    /// HTTP over a stream; `tasks` drive it.
    pub(super) async fn open(
        pipe: Pipe,
        h2: bool,
        reached: Option<IpAddr>,
        tasks: &Tasks,
    ) -> Result<Self, SendError> {
        let line = if h2 { open_http2(pipe, tasks).await } else { open_http1(pipe, tasks).await };
        line.map(|line| Self { line, reached }).map_err(|error| SendError::of_exchange(&error))
    }

    /// A second handle, where connections can be shared.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.line {
            Line::Http1(_) => None,
            Line::Http2 { sender, suspect } => {
                let line = Line::Http2 { sender: sender.clone(), suspect: Arc::clone(suspect) };
                Some(Self { line, reached: self.reached })
            }
        }
    }

    /// Whether many use it at once.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.line, Line::Http2 { .. })
    }

    /// Whether a new request should not be tried on it.
    pub(super) fn is_over(&self) -> bool {
        match &self.line {
            Line::Http1(sender) => sender.is_closed(),
            Line::Http2 { sender, suspect } => sender.is_closed() || suspect.load(Relaxed),
        }
    }

    /// Sends and waits for the answer's head. Dropped before that, or found unusable, the connection is not used again.
    pub(super) async fn send(&mut self, message: &Message) -> Result<http::Response<Incoming>, Broken> {
        match &mut self.line {
            Line::Http1(sender) => {
                sender.ready().await.map_err(Broken::Unused)?;
                sender.try_send_request(message.request(Version::HTTP_11)).await.map_err(Broken::from)
            }
            Line::Http2 { sender, suspect } => {
                let waiting = Waiting(suspect);
                sender.ready().await.map_err(Broken::Unused)?;
                let sent = sender.try_send_request(message.request(Version::HTTP_2)).await;
                let sent = sent.map_err(Broken::from);
                if !matches!(sent, Err(Broken::Unused(_))) {
                    waiting.ended();
                }
                sent
            }
        }
    }
}

impl From<TrySendError> for Broken {
    fn from(mut error: TrySendError) -> Self {
        let unused = error.take_message().is_some();
        if unused { Self::Unused(error.into_error()) } else { Self::Used(error.into_error()) }
    }
}

/// A wait for an answer; dropped before it has ended, it makes the connection suspect.
struct Waiting<'a>(&'a AtomicBool);

impl Waiting<'_> {
    fn ended(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

async fn open_http1(pipe: Pipe, tasks: &Tasks) -> hyper::Result<Line> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES);
    let (sender, driver) = builder.handshake(TokioIo::new(pipe)).await?;
    tasks.spawn(driver);
    Ok(Line::Http1(sender))
}

/// An endpoint that does not answer a ping in 5 s while a request waits is gone.
async fn open_http2(pipe: Pipe, tasks: &Tasks) -> hyper::Result<Line> {
    let (sender, driver) = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .handshake(TokioIo::new(pipe))
        .await?;
    tasks.spawn(driver);
    Ok(Line::Http2 { sender, suspect: Arc::default() })
}
