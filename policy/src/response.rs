//! What every response carries, and the body of a refusal.

use crate::{Policy, Refusal, Stamp};

impl Policy {
    /// Headers to set on every response, refusals included: security headers, rate-limit headers, the request id.
    #[must_use]
    pub fn response_headers(&self, _stamp: &Stamp) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The refusal as a response: headers beyond [`Self::response_headers`] (`content-type`, `retry-after`, `allow`)
    /// and a problem+json body (RFC 9457) that gives nothing away.
    #[must_use]
    pub fn refusal_response(
        &self,
        _refusal: Refusal,
        _stamp: &Stamp,
    ) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
        (403, Vec::new(), Vec::new())
    }
}
