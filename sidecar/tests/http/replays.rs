//! Replays over the API: begun, followed to their end, cancelled, and refused with the field that is wrong.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Sidecar, Subscriber, wait_until};

async fn events(sidecar: &Sidecar, count: usize) {
    for _ in 0..count {
        let event = json!({"type": "order.created", "data": 1});
        let answer = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

async fn rows(sidecar: &Sidecar, path: &str, count: usize) {
    let look = || async {
        let page = sidecar.admin(Method::GET, path).send().await;
        Some(()).filter(|()| page.json["data"].as_array().unwrap().len() == count)
    };
    wait_until(&format!("{count} of {path}"), look).await;
}

async fn begin(sidecar: &Sidecar, path: &str, json: &Value) -> String {
    let begun = sidecar.admin(Method::POST, path).json(json).send().await;
    assert_eq!((begun.status, &begun.json["state"]), (202, &json!("running")), "{begun:?}");
    begun.json["id"].as_str().unwrap().to_owned()
}

async fn done(sidecar: &Sidecar, id: &str) -> Answer {
    let path = format!("/v1/replays/{id}");
    let look = || async {
        let shown = sidecar.admin(Method::GET, &path).send().await;
        Some(shown).filter(|shown| shown.json["state"] == "done")
    };
    wait_until("a replay that is done", look).await
}

#[tokio::test]
async fn dead_letters_are_replayed_and_counted() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[500, 500, 500, 200]).await);
    let draft = json!({"url": subscriber.url, "retry": {"max_attempts": 1}});
    let endpoint = sidecar.endpoint(&draft).await;
    events(&sidecar, 3).await;
    rows(&sidecar, "/v1/dead-letters", 3).await;
    let wanted = json!({"status": "dead", "endpoint_id": endpoint, "event_types": ["order.*"], "limit": 2});
    let id = begin(&sidecar, "/v1/replays", &wanted).await;
    let shown = done(&sidecar, &id).await;
    for (field, expected) in [("matched", 2), ("replayed", 2), ("failed", 0), ("limit", 2)] {
        assert_eq!(shown.json[field], expected, "{field} of {shown:?}");
    }
    subscriber.received(5).await;
    rows(&sidecar, "/v1/dead-letters", 1).await;
    let listed = sidecar.admin(Method::GET, "/v1/replays").send().await;
    assert_eq!(listed.json["data"], json!([shown.json]));
    let over = sidecar.admin(Method::POST, &format!("/v1/replays/{id}/cancel")).send().await;
    assert_eq!((over.status, &over.json["state"]), (200, &json!("done")), "what is over stays so");
}

#[tokio::test]
async fn an_endpoint_gets_what_it_never_saw() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[200]).await);
    events(&sidecar, 3).await;
    let late = json!({"url": subscriber.url, "event_types": ["order.*"]});
    let endpoint = sidecar.endpoint(&late).await;
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let path = format!("/v1/endpoints/{endpoint}/replay");
    let first = begin(&sidecar, &path, &since).await;
    assert_eq!(done(&sidecar, &first).await.json["replayed"], 3);
    rows(&sidecar, "/v1/deliveries?status=delivered", 3).await;
    let second = begin(&sidecar, &path, &since).await;
    assert_eq!(done(&sidecar, &second).await.json["matched"], 0, "it has them all");
    assert_eq!(subscriber.got().len(), 3);
}

#[tokio::test]
async fn a_cancelled_replay_goes_no_further() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[200]).await);
    let endpoint = sidecar.endpoint(&json!({"url": subscriber.url})).await;
    let events: Vec<_> = (0..60).map(|n| json!({"type": "order.created", "data": n})).collect();
    sidecar.data(Method::POST, "/v1/events/batch").key().json(&json!({"events": events})).send().await;
    rows(&sidecar, "/v1/deliveries?status=delivered&limit=100", 60).await;
    // What nobody tries holds the replay up after its first step.
    let disabled = sidecar.admin(Method::POST, &format!("/v1/endpoints/{endpoint}/disable")).send().await;
    assert_eq!(disabled.status, 200);
    let id = begin(&sidecar, "/v1/replays", &json!({"status": "delivered"})).await;
    rows(&sidecar, "/v1/deliveries?status=pending&limit=100", 50).await;
    let path = format!("/v1/replays/{id}");
    let cancelled = sidecar.admin(Method::POST, &format!("{path}/cancel")).send().await;
    let state = (cancelled.status, &cancelled.json["state"], &cancelled.json["replayed"]);
    assert_eq!(state, (200, &json!("cancelled"), &json!(50)), "{cancelled:?}");
    let shown = sidecar.admin(Method::GET, &path).send().await;
    assert_eq!(shown.json, cancelled.json);
}

#[tokio::test]
async fn a_replay_that_cannot_be_is_refused_with_its_field() {
    let sidecar = Sidecar::start().await;
    let endpoint = sidecar.endpoint(&json!({"url": "https://example.com", "tenant": "acme"})).await;
    let table = [
        (json!({}), "status"),
        (json!({"status": "pending"}), "status"),
        (json!({"status": "dead", "endpoint_id": "none"}), "endpoint_id"),
        (json!({"status": "dead", "endpoint_id": endpoint, "tenant": "other"}), "endpoint_id"),
        (json!({"status": "dead", "since": "yesterday"}), "since"),
        (json!({"status": "dead", "event_types": ["a b"]}), "event_types[0]"),
        (json!({"status": "dead", "limit": 0}), "limit"),
        (json!({"status": "dead", "more": 1}), "more"),
    ];
    for (draft, field) in table {
        let answer = sidecar.admin(Method::POST, "/v1/replays").json(&draft).send().await;
        answer.problem(422, "invalid_field");
        assert_eq!(answer.json["field"], field, "{answer:?}");
    }
    for (method, path) in [
        (Method::GET, "/v1/replays/rpl_00000000000000000000000000000000"),
        (Method::POST, "/v1/replays/none/cancel"),
    ] {
        sidecar.admin(method, path).send().await.problem(404, "not_found");
    }
    let none = sidecar.admin(Method::POST, "/v1/endpoints/none/replay");
    none.json(&json!({"since": "2020-01-01T00:00:00Z"})).send().await.problem(404, "not_found");
}
