//! Operational events, as the assembly is set to send them.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{KEY, Sidecar, Subscriber, wait_until};

#[tokio::test]
async fn the_operations_tenant_hears_that_an_endpoint_was_disabled_and_why() {
    let variables = [("HOOKGATE_API_KEY", KEY), ("HOOKGATE_OPERATIONS_TENANT", "ops")];
    let sidecar = Sidecar::with(&variables, "").await;
    let (gone, operators) = (Subscriber::start(&[410]).await, Subscriber::start(&[200]).await);
    let types = ["hookgate.endpoint.*"];
    sidecar.endpoint(&json!({"url": operators.url, "tenant": "ops", "event_types": types})).await;
    let endpoint = sidecar.endpoint(&json!({"url": gone.url})).await;
    let event = json!({"type": "order.created", "data": 1});
    sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;

    let told: Value = serde_json::from_slice(&operators.received(1).await[0].body).unwrap();
    assert_eq!(told["type"], "hookgate.endpoint.disabled");
    assert_eq!((&told["data"]["endpoint_id"], &told["data"]["reason"]), (&json!(endpoint), &json!("gone")));
    let path = format!("/v1/endpoints/{endpoint}");
    let shown = wait_until("disabled endpoint", || async {
        let shown = sidecar.admin(Method::GET, &path).send().await.json;
        Some(shown).filter(|shown| shown["enabled"] == false)
    })
    .await;
    assert_eq!(shown["disabled_reason"], "gone", "{shown}");
}
