//! The subscriber's check of what it received: by the policy crate, as a subscriber written in Rust would do it.

use std::net::IpAddr;

use hookgate_e2e::receiver::Received;
use hookgate_policy::{
    Counters, CountersError, Header, Next, Policy, RequestHead, Shard, UnixMicros, Verdict,
};
use serde_json::json;

use crate::message::now_s;

/// Judges a received request by one scheme and secret; `Err` says why it is not genuine.
pub(crate) fn verify(received: &Received, scheme: &str, secret: &str) -> Result<(), String> {
    let policy = policy(&received.target, scheme, secret);
    let headers: Vec<_> = received
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().as_bytes(), value: value.as_bytes() })
        .collect();
    let head = RequestHead {
        method: received.method.as_bytes(),
        target: received.target.as_bytes(),
        headers: &headers,
        client: None::<IpAddr>,
        end_of_stream: received.body.is_empty(),
        entropy: 0,
    };
    let now = UnixMicros(now_s() * 1_000_000);
    let Next::Verify(mut verifier) = policy.begin(&head, now, &mut NoLimit).next else {
        return Err(format!("{scheme}: refused at the headers"));
    };
    verifier.update(&received.body).map_err(|refusal| format!("{scheme}: {:?}", refusal.reason))?;
    match verifier.finish(now) {
        Verdict::Accept(_) => Ok(()),
        Verdict::Refuse(refusal) => Err(format!("{scheme}: {:?}", refusal.reason)),
    }
}

fn policy(path: &str, scheme: &str, secret: &str) -> Policy {
    let source = json!({ "name": "hookgate", "path": path, "scheme": scheme, "secrets": ["env:SECRET"] });
    let document = json!({ "version": 1, "sources": [source] });
    Policy::from_json(document.to_string().as_bytes(), &mut |_| Some(secret.to_owned()))
        .expect("a sound policy")
}

/// A subscriber that limits nobody is never asked for counters.
#[derive(Debug)]
struct NoLimit;

impl Counters for NoLimit {
    fn load(&mut self, _shard: u16) -> Result<Shard, CountersError> {
        Err(CountersError)
    }

    fn swap(&mut self, _shard: u16, _bytes: &[u8], _version: u32) -> Result<bool, CountersError> {
        Err(CountersError)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use hookgate_policy::Scheme;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn received(scheme: &str, body: &'static str) -> Received {
        let scheme = Scheme::preset(scheme).unwrap();
        let key = scheme.key(SECRET).unwrap();
        let signed = scheme.sign(&[key], "msg_1", now_s(), b"{}");
        let headers = signed.into_iter().map(|(name, value)| {
            (http::HeaderName::try_from(name).unwrap(), http::HeaderValue::try_from(value).unwrap())
        });
        let (method, target) = ("POST".to_owned(), "/hooks".to_owned());
        Received {
            method,
            target,
            headers: headers.collect(),
            body: body.into(),
            at: Instant::now(),
            answered: None,
        }
    }

    #[test]
    fn a_genuine_request_verifies_and_an_altered_one_does_not() {
        for scheme in ["standard-webhooks", "x-webhook-signature"] {
            assert_eq!(verify(&received(scheme, "{}"), scheme, SECRET), Ok(()));
            verify(&received(scheme, "{} "), scheme, SECRET).expect_err("another body");
            verify(&received(scheme, "{}"), scheme, "whsec_AAAAAAAAAAAAAAAAAAAAAAAA")
                .expect_err("another secret");
        }
    }
}
