//! A host that fails, lies or does not hold.

use super::*;

#[test]
fn whatever_the_host_cannot_do_is_refused() {
    let calls = ["now", "entropy", "request_headers", "request_body", "remove_request_header", "property"];
    for call in calls {
        let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
        sign(&mut host, BODY, BODY);
        host.set_line("x-hookgate-tenant", "forged");
        host.broken = Some(call);
        play(&mut host, &mut stream, &[HEAD, end(10)]);
        assert_eq!(statuses(&host), [503], "{call}");
        assert_eq!(host.counted("hookgate_refused_reason=host_=_total"), 1, "{call}");
    }
}

#[test]
fn a_body_that_the_host_announces_and_does_not_give_is_refused() {
    let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
    sign(&mut host, BODY, BODY);
    host.body.clear();
    assert_eq!(play(&mut host, &mut stream, &[HEAD, held(10)]), [Continue, Pause]);
    assert_eq!(statuses(&host), [503]);
}

#[test]
fn a_reply_that_the_host_does_not_take_leaves_the_stream_paused() {
    let (mut host, mut stream) = stream("stream", "envoy", "/in/demo");
    host.broken = Some("reply");
    assert_eq!(stream.request_headers(&mut host, true), Pause);
    assert_eq!(stream.request_body(&mut host, 10, true), Pause);
    assert_eq!(stream.request_trailers(&mut host), Pause);
}

#[test]
fn a_held_stream_that_never_showed_its_body_is_counted_and_told_once() {
    let metric = "hookgate_hold_without_knob_total";
    let table: [(&str, &str, Callbacks<'_>, u64, u64); 5] = [
        ("held and gone after a second", "hold", &[HEAD], 1_000_000, 1),
        ("held and gone at once: the client left", "hold", &[HEAD], 999_999, 0),
        ("held, then its body came", "hold", &[HEAD, held(1)], 5_000_000, 0),
        ("held, then trailers came", "hold", &[HEAD, TRAILERS], 5_000_000, 0),
        ("not held", "stream", &[HEAD], 5_000_000, 0),
    ];
    for (promise, mode, callbacks, later_us, expected) in table {
        let (mut host, mut stream) = stream(mode, "envoy", "/in/demo");
        sign(&mut host, BODY, BODY);
        play(&mut host, &mut stream, callbacks);
        host.now.0 += later_us;
        stream.done(&mut host);
        stream.done(&mut host);
        assert_eq!(host.counted(metric), expected, "{promise}");
        assert_eq!(host.logged("allow_on_headers_stop_iteration"), expected == 1, "{promise}");
    }
}

#[test]
fn a_door_without_a_policy_refuses_everything() {
    let mut host = Script { lines: request("/in/demo"), ..Script::default() };
    let mut stream = Stream::new(None);
    assert_eq!(stream.request_headers(&mut host, false), Pause);
    assert_eq!(stream.request_body(&mut host, 1, true), Pause);
    assert_eq!(stream.request_trailers(&mut host), Pause);
    assert!(statuses(&host).iter().all(|status| *status == 503));
    assert_eq!(stream.response_headers(&mut host), Continue, "our own refusal");
    host.properties.insert("response.code_details".to_owned(), b"via_upstream".to_vec());
    assert_eq!(stream.response_headers(&mut host), Pause);
}
