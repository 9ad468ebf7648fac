//! As much of HTTP/1.1 as a load tool needs, and cheap: messages with a `Content-Length`, kept alive.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Most bytes of one message.
const MOST: usize = 1024 * 1024;
/// Most header lines of one message.
const MOST_HEADERS: usize = 64;

/// Why the peer's bytes end a benchmark: its figures would mean nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The connection failed or ended.
    #[error("the connection: {0}")]
    Connection(#[from] std::io::Error),
    /// It ended between or within messages.
    #[error("the peer ended the connection")]
    Ended,
    /// Not HTTP/1.1.
    #[error("not a message of HTTP/1.1: {0}")]
    Message(#[from] httparse::Error),
    /// A message that this tool does not read.
    #[error("a message of HTTP/1.1 that this tool does not read: {0}")]
    Unread(&'static str),
}

/// What kind of message is read, and what its first line holds.
pub(crate) trait Kind {
    /// Of a response, its status; of a request, the number that its path ends in.
    type Start;

    /// Parses a head: its first line, its length in bytes, its `Content-Length` (0 without one). `None`: not all
    /// of it is there.
    fn head(bytes: &[u8]) -> Result<Option<(Self::Start, usize, usize)>, WireError>;
}

/// Requests, by the number that their path ends in: `/7` is 7, `/` is 0.
#[derive(Debug)]
pub(crate) enum Request {}

/// Responses, by their status.
#[derive(Debug)]
pub(crate) enum Response {}

impl Kind for Request {
    type Start = u64;

    fn head(bytes: &[u8]) -> Result<Option<(u64, usize, usize)>, WireError> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes)? {
            httparse::Status::Complete(length) => {
                let path = request.path.unwrap_or_default();
                let (_, last) = path.rsplit_once('/').unwrap_or_default();
                Ok(Some((last.parse().unwrap_or(0), length, body_length(request.headers)?)))
            }
            httparse::Status::Partial => Ok(None),
        }
    }
}

impl Kind for Response {
    type Start = u16;

    fn head(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, WireError> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(bytes)? {
            httparse::Status::Complete(length) => {
                let status = response.code.ok_or(WireError::Unread("no status"))?;
                Ok(Some((status, length, body_length(response.headers)?)))
            }
            httparse::Status::Partial => Ok(None),
        }
    }
}

fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize, WireError> {
    let find = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if find("transfer-encoding").is_some() {
        return Err(WireError::Unread("chunked"));
    }
    let Some(header) = find("content-length") else { return Ok(0) };
    let text = std::str::from_utf8(header.value).unwrap_or_default();
    text.parse().ok().filter(|length| *length <= MOST).ok_or(WireError::Unread("Content-Length"))
}

/// Reads message after message from one connection.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// Up to where they were handed out.
    from: usize,
}

impl Reader {
    /// With nothing read yet.
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(8 * 1024), from: 0 }
    }

    /// The next message: its first line and its body.
    ///
    /// # Errors
    /// When the connection ends or brings something else; nothing can be read after that.
    pub(crate) async fn next<K: Kind>(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<(K::Start, &[u8]), WireError> {
        loop {
            if let Some((start, head, body)) = K::head(self.bytes.get(self.from..).unwrap_or_default())? {
                let (body_from, end) = (self.from + head, self.from + head + body);
                while self.bytes.len() < end {
                    self.fill(stream).await?;
                }
                self.from = end;
                return Ok((start, self.bytes.get(body_from..end).unwrap_or_default()));
            }
            self.drop_read();
            self.fill(stream).await?;
        }
    }

    fn drop_read(&mut self) {
        self.bytes.drain(..self.from);
        self.from = 0;
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(), WireError> {
        if self.bytes.len() - self.from > 2 * MOST {
            return Err(WireError::Unread("a head without an end"));
        }
        match stream.read_buf(&mut self.bytes).await? {
            0 => Err(WireError::Ended),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn statuses(bytes: &[u8], portion: usize) -> Vec<(u16, Vec<u8>)> {
        let (mut ours, mut theirs) = tokio::io::duplex(portion);
        let write = async move { tokio::io::AsyncWriteExt::write_all(&mut theirs, bytes).await.unwrap() };
        let read = async move {
            let (mut reader, mut answers) = (Reader::new(), Vec::new());
            while let Ok((status, body)) = reader.next::<Response>(&mut ours).await {
                answers.push((status, body.to_vec()));
            }
            answers
        };
        tokio::join!(write, read).1
    }

    #[tokio::test]
    async fn answers_are_read_one_by_one_in_any_portions() {
        let bytes = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\
            HTTP/1.1 503 Service Unavailable\r\n\r\n";
        let expected = [(202, b"abc".to_vec()), (200, Vec::new()), (503, Vec::new())];
        for portion in 1..=bytes.len() {
            assert_eq!(statuses(bytes, portion).await, expected, "in portions of {portion}");
        }
    }

    #[test]
    fn what_it_cannot_read_is_an_error_and_not_a_wrong_figure() {
        let table: [(&str, &[u8]); 4] = [
            ("chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            ("a length that is none", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
            ("a length beyond the bound", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"),
            ("not HTTP", b"SSH-2.0-x\r\n\r\n"),
        ];
        for (name, bytes) in table {
            assert!(Response::head(bytes).is_err(), "{name}");
        }
    }
}
