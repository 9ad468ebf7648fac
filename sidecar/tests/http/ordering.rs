//! First in, first out over the API, at a subscriber that fails.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Got, Sidecar, Subscriber};

/// The number that an attempt carried.
fn number(got: &Got) -> u64 {
    serde_json::from_slice::<Value>(&got.body).unwrap()["data"].as_u64().unwrap()
}

#[tokio::test]
async fn a_subscriber_that_fails_gets_its_events_in_order() {
    // four attempts fail, so six events are ten attempts
    let statuses = [500, 200, 500, 503, 200, 500, 200];
    let table: [(&str, &[&[u64]]); 2] =
        [("endpoint", &[&[0, 1, 2, 3, 4, 5]]), ("key", &[&[0, 2, 4], &[1, 3, 5]])];
    for (ordering, lines) in table {
        let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&statuses).await);
        let retry = json!({"max_attempts": 100, "base_ms": 20, "max_ms": 20});
        sidecar.endpoint(&json!({"url": subscriber.url, "ordering": ordering, "retry": retry})).await;
        for number in 0..6 {
            let key = if number % 2 == 0 { "even" } else { "odd" };
            let event = json!({"type": "a", "data": number, "ordering_key": key});
            let answer = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
            assert_eq!(answer.status, 202, "{answer:?}");
        }
        let got: Vec<u64> = subscriber.received(10).await.iter().map(number).collect();
        for line in lines {
            let mut mine: Vec<u64> = got.iter().copied().filter(|number| line.contains(number)).collect();
            mine.dedup();
            assert_eq!(mine, *line, "{ordering}: one after the other, in {got:?}");
        }
    }
}

#[tokio::test]
async fn an_ordering_and_a_key_are_shown_and_an_ordering_can_be_changed() {
    let sidecar = Sidecar::start().await;
    let id = sidecar.endpoint(&json!({"url": "https://example.com/"})).await;
    let path = format!("/v1/endpoints/{id}");
    let shown = sidecar.admin(Method::GET, &path).send().await;
    assert_eq!(shown.json["ordering"], "none", "unless it is asked for");
    let change = sidecar.admin(Method::PATCH, &path).json(&json!({"ordering": "key"})).send().await;
    assert_eq!((change.status, &change.json["ordering"]), (200, &json!("key")), "{change:?}");
    let other = sidecar.admin(Method::PATCH, &path).json(&json!({"timeout_ms": 500})).send().await;
    assert_eq!(other.json["ordering"], "key", "what is not named stays");
    for key in [json!("account-7"), Value::Null] {
        let event = json!({"type": "a", "data": 1, "ordering_key": key});
        let batch = json!({"events": [event]});
        let answer = sidecar.data(Method::POST, "/v1/events/batch").key().json(&batch).send().await;
        let event = format!("/v1/events/{}", answer.json["data"][0]["id"].as_str().unwrap());
        assert_eq!(sidecar.admin(Method::GET, &event).send().await.json["ordering_key"], key);
    }
}
