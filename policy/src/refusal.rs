//! Why a door says no, and how that looks from outside.

/// The precise cause, for logs and metrics. Closed: a new reason is a variant, a metric label and a row in every
/// table test. The outside sees its status and a generic sentence only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No source, and no passthrough, has this path.
    UnknownSource,
    /// A header that only we may set came in a form that cannot be removed.
    ReservedHeader,
    /// The source does not take this method.
    Method,
    /// `Upgrade`, `CONNECT`, or a gRPC content type on a webhook route.
    Protocol,
    /// `Content-Length` is not a number, or there are several.
    MalformedLength,
    /// The body is, or says it will be, over the limit.
    BodyTooLarge,
    /// The body is shorter or longer than it said.
    IncompleteBody,
    /// The client is over its rate limit.
    RateLimited,
    /// A header that the scheme needs is not there, or empty.
    MissingHeader,
    /// A header that the scheme reads came more than once.
    DuplicateHeader,
    /// A header that the scheme reads is not of its form.
    MalformedHeader,
    /// No signature of this scheme's version.
    NoSignature,
    /// The timestamp is not a plain number.
    MalformedTimestamp,
    /// The timestamp is older than the tolerance.
    TimestampTooOld,
    /// The timestamp is further ahead than the tolerance.
    TimestampInFuture,
    /// The message id is not of its form.
    MalformedId,
    /// The message id holds the separator, so that the signed text could be read in two ways.
    AmbiguousId,
    /// No signature fits any secret.
    BadSignature,
    /// The host could not do its part (no headers, no shared counters): refused rather than guessed.
    Host,
}

/// A no, with what the client may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The cause.
    pub reason: Reason,
    /// After how many whole seconds the same request may pass; for [`Reason::RateLimited`] and [`Reason::Host`].
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// A no without a date.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, retry_after_s: None }
    }
}
