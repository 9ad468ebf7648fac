//! What every response carries, and the body of a refusal.

use crate::{Policy, RateState, Reason, Refusal, Stamp, config::RateLimitHeaders};

/// A response header; the name in lower case.
type Line = (&'static str, String);

/// Answers here are for machines: nothing of them is to be sniffed, framed, cached, linked to or loaded by a page.
/// Browsers that come by anyway are told so. `Strict-Transport-Security` is ignored by them over plain HTTP.
const SECURITY: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
];

impl Policy {
    /// Headers to set on every response, refusals included: security headers, rate-limit headers, the request id.
    /// Whatever of these the upstream sent is replaced.
    #[must_use]
    pub fn response_headers(&self, stamp: &Stamp) -> Vec<(&'static str, String)> {
        let mut headers = Vec::with_capacity(13);
        if self.security_headers {
            headers.extend(SECURITY.map(|(name, value)| (name, value.to_owned())));
        }
        if let Some(rate) = &stamp.rate {
            headers.extend(rate_headers(rate, self.rate_limit_headers));
        }
        if !stamp.request_id.is_empty() {
            headers.push(("x-request-id", stamp.request_id.clone()));
        }
        headers
    }

    /// The refusal as a response: status, headers beyond [`Self::response_headers`] (`content-type`, `retry-after`,
    /// `allow`, `www-authenticate`) and a problem+json body (RFC 9457) that gives nothing away.
    #[must_use]
    pub fn refusal_response(
        &self,
        refusal: Refusal,
        stamp: &Stamp,
    ) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
        let problem = refusal.reason.problem();
        let mut headers = vec![("content-type", "application/problem+json".to_owned())];
        headers.extend(refusal.retry_after_s.map(|seconds| ("retry-after", seconds.to_string())));
        headers.extend(self.allow(refusal.reason, stamp));
        // RFC 9110, section 15.5.2: a 401 names how to authenticate.
        headers.extend((problem.status == 401).then(|| ("www-authenticate", "Webhook-Signature".to_owned())));
        let body = serde_json::json!({
            "type": format!("urn:hookgate:problem:{}", problem.code),
            "title": problem.title,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
            "request_id": stamp.request_id,
        });
        (problem.status, headers, body.to_string().into_bytes())
    }

    fn allow(&self, reason: Reason, stamp: &Stamp) -> Option<Line> {
        let source = stamp.source.as_deref().filter(|_| reason == Reason::Method)?;
        self.source(source).map(|source| ("allow", source.methods().join(", ")))
    }
}

/// Where the client stands. Times are seconds from now, rounded up.
fn rate_headers(rate: &RateState, which: RateLimitHeaders) -> Vec<Line> {
    let RateState { name, limit, remaining, reset_s } = rate;
    let (ietf, x) = match which {
        RateLimitHeaders::Ietf => (true, false),
        RateLimitHeaders::XRatelimit => (false, true),
        RateLimitHeaders::Both => (true, true),
        RateLimitHeaders::Off => (false, false),
    };
    let mut headers = Vec::with_capacity(5);
    if ietf {
        headers.push(("ratelimit-policy", format!("\"{name}\";q={};w={}", limit.requests, limit.window_s)));
        headers.push(("ratelimit", format!("\"{name}\";r={remaining};t={reset_s}")));
    }
    if x {
        headers.push(("x-ratelimit-limit", limit.requests.to_string()));
        headers.push(("x-ratelimit-remaining", remaining.to_string()));
        headers.push(("x-ratelimit-reset", reset_s.to_string()));
    }
    headers
}
