//! Every refusal is a problem of one form, says where, and nothing of what it must not.

use http::Method;
use serde_json::json;

use crate::harness::{Sidecar, exchange};

#[tokio::test]
async fn a_bad_event_is_refused_with_its_place() {
    let sidecar = Sidecar::start().await;
    let batch = |count: usize| json!({"events": vec![json!({"type": "a", "data": 1}); count]}).to_string();
    let (one, many) = ("/v1/events", "/v1/events/batch");
    let table = [
        (one, "", 400, "bad_json", "line 1, column 0"),
        (one, "{\"type\":\"a\",\n\"data\":}", 400, "bad_json", "line 2, column 8"),
        (one, "{\"type\":\"a\",\"data\":1} 2", 400, "bad_json", "line 1, column 23"),
        (one, r#"["a",1,null,null]"#, 422, "invalid_field", "expected an object"),
        (
            many,
            r#"{"events":[["a",1,null,null]]}"#,
            422,
            "invalid_field",
            "events[0]: invalid type: sequence",
        ),
        (one, r#"{"data":1}"#, 422, "invalid_field", "type: is missing."),
        (one, r#"{"type":"a"}"#, 422, "invalid_field", "data: is missing."),
        (one, r#"{"type":"a b","data":1}"#, 422, "invalid_field", "type: expected an event type"),
        (one, r#"{"type":"a","data":1,"tenant":"/"}"#, 422, "invalid_field", "tenant: expected a tenant"),
        (one, r#"{"type":"a","data":1,"id":""}"#, 422, "invalid_field", "id: expected 1–256"),
        (one, r#"{"type":"a","data":1,"more":2}"#, 422, "invalid_field", "more: unknown field `more`"),
        (one, r#"{"type":"a","data":1,"data":2}"#, 422, "invalid_field", "duplicate field `data`"),
        (many, &batch(0), 422, "invalid_field", "events: expected 1–100"),
        (many, &batch(101), 422, "invalid_field", "events: expected 1–100"),
        (
            many,
            r#"{"events":[{"type":"a","data":1},{"type":"a"}]}"#,
            422,
            "invalid_field",
            "events[1].data: is missing.",
        ),
        (
            many,
            r#"{"events":[{"type":"a","data":1,"id":""}]}"#,
            422,
            "invalid_field",
            "events[0].id: expected",
        ),
    ];
    for (path, body, status, code, detail) in table {
        let answer = sidecar.data(Method::POST, path).key().body(body).send().await;
        assert!(answer.problem(status, code).contains(detail), "{body}: {answer:?}");
    }
    let none = sidecar.admin(Method::GET, "/v1/events").send().await;
    assert_eq!(none.json["data"], json!([]), "nothing of it was accepted");
}

#[tokio::test]
async fn terms_that_cannot_be_granted_are_refused_with_their_place() {
    let sidecar = Sidecar::start().await;
    let table = [
        (r#""deliver_at":"tomorrow""#, "deliver_at: expected a moment"),
        (r#""deliver_at":"9999-01-01T00:00:00Z""#, "deliver_at: expected a moment at most 30 days ahead."),
        (r#""ttl_s":0"#, "ttl_s: invalid value: integer `0`"),
        (r#""ttl_s":7776001"#, "ttl_s: expected 1–7776000 seconds."),
        (r#""ordering_key":"""#, "ordering_key: expected an ordering key: 1–256 bytes"),
        (r#""ordering_key":"a\n""#, "ordering_key: expected an ordering key"),
        (r#""ordering_key":7"#, "ordering_key: invalid type: integer `7`"),
        (r#""expires_at":"2000-01-01T00:00:00Z""#, "expires_at: expected a moment after now"),
    ];
    for (terms, detail) in table {
        let event = format!(r#"{{"type":"a","data":1,{terms}}}"#);
        let batch = format!(r#"{{"events":[{{"type":"a","data":1}},{event}]}}"#);
        let place = format!("events[1].{detail}");
        for (path, body, detail) in [("/v1/events", event, detail), ("/v1/events/batch", batch, &*place)] {
            let answer = sidecar.data(Method::POST, path).key().body(body).send().await;
            assert!(answer.problem(422, "invalid_field").starts_with(detail), "{detail}: {answer:?}");
        }
    }
    let none = sidecar.admin(Method::GET, "/v1/events").send().await;
    assert_eq!(none.json["data"], json!([]), "nothing of it was accepted");
}

#[tokio::test]
async fn what_cannot_be_served_is_told_in_the_same_form_on_both_listeners() {
    let sidecar = Sidecar::start().await;
    let table = [
        (sidecar.data(Method::GET, "/"), 404, "not_found", ""),
        (sidecar.data(Method::GET, "/v1/endpoints").key(), 404, "not_found", ""),
        (sidecar.data(Method::GET, "/in/nobody"), 404, "not_found", ""),
        (sidecar.data(Method::GET, "/v1/events").key(), 405, "method_not_allowed", "POST"),
        (sidecar.data(Method::GET, "/in/acme"), 405, "method_not_allowed", "POST"),
        (sidecar.data(Method::POST, "/v1/events").key().body(vec![b' '; 4097]), 413, "body_too_large", ""),
        (sidecar.admin(Method::GET, "/"), 404, "not_found", ""),
        (sidecar.admin(Method::GET, "/v1/nothing"), 404, "not_found", ""),
        (sidecar.admin(Method::PUT, "/v1/endpoints"), 405, "method_not_allowed", "GET,HEAD,POST"),
        (sidecar.admin(Method::GET, "/v1/endpoints/none"), 404, "not_found", ""),
        (sidecar.admin(Method::GET, "/v1/endpoints/no%20name"), 404, "not_found", ""),
        (sidecar.admin(Method::GET, "/v1/deliveries/none"), 404, "not_found", ""),
        (sidecar.admin(Method::GET, "/v1/events/evt_0"), 404, "not_found", ""),
        (sidecar.admin(Method::POST, "/v1/endpoints").body(vec![b' '; 300_000]), 413, "body_too_large", ""),
        (sidecar.admin(Method::GET, "/v1/events?limit=0"), 422, "invalid_field", ""),
        (sidecar.admin(Method::GET, "/v1/events?limit=251"), 422, "invalid_field", ""),
        (sidecar.admin(Method::GET, "/v1/events?tenannt=a"), 422, "invalid_field", ""),
        (sidecar.admin(Method::GET, "/v1/deliveries?status=lost"), 422, "invalid_field", ""),
    ];
    for (ask, status, code, allow) in table {
        let answer = ask.send().await;
        answer.problem(status, code);
        assert_eq!(answer.header("allow"), allow, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_one() {
    let sidecar = Sidecar::start().await;
    for ask in [sidecar.data(Method::GET, "/none"), sidecar.admin(Method::GET, "/none")] {
        let answer = ask.header("x-request-id", "mine-1").send().await;
        assert_eq!(answer.header("x-request-id"), "mine-1");
        answer.problem(404, "not_found");
    }
    for ask in [sidecar.data(Method::GET, "/none"), sidecar.admin(Method::GET, "/none")] {
        let answer = ask.header("x-request-id", "not \"mine\"").send().await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{answer:?}");
    }
}

#[tokio::test]
async fn every_response_carries_the_security_headers() {
    let sidecar = Sidecar::start().await;
    let event = json!({"type": "a", "data": 1});
    let asks = [
        (sidecar.data(Method::POST, "/v1/events").key().json(&event), 202),
        (sidecar.data(Method::POST, "/v1/events").key().body("{"), 400),
        (sidecar.data(Method::POST, "/v1/events").json(&event), 401),
        (sidecar.data(Method::POST, "/in/acme").body("x"), 401),
        (sidecar.data(Method::GET, "/none"), 404),
        (sidecar.data(Method::DELETE, "/v1/events").key(), 405),
        (sidecar.data(Method::POST, "/v1/events").key().body(vec![b'x'; 5000]), 413),
        (sidecar.data(Method::POST, "/v1/events").key().body("{}"), 422),
        (sidecar.admin(Method::GET, "/livez"), 200),
        (sidecar.admin(Method::GET, "/v1/endpoints"), 200),
        (sidecar.admin(Method::GET, "/none"), 404),
    ];
    for (ask, status) in asks {
        let answer = ask.send().await;
        assert_eq!(answer.status, status, "{answer:?}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused() {
    let sidecar = Sidecar::with(&[("HOOKGATE_MAX_PAYLOAD_BYTES", "1024")], "").await;
    let body = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(0x401));
    let head = "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    exchange(sidecar.data, format!("{head}{body}").as_bytes()).await.problem(413, "body_too_large");
}
