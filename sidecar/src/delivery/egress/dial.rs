//! One TCP connection to one of several checked addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A stream of bytes to somewhere, through whatever lies between.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Any [`Stream`].
pub(super) type Pipe = Box<dyn Stream>;

/// How long an address has before the next is tried as well (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to whichever address answers first, tried in this order. Dropping the future gives all of them up.
///
/// # Errors
/// The last failure, when all have failed. There is no time limit: that is the caller's.
pub(super) async fn dial(addresses: &[SocketAddr]) -> io::Result<(Pipe, SocketAddr)> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to");
    let (mut rest, mut trying) = (addresses.iter(), FuturesUnordered::new());
    loop {
        trying.extend(rest.next().map(|address| connect(*address)));
        match timeout(HEAD_START, trying.next()).await {
            Ok(Some(Ok(connected))) => return Ok(connected),
            Ok(Some(Err(error))) => failure = error,
            Ok(None) => return Err(failure),
            Err(_still_trying) => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<(Pipe, SocketAddr)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((Box::new(stream), address))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for addresses in [vec![open], vec![closed, open], vec![closed, closed, open]] {
            assert_eq!(dial(&addresses).await.unwrap().1, open, "{addresses:?}");
        }
        let refused = dial(&[closed, closed]).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dial(&[]).await.err().unwrap().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
