//! What holds for any request: no panic, no dependence on how a body is cut, and what is signed verifies.

use hookgate_policy::{Next, Policy, Scheme, Verdict};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Memory, NOW, NOW_S, Request, key, policy};

const NAMES: [&str; 16] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "Webhook_Signature",
    "x-webhook-signature",
    "x-hub-signature-256",
    "x-github-delivery",
    "stripe-signature",
    "content-length",
    "transfer-encoding",
    "content-type",
    "host",
    ":authority",
    "upgrade",
    "x-request-id",
    "x-hookgate-a",
];

/// One source of every preset, at `/in/{preset}`, with a rate limit.
fn every_preset() -> Policy {
    let sources: Vec<_> = Scheme::presets()
        .map(|preset| json!({"name": preset, "scheme": preset, "secrets": ["env:ACME", "env:OTHER"]}))
        .collect();
    policy(&json!({"version": 1, "rate_limit": {"requests": 10, "window_s": 1}, "sources": sources}))
}

fn preset() -> impl Strategy<Value = &'static str> {
    prop::sample::select(Scheme::presets().collect::<Vec<_>>())
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![9 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned), 1 => ".{0,12}"];
    let likely = "(t=|v1=|v1,|sha256=|, ?| |17600000[0-9]{2}|[0-9a-f]{64}|[A-Za-z0-9+/]{43}=|é){0,8}";
    let value = prop_oneof![3 => likely.prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..300)];
    (name, value)
}

/// Lengths of chunks; what is left comes last.
fn cut(body: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
    let (mut chunks, mut rest) = (Vec::new(), body);
    for length in lengths {
        let (chunk, after) = rest.split_at((*length).min(rest.len()));
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks.push(rest.to_vec());
    chunks
}

fn verdict(request: &Request, policy: &Policy, chunks: &[Vec<u8>]) -> Result<Verdict, String> {
    match request.begin(policy, &mut Memory::default()).next {
        Next::Verify(mut verifier) => {
            for chunk in chunks {
                if let Err(refusal) = verifier.update(chunk) {
                    return Ok(Verdict::Refuse(refusal));
                }
            }
            Ok(verifier.finish(NOW))
        }
        other @ (Next::Refuse(_) | Next::Pass) => Err(format!("{other:?}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_header_are_refused_without_a_panic(
        preset in preset(), headers in prop::collection::vec(header(), 0..12), body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let policy = every_preset();
        let request = Request { headers, target: format!("/in/{preset}"), ..Request::signed() };
        let answer = verdict(&request, &policy, &[body]);
        prop_assert!(!matches!(answer, Ok(Verdict::Accept(_))), "{answer:?}");
        let begin = request.begin(&policy, &mut Memory::default());
        prop_assert!(!begin.stamp.request_id.is_empty());
        for (_, value) in policy.response_headers(&begin.stamp) {
            prop_assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{value:?}");
        }
    }

    #[test]
    fn what_is_signed_verifies_however_it_is_cut(
        preset in preset(), id in "[A-Za-z0-9_-]{1,40}", body in prop::collection::vec(any::<u8>(), 0..400),
        lengths in prop::collection::vec(0..100_usize, 0..12), skew in 0..=300_u64,
    ) {
        let (policy, scheme) = (every_preset(), Scheme::preset(preset).unwrap());
        let headers = scheme.sign(&[key(&scheme)], &id, NOW_S - skew, &body);
        let request = Request { target: format!("/in/{preset}"), ..Request::of(headers) };
        let cut = verdict(&request, &policy, &cut(&body, &lengths));
        prop_assert!(matches!(cut, Ok(Verdict::Accept(_))), "{cut:?}");
        prop_assert_eq!(cut, verdict(&request, &policy, &[body]));
    }

    #[test]
    fn a_message_with_any_bit_changed_is_refused(
        preset in preset(), body in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let (policy, scheme) = (every_preset(), Scheme::preset(preset).unwrap());
        let request = Request::of(scheme.sign(&[key(&scheme)], "msg_1", NOW_S, &body));
        let request = Request { target: format!("/in/{preset}"), ..request };
        let mut altered = body;
        let at = at.index(altered.len());
        altered[at] ^= 1 << bit;
        let answer = verdict(&request, &policy, &[altered]);
        prop_assert!(matches!(answer, Ok(Verdict::Refuse(_))), "{answer:?}");
    }

    #[test]
    fn any_bytes_are_no_policy_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Policy::from_json(&bytes, &mut |_| None).is_err());
    }
}
