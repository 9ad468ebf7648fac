//! The headers of an attempt: ours, then the endpoint's own, which never replace ours nor touch the framing.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::store::Lease;

/// By what subscribers, and their token servers, know us.
pub(in crate::delivery) const AGENT: &str = concat!("Hookgate/", env!("CARGO_PKG_VERSION"));
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Names that an endpoint's own headers cannot have: those of the framing and the connection, and those we set.
const RESERVED: [&str; 21] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-request-id",
    "x-webhook-signature",
];

/// Whether a header name, in any case, is reserved. Registering an endpoint with one should be refused; should one
/// have come in all the same, attempts leave it out.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// A header that cannot be sent. Never shows its value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {name:?} cannot be sent")]
pub(super) struct Unsendable {
    name: String,
}

/// Everything but the framing, which is the client's.
pub(super) fn of(lease: &Lease, signed: &[(String, String)]) -> Result<HeaderMap, Unsendable> {
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in lease.endpoint.headers.iter().filter(|(name, _)| !is_reserved_header(name)) {
        let (name, mut value) = header(name, value)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    for (name, value) in signed {
        let (name, value) = header(name, value)?;
        headers.insert(name, value);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let event = &lease.event;
    let carried = [
        (CONTENT_TYPE, Some(event.content_type.as_str())),
        (REQUEST_ID, Some(event.request_id.as_str())),
        (TRACEPARENT, event.traceparent.as_deref()),
    ];
    for (name, value) in carried {
        if let Some(value) = value.filter(|value| !value.is_empty()).and_then(|value| value.parse().ok()) {
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Unsendable> {
    let both = name.parse::<HeaderName>().ok().zip(value.parse::<HeaderValue>().ok());
    both.ok_or_else(|| Unsendable { name: name.to_owned() })
}
