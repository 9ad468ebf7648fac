//! The inner door: the policy, asked natively. It is the authority: whatever stands before us, nothing comes in
//! that it did not accept, and it accepts complete bodies only.

use std::net::IpAddr;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use hookgate_policy::{Accepted, Begin, HeadEdits, Header, Policy, Refusal, RequestHead, Stamp, UnixMicros};
use hookgate_policy::{Verdict, Verifier};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::body::{self, BodyLimits, NoBody, Whole};
use super::counters::ShardTable;
use super::problem::Because;
use crate::clock::{Clock, Millis};

/// The policy with the limiter's state.
#[derive(Debug)]
pub struct Door {
    policy: Policy,
    counters: ShardTable,
}

impl Door {
    /// A door that has seen nobody yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, counters: ShardTable::default() }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Judges the head of a request.
    pub(super) fn begin(
        &self,
        parts: &Parts,
        body: &Body,
        client: Option<IpAddr>,
        now: Millis,
        entropy: u128,
    ) -> Begin {
        let lines = parts.headers.iter();
        let headers: Vec<Header<'_>> = lines
            .map(|(name, value)| Header { name: name.as_str().as_bytes(), value: value.as_bytes() })
            .collect();
        let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let head = RequestHead {
            method: parts.method.as_str().as_bytes(),
            target: target.as_bytes(),
            headers: &headers,
            client,
            end_of_stream: body.is_end_stream(),
            entropy,
        };
        self.policy.begin(&head, micros(now), &mut &self.counters)
    }

    /// A refusal as a response.
    pub(super) fn refuse(&self, refusal: Refusal, stamp: &Stamp) -> Response {
        let (status, headers, body) = self.policy.refusal_response(refusal, stamp);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        set(response.headers_mut(), headers);
        response.extensions_mut().insert(Because(refusal.reason.label()));
        response
    }

    /// Puts on a response what every response carries.
    pub(super) fn stamp(&self, response: &mut Response, stamp: &Stamp) {
        set(response.headers_mut(), self.policy.response_headers(stamp));
    }
}

/// Reads and verifies a body. Only a body that came to its end has a verdict.
pub(super) async fn verify(
    mut verifier: Box<Verifier>,
    body: Body,
    limits: &BodyLimits,
    clock: &dyn Clock,
) -> Result<(Whole, Accepted), NoBody> {
    let whole = body::read(body, limits, |chunk| verifier.update(chunk)).await?;
    match verifier.finish(micros(clock.now())) {
        Verdict::Accept(accepted) => Ok((whole, accepted)),
        Verdict::Refuse(refusal) => Err(NoBody::Refused(refusal)),
    }
}

/// Changes a request's headers as the policy says.
pub(super) fn apply(edits: HeadEdits, headers: &mut HeaderMap) {
    for name in edits.remove {
        headers.remove(name.to_ascii_lowercase());
    }
    set(headers, edits.set);
}

fn set(headers: &mut HeaderMap, lines: Vec<(&'static str, String)>) {
    for (name, value) in lines {
        match HeaderValue::try_from(value) {
            Ok(value) => drop(headers.insert(HeaderName::from_static(name), value)),
            Err(_invalid) => tracing::error!(name, "the policy made a header that cannot be sent"),
        }
    }
}

fn micros(moment: Millis) -> UnixMicros {
    UnixMicros(moment.0.saturating_mul(1000))
}
