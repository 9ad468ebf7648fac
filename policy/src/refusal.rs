//! Why a door says no: the closed list of causes, with their metric labels, statuses and public codes.

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
    /// `Upgrade`, `CONNECT`, a gRPC content type on a webhook route, or more than one host.
    Protocol,
    /// `Content-Length` is not a number, there are several, or it stands beside `Transfer-Encoding`.
    MalformedLength,
    /// The body is, or says it will be, over the limit.
    BodyTooLarge,
    /// The body is shorter or longer than it said.
    IncompleteBody,
    /// The client is over its rate limit.
    RateLimited,
    /// A header that the scheme needs is not there, or empty.
    MissingHeader,
    /// A header that the scheme reads came more than once, or beside a twin spelled with underscores.
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

impl Reason {
    /// Every reason, in the order in which the doors look for them; for metrics that must exist before the first
    /// refusal.
    pub const ALL: [Self; 19] = [
        Self::UnknownSource,
        Self::ReservedHeader,
        Self::Method,
        Self::Protocol,
        Self::MalformedLength,
        Self::BodyTooLarge,
        Self::IncompleteBody,
        Self::RateLimited,
        Self::MissingHeader,
        Self::DuplicateHeader,
        Self::MalformedHeader,
        Self::NoSignature,
        Self::MalformedTimestamp,
        Self::TimestampTooOld,
        Self::TimestampInFuture,
        Self::MalformedId,
        Self::AmbiguousId,
        Self::BadSignature,
        Self::Host,
    ];

    /// The name in metrics and logs; `[a-z_]+`, stable.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown_source",
            Self::ReservedHeader => "reserved_header",
            Self::Method => "method",
            Self::Protocol => "protocol",
            Self::MalformedLength => "malformed_length",
            Self::BodyTooLarge => "body_too_large",
            Self::IncompleteBody => "incomplete_body",
            Self::RateLimited => "rate_limited",
            Self::MissingHeader => "missing_header",
            Self::DuplicateHeader => "duplicate_header",
            Self::MalformedHeader => "malformed_header",
            Self::NoSignature => "no_signature",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::MalformedId => "malformed_id",
            Self::AmbiguousId => "ambiguous_id",
            Self::BadSignature => "bad_signature",
            Self::Host => "host",
        }
    }

    /// The HTTP status the client gets.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.problem().status
    }

    /// What the outside is told. Every cause that has to do with the signature looks exactly alike: a forger learns
    /// nothing from the answer.
    pub(crate) const fn problem(self) -> &'static Problem {
        match self {
            Self::UnknownSource => &Problem::NOT_FOUND,
            Self::ReservedHeader | Self::Protocol | Self::MalformedLength | Self::IncompleteBody => {
                &Problem::BAD_REQUEST
            }
            Self::Method => &Problem::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => &Problem::BODY_TOO_LARGE,
            Self::RateLimited => &Problem::RATE_LIMITED,
            Self::MissingHeader
            | Self::DuplicateHeader
            | Self::MalformedHeader
            | Self::NoSignature
            | Self::MalformedTimestamp
            | Self::TimestampTooOld
            | Self::TimestampInFuture
            | Self::MalformedId
            | Self::AmbiguousId
            | Self::BadSignature => &Problem::UNAUTHORIZED,
            Self::Host => &Problem::UNAVAILABLE,
        }
    }
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

    /// A no that the client may try to change after `seconds`.
    #[must_use]
    pub const fn after(reason: Reason, seconds: u32) -> Self {
        Self { reason, retry_after_s: Some(seconds) }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

/// One public kind of refusal (RFC 9457). `code` is the last part of its `type` and stable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
}

impl Problem {
    const BAD_REQUEST: Self = Self {
        status: 400,
        code: "bad_request",
        title: "Bad request",
        detail: "The request is not of a form that is accepted here.",
    };
    const UNAUTHORIZED: Self = Self {
        status: 401,
        code: "unauthorized",
        title: "Unauthorized",
        detail: "The request does not carry a valid, recent signature.",
    };
    const NOT_FOUND: Self = Self {
        status: 404,
        code: "not_found",
        title: "Not found",
        detail: "There is nothing at this address.",
    };
    const METHOD_NOT_ALLOWED: Self = Self {
        status: 405,
        code: "method_not_allowed",
        title: "Method not allowed",
        detail: "This address does not take that method.",
    };
    const BODY_TOO_LARGE: Self = Self {
        status: 413,
        code: "body_too_large",
        title: "Body too large",
        detail: "The body is larger than is accepted here.",
    };
    const RATE_LIMITED: Self = Self {
        status: 429,
        code: "rate_limited",
        title: "Too many requests",
        detail: "Too many requests; try again later.",
    };
    const UNAVAILABLE: Self = Self {
        status: 503,
        code: "unavailable",
        title: "Unavailable",
        detail: "The request could not be judged just now; try again later.",
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        assert!(labels.iter().all(|label| label.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())));
    }

    #[test]
    fn every_refusal_has_the_status_it_promises() {
        let table = [
            (404, &[Reason::UnknownSource][..]),
            (
                400,
                &[Reason::ReservedHeader, Reason::Protocol, Reason::MalformedLength, Reason::IncompleteBody],
            ),
            (405, &[Reason::Method]),
            (413, &[Reason::BodyTooLarge]),
            (429, &[Reason::RateLimited]),
            (
                401,
                &[
                    Reason::MissingHeader,
                    Reason::DuplicateHeader,
                    Reason::MalformedHeader,
                    Reason::NoSignature,
                    Reason::MalformedTimestamp,
                    Reason::TimestampTooOld,
                    Reason::TimestampInFuture,
                    Reason::MalformedId,
                    Reason::AmbiguousId,
                    Reason::BadSignature,
                ],
            ),
            (503, &[Reason::Host]),
        ];
        for (status, reasons) in table {
            for reason in reasons {
                assert_eq!(reason.status(), status, "{reason:?}");
            }
        }
        assert_eq!(table.iter().map(|(_, reasons)| reasons.len()).sum::<usize>(), Reason::ALL.len());
    }
}
