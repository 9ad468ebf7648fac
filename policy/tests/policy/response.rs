//! What goes back: headers of every response, and refusals that give nothing away.

use std::collections::BTreeMap;

use hookgate_policy::{Reason, Refusal, Stamp};
use serde_json::{Value, json};

use crate::support::{Memory, Request, changed, document, policy};

fn headers(document: &Value, request: &Request) -> BTreeMap<&'static str, String> {
    let policy = policy(document);
    let stamp = request.begin(&policy, &mut Memory::default()).stamp;
    policy.response_headers(&stamp).into_iter().collect()
}

#[test]
fn every_response_carries_the_security_headers_and_the_id() {
    let unknown = Request { target: "/x".to_owned(), ..Request::signed().with("x-request-id", "abc") };
    let headers = headers(&document(), &unknown);
    let expected = [
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-request-id", "abc"),
    ];
    assert_eq!(headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn the_security_headers_can_be_left_to_others() {
    let headers =
        headers(&changed("/security_headers", json!(false)), &Request::signed().with("x-request-id", "a"));
    assert_eq!(headers, BTreeMap::from([("x-request-id", "a".to_owned())]));
}

#[test]
fn rate_limit_headers_come_in_both_dialects() {
    let ietf = [("ratelimit", "\"acme\";r=19;t=1"), ("ratelimit-policy", "\"acme\";q=100;w=60")];
    let x = [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "19"), ("x-ratelimit-reset", "1")];
    let table = [
        (json!("both"), [&ietf[..], &x[..]].concat()),
        (json!("ietf"), ietf.to_vec()),
        (json!("x-ratelimit"), x.to_vec()),
        (json!("off"), Vec::new()),
    ];
    for (which, expected) in table {
        let mut document = changed("/rate_limit_headers", which.clone());
        document["rate_limit"] = json!({"requests": 100, "window_s": 60, "burst": 20});
        let headers = headers(&document, &Request::signed());
        let rate: Vec<_> = headers.iter().filter(|(name, _)| name.contains("ratelimit")).collect();
        assert_eq!(
            rate.iter().map(|(name, value)| (**name, value.as_str())).collect::<Vec<_>>(),
            expected,
            "{which}"
        );
    }
}

#[test]
fn a_limited_client_sees_that_nothing_remains() {
    let mut document = document();
    document["rate_limit"] = json!({"requests": 2, "window_s": 60});
    let (policy, mut counters) = (policy(&document), Memory::default());
    let remaining = [0; 3].map(|_| {
        let stamp = Request::signed().begin(&policy, &mut counters).stamp;
        let rate = stamp.rate.unwrap();
        (rate.remaining, rate.reset_s)
    });
    assert_eq!(remaining, [(1, 30), (0, 60), (0, 60)]);
}

#[test]
fn a_refusal_is_a_problem_with_the_request_id() {
    let policy = policy(&document());
    let stamp = Stamp { request_id: "a\"b".to_owned(), ..Stamp::default() };
    let (status, headers, body) = policy.refusal_response(Refusal::new(Reason::BadSignature), &stamp);
    assert_eq!(status, 401);
    assert!(headers.contains(&("content-type", "application/problem+json".to_owned())));
    let problem: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({
        "type": "urn:hookgate:problem:unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "code": "unauthorized",
        "detail": "The request does not carry a valid, recent signature.",
        "request_id": "a\"b",
    });
    assert_eq!(problem, expected);
}

#[test]
fn refusals_of_one_status_look_exactly_alike() {
    let (policy, stamp) = (policy(&document()), Stamp::default());
    let mut answers = BTreeMap::new();
    for reason in Reason::ALL {
        let answer = policy.refusal_response(Refusal::new(reason), &stamp);
        assert_eq!(answer.0, reason.status());
        assert!(!String::from_utf8_lossy(&answer.2).contains("timestamp"), "{reason:?}");
        let first = answers.entry(reason.status()).or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "{reason:?}");
    }
    assert_eq!(answers.keys().copied().collect::<Vec<_>>(), [400, 401, 404, 405, 413, 429, 503]);
}

#[test]
fn a_refusal_says_what_would_help() {
    let policy = policy(&changed("/sources/0/methods", json!(["POST", "PUT"])));
    let stamp = Request { method: "GET", ..Request::signed() }.begin(&policy, &mut Memory::default()).stamp;
    let extra = |refusal| {
        let headers = policy.refusal_response(refusal, &stamp).1;
        headers.into_iter().filter(|(name, _)| *name != "content-type").collect::<Vec<_>>()
    };
    assert_eq!(extra(Refusal::new(Reason::Method)), [("allow", "POST, PUT".to_owned())]);
    assert_eq!(extra(Refusal::after(Reason::RateLimited, 7)), [("retry-after", "7".to_owned())]);
    assert_eq!(extra(Refusal::after(Reason::Host, 1)), [("retry-after", "1".to_owned())]);
    assert_eq!(
        extra(Refusal::new(Reason::NoSignature)),
        [("www-authenticate", "Webhook-Signature".to_owned())]
    );
    assert_eq!(extra(Refusal::new(Reason::BodyTooLarge)), []);
}
