//! An HTTP/1.1 client over plain TCP that controls its framing to the byte.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::decoder::Decoder;
use crate::wire::{Line, Response};

/// How long an answer may take where a test names no other bound.
pub const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// How a body says where it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, true; without one when there is no body and the method is not POST, PUT or PATCH.
    #[default]
    Length,
    /// `Content-Length` with this value, true or not.
    Claimed(u64),
    /// Chunks, one for each part. Over HTTP/2: no length.
    Chunked,
    /// Chunks and these trailers. Over HTTP/2: no length, and a trailers frame ends the stream.
    Trailers(Vec<(&'static str, &'static str)>),
    /// Nothing is said. Over HTTP/2: the headers end the stream when there is no body.
    Unsaid,
}

/// A request to be sent, over HTTP/1.1 or HTTP/2.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Path and query, as it goes over the wire.
    pub target: String,
    /// Its header lines beyond `host` and what the framing needs.
    pub headers: Vec<Line>,
    /// Its body, in the parts in which it is sent.
    pub parts: Vec<Vec<u8>>,
    /// How the body ends.
    pub framing: Framing,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), parts: Vec::new(), framing: Framing::Length }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A `POST`.
    #[must_use]
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// One more header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// More header lines.
    #[must_use]
    pub fn headers<N: AsRef<str>, V: AsRef<[u8]>>(self, lines: impl IntoIterator<Item = (N, V)>) -> Self {
        lines.into_iter().fold(self, |request, (name, value)| request.header(name.as_ref(), value))
    }

    /// The body, in one part.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.parts = vec![body.as_ref().to_vec()];
        self
    }

    /// The body, in several parts.
    #[must_use]
    pub fn parts<P: AsRef<[u8]>>(mut self, parts: impl IntoIterator<Item = P>) -> Self {
        self.parts = parts.into_iter().map(|part| part.as_ref().to_vec()).collect();
        self
    }

    /// A JSON body with its content type.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// How the body ends.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// The length to declare, if any.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        let length: usize = self.parts.iter().map(Vec::len).sum();
        let always = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        match &self.framing {
            Framing::Length if length > 0 || always => Some(length as u64),
            Framing::Claimed(claimed) => Some(*claimed),
            Framing::Length | Framing::Chunked | Framing::Trailers(_) | Framing::Unsaid => None,
        }
    }

    /// The request as HTTP/1.1 frames: the head, then each part, then the end of a chunked body. A test may write
    /// them apart.
    #[must_use]
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let chunked = matches!(self.framing, Framing::Chunked | Framing::Trailers(_));
        let mut frames = vec![self.head(chunked)];
        frames.extend(self.parts.iter().map(|part| if chunked { chunk(part) } else { part.clone() }));
        if chunked {
            frames.push(self.last_chunk());
        }
        frames
    }

    fn head(&self, chunked: bool) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        };
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            line("host", b"hookgate.test");
        }
        self.headers.iter().for_each(|(name, value)| line(name, value));
        if let Some(length) = self.declared_length() {
            line("content-length", length.to_string().as_bytes());
        }
        if chunked {
            line("transfer-encoding", b"chunked");
        }
        head.extend(b"\r\n");
        head
    }

    fn last_chunk(&self) -> Vec<u8> {
        let mut end = b"0\r\n".to_vec();
        if let Framing::Trailers(trailers) = &self.framing {
            trailers.iter().for_each(|(name, value)| end.extend(format!("{name}: {value}\r\n").bytes()));
        }
        end.extend(b"\r\n");
        end
    }
}

fn chunk(part: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection ended before a whole answer.
    Closed,
    /// It was reset, or could not be made.
    Reset,
    /// Nothing came in time.
    Silent,
}

/// One connection, kept alive as long as the peer keeps it.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, decoder: Decoder::response() })
    }

    /// Sends one request on a connection of its own and reads the answer.
    ///
    /// # Panics
    /// When no answer came within [`ANSWER_BOUND`].
    pub async fn call(address: SocketAddr, request: &Request) -> Response {
        Self::connect(address)
            .await
            .send(request)
            .await
            .unwrap_or_else(|none| panic!("{none:?} to {request:?}"))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When none came within [`ANSWER_BOUND`]. An answer before all was sent is an answer.
    pub async fn send(&mut self, request: &Request) -> Result<Response, NoAnswer> {
        for frame in request.frames() {
            if self.write(&frame).await.is_err() {
                break;
            }
        }
        self.read(ANSWER_BOUND).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Says that no more comes, and goes on listening.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("an open socket");
    }

    /// Reads the next answer that is not a 1xx.
    ///
    /// # Errors
    /// When none came within `bound`.
    pub async fn read(&mut self, bound: Duration) -> Result<Response, NoAnswer> {
        timeout(bound, self.next_final()).await.unwrap_or(Err(NoAnswer::Silent))
    }

    async fn next_final(&mut self) -> Result<Response, NoAnswer> {
        loop {
            let answer = self.next_message().await?;
            if answer.status >= 200 || answer.status == 101 {
                return Ok(answer);
            }
        }
    }

    async fn next_message(&mut self) -> Result<Response, NoAnswer> {
        let mut portion = vec![0; 64 * 1024];
        while !self.decoder.message().complete {
            match self.stream.read(&mut portion).await {
                Ok(0) => {
                    self.decoder.close();
                    return if self.decoder.message().complete {
                        Ok(self.take())
                    } else {
                        Err(NoAnswer::Closed)
                    };
                }
                Ok(read) => self.decoder.feed(&portion[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(NoAnswer::Reset),
                Err(error) => panic!("reading an answer: {error}"),
            }
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Response {
        let (message, next) = std::mem::replace(&mut self.decoder, Decoder::response()).next();
        self.decoder = next;
        Response::from_message(message)
    }
}
