//! One HTTP try and what came of it.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// Why an attempt got no usable answer. Closed: a new class is a variant, a metric label and a row in every table test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The egress guard refused the address; nothing was sent.
    Egress,
    /// The name did not resolve.
    Dns,
    /// No connection.
    Connect,
    /// No TLS, or a certificate that is not trusted.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    Protocol,
    /// The endpoint's settings cannot make a request (URL, header, secret).
    Unsendable,
    /// The endpoint wants a token, and its token server gave none; nothing was sent.
    Credentials,
}

impl Failure {
    /// The class in one word, for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Unsendable => "unsendable",
            Self::Credentials => "credentials",
        }
    }
}

/// What an attempt ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An HTTP answer with this status.
    Answered(u16),
    /// None.
    Failed(Failure),
}

impl Outcome {
    /// Whether the subscriber has the event: any 2xx.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Answered(200..=299))
    }
}

/// What an attempt's result says of its endpoint: decided by the worker, taken in by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It does its work.
    Success,
    /// It does not.
    Failure,
    /// It does not because it has too much to do.
    Overloaded {
        /// Until when it asked to be left alone.
        hold_until: Option<Millis>,
    },
}

/// The record of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub started_at: Millis,
    /// How long it took, milliseconds.
    pub duration_ms: u32,
    /// What it ended in.
    pub outcome: Outcome,
    /// The beginning of the answer's body, lossy UTF-8, at most 1 KiB.
    pub response: String,
}
