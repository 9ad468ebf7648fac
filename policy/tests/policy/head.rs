//! What is decided from the head, and in which order.

use hookgate_policy::{Next, Reason};
use serde_json::json;

use crate::support::{BODY, Memory, NOW_S, Request, changed, document, policy};

#[test]
fn a_head_is_refused_for_the_first_thing_that_is_wrong() {
    use Reason::*;
    let good = Request::signed;
    let table = [
        ("nothing wrong", good(), Ok(())),
        ("a query is no part of the path", Request { target: "/in/acme?a=/x".to_owned(), ..good() }, Ok(())),
        ("another path", Request { target: "/in/other".to_owned(), ..good() }, Err(UnknownSource)),
        ("a slash more", Request { target: "/in/acme/".to_owned(), ..good() }, Err(UnknownSource)),
        ("a doubled slash", Request { target: "//in/acme".to_owned(), ..good() }, Err(UnknownSource)),
        ("percent-encoded", Request { target: "/in/%61cme".to_owned(), ..good() }, Err(UnknownSource)),
        ("another case", Request { target: "/in/ACME".to_owned(), ..good() }, Err(UnknownSource)),
        ("a whole URL", Request { target: "http://a/in/acme".to_owned(), ..good() }, Err(UnknownSource)),
        ("nothing", Request { target: String::new(), ..good() }, Err(UnknownSource)),
        ("another method", Request { method: "PUT", ..good() }, Err(Method)),
        ("a method in lower case", Request { method: "post", ..good() }, Err(Method)),
        ("a tunnel", Request { method: "CONNECT", ..good() }, Err(Protocol)),
        ("an upgrade", good().with("upgrade", "websocket"), Err(Protocol)),
        ("gRPC", good().with("content-type", "application/grpc"), Err(Protocol)),
        ("two authorities", good().with(":authority", "a,b"), Err(Protocol)),
        ("our own name with underscores", good().with("x_hookgate_ok", "1"), Err(ReservedHeader)),
        ("no number for a length", good().replacing("content-length", "1e3"), Err(MalformedLength)),
        ("a length of the limit", good().replacing("content-length", "1048576"), Ok(())),
        ("a length over the limit", good().replacing("content-length", "1048577"), Err(BodyTooLarge)),
        ("no id", good().without("webhook-id"), Err(MissingHeader)),
        ("no timestamp", good().without("webhook-timestamp"), Err(MissingHeader)),
        ("no signature", good().without("webhook-signature"), Err(MissingHeader)),
        ("an empty signature", good().replacing("webhook-signature", " "), Err(MissingHeader)),
        ("two signatures", good().with("Webhook-Signature", "v1,AA=="), Err(DuplicateHeader)),
        ("a signature's twin", good().with("webhook_signature", "v1,AA=="), Err(DuplicateHeader)),
        ("an id's twin alone", good().without("webhook-id").with("webhook_id", "a"), Err(DuplicateHeader)),
        ("21 items", good().replacing("webhook-signature", &"v1,a ".repeat(21)), Err(MalformedHeader)),
        ("another version", good().replacing("webhook-signature", "v2,AA=="), Err(NoSignature)),
        ("a short signature", good().replacing("webhook-signature", "v1,AA=="), Err(BadSignature)),
        ("a timestamp with a sign", good().replacing("webhook-timestamp", "+1"), Err(MalformedTimestamp)),
        ("too old", good().replacing("webhook-timestamp", "1759999699"), Err(TimestampTooOld)),
        ("just not too old", good().replacing("webhook-timestamp", "1759999700"), Ok(())),
        ("just not too new", good().replacing("webhook-timestamp", "1760000300"), Ok(())),
        ("too new", good().replacing("webhook-timestamp", "1760000301"), Err(TimestampInFuture)),
        ("an id with a space", good().replacing("webhook-id", "a b"), Err(MalformedId)),
        ("an id with a dot", good().replacing("webhook-id", "a.1"), Err(AmbiguousId)),
    ];
    let policy = policy(&document());
    for (promise, request, verdict) in table {
        assert_eq!(request.head(&policy), verdict, "{promise}");
    }
}

#[test]
fn of_two_wrong_things_the_cheaper_one_is_named() {
    use Reason::*;
    let table = [
        ("framing before path", Request { target: "/x".to_owned(), ..twice_wrong() }, ReservedHeader),
        (
            "path before method",
            Request { target: "/x".to_owned(), method: "PUT", ..Request::signed() },
            UnknownSource,
        ),
        ("method before size", Request { method: "PUT", ..too_large() }, Method),
        ("size before signature", too_large().without("webhook-signature"), BodyTooLarge),
        ("age before signature", stale().replacing("webhook-signature", "v1,AA=="), TimestampTooOld),
    ];
    let policy = policy(&document());
    for (promise, request, reason) in table {
        assert_eq!(request.head(&policy), Err(reason), "{promise}");
    }
}

fn twice_wrong() -> Request {
    Request::signed().with("x_hookgate_a", "1").with("content-length", "x")
}

fn too_large() -> Request {
    Request::signed().replacing("content-length", "99999999999")
}

fn stale() -> Request {
    Request::signed().replacing("webhook-timestamp", &(NOW_S - 86_400).to_string())
}

#[test]
fn a_path_that_is_passed_through_is_not_judged_by_signature() {
    let policy = policy(&changed("/passthrough", json!(["/v1/events"])));
    let plain = Request { target: "/v1/events?x=1".to_owned(), method: "GET", ..Request::of(Vec::new()) };
    assert!(matches!(plain.begin(&policy, &mut Memory::default()).next, Next::Pass));
    let table = [
        ("our own name's twin", plain.clone().with("x_hookgate_a", "1"), Reason::ReservedHeader),
        ("too large", plain.clone().with("content-length", "1048577"), Reason::BodyTooLarge),
        ("an upgrade", plain.clone().with("upgrade", "h2c"), Reason::Protocol),
        ("a path below it", Request { target: "/v1/events/1".to_owned(), ..plain }, Reason::UnknownSource),
    ];
    for (promise, request, reason) in table {
        assert_eq!(request.head(&policy), Err(reason), "{promise}");
    }
}

#[test]
fn our_own_names_do_not_go_on() {
    let request = Request::signed().with("X-Hookgate-Source", "forged").with("x-hookgate-source", "forged");
    let begin = request.begin(&policy(&document()), &mut Memory::default());
    assert_eq!(begin.edits.remove, ["X-Hookgate-Source", "x-hookgate-source"]);
    assert!(matches!(begin.next, Next::Verify(_)));
}

#[test]
fn every_request_has_an_id() {
    const NEW: &str = "0199c82c-c000-7012-8123-456789abcdef";
    let good = Request::signed;
    let table = [
        ("the client's", good().with("X-Request-Id", "abc-1"), true, "abc-1"),
        ("none came", good(), true, NEW),
        ("an empty one", good().with("x-request-id", ""), true, NEW),
        ("one that would need escaping", good().with("x-request-id", "a\"b"), true, NEW),
        ("one that is too long", good().with("x-request-id", &"x".repeat(129)), true, NEW),
        ("two", good().with("x-request-id", "a").with("x-request-id", "b"), true, NEW),
        ("two, joined", good().with("x-request-id", "a,b"), true, NEW),
        ("clients are not trusted with it", good().with("x-request-id", "abc-1"), false, NEW),
        ("refused all the same", Request { target: "/x".to_owned(), ..good() }, true, NEW),
    ];
    for (promise, request, trusted, id) in table {
        let policy = policy(&changed("/trust_request_id", json!(trusted)));
        let begin = request.begin(&policy, &mut Memory::default());
        assert_eq!(begin.stamp.request_id, id, "{promise}");
        let set: Vec<_> = if id == NEW { vec![("x-request-id", NEW.to_owned())] } else { Vec::new() };
        assert_eq!(begin.edits.set, set, "{promise}");
    }
}

#[test]
fn the_stamp_names_the_source_once_it_is_known() {
    let policy = policy(&document());
    let source = |request: &Request| request.begin(&policy, &mut Memory::default()).stamp.source;
    assert_eq!(source(&stale()).as_deref(), Some("acme"));
    assert_eq!(source(&Request { target: "/x".to_owned(), ..stale() }), None);
}

#[test]
fn an_empty_body_is_known_from_the_head() {
    let table = [
        ("no length, more to come", Request::signed().without("content-length"), false),
        ("a length", Request::signed(), false),
        ("a length of nothing", Request::signed().replacing("content-length", "0"), true),
        ("the end of the stream", Request { end_of_stream: true, ..Request::signed() }, true),
    ];
    let policy = policy(&document());
    for (promise, request, empty) in table {
        assert_eq!(request.verifier(&policy).body_is_empty(), empty, "{promise}");
    }
    assert!(!BODY.is_empty());
}
