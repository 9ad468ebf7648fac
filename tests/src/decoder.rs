//! An incremental reader of one HTTP/1.1 message that hides nothing of its framing.

use std::mem;

use crate::wire::{Line, Message, status_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// Reads one message from bytes fed in any portions.
#[derive(Debug)]
pub struct Decoder {
    /// What is awaited next.
    state: State,
    /// Arrived, not yet understood; after the end, what belongs to the next message.
    pending: Vec<u8>,
    /// What is understood.
    message: Message,
    is_response: bool,
}

impl Decoder {
    /// For a request.
    #[must_use]
    pub fn request() -> Self {
        Self { state: State::Head, pending: Vec::new(), message: Message::default(), is_response: false }
    }

    /// For a response.
    #[must_use]
    pub fn response() -> Self {
        Self { is_response: true, ..Self::request() }
    }

    /// The message so far.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Feeds what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while self.state != State::Done && self.step() {}
        self.message.complete = self.state == State::Done;
    }

    /// The peer said no more: a body that runs until then is complete.
    pub fn close(&mut self) {
        if self.state == State::UntilClose {
            self.state = State::Done;
            self.message.complete = true;
        }
    }

    /// The message, and a decoder for the next one on the same connection.
    #[must_use]
    pub fn next(self) -> (Message, Self) {
        let mut next = Self { is_response: self.is_response, ..Self::request() };
        next.feed(&self.pending);
        (self.message, next)
    }

    /// One step; `false` when more bytes are needed.
    fn step(&mut self) -> bool {
        match self.state {
            State::Head => self.head(),
            State::Length(left) => self.data(left, State::Length, State::Done),
            State::ChunkSize => self.line().is_some_and(|line| self.chunk_size(&line)),
            State::Chunk(left) => self.data(left, State::Chunk, State::ChunkEnd),
            State::ChunkEnd => self.line().is_some_and(|_| self.go(State::ChunkSize)),
            State::Trailers => self.line().is_some_and(|line| self.trailer(&line)),
            State::UntilClose => self.data(usize::MAX, State::Length, State::Done),
            State::Done => false,
        }
    }

    fn go(&mut self, state: State) -> bool {
        self.state = state;
        true
    }

    fn head(&mut self) -> bool {
        let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let head: Vec<u8> = self.pending.drain(..end + 4).collect();
        let mut lines = head[..end].split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
        self.message.start = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        self.message.headers = lines.map(split_line).collect();
        let body = self.body_state();
        self.go(body)
    }

    fn body_state(&self) -> State {
        let status = status_of(&self.message.start);
        if self.is_response && (matches!(status, 204 | 304) || status < 200) {
            return State::Done;
        }
        let coded = self.message.header("transfer-encoding");
        let length = self.message.header("content-length").and_then(|text| text.parse().ok());
        match (coded, length) {
            (Some(_), _) => State::ChunkSize,
            (None, Some(0)) => State::Done,
            (None, Some(length)) => State::Length(length),
            (None, None) if self.is_response => State::UntilClose,
            (None, None) => State::Done,
        }
    }

    /// Moves up to `left` bytes into the body.
    fn data(&mut self, left: usize, more: fn(usize) -> State, end: State) -> bool {
        let arrived = self.pending.len().min(left);
        self.message.body.extend(self.pending.drain(..arrived));
        match left {
            usize::MAX => false,
            _ if arrived == left => self.go(end),
            _ => {
                self.state = more(left - arrived);
                false
            }
        }
    }

    fn chunk_size(&mut self, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line);
        let digits = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("chunk size {text:?}"));
        self.go(if size == 0 { State::Trailers } else { State::Chunk(size) })
    }

    fn trailer(&mut self, line: &[u8]) -> bool {
        if line.is_empty() {
            return self.go(State::Done);
        }
        self.message.trailers.push(split_line(line));
        true
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.pending.windows(2).position(|two| two == b"\r\n")?;
        let rest = self.pending.split_off(end + 2);
        let mut line = mem::replace(&mut self.pending, rest);
        line.truncate(end);
        Some(line)
    }
}

fn split_line(line: &[u8]) -> Line {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
    (String::from_utf8_lossy(name).into_owned(), value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_the_same_in_any_portions() {
        let table: [(&str, &[u8], &[u8], usize); 5] = [
            ("a declared length", b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcNEXT", b"abc", 0),
            ("no body", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", b"", 0),
            ("a length of zero", b"POST /a HTTP/1.1\r\ncontent-length: 0\r\n\r\n", b"", 0),
            (
                "chunks",
                b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n",
                b"abc",
                0,
            ),
            (
                "trailers",
                b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: 1\r\n\r\n",
                b"a",
                1,
            ),
        ];
        for (name, bytes, body, trailers) in table {
            for portion in 1..bytes.len() {
                let mut decoder = Decoder::request();
                bytes.chunks(portion).for_each(|part| decoder.feed(part));
                let message = decoder.message();
                assert!(message.complete, "{name} in portions of {portion}");
                assert_eq!((message.body.as_slice(), message.trailers.len()), (body, trailers), "{name}");
            }
        }
    }

    #[test]
    fn a_message_is_not_complete_before_its_end() {
        let mut decoder = Decoder::request();
        decoder.feed(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n");
        assert!(!decoder.message().complete, "the last line is missing");
        decoder.feed(b"\r\n");
        assert!(decoder.message().complete);
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        let mut decoder = Decoder::response();
        decoder.feed(b"HTTP/1.1 200 OK\r\n\r\nab");
        assert!(!decoder.message().complete);
        decoder.close();
        assert_eq!((decoder.message().complete, decoder.message().body.as_slice()), (true, &b"ab"[..]));
    }
}
