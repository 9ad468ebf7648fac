//! Every refusal that is ours, as the outside sees it: problem+json (RFC 9457) with a stable `code`.
//!
//! A handler returns a [`Problem`]; [`render`] writes its body, once the request's id is known.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::registry::Invalid;
use crate::store::{StoreError, StoreFault};
use crate::telemetry::logs::Chain;

/// Why a request was not served. Closed: a new one is a variant, a `code` and a row in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The body is not JSON, from this place on (both from 1).
    BadJson {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A field or parameter is not as it must be.
    InvalidField {
        /// Its path, `events[3].type`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The cursor is none that this listing gave.
    BadCursor,
    /// The body broke off.
    IncompleteBody,
    /// The body took too long.
    SlowBody,
    /// The body is too large.
    BodyTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// No key, or not the right one.
    Unauthorized,
    /// A browser asks on behalf of another site.
    CrossSite,
    /// Nothing here has this name.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed {
        /// Those it takes; `None` where the router says it.
        allow: Option<&'static str>,
    },
    /// There is one of this id already.
    AlreadyExists,
    /// Declared in the configuration file: change it there.
    ReadOnly,
    /// So many replays run as may.
    TooManyReplays,
    /// What was to be sent again has no payload any more.
    PayloadForgotten,
    /// Too many bodies are being read.
    Busy,
    /// The store is away.
    StoreUnavailable,
    /// The store has no room.
    StoreFull,
    /// A bug, or damaged data. The cause is in the log.
    Internal,
}

/// What is fixed about a problem.
struct Kind {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    retry_after_s: Option<u16>,
}

const fn kind(status: StatusCode, code: &'static str, title: &'static str) -> Kind {
    Kind { status, code, title, retry_after_s: None }
}

const fn later(code: &'static str, title: &'static str, seconds: u16) -> Kind {
    Kind { status: StatusCode::SERVICE_UNAVAILABLE, code, title, retry_after_s: Some(seconds) }
}

impl Problem {
    fn kind(&self) -> Kind {
        match self {
            Self::BadJson { .. } => kind(StatusCode::BAD_REQUEST, "bad_json", "Not JSON"),
            Self::InvalidField { .. } => {
                kind(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", "Invalid field")
            }
            Self::BadCursor => kind(StatusCode::BAD_REQUEST, "bad_cursor", "Bad cursor"),
            Self::IncompleteBody => kind(StatusCode::BAD_REQUEST, "incomplete_body", "Incomplete body"),
            Self::SlowBody => kind(StatusCode::REQUEST_TIMEOUT, "slow_body", "Slow body"),
            Self::BodyTooLarge { .. } => {
                kind(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large")
            }
            Self::Unauthorized => kind(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Self::CrossSite => kind(StatusCode::FORBIDDEN, "cross_site", "Cross-site request"),
            Self::NotFound => kind(StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed { .. } => {
                kind(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::AlreadyExists => kind(StatusCode::CONFLICT, "already_exists", "Already exists"),
            Self::ReadOnly => kind(StatusCode::CONFLICT, "read_only", "Read-only"),
            Self::TooManyReplays => kind(StatusCode::CONFLICT, "too_many_replays", "Too many replays"),
            Self::PayloadForgotten => kind(StatusCode::CONFLICT, "payload_forgotten", "Payload forgotten"),
            Self::Busy => later("busy", "Busy", 1),
            Self::StoreUnavailable => later("store_unavailable", "Store unavailable", 1),
            Self::StoreFull => later("store_full", "Store full", 5),
            Self::Internal => kind(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::BadJson { line, column } => {
                format!("The body is not the JSON that is expected here: line {line}, column {column}.")
            }
            Self::InvalidField { field, problem } => format!("{field}: {problem}."),
            Self::BadCursor => {
                "cursor: expected the next_cursor of a page of this listing, or none.".to_owned()
            }
            Self::IncompleteBody => "The body ended before it was complete.".to_owned(),
            Self::SlowBody => "The body did not arrive in time.".to_owned(),
            Self::BodyTooLarge { limit } => format!("The body is larger than {limit} bytes."),
            Self::Unauthorized => "This needs the API key, as a bearer token.".to_owned(),
            Self::CrossSite => "Without an API key, only this machine's own clients may ask.".to_owned(),
            Self::NotFound => "There is nothing at this address.".to_owned(),
            Self::MethodNotAllowed { .. } => "This address does not take that method.".to_owned(),
            Self::AlreadyExists => "There is an endpoint with this id already.".to_owned(),
            Self::ReadOnly => {
                "This endpoint is declared in the configuration file; change it there.".to_owned()
            }
            Self::TooManyReplays => {
                "A hundred replays are running; cancel one, or wait until one is done.".to_owned()
            }
            Self::PayloadForgotten => {
                "The payload of this event is forgotten (retention_payloads_s); it cannot be sent again."
                    .to_owned()
            }
            Self::Busy => "Too many bodies are being read; try again later.".to_owned(),
            Self::StoreUnavailable => "The store is away; nothing was lost; try again later.".to_owned(),
            Self::StoreFull => "Too much is waiting to be delivered; try again later.".to_owned(),
            Self::Internal => "Something is wrong here; the log says more under this request id.".to_owned(),
        }
    }

    /// The one field or parameter that it is about.
    fn field(&self) -> Option<&str> {
        if let Self::InvalidField { field, .. } = self { Some(field) } else { self.cursor() }
    }

    fn cursor(&self) -> Option<&'static str> {
        (*self == Self::BadCursor).then_some("cursor")
    }

    /// Headers beyond the content type.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if let Some(seconds) = self.kind().retry_after_s {
            headers.push((RETRY_AFTER, seconds.into()));
        }
        if let Self::MethodNotAllowed { allow: Some(allow) } = self {
            headers.push((ALLOW, HeaderValue::from_static(allow)));
        }
        if *self == Self::Unauthorized {
            headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        headers
    }
}

/// The body of a problem.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    request_id: &'a str,
}

impl IntoResponse for Problem {
    /// The bare status; the rest is [`render`]ed at the edge.
    fn into_response(self) -> Response {
        let mut response = self.kind().status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body and headers of a response that a problem stands behind; leaves any other as it is.
pub(super) fn render(mut response: Response, request_id: &str) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let Kind { status, code, title, .. } = problem.kind();
    let document = Document {
        r#type: format!("urn:hookgate:problem:{code}"),
        title,
        status: status.as_u16(),
        code,
        detail: problem.detail(),
        field: problem.field(),
        request_id,
    };
    let body = serde_json::to_vec(&document).unwrap_or_default();
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.extend(problem.headers());
    response.extensions_mut().insert(Because(code));
    response
}

/// Why a request was refused, for the log: a problem's code or a policy's reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct Because(pub(super) &'static str);

impl From<StoreError> for Problem {
    /// The cause goes to the log, never to the caller. A store that is away or full is told by each request's own line
    /// and by the pool; its cause is repeated at `debug` only, or the log would be of nothing else.
    fn from(error: StoreError) -> Self {
        match error.fault {
            StoreFault::Unavailable => {
                tracing::debug!(error = %Chain(&error), "the store is away");
                Self::StoreUnavailable
            }
            StoreFault::Full => {
                tracing::debug!(error = %Chain(&error), "the store is full");
                Self::StoreFull
            }
            StoreFault::BadCursor => Self::BadCursor,
            StoreFault::Forgotten => Self::PayloadForgotten,
            StoreFault::Broken => {
                tracing::error!(error = %Chain(&error), "the store failed");
                Self::Internal
            }
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::InvalidField { field: invalid.field, problem: invalid.problem }
    }
}
