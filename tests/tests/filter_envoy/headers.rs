//! Headers as bytes, doubled, joined, reserved: none traps, none slips through.

use hookgate_e2e::{Client, Request};

use crate::door::{Door, Mode, assert_dressed, assert_refusal, genuine, signature};

const BODY: &[u8] = b"{}";
/// The lines of a request's `x-request-id`.
type Ids<'a> = &'a [&'a [u8]];

const SIGNATURE: &str = "x-webhook-signature";

/// A request for `seed` whose signature lines are what `lines` makes of the genuine value.
fn signed_as(lines: impl Fn(&str) -> Vec<Vec<u8>>) -> Request {
    let value = signature("seed", BODY).remove(0).1;
    let lines = lines(&value).into_iter().map(|line| (SIGNATURE, line));
    Request::post("/in/seed").headers(lines).body(BODY)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_is_not_exactly_one_plain_line_is_refused() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        let bytes = |text: &str| text.as_bytes().to_vec();
        let table: [(&str, Request); 7] = [
            ("no text", signed_as(|_| vec![b"\xff\xfe".to_vec()])),
            ("no text behind the genuine one", signed_as(|value| vec![[value.as_bytes(), b"\xff"].concat()])),
            ("empty", signed_as(|_| vec![Vec::new()])),
            ("twice the same", signed_as(|value| vec![bytes(value), bytes(value)])),
            ("a forged one first", signed_as(|value| vec![bytes("t=1,v1=00"), bytes(value)])),
            ("a forged one last", signed_as(|value| vec![bytes(value), bytes("t=1,v1=00")])),
            ("8 KiB", signed_as(|_| vec![vec![b'v'; 8192]])),
        ];
        for (what, request) in table {
            let answer = Client::call(door.envoy.address(), &request).await;
            assert!(matches!(answer.status, 400 | 401), "{what}, {mode:?}: {}", answer.status);
            assert_refusal(&answer, answer.status, &format!("{what}, {mode:?}"));
        }
        assert_eq!(door.sent_on().await, 0, "{mode:?}");
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_a_header_under_another_spelling_is_refused() {
    let door = Door::start(Mode::Stream).await;
    for twin in ["x_webhook_signature", "x-webhook_signature", "x_hookgate_tenant"] {
        let request = genuine("seed", BODY).header(twin, "forged");
        assert_eq!(Client::call(door.envoy.address(), &request).await.status, 400, "{twin}");
    }
    assert_eq!(door.sent_on().await, 0);
    door.assert_never_trapped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_in_headers_that_nobody_reads_hurt_nobody() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for name in ["user-agent", "x-forwarded-for", "accept", "x-anything"] {
            for value in [&b"\xff\xfe"[..], b"", &[b'x'; 8192]] {
                let request = genuine("seed", BODY).header(name, value).header(name, value);
                let answer = Client::call(door.envoy.address(), &request).await;
                assert_eq!(answer.status, 200, "{name}, {mode:?}");
                assert_dressed(&answer, name);
            }
        }
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_headers_of_a_client_never_reach_upstream() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        let request = genuine("seed", BODY)
            .header("x-hookgate-tenant", "forged")
            .header("X-HookGate-Tenant", "again")
            .header("X-HOOKGATE-ANYTHING", b"\xff");
        assert_eq!(Client::call(door.envoy.address(), &request).await.status, 200, "{mode:?}");
        let seen = door.upstream.take();
        let names: Vec<_> =
            seen[0].message.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert!(!names.iter().any(|name| name.starts_with("x-hookgate")), "{mode:?}: {names:?}");
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_webhook_is_refused_on_a_webhook_route() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        let get = Request::get("/in/seed").headers(signature("seed", b""));
        let table: [(&str, Request, u16); 3] = [
            ("another method", get, 405),
            (
                "an upgrade",
                genuine("seed", BODY).header("connection", "upgrade").header("upgrade", "websocket"),
                403,
            ),
            ("two hosts", genuine("seed", BODY).header("host", "a.test").header("host", "b.test"), 400),
        ];
        for (what, request, status) in table {
            let answer = Client::call(door.envoy.address(), &request).await;
            assert_eq!(answer.status, status, "{what}, {mode:?}: {}", answer.text());
        }
        assert_eq!(door.sent_on().await, 0, "{mode:?}");
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_that_is_judged_is_the_path_that_upstream_sees() {
    let door = Door::start(Mode::Stream).await;
    let table = [
        ("as it is", "/in/seed", Some("/in/seed")),
        ("a query is no part of it", "/in/seed?a=/../b", Some("/in/seed?a=/../b")),
        ("encoded letters", "/in/se%65d", Some("/in/seed")),
        ("dots", "/in/../in/./seed", Some("/in/seed")),
        ("a doubled slash", "/in//seed", None),
        ("an encoded slash", "/in%2Fseed", None),
        ("a slash behind", "/in/seed/", None),
        ("another case", "/in/Seed", None),
    ];
    for (what, target, seen) in table {
        let request = Request { target: target.to_owned(), ..genuine("seed", BODY) };
        let answer = Client::call(door.envoy.address(), &request).await;
        assert_eq!(answer.status == 200, seen.is_some(), "{what}: {}", answer.status);
        let starts: Vec<_> = door.upstream.take().into_iter().map(|seen| seen.message.start).collect();
        let expected: Vec<_> = seen.iter().map(|path| format!("POST {path} HTTP/1.1")).collect();
        assert_eq!(starts, expected, "{what}");
    }
    door.assert_never_trapped().await;
}

/// Envoy answers a gRPC request in gRPC's way: status 200, the refusal in `grpc-status`.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_refused_in_its_own_words_and_goes_nowhere() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        for kind in ["application/grpc", "application/grpc+proto"] {
            let request = genuine("seed", BODY).header("content-type", kind);
            let answer = Client::call(door.envoy.address(), &request).await;
            let refused = answer.header("grpc-status").is_some_and(|status| status != "0");
            assert!(refused, "{kind}, {mode:?}: {answer:?}");
        }
        assert_eq!(door.sent_on().await, 0, "{mode:?}");
        assert_eq!(door.counter("hookgate_refused_total{reason=\"protocol\"}").await, 2, "{mode:?}");
        door.assert_never_trapped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_id_is_the_clients_if_it_can_be_used_and_the_same_everywhere() {
    let door = Door::start(Mode::Stream).await;
    let table: [(&str, Ids<'_>, Option<&str>); 5] = [
        ("a client's own", &[b"order-7:try-2"], Some("order-7:try-2")),
        (
            "a UUIDv7",
            &[b"01890a5d-ac96-774b-bcce-b302099a8057"],
            Some("01890a5d-ac96-774b-bcce-b302099a8057"),
        ),
        ("none", &[], None),
        ("two", &[b"a", b"b"], None),
        ("bytes", &[b"\xff\xfe"], None),
    ];
    for (what, ids, expected) in table {
        let request = genuine("seed", BODY).headers(ids.iter().map(|id| ("x-request-id", id)));
        let answer = Client::call(door.envoy.address(), &request).await;
        assert_eq!(answer.status, 200, "{what}");
        let upstreams = door.upstream.take();
        let upstreams = upstreams[0].message.header("x-request-id").expect("one id upstream");
        assert_eq!(answer.header("x-request-id"), Some(upstreams), "{what}");
        if let Some(expected) = expected {
            assert_eq!(upstreams, expected, "{what}");
        }
        assert!(!upstreams.contains(','), "{what}: {upstreams}");
    }
    door.assert_never_trapped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_is_dressed() {
    for mode in Mode::BOTH {
        let door = Door::start(mode).await;
        let table = [
            ("accepted", genuine("seed", BODY), 200),
            ("passed on", Request::post("/v1/events").body(BODY), 200),
            ("refused", Request::post("/in/seed").body(BODY), 401),
            ("no such source", Request::post("/in/nobody").body(BODY), 404),
            ("no such route", Request::post("/elsewhere").body(BODY), 404),
        ];
        for (what, request, status) in table {
            let answer = Client::call(door.envoy.address(), &request).await;
            assert_eq!(answer.status, status, "{what}, {mode:?}");
            assert_dressed(&answer, what);
        }
        door.assert_never_trapped().await;
    }
}
