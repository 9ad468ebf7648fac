//! Every framing, in both modes, with a genuine, a forged and no signature.

use super::*;

/// The framings, as Envoy was seen to show them: the body, the length declared, the callbacks.
const FRAMINGS: [(&str, Body<'_>, Length, Callbacks<'_>); 11] = [
    ("a length, the end apart", BODY, Some("10"), &[HEAD, held(5), held(10), end(10)]),
    ("a length, the end with the last bytes", BODY, Some("10"), &[HEAD, held(5), end(10)]),
    ("chunked", BODY, None, &[HEAD, held(5), held(10), end(10)]),
    ("chunked, all at once", BODY, None, &[HEAD, end(10)]),
    ("trailers", BODY, None, &[HEAD, held(5), held(10), TRAILERS]),
    ("a length and trailers", BODY, Some("10"), &[HEAD, held(10), TRAILERS]),
    ("no body at all", b"", None, &[ALL_IN_HEAD]),
    ("a length of 0", b"", Some("0"), &[ALL_IN_HEAD]),
    ("an empty body, chunked", b"", None, &[HEAD, end(0)]),
    ("trailers without a body", b"", None, &[HEAD, TRAILERS]),
    ("a length of 0 whose end comes later", b"", Some("0"), &[HEAD, end(0)]),
];

#[test]
fn a_genuine_message_passes_whole_in_every_framing_and_not_a_byte_of_it_before() {
    for (framing, body, length, callbacks) in FRAMINGS {
        for mode in ["stream", "hold"] {
            let (mut host, mut stream) = stream(mode, "envoy", "/in/demo");
            sign(&mut host, body, body);
            length.iter().for_each(|length| host.set_line("content-length", length));
            let answers = play(&mut host, &mut stream, callbacks);
            let decided_at_head = callbacks.len() == 1 || length == Some("0");
            let expected: Vec<_> = (0..callbacks.len())
                .map(|at| match at {
                    0 if decided_at_head || mode == "stream" => Continue,
                    0 => Pause,
                    _ if at + 1 == callbacks.len() => Continue,
                    _ => Pause,
                })
                .collect();
            assert_eq!(answers, expected, "{framing}, {mode}");
            assert_eq!(host.copied, body.len(), "{framing}, {mode}: every byte is read once");
            assert_eq!(host.counted("hookgate_accepted_total"), 1, "{framing}, {mode}");
        }
    }
}

#[test]
fn a_forged_message_never_goes_on_beyond_its_head_in_any_framing() {
    for (framing, body, length, callbacks) in FRAMINGS {
        for mode in ["stream", "hold"] {
            let (mut host, mut stream) = stream(mode, "envoy", "/in/demo");
            sign(&mut host, b"something else", body);
            length.iter().for_each(|length| host.set_line("content-length", length));
            let answers = play(&mut host, &mut stream, callbacks);
            let decided_at_head = callbacks.len() == 1 || length == Some("0");
            let head = if mode == "hold" || decided_at_head { Pause } else { Continue };
            assert_eq!(answers.first(), Some(&head), "{framing}, {mode}");
            assert!(answers.iter().skip(1).all(|answer| *answer == Pause), "{framing}, {mode}: {answers:?}");
            assert_eq!(statuses(&host), [401], "{framing}, {mode}");
            assert_eq!(host.counted("hookgate_refused_reason=bad_signature_=_total"), 1, "{framing}, {mode}");
            assert_eq!(host.counted("hookgate_accepted_total"), 0, "{framing}, {mode}");
        }
    }
}

#[test]
fn a_message_without_a_signature_is_refused_at_its_head_in_every_framing() {
    for (framing, body, length, callbacks) in FRAMINGS {
        for mode in ["stream", "hold"] {
            let (mut host, mut stream) = stream(mode, "envoy", "/in/demo");
            host.body = body.to_vec();
            length.iter().for_each(|length| host.set_line("content-length", length));
            assert_eq!(play(&mut host, &mut stream, callbacks), [Pause], "{framing}, {mode}");
            assert_eq!(statuses(&host), [401], "{framing}, {mode}");
            assert_eq!(host.copied, 0, "{framing}, {mode}: no body is read");
        }
    }
}

#[test]
fn bytes_after_a_verdict_on_an_empty_body_are_refused() {
    let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
    sign(&mut host, b"", b"smuggled");
    host.set_line("content-length", "0");
    assert_eq!(play(&mut host, &mut stream, &[HEAD, end(8)]), [Continue, Pause]);
    assert_eq!(statuses(&host), [400]);
}

#[test]
fn a_callback_before_the_head_is_refused() {
    for callbacks in [&[end(10)], &[TRAILERS]] {
        let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
        assert_eq!(play(&mut host, &mut stream, callbacks), [Pause]);
        assert_eq!(statuses(&host), [503]);
    }
}
