//! Bodies over the limit and clients over theirs.

use super::*;

#[test]
fn a_body_over_the_limit_is_refused_as_soon_as_it_is_known() {
    let table: [(&str, usize, Length, Callbacks<'_>, Statuses<'_>); 6] = [
        ("at the limit, declared", 64, Some("64"), &[HEAD, held(64), end(64)], &[]),
        ("at the limit, counted", 64, None, &[HEAD, held(64), end(64)], &[]),
        ("one over, declared", 65, Some("65"), &[HEAD, held(65)], &[413]),
        ("one over, counted", 65, None, &[HEAD, held(64), held(65)], &[413]),
        ("far over in one callback", 500, None, &[HEAD, held(500)], &[413]),
        ("over at the trailers", 65, None, &[HEAD, held(65), TRAILERS], &[413]),
    ];
    for (promise, len, length, callbacks, expected) in table {
        let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
        let body = vec![b'x'; len];
        sign(&mut host, &body, &body);
        length.iter().for_each(|length| host.set_line("content-length", length));
        play(&mut host, &mut stream, callbacks);
        assert_eq!(statuses(&host), expected, "{promise}");
    }
}

#[test]
fn a_flood_is_refused_and_says_when_to_come_again() {
    let mut host = Script { lines: request("/in/demo"), ..Script::default() };
    let limited = policy("stream", "envoy")
        .replace(r#""version":1"#, r#""version":1,"rate_limit":{"requests":2,"window_s":10}"#);
    let gate = Rc::new(Gate::configure(&mut host, limited.as_bytes()).unwrap());
    sign(&mut host, b"", b"");
    let mut refused = Vec::new();
    for _ in 0..3 {
        refused.push(Stream::new(Some(Rc::clone(&gate))).request_headers(&mut host, true) == Pause);
    }
    assert_eq!(refused, [false, false, true]);
    assert_eq!(statuses(&host), [429]);
    assert!(host.replies[0].headers.iter().any(|(name, _)| *name == "retry-after"));
    assert_eq!(host.shared.len(), usize::from(Policy::SHARDS), "no key is made by a request");
}

#[test]
fn counters_that_vanished_refuse_whoever_would_be_limited() {
    let mut host = Script { lines: request("/in/demo"), ..Script::default() };
    let limited = policy("stream", "envoy")
        .replace(r#""version":1"#, r#""version":1,"rate_limit":{"requests":2,"window_s":10}"#);
    let gate = Rc::new(Gate::configure(&mut host, limited.as_bytes()).unwrap());
    host.shared.clear();
    sign(&mut host, b"", b"");
    assert_eq!(Stream::new(Some(gate)).request_headers(&mut host, true), Pause);
    assert_eq!(statuses(&host), [503]);
    assert!(host.shared.is_empty());
}
