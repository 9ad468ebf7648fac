//! The event API: accepted once, carried byte for byte, a batch all or none.

use std::time::Duration;

use hookgate_sidecar::clock::{Clock as _, SystemClock};
use http::Method;
use serde_json::{Value, json};

use crate::harness::{KEY, Sidecar, Subscriber};

#[tokio::test]
async fn an_event_is_delivered_with_its_data_byte_for_byte() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[200]).await);
    sidecar.endpoint(&json!({"url": subscriber.url, "headers": {"x-own": "kept"}})).await;
    let data = r#"{ "b" : 1.50, "a":"\u00e9", "b":2e0 }"#;
    let answer = sidecar
        .data(Method::POST, "/v1/events")
        .key()
        .header("x-request-id", "carried-on")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(format!(r#"{{"type":"order.created","data":{data}}}"#))
        .send()
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!((&answer.json["deliveries"], &answer.json["duplicate"]), (&json!(1), &json!(false)));

    let got = &subscriber.received(1).await[0];
    let body = String::from_utf8(got.body.clone()).unwrap();
    assert!(body.starts_with(r#"{"type":"order.created","timestamp":""#), "{body}");
    assert!(body.ends_with(&format!(r#","data":{data}}}"#)), "{body}");
    for (name, value) in [
        ("webhook-id", answer.json["id"].as_str().unwrap()),
        ("content-type", "application/json"),
        ("x-request-id", "carried-on"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-own", "kept"),
    ] {
        assert_eq!(got.headers.get(name).and_then(|v| v.to_str().ok()), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_known_key_answers_the_first_result() {
    let sidecar = Sidecar::start().await;
    let send = async |body: Value, header: Option<&str>| {
        let ask = sidecar.data(Method::POST, "/v1/events").key().json(&body);
        let ask = if let Some(key) = header { ask.header("idempotency-key", key) } else { ask };
        let answer = ask.send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
        (answer.json["id"].as_str().unwrap().to_owned(), answer.json["duplicate"] == true)
    };
    let event = |id: Option<&str>, tenant: &str| json!({"type": "a", "data": 1, "id": id, "tenant": tenant});
    let (first, duplicate) = send(event(Some("order-1"), "t"), None).await;
    assert!(!duplicate);
    assert_eq!(send(event(Some("order-1"), "t"), None).await, (first.clone(), true), "by the body's id");
    assert_eq!(
        send(event(None, "t"), Some("order-1")).await,
        (first.clone(), true),
        "the header is the same key"
    );
    assert!(!send(event(Some("order-1"), "u"), None).await.1, "another tenant's key is another key");
    assert!(!send(event(None, "t"), None).await.1, "without a key nothing is known");
    assert!(!send(event(Some("order-2"), "t"), Some("k")).await.1);
    assert!(send(event(Some("order-3"), "t"), Some("k")).await.1, "either key makes it known");
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_knows_its_own_duplicates() {
    let sidecar = Sidecar::start().await;
    let event = |id: &str| json!({"type": "a", "data": {}, "id": id});
    let batch = json!({"events": [event("x"), event("y"), event("x")]});
    let send = async || {
        let answer = sidecar.data(Method::POST, "/v1/events/batch").key().json(&batch).send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json["data"].as_array().unwrap().clone()
    };
    let first = send().await;
    let duplicates = |data: &[Value]| data.iter().map(|one| one["duplicate"] == true).collect::<Vec<_>>();
    assert_eq!(duplicates(&first), [false, false, true]);
    assert_eq!(first[0]["id"], first[2]["id"]);
    let second = send().await;
    assert_eq!(duplicates(&second), [true, true, true]);
    assert_eq!(second[1]["id"], first[1]["id"]);
}

#[tokio::test]
async fn a_key_of_a_request_tells_its_events_apart() {
    let sidecar = Sidecar::start().await;
    let batch = json!({"events": [{"type": "a", "data": 1}, {"type": "a", "data": 2}]});
    let send = async || {
        let ask = sidecar.data(Method::POST, "/v1/events/batch").key().header("idempotency-key", "k");
        ask.json(&batch).send().await.json
    };
    let (first, second) = (send().await, send().await);
    assert_ne!(first["data"][0]["id"], first["data"][1]["id"]);
    assert_eq!(second["data"][0]["id"], first["data"][0]["id"]);
    assert_eq!(second["data"][1]["duplicate"], true);
}

#[tokio::test]
async fn accepted_events_are_listed_and_shown() {
    let sidecar = Sidecar::start().await;
    for number in 0..5 {
        let event = json!({"type": "a", "data": number, "tenant": "t"});
        sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/events?tenant=t&limit=2".to_owned();
    loop {
        let page = sidecar.admin(Method::GET, &path).send().await;
        assert_eq!(page.status, 200, "{page:?}");
        seen.extend(page.json["data"].as_array().unwrap().clone());
        let Some(cursor) = page.json["next_cursor"].as_str() else { break };
        path = format!("/v1/events?tenant=t&limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|event| event["payload"].is_null()), "a listing shows no payload");
    let path = format!("/v1/events/{}", seen[0]["id"].as_str().unwrap());
    let shown = sidecar.admin(Method::GET, &path).send().await;
    assert!(shown.json["payload"].as_str().unwrap().starts_with(r#"{"type":"a","timestamp":""#), "{shown:?}");
    let other = sidecar.admin(Method::GET, "/v1/events?tenant=other").send().await;
    assert_eq!(other.json, json!({"data": [], "next_cursor": null}));
}

#[tokio::test]
async fn a_scheduled_event_goes_out_at_its_moment_and_no_sooner() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[200]).await);
    sidecar.endpoint(&json!({"url": subscriber.url})).await;
    let send = async |deliver_at: &str| {
        let event = json!({"type": "a", "data": 1, "deliver_at": deliver_at});
        let answer = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
        assert_eq!((answer.status, &answer.json["deliveries"]), (202, &json!(1)), "{answer:?}");
        let id = answer.json["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/deliveries?event_id={id}");
        let delivery = sidecar.admin(Method::GET, &path).send().await.json["data"][0].clone();
        (id, delivery)
    };
    let later = SystemClock.now().plus(Duration::from_secs(3_600));
    let text = jiff::Timestamp::from_millisecond(later.0.try_into().unwrap()).unwrap().to_string();
    let (far, waiting) = send(&text).await;
    assert_eq!((&waiting["status"], &waiting["next_attempt_at"]), (&json!("pending"), &json!(text)));
    let shown = sidecar.admin(Method::GET, &format!("/v1/events/{far}")).send().await.json;
    assert_eq!((&shown["deliver_at"], &shown["expires_at"]), (&json!(text), &json!(null)));

    let soon = SystemClock.now().plus(Duration::from_millis(400));
    let text = jiff::Timestamp::from_millisecond(soon.0.try_into().unwrap()).unwrap().to_string();
    let (near, _) = send(&text).await;
    let got = &subscriber.received(1).await[0];
    assert!(SystemClock.now() >= soon, "not before its moment");
    assert_eq!(got.headers.get("webhook-id").unwrap().to_str().unwrap(), near);

    let retry = format!("/v1/deliveries/{}/retry", waiting["id"].as_str().unwrap());
    assert_eq!(sidecar.admin(Method::POST, &retry).send().await.status, 202);
    let got = &subscriber.received(2).await[1];
    assert_eq!(got.headers.get("webhook-id").unwrap().to_str().unwrap(), far, "sent at once by hand");
}

#[tokio::test]
async fn an_event_says_how_long_it_may_be_tried_or_the_setting_does() {
    let variables = [("HOOKGATE_API_KEY", KEY), ("HOOKGATE_EVENT_TTL_S", "60"), ("HOOKGATE_MAX_BATCH", "2")];
    let sidecar = Sidecar::with(&variables, "").await;
    let ask = |event: &Value| sidecar.data(Method::POST, "/v1/events/batch").key().json(event).send();
    let plain = json!({"type": "a", "data": 1});
    let own = json!({"type": "a", "data": 1, "ttl_s": 5});
    let answer = ask(&json!({"events": [plain, own]})).await;
    for (place, seconds) in [(0, 60), (1, 5)] {
        let path = format!("/v1/events/{}", answer.json["data"][place]["id"].as_str().unwrap());
        let shown = sidecar.admin(Method::GET, &path).send().await.json;
        let payload: Value = serde_json::from_str(shown["payload"].as_str().unwrap()).unwrap();
        let moment = |shown: &Value| shown.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let span =
            moment(&shown["expires_at"]).as_millisecond() - moment(&payload["timestamp"]).as_millisecond();
        assert_eq!(span, seconds * 1_000, "from when it came, however long it waited at the door: {shown}");
    }
    let many = ask(&json!({"events": [plain, plain, plain]})).await;
    assert!(many.problem(422, "invalid_field").contains("events: expected 1–2 events"), "{many:?}");
}

#[tokio::test]
async fn what_would_be_too_much_waiting_is_refused_for_now() {
    let variables = [("HOOKGATE_API_KEY", KEY), ("HOOKGATE_MAX_PENDING", "1")];
    let (sidecar, subscriber) = (Sidecar::with(&variables, "").await, Subscriber::start(&[500]).await);
    sidecar.endpoint(&json!({"url": subscriber.url})).await;
    let send =
        async || sidecar.data(Method::POST, "/v1/events").key().body(r#"{"type":"a","data":1}"#).send().await;
    assert_eq!(send().await.status, 202);
    let full = send().await;
    full.problem(503, "store_full");
    assert_eq!(full.header("retry-after"), "5");
}
