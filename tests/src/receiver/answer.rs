//! What a receiver can be told to do with a request.

use std::time::Duration;

use bytes::Bytes;

/// What the receiver does with one request, once it has read it whole.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answers.
    Reply(Reply),
    /// Never answers, and keeps the connection.
    Hang,
    /// Resets the connection.
    Reset,
    /// Ends the connection without an answer.
    Close,
}

impl Answer {
    /// An answer without headers and body, at once.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply(Reply { status, headers: Vec::new(), body: Bytes::new(), after: Duration::ZERO })
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        self.with(|reply| reply.headers.push((name, value.to_owned())))
    }

    /// The same with a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.with(|reply| reply.body = body.into())
    }

    /// The same, but only after a while.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        self.with(|reply| reply.after = pause)
    }

    fn with(mut self, change: impl FnOnce(&mut Reply)) -> Self {
        match &mut self {
            Self::Reply(reply) => change(reply),
            Self::Hang | Self::Reset | Self::Close => panic!("{self:?} is no reply"),
        }
        self
    }
}

/// An answer as it goes out.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
    /// How long the sender waits for it.
    pub after: Duration,
}
