//! A subscriber on a real socket that answers byte for byte what a test says, and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What it does once it has read a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These bytes, and then whatever comes next on the connection.
    Bytes(Vec<u8>),
    /// These bytes, and then silence.
    Hang(Vec<u8>),
    /// These bytes, and then the connection ends.
    Close(Vec<u8>),
    /// The first bytes, and then the second again and again, as fast as they are taken.
    Endless(Vec<u8>, Vec<u8>),
    /// One byte after another, every 20 ms, without end.
    Drip(Vec<u8>),
    /// A TCP reset.
    Reset,
}

/// A whole HTTP/1.1 answer.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Bytes(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes(),
    )
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Every value of a header, as it came.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The one value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "one {name} in {}", self.head);
        all[0]
    }
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    given_up: AtomicUsize,
    requests: Mutex<Vec<Request>>,
}

/// A running subscriber; it ends with this value.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(answer: Answer) -> Self {
        Self::serve(answer, None).await
    }

    pub(crate) async fn start_tls(answer: Answer, config: ServerConfig) -> Self {
        Self::serve(answer, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, answer, tls, Arc::clone(&seen)));
        Self { address, seen, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?token=s3cret", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// Connections that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.connections() - self.seen.ended.load(SeqCst)
    }

    /// Connections that the other side ended while we were writing or silent.
    pub(crate) fn given_up(&self) -> usize {
        self.seen.given_up.load(SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, answer: Answer, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, SeqCst);
        let (answer, tls, seen) = (answer.clone(), tls.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            match tls {
                None => serve_plain(stream, &answer, &seen).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(mut stream) => while one(&mut stream, &answer, &seen).await {},
                    Err(_) => {
                        seen.given_up.fetch_add(1, SeqCst);
                    }
                },
            }
            seen.ended.fetch_add(1, SeqCst);
        });
    }
}

async fn serve_plain(mut stream: TcpStream, answer: &Answer, seen: &Seen) {
    if matches!(answer, Answer::Reset) {
        read(&mut stream).await;
        #[expect(deprecated, reason = "a zero linger is how a reset is made; it cannot block")]
        stream.set_linger(Some(Duration::ZERO)).unwrap();
        return;
    }
    while one(&mut stream, answer, seen).await {}
    if matches!(answer, Answer::Hang(_)) {
        let gone = stream.ready(Interest::READABLE).await;
        gone.map(|_| seen.given_up.fetch_add(1, SeqCst)).unwrap();
    }
}

/// One request and its answer; whether the connection goes on.
async fn one(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &Answer, seen: &Seen) -> bool {
    let Some(request) = read(stream).await else { return false };
    seen.requests.lock().unwrap().push(request);
    match answer {
        Answer::Bytes(bytes) => stream.write_all(bytes).await.is_ok(),
        Answer::Hang(bytes) | Answer::Close(bytes) => {
            if stream.write_all(bytes).await.is_err() {
                seen.given_up.fetch_add(1, SeqCst);
            }
            false
        }
        Answer::Endless(first, again) => {
            assert!(!again.is_empty(), "an endless nothing would be a hang");
            let mut going = stream.write_all(first).await;
            while going.is_ok() {
                going = stream.write_all(again).await;
            }
            seen.given_up.fetch_add(1, SeqCst);
            false
        }
        Answer::Drip(bytes) => {
            let mut every = tokio::time::interval(Duration::from_millis(20));
            for byte in bytes.iter().cycle() {
                every.tick().await;
                if stream.write_all(&[*byte]).await.is_err() {
                    seen.given_up.fetch_add(1, SeqCst);
                    break;
                }
            }
            false
        }
        Answer::Reset => false,
    }
}

/// Reads a request with a `content-length`, or `None` at the end of the connection.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut request = Request { head: String::from_utf8(bytes[..end].to_vec()).unwrap(), body: Vec::new() };
    let length: usize = request.header("content-length").parse().unwrap();
    request.body = bytes[end + 4..].to_vec();
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}
