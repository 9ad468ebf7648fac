//! Sources: what is genuine, fresh and new comes in, once; all else is refused alike, and nothing of it is kept.

use http::Method;
use serde_json::json;

use crate::harness::{Answer, KEY, Sidecar, Subscriber, WHSEC, signed};

const BODY: &[u8] = br#"{"type":"invoice.paid","n":1}"#;

async fn send(sidecar: &Sidecar, path: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
    let ask =
        headers.iter().fold(sidecar.data(Method::POST, path), |ask, (name, value)| ask.header(name, value));
    ask.body(body).send().await
}

#[tokio::test]
async fn a_genuine_message_is_delivered_as_it_came() {
    let (sidecar, subscriber) = (Sidecar::start().await, Subscriber::start(&[200]).await);
    sidecar.endpoint(&json!({"url": subscriber.url, "tenant": "acme", "event_types": ["invoice.*"]})).await;
    let mut headers = signed("standard-webhooks", WHSEC, "msg_1", 0, BODY);
    headers.push(("content-type".to_owned(), "application/vnd.acme+json".to_owned()));
    let answer = send(&sidecar, "/in/acme", &headers, BODY).await;
    assert_eq!((answer.status, &answer.json["deliveries"]), (202, &json!(1)), "{answer:?}");
    let got = &subscriber.received(1).await[0];
    assert_eq!(got.body, BODY);
    assert_eq!(got.headers["content-type"], "application/vnd.acme+json");
    assert_eq!(got.headers["webhook-id"], answer.json["id"].as_str().unwrap(), "ours, not the sender's");
}

#[tokio::test]
async fn a_message_that_comes_again_is_accepted_once() {
    let sidecar = Sidecar::start().await;
    let first = send(&sidecar, "/in/acme", &signed("standard-webhooks", WHSEC, "msg_1", 0, BODY), BODY).await;
    assert_eq!(first.json["duplicate"], false, "{first:?}");
    let again =
        send(&sidecar, "/in/acme", &signed("standard-webhooks", WHSEC, "msg_1", -1, BODY), BODY).await;
    assert_eq!(
        (&again.json["id"], &again.json["duplicate"]),
        (&first.json["id"], &json!(true)),
        "signed again"
    );
    let other = send(&sidecar, "/in/acme", &signed("standard-webhooks", WHSEC, "msg_2", 0, BODY), BODY).await;
    assert_eq!(other.json["duplicate"], false);

    let form = signed("x-webhook-signature", "a secret of this test", "", 0, BODY);
    let first = send(&sidecar, "/in/form", &form, BODY).await;
    assert_eq!(first.json["duplicate"], false, "{first:?}");
    let again = send(&sidecar, "/in/form", &form, BODY).await;
    assert_eq!(
        (&again.json["id"], &again.json["duplicate"]),
        (&first.json["id"], &json!(true)),
        "by its MAC"
    );
}

#[tokio::test]
async fn a_forged_stale_or_altered_message_is_refused_alike_and_not_kept() {
    let sidecar = Sidecar::start().await;
    let other = "whsec_OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5";
    let table = [
        ("unsigned", vec![], BODY),
        ("altered", signed("standard-webhooks", WHSEC, "msg_1", 0, BODY), &b"{}"[..]),
        ("another's secret", signed("standard-webhooks", other, "msg_1", 0, BODY), BODY),
        ("stale", signed("standard-webhooks", WHSEC, "msg_1", -301, BODY), BODY),
        ("from the future", signed("standard-webhooks", WHSEC, "msg_1", 310, BODY), BODY),
        ("another scheme", signed("x-webhook-signature", "a secret of this test", "", 0, BODY), BODY),
    ];
    let mut details = Vec::new();
    for (what, headers, body) in table {
        let answer = send(&sidecar, "/in/acme", &headers, body).await;
        details.push(answer.problem(401, "unauthorized").to_owned());
        assert_eq!(details.first(), details.last(), "{what} is told apart");
    }
    let key = sidecar.data(Method::POST, "/in/acme").key().body(BODY).send().await;
    key.problem(401, "unauthorized");
    assert_eq!(sidecar.admin(Method::GET, "/v1/events").send().await.json["data"], json!([]));
}

#[tokio::test]
async fn an_event_is_its_sources() {
    let sidecar = Sidecar::start().await;
    let mut headers = signed("x-webhook-signature", "a secret of this test", "", 0, b"not json");
    headers.push(("x-topic".to_owned(), "stock.low".to_owned()));
    headers.push(("x-hookgate-source".to_owned(), "forged".to_owned()));
    let answer = send(&sidecar, "/in/form", &headers, b"not json").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let path = format!("/v1/events/{}", answer.json["id"].as_str().unwrap());
    let event = sidecar.admin(Method::GET, &path).send().await.json;
    for (field, value) in [
        ("tenant", "acme"),
        ("source", "form"),
        ("type", "stock.low"),
        ("content_type", "application/octet-stream"),
        ("payload", "not json"),
    ] {
        assert_eq!(event[field], value, "{field} of {event}");
    }
    let fallback = signed("x-webhook-signature", "a secret of this test", "", 0, b"other");
    let answer = send(&sidecar, "/in/form", &fallback, b"other").await;
    let path = format!("/v1/events/{}", answer.json["id"].as_str().unwrap());
    assert_eq!(sidecar.admin(Method::GET, &path).send().await.json["type"], "form");
}

#[tokio::test]
async fn a_source_may_send_events_in_the_apis_form() {
    let policy = r#"{"version": 1, "sources": [{"name": "acme", "path": "/v1/events", "tenant": "acme",
        "scheme": "standard-webhooks", "secrets": ["env:ACME"]}]}"#;
    let sidecar = Sidecar::under(policy, &[("HOOKGATE_API_KEY", KEY)], "").await;
    let body = br#"{"type":"a","data":{"n":1},"id":"order-1"}"#;
    let first =
        send(&sidecar, "/v1/events", &signed("standard-webhooks", WHSEC, "msg_1", 0, body), body).await;
    assert_eq!((first.status, &first.json["duplicate"]), (202, &json!(false)), "{first:?}");
    for id in ["msg_1", "msg_2"] {
        let again =
            send(&sidecar, "/v1/events", &signed("standard-webhooks", WHSEC, id, 0, body), body).await;
        assert_eq!((&again.json["id"], &again.json["duplicate"]), (&first.json["id"], &json!(true)), "{id}");
    }
    let path = format!("/v1/events/{}", first.json["id"].as_str().unwrap());
    let event = sidecar.admin(Method::GET, &path).send().await.json;
    assert_eq!((&event["tenant"], &event["source"]), (&json!("acme"), &json!("acme")));

    let foreign = br#"{"type":"a","data":1,"tenant":"other"}"#;
    let answer =
        send(&sidecar, "/v1/events", &signed("standard-webhooks", WHSEC, "msg_3", 0, foreign), foreign).await;
    assert!(answer.problem(422, "invalid_field").starts_with("tenant: "), "{answer:?}");
    let unsigned = sidecar.data(Method::POST, "/v1/events").key().body(&body[..]).send().await;
    unsigned.problem(401, "unauthorized");
}
