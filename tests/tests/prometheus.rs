//! A real Prometheus reads the four metrics that dashboards rely on, with their labels and buckets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::collections::BTreeSet;
use std::time::Duration;

use hookgate_e2e::prometheus::{Prometheus, check_metrics};
use hookgate_e2e::sidecar::{Setup, event};
use hookgate_e2e::{Answer, Client, Receiver, Sidecar, Store, wait_until};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn prometheus_reads_the_four_metrics() {
    let (fine, broken) = (Receiver::start().await, Receiver::start().await);
    broken.answer(Answer::status(500));
    let sidecar = Setup::on(Store::Memory)
        .env("HOOKGATE_BREAKER_FAILURES", "2")
        .env("HOOKGATE_BREAKER_OPEN_MS", "600000")
        .start()
        .await;
    let prometheus = Prometheus::scraping(sidecar.admin()).await;
    let closed = subscribe(&sidecar, &fine, "fine.*").await;
    let open = subscribe(&sidecar, &broken, "broken.*").await;
    for kind in ["fine.one", "fine.one", "fine.two", "broken.one"] {
        let request = event(&json!({ "type": kind, "data": {} }));
        assert_eq!(Client::call(sidecar.data(), &request).await.status, 202);
    }

    let delivered = r#"webhook_deliveries_total{status="delivered",event_type="fine.one"}"#;
    shows(&prometheus, delivered, "2").await;
    shows(&prometheus, r#"webhook_deliveries_total{status="delivered",event_type="fine.two"}"#, "1").await;
    shows(&prometheus, r#"webhook_delivery_duration_seconds_count{event_type="fine.one"}"#, "2").await;
    shows(&prometheus, "webhook_queue_size", "1").await;
    shows(&prometheus, &format!(r#"webhook_circuit_breaker_state{{endpoint_id="{closed}"}}"#), "0").await;
    shows(&prometheus, &format!(r#"webhook_circuit_breaker_state{{endpoint_id="{open}"}}"#), "1").await;
    let buckets =
        prometheus.query(r#"webhook_delivery_duration_seconds_bucket{event_type="fine.one"}"#).await;
    let bounds: BTreeSet<&str> = buckets.iter().filter_map(|row| row["metric"]["le"].as_str()).collect();
    let canonical = |bound: &&str| bound.parse::<f64>().unwrap().to_string();
    let bounds: BTreeSet<String> = bounds.iter().map(canonical).collect();
    assert_eq!(bounds, ["0.1", "0.5", "1", "2", "5", "10", "inf"].map(str::to_owned).into());
}

#[tokio::test]
async fn promtool_has_nothing_to_say_about_the_metrics() {
    let receiver = Receiver::start().await;
    let sidecar = Setup::on(Store::Memory).start().await;
    subscribe(&sidecar, &receiver, "*").await;
    let request = event(&json!({ "type": "any.thing", "data": {} }));
    assert_eq!(Client::call(sidecar.data(), &request).await.status, 202);
    receiver.wait_for(1, BOUND).await;
    let verdict = check_metrics(&sidecar.metrics().await);
    let words = [verdict.stdout.as_slice(), &verdict.stderr].concat();
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&words));
}

/// Creates an endpoint and answers its id.
async fn subscribe(sidecar: &Sidecar, receiver: &Receiver, types: &str) -> String {
    let retry = json!({ "max_attempts": 100, "base_ms": 1, "max_ms": 10 });
    let endpoint = json!({ "url": receiver.url("/"), "event_types": [types], "retry": retry });
    sidecar.create_endpoint(&endpoint).await["id"].as_str().expect("an id").to_owned()
}

/// Waits until a query has exactly one result, of this value.
async fn shows(prometheus: &Prometheus, query: &str, value: &str) {
    wait_until(&format!("{query} = {value}"), BOUND, || async {
        let result = prometheus.query(query).await;
        match result.as_slice() {
            [only] if only.pointer("/value/1").and_then(Value::as_str) == Some(value) => Ok(()),
            _ => Err(result),
        }
    })
    .await;
}
