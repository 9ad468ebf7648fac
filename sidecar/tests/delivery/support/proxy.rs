//! A small real proxy, HTTP `CONNECT` or SOCKS 5, that remembers what it was asked for.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How it treats who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `CONNECT`.
    Connect,
    /// SOCKS 5, with the login `user`, `s3cret` when `login`.
    Socks { login: bool },
    /// Says no: 407 to `CONNECT`.
    Refuse,
    /// Reads, and never answers.
    Silent,
    /// Answers with header bytes for ever.
    Endless,
}

/// A running proxy. Names and IPv6 addresses that it is asked for lead to `names_lead_to`. It ends with this value.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(manner: Manner, names_lead_to: SocketAddr) -> Self {
        Self::serve(manner, names_lead_to, None).await
    }

    pub(crate) async fn start_tls(config: ServerConfig, names_lead_to: SocketAddr) -> Self {
        Self::serve(Manner::Connect, names_lead_to, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(manner: Manner, names_lead_to: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::default());
        let one = One { manner, names_lead_to, asked: Arc::clone(&asked) };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (one, tls) = (one.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => one.serve(stream).await,
                        Some(tls) => one.serve(tls.accept(stream).await?).await,
                    }
                });
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    /// Every target, as it was asked for; with `CONNECT`, the login after it.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[derive(Debug, Clone)]
struct One {
    manner: Manner,
    names_lead_to: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl One {
    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let target = match self.manner {
            Manner::Socks { login } => socks(&mut stream, login).await?,
            Manner::Connect | Manner::Refuse | Manner::Silent | Manner::Endless => {
                connect(&mut stream).await?
            }
        };
        self.asked.lock().unwrap().push(target.clone());
        match self.manner {
            Manner::Connect => stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
            Manner::Socks { .. } => stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?,
            Manner::Refuse => {
                return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
            }
            Manner::Silent => return stream.read_u8().await.map(drop),
            Manner::Endless => loop {
                stream.write_all(b"x-more: and more\r\n").await?;
            },
        }
        let host_and_port = target.split(' ').next().unwrap();
        let to = host_and_port.parse().map_or(self.names_lead_to, SocketAddr::V4);
        let mut endpoint = TcpStream::connect(to).await?;
        copy_bidirectional(&mut stream, &mut endpoint).await.map(drop)
    }
}

/// Reads a `CONNECT`.
async fn connect(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    let login = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    Ok(login.map_or_else(|| target.to_owned(), |login| format!("{target} {login}")))
}

/// Greets, asks for the login, and reads a SOCKS 5 request.
async fn socks(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), login: bool) -> io::Result<String> {
    assert_eq!(stream.read_u8().await?, 5, "the version");
    let (methods, method) = (text(stream).await?, if login { 2 } else { 0 });
    assert!(methods.contains(char::from(method)), "the method is offered");
    stream.write_all(&[5, method]).await?;
    if login {
        assert_eq!(stream.read_u8().await?, 1, "the version of the login");
        let good = (text(stream).await?, text(stream).await?) == ("user".to_owned(), "s3cret".to_owned());
        stream.write_all(&[1, u8::from(!good)]).await?;
    }
    target(stream).await
}

/// The target of a SOCKS 5 request to connect.
async fn target(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[..3], [5, 1, 0], "connect");
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        3 => text(stream).await?,
        4 => format!("[{}]", std::net::Ipv6Addr::from(stream.read_u128().await?)),
        other => panic!("address type {other}"),
    };
    Ok(format!("{host}:{}", stream.read_u16().await?))
}

/// A text after its length.
async fn text(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut bytes = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}
