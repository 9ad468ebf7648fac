//! Deliveries over the API: what became of an event, with its attempts, and another try by hand.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{KEY, Sidecar, Subscriber, wait_until};

async fn event(sidecar: &Sidecar) -> String {
    let event = json!({"type": "order.created", "data": "data-canary"});
    let answer = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
    answer.json["id"].as_str().unwrap().to_owned()
}

/// The event's only delivery, once it has this status.
async fn delivery(sidecar: &Sidecar, event: &str, status: &str) -> Value {
    let path = format!("/v1/deliveries?event_id={event}&status={status}");
    let look = || async {
        let page = sidecar.admin(Method::GET, &path).send().await;
        assert_eq!(page.status, 200, "{page:?}");
        page.json["data"].get(0).cloned()
    };
    wait_until(&format!("{status} delivery"), look).await
}

#[tokio::test]
async fn a_dead_letter_shows_its_attempts_and_is_tried_again_by_hand() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[500, 503, 200]).await);
    let retry = json!({"max_attempts": 2, "base_ms": 1, "max_ms": 1});
    let endpoint = sidecar.endpoint(&json!({"url": subscriber.url, "retry": retry})).await;
    let event = event(&sidecar).await;
    let dead = delivery(&sidecar, &event, "dead").await;
    for (field, value) in [
        ("dead_reason", json!("exhausted")),
        ("attempt_count", json!(2)),
        ("endpoint_id", json!(endpoint)),
        ("event_type", json!("order.created")),
        ("next_attempt_at", Value::Null),
    ] {
        assert_eq!(dead[field], value, "{field} of {dead}");
    }
    let letters = sidecar.admin(Method::GET, "/v1/dead-letters").send().await;
    assert_eq!(letters.json["data"], json!([dead]));

    let id = dead["id"].as_str().unwrap();
    let retried = sidecar.admin(Method::POST, &format!("/v1/deliveries/{id}/retry")).send().await;
    assert_eq!((retried.status, &retried.json["status"]), (202, &json!("pending")), "{retried:?}");
    delivery(&sidecar, &event, "delivered").await;
    let shown = sidecar.admin(Method::GET, &format!("/v1/deliveries/{id}")).send().await;
    let statuses: Vec<_> =
        shown.json["attempts"].as_array().unwrap().iter().map(|a| a["status"].clone()).collect();
    assert_eq!(statuses, [json!(500), json!(503), json!(200)]);
    assert!(!shown.body.contains("data-canary"), "a delivery does not show the payload");
    assert_eq!(sidecar.admin(Method::GET, "/v1/dead-letters").send().await.json["data"], json!([]));
}

#[tokio::test]
async fn what_is_not_delivered_in_its_time_is_a_dead_letter_that_says_so() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[500]).await);
    let retry = json!({"max_attempts": 100, "base_ms": 20, "max_ms": 20});
    sidecar.endpoint(&json!({"url": subscriber.url, "retry": retry})).await;
    let event = json!({"type": "a", "data": 1, "ttl_s": 1});
    let answer = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
    let dead = delivery(&sidecar, answer.json["id"].as_str().unwrap(), "dead").await;
    assert_eq!(dead["dead_reason"], json!("expired"), "{dead}");
    assert!(dead["attempt_count"].as_u64().unwrap() >= 1, "{dead}");
}

#[tokio::test]
async fn an_event_says_that_its_payload_is_forgotten_and_is_not_sent_again() {
    let subscriber = Subscriber::start(&[200]).await;
    let variables = [("HOOKGATE_API_KEY", KEY), ("HOOKGATE_RETENTION_PAYLOADS_S", "1")];
    let sidecar = Sidecar::with(&variables, "").await;
    sidecar.endpoint(&json!({"url": subscriber.url})).await;
    let event = event(&sidecar).await;
    let delivered = delivery(&sidecar, &event, "delivered").await;
    let path = format!("/v1/events/{event}");
    let look = || async {
        let shown = sidecar.admin(Method::GET, &path).send().await;
        let forgotten = shown.json["payload_forgotten"].as_bool().unwrap();
        assert_eq!(shown.json.get("payload").is_none(), forgotten, "bytes, or the word that they are gone");
        Some(shown.json).filter(|_| forgotten)
    };
    let shown = wait_until("forgotten payload", look).await;
    assert!(shown["size_bytes"].as_u64().unwrap() > 0, "how long it was is known: {shown}");
    let id = delivered["id"].as_str().unwrap();
    let refused = sidecar.admin(Method::POST, &format!("/v1/deliveries/{id}/retry")).send().await;
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("payload_forgotten")), "{refused:?}");
    let shown = sidecar.admin(Method::GET, &format!("/v1/deliveries/{id}")).send().await;
    assert_eq!(shown.json["attempts"].as_array().unwrap().len(), 1, "its record stays: {shown:?}");
}

#[tokio::test]
async fn metrics_show_what_became_of_events() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[200]).await);
    let endpoint = sidecar.endpoint(&json!({"url": subscriber.url})).await;
    let event = event(&sidecar).await;
    delivery(&sidecar, &event, "delivered").await;
    let metrics = sidecar.admin(Method::GET, "/metrics").send().await;
    assert!(metrics.header("content-type").starts_with("text/plain"), "{metrics:?}");
    for line in [
        r#"webhook_deliveries_total{status="delivered",event_type="order.created"} 1"#,
        "webhook_queue_size 0",
        &format!(r#"webhook_circuit_breaker_state{{endpoint_id="{endpoint}"}} 0"#),
    ] {
        assert!(metrics.body.lines().any(|seen| seen == line), "no {line} in {}", metrics.body);
    }
}

#[tokio::test]
async fn metrics_can_be_switched_off() {
    let sidecar = Sidecar::with(&[("ENABLE_METRICS", "false")], "").await;
    sidecar.admin(Method::GET, "/metrics").send().await.problem(404, "not_found");
}

#[tokio::test]
async fn dead_letters_are_found_inspected_and_purged() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[400, 500]).await);
    let retry = json!({"max_attempts": 1, "non_retryable": [400]});
    let endpoint = sidecar.endpoint(&json!({"url": subscriber.url, "retry": retry})).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let event = event(&sidecar).await;
        ids.push(delivery(&sidecar, &event, "dead").await["id"].as_str().unwrap().to_owned());
    }
    let found = async |query: &str| {
        let page = sidecar.admin(Method::GET, &format!("/v1/dead-letters?{query}")).send().await;
        assert_eq!(page.status, 200, "{page:?}");
        page.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let table = [
        ("", vec![&ids[0], &ids[1], &ids[2]]),
        ("dead_reason=refused", vec![&ids[0]]),
        ("dead_reason=exhausted&event_type=order.*", vec![&ids[1], &ids[2]]),
        ("event_type=user.*", vec![]),
        ("created_since=2020-01-01T00:00:00Z&updated_until=2200-01-01T00:00:00Z", ids.iter().collect()),
        ("created_until=2020-01-01T00:00:00%2B01:00", vec![]),
        ("updated_since=2200-01-01T00:00:00Z", vec![]),
    ];
    for (query, expected) in table {
        assert_eq!(found(query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let one = format!("/v1/dead-letters/{}", ids[0]);
    let shown = sidecar.admin(Method::GET, &one).send().await;
    assert_eq!((shown.status, &shown.json["attempts"][0]["status"]), (200, &json!(400)), "{shown:?}");
    let everything = sidecar.admin(Method::DELETE, "/v1/dead-letters").send().await;
    everything.problem(422, "invalid_field");
    assert_eq!(sidecar.admin(Method::DELETE, &one).send().await.status, 204);
    for gone in [Method::GET, Method::DELETE] {
        sidecar.admin(gone, &one).send().await.problem(404, "not_found");
    }
    let mine = format!("/v1/dead-letters?endpoint_id={endpoint}");
    let purged = sidecar.admin(Method::DELETE, &mine).send().await;
    assert_eq!((purged.status, &purged.json), (200, &json!({"purged": 2, "more": false})), "{purged:?}");
    assert!(found("").await.is_empty());
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_refused() {
    let sidecar = Sidecar::start().await;
    for path in ["/v1/events", "/v1/deliveries", "/v1/dead-letters", "/v1/endpoints"] {
        let answer = sidecar.admin(Method::GET, &format!("{path}?cursor=not%20one")).send().await;
        assert!(answer.problem(400, "bad_cursor").starts_with("cursor: "), "{path}: {answer:?}");
        assert_eq!(answer.json["field"], "cursor", "{path}");
    }
}
