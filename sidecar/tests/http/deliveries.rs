//! Deliveries over the API: what became of an event, with its attempts, and another try by hand.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Sidecar, Subscriber, wait_until};

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
