//! A refusal as a response: what the policy says of it, or, where there is no policy to ask, a bare 503.

use hookgate_policy::{Policy, Refusal, Stamp};

use crate::host::Reply;

/// The whole response of a refusal, the headers of every response among it: a reply that is sent from the response
/// phase does not pass our response callback again.
pub(crate) fn reply(policy: &Policy, refusal: Refusal, stamp: &Stamp) -> Reply {
    let (status, mut headers, body) = policy.refusal_response(refusal, stamp);
    headers.extend(policy.response_headers(stamp));
    Reply { status, details: format!("hookgate_{}", refusal.reason.label()), headers, body }
}

/// The response of a door that cannot judge at all.
pub(crate) fn bare() -> Reply {
    let body = br#"{"type":"urn:hookgate:problem:unavailable","title":"Service Unavailable","status":503,"code":"unavailable","detail":"The gateway cannot judge requests now."}"#;
    Reply {
        status: 503,
        details: "hookgate_unready".to_owned(),
        headers: vec![
            ("content-type", "application/problem+json".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("retry-after", "1".to_owned()),
        ],
        body: body.to_vec(),
    }
}
