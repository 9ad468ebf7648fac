//! What may reach the client, and what a refusal looks like.

use super::*;

#[test]
fn a_response_passes_only_when_its_request_was_let_in_or_it_is_the_gateways_own() {
    let table: [(&str, Callbacks<'_>, Length, Statuses<'_>); 7] = [
        ("accepted, upstream's answer", &[HEAD, end(10)], Some("via_upstream"), &[]),
        ("accepted, no details", &[HEAD, end(10)], None, &[]),
        ("pending, upstream's answer", &[HEAD, held(5)], Some("via_upstream"), &[503]),
        ("pending, no details", &[HEAD, held(5)], None, &[503]),
        ("pending, a timeout of the gateway's", &[HEAD, held(5)], Some("stream_idle_timeout"), &[]),
        ("nothing seen, upstream's answer", &[], Some("via_upstream"), &[503]),
        ("nothing seen, the gateway's own", &[], Some("route_not_found"), &[]),
    ];
    for (promise, callbacks, details, expected) in table {
        let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
        sign(&mut host, BODY, BODY);
        play(&mut host, &mut stream, callbacks);
        let details = details.map(|details| ("response.code_details".to_owned(), details.into()));
        host.properties.extend(details);
        let answer = stream.response_headers(&mut host);
        assert_eq!(statuses(&host), expected, "{promise}");
        assert_eq!(answer, if expected.is_empty() { Continue } else { Pause }, "{promise}");
        let named = |name: &str| {
            let replied = host.replies.iter().flat_map(|reply| reply.headers.iter());
            let set = host.response.iter().map(|(name, _)| name.as_str());
            replied.map(|(name, _)| *name).chain(set).any(|header| header == name)
        };
        assert!(named("x-content-type-options"), "{promise}");
    }
}

#[test]
fn our_own_refusal_passes_the_response_phase_and_an_upstreams_answer_after_it_does_not() {
    let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
    assert_eq!(stream.request_headers(&mut host, false), Pause);
    assert_eq!(stream.response_headers(&mut host), Continue);
    host.properties.insert("response.code_details".to_owned(), b"hookgate_missing_header".to_vec());
    assert_eq!(stream.response_headers(&mut host), Continue);
    host.properties.insert("response.code_details".to_owned(), b"via_upstream".to_vec());
    assert_eq!(stream.response_headers(&mut host), Pause);
}

#[test]
fn a_refusal_is_a_whole_response_and_says_its_reason_to_the_log_only() {
    let replied = |signed: Option<&[u8]>| {
        let (mut host, mut stream) = stream("hold", "envoy", "/in/demo");
        signed.into_iter().for_each(|signed| sign(&mut host, signed, BODY));
        play(&mut host, &mut stream, &[HEAD, end(10)]);
        host.replies.remove(0)
    };
    let (forged, unsigned) = (replied(Some(b"other")), replied(None));
    assert_eq!(forged.details, "hookgate_bad_signature");
    assert_eq!(unsigned.details, "hookgate_missing_header");
    assert_eq!(forged.body, unsigned.body);
    assert_eq!(forged.headers, unsigned.headers);
    for name in ["content-type", "x-request-id", "x-content-type-options"] {
        assert_eq!(forged.headers.iter().filter(|(header, _)| *header == name).count(), 1, "{name}");
    }
}
