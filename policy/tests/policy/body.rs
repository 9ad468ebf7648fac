//! What is decided with the body: signatures, lengths, and what a message is remembered by.

use hookgate_policy::{Reason, Scheme, UnixMicros, Verdict};
use serde_json::json;

use crate::support::{BODY, NOW, NOW_S, Request, SECRET, changed, document, key, policy};

type Chunks<'a> = &'a [&'a [u8]];

#[test]
fn only_the_whole_and_unchanged_body_is_accepted() {
    use Reason::{BadSignature, IncompleteBody};
    let unknown_length = || Request::signed().without("content-length");
    let (start, end) = BODY.split_at(7);
    let mut altered = BODY.to_vec();
    altered[3] ^= 1;
    let table: [(&str, Request, Chunks<'_>, Result<(), Reason>); 11] = [
        ("whole", Request::signed(), &[BODY], Ok(())),
        ("in pieces", Request::signed(), &[start, b"", end], Ok(())),
        ("without a length", unknown_length(), &[start, end], Ok(())),
        ("altered", Request::signed(), &[&altered], Err(BadSignature)),
        ("swapped", Request::signed(), &[end, start], Err(BadSignature)),
        ("shorter than it said", Request::signed(), &[start], Err(IncompleteBody)),
        ("nothing of what it said", Request::signed(), &[], Err(IncompleteBody)),
        ("longer than it said", Request::signed(), &[BODY, b" "], Err(IncompleteBody)),
        ("shorter, without a length", unknown_length(), &[start], Err(BadSignature)),
        ("longer, without a length", unknown_length(), &[BODY, b" "], Err(BadSignature)),
        ("nothing, without a length", unknown_length(), &[], Err(BadSignature)),
    ];
    let policy = policy(&document());
    for (promise, request, chunks, verdict) in table {
        assert_eq!(request.send(&policy, chunks).map(drop), verdict, "{promise}");
    }
}

#[test]
fn an_empty_body_is_a_body() {
    let scheme = Scheme::preset("standard-webhooks").unwrap();
    let empty = Request::of(scheme.sign(&[key(&scheme)], "msg_1", NOW_S, b""));
    let policy = policy(&document());
    let table = [
        ("signed, the stream has ended", Request { end_of_stream: true, ..empty.clone() }, Ok(())),
        ("signed, a length of nothing", empty.clone().with("content-length", "0"), Ok(())),
        ("signed, the end comes later", empty, Ok(())),
        (
            "another body's signature",
            Request::signed().replacing("content-length", "0"),
            Err(Reason::BadSignature),
        ),
    ];
    for (promise, request, verdict) in table {
        assert_eq!(request.send(&policy, &[]).map(drop), verdict, "{promise}");
    }
}

#[test]
fn a_body_is_counted_while_it_comes() {
    let policy = policy(&changed("/sources/0/max_body_bytes", json!(10)));
    let request = Request::signed().without("content-length");
    let mut verifier = request.verifier(&policy);
    assert_eq!(verifier.update(&[0; 10]), Ok(()));
    assert_eq!(verifier.update(&[0]).map_err(|refusal| refusal.reason), Err(Reason::BodyTooLarge));
    let Verdict::Refuse(refusal) = verifier.finish(NOW) else { panic!("accepted") };
    assert_eq!(refusal.reason, Reason::BodyTooLarge, "a host that goes on all the same is still refused");
}

#[test]
fn a_message_that_went_stale_on_the_way_is_refused() {
    let policy = policy(&document());
    let end = |seconds_later: u64| {
        let mut verifier = Request::signed().verifier(&policy);
        verifier.update(BODY).unwrap();
        match verifier.finish(UnixMicros(NOW.0 + seconds_later * 1_000_000)) {
            Verdict::Accept(_) => Ok(()),
            Verdict::Refuse(refusal) => Err(refusal.reason),
        }
    };
    assert_eq!(end(300), Ok(()));
    assert_eq!(end(301), Err(Reason::TimestampTooOld));
}

#[test]
fn a_source_may_set_its_own_tolerance() {
    let policy = policy(&changed("/sources/0/tolerance_s", json!(10)));
    let at = |now| Request { now: UnixMicros(now * 1_000_000), ..Request::signed() }.head(&policy);
    assert_eq!(at(NOW_S + 10), Ok(()));
    assert_eq!(at(NOW_S + 11), Err(Reason::TimestampTooOld));
}

#[test]
fn a_message_is_known_by_its_signed_id_or_else_by_every_mac() {
    let secrets = |preset: &str| {
        json!({
            "version": 1,
            "sources": [{"name": "acme", "scheme": preset, "secrets": ["env:ACME", "env:OTHER"]}],
        })
    };
    let keys = |preset: &str, signed_with: &str| {
        let scheme = Scheme::preset(preset).unwrap();
        let policy =
            hookgate_policy::Policy::from_json(secrets(preset).to_string().as_bytes(), &mut |name| {
                Some(if name == "env:ACME" { SECRET } else { "whsec_b3RoZXI=" }.to_owned())
            });
        let headers = scheme.sign(&[scheme.key(signed_with).unwrap()], "msg_1", NOW_S, BODY);
        Request::of(headers).send(&policy.unwrap(), &[BODY]).unwrap()
    };
    assert_eq!(keys("standard-webhooks", SECRET), ["id:msg_1"]);
    for preset in ["x-webhook-signature", "stripe", "github"] {
        let (new, old) = (keys(preset, SECRET), keys(preset, "whsec_b3RoZXI="));
        assert_eq!(new, old, "{preset}: one capture must not count as two events");
        assert_eq!(new.len(), 2);
        assert!(new.iter().all(|key| key.starts_with("mac:") && key.len() == 4 + 64), "{preset}: {new:?}");
    }
}

#[test]
fn a_verifier_shows_neither_signatures_nor_keys() {
    let shown = format!("{:?}", Request::signed().verifier(&policy(&document())));
    assert!(shown.starts_with("Verifier { source: \"acme\""), "{shown}");
    assert!(!shown.contains("candidates") && !shown.contains("macs"), "{shown}");
}
