//! The other readings of Kong's host.

use super::*;

#[test]
fn on_kong_only_a_body_that_must_come_is_awaited() {
    let table: [(&str, Body<'_>, Length, Callbacks<'_>, Option<u16>); 4] = [
        ("a length", BODY, Some("10"), &[HEAD, end(10)], None),
        ("a length of 0", b"", Some("0"), &[HEAD], None),
        ("no length: the body step may be skipped", BODY, None, &[HEAD], Some(400)),
        ("a body that Kong keeps in a file", b"", Some("10"), &[HEAD, end(0)], Some(400)),
    ];
    for mode in ["stream", "hold"] {
        for (promise, body, length, callbacks, refused) in table {
            let (mut host, mut stream) = stream(mode, "kong", "/in/demo");
            sign(&mut host, body, body);
            length.iter().for_each(|length| host.set_line("content-length", length));
            let answers = play(&mut host, &mut stream, callbacks);
            let (last, before) = answers.split_last().unwrap();
            assert_eq!(*last, if refused.is_some() { Pause } else { Continue }, "{promise}, {mode}");
            assert!(before.iter().all(|answer| *answer == Continue), "{promise}, {mode}: Kong would hang");
            assert_eq!(statuses(&host), refused.as_slice(), "{promise}, {mode}");
        }
    }
}

#[test]
fn on_kong_a_reserved_header_is_refused_since_it_cannot_be_removed() {
    let (mut host, mut stream) = stream("stream", "kong", "/in/demo");
    sign(&mut host, BODY, BODY);
    host.set_line("content-length", "10");
    host.set_line("x-hookgate-tenant", "forged");
    assert_eq!(play(&mut host, &mut stream, &[HEAD]), [Pause]);
    assert_eq!(host.counted("hookgate_refused_reason=reserved_header_=_total"), 1);
}
