//! What goes over the wire, as bytes: header lines in their order, doubles kept, nothing decoded.

use std::fmt::{self, Debug, Formatter};

use serde_json::Value;

/// How much of a body a failing test shows.
const BODY_SHOWN: usize = 400;

/// A header or trailer line: its name as it came, its value as bytes.
pub type Line = (String, Vec<u8>);

/// One message, as far as it has arrived.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The request or status line, without its end; empty until the head is there.
    pub start: String,
    /// The header lines, in wire order, doubles kept.
    pub headers: Vec<Line>,
    /// The body without its chunk frames.
    pub body: Vec<u8>,
    /// The trailer lines of a chunked body.
    pub trailers: Vec<Line>,
    /// Whether its end has arrived.
    pub complete: bool,
}

impl Message {
    /// The one value of a header; `None` when it is absent, doubled or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// For a failing test's reader: bytes as text.
impl Debug for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ending = if self.complete { "complete" } else { "not at its end" };
        write!(f, "{} ({ending})", self.start)?;
        show(f, &self.headers, &self.body, &self.trailers)
    }
}

impl Debug for Response {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        show(f, &self.headers, &self.body, &self.trailers)
    }
}

fn show(f: &mut Formatter<'_>, headers: &[Line], body: &[u8], trailers: &[Line]) -> fmt::Result {
    let line = |(name, value): &Line| format!("\n  {name}: {}", value.escape_ascii());
    let (headers, trailers): (String, String) =
        (headers.iter().map(line).collect(), trailers.iter().map(line).collect());
    let shown = body.get(..BODY_SHOWN).unwrap_or(body);
    write!(f, "{headers}\n  ({} bytes) {}{trailers}", body.len(), shown.escape_ascii())
}

/// The one value of a header; `None` when it is absent, doubled or not text.
pub(crate) fn header<'a>(lines: &'a [Line], name: &str) -> Option<&'a str> {
    let mut values = lines.iter().filter(|line| line.0.eq_ignore_ascii_case(name));
    let (_, value) = values.next()?;
    if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
}

/// An answer, over HTTP/1.1 or HTTP/2.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its header lines, in wire order, doubles kept.
    pub headers: Vec<Line>,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Vec<Line>,
}

impl Response {
    /// The one value of a header; `None` when it is absent, doubled or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none, showing it.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in a {} answer: {}", self.status, self.text()))
    }

    pub(crate) fn from_message(message: Message) -> Self {
        let status = status_of(&message.start);
        let Message { headers, body, trailers, .. } = message;
        Self { status, headers, body, trailers }
    }
}

/// The status in a status line; 0 when there is none.
pub(crate) fn status_of(start: &str) -> u16 {
    start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}
