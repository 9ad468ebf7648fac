//! Who may: the key opens everything, nothing else opens anything; without a key this machine's own clients may.

use http::Method;
use serde_json::json;

use crate::harness::{Ask, KEY, Sidecar, wait_until};

const GUARDED: [(Method, &str); 13] = [
    (Method::GET, "/v1/endpoints"),
    (Method::POST, "/v1/endpoints"),
    (Method::GET, "/v1/endpoints/e"),
    (Method::PATCH, "/v1/endpoints/e"),
    (Method::DELETE, "/v1/endpoints/e"),
    (Method::POST, "/v1/endpoints/e/enable"),
    (Method::POST, "/v1/endpoints/e/disable"),
    (Method::POST, "/v1/endpoints/e/rotate-secret"),
    (Method::GET, "/v1/events"),
    (Method::GET, "/v1/deliveries"),
    (Method::GET, "/v1/deliveries/d"),
    (Method::POST, "/v1/deliveries/d/retry"),
    (Method::GET, "/v1/dead-letters"),
];

#[tokio::test]
async fn the_api_opens_to_the_key_alone() {
    let sidecar = Sidecar::start().await;
    let wrong = ["", "Bearer wrong", &format!("Basic {KEY}"), &format!("Bearer {KEY}x"), "Bearer "]
        .map(str::to_owned);
    for (method, path) in GUARDED {
        for authorization in &wrong {
            let ask = Ask::new(sidecar.admin, method.clone(), path).header("authorization", authorization);
            let answer = ask.send().await;
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let answer = sidecar.admin(method, path).send().await;
        assert_ne!(answer.status, 401, "{path}");
    }
    for path in ["/v1/events", "/v1/events/batch"] {
        for authorization in &wrong {
            let ask = sidecar.data(Method::POST, path).header("authorization", authorization);
            ask.json(&json!({"type": "a", "data": 1})).send().await.problem(401, "unauthorized");
        }
    }
}

#[tokio::test]
async fn health_and_metrics_are_open() {
    let sidecar = Sidecar::start().await;
    for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
        let ask = || async {
            Some(Ask::new(sidecar.admin, Method::GET, path).send().await)
                .filter(|answer| answer.status == 200)
        };
        wait_until(path, ask).await;
    }
}

#[tokio::test]
async fn without_a_key_only_this_machines_own_clients_may() {
    let sidecar = Sidecar::with(&[], "").await;
    let ask = |path: &str| Ask::new(sidecar.admin, Method::GET, path);
    assert_eq!(ask("/v1/endpoints").send().await.status, 200);
    let cross_site = ask("/v1/endpoints").header("sec-fetch-site", "cross-site").send().await;
    cross_site.problem(403, "cross_site");
    let head = "GET http://rebound.example/v1/endpoints HTTP/1.1\r\nhost: rebound.example\r\nconnection: close\r\n\r\n";
    crate::harness::exchange(sidecar.admin, head.as_bytes()).await.problem(403, "cross_site");

    let event = json!({"type": "a", "data": 1});
    assert_eq!(sidecar.data(Method::POST, "/v1/events").json(&event).send().await.status, 202);
    let cross_site = sidecar.data(Method::POST, "/v1/events").header("sec-fetch-site", "cross-site");
    cross_site.json(&event).send().await.problem(403, "cross_site");
}

/// The gateway beside us connects from loopback too: what it forwards comes from anybody.
#[tokio::test]
async fn without_a_key_what_a_gateway_forwards_is_refused() {
    let sidecar = Sidecar::with(&[], "").await;
    let event = json!({"type": "a", "data": 1});
    let lines = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-for", ""),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 gateway"),
        ("x-envoy-external-address", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
    ];
    for (name, value) in lines {
        let published = sidecar.data(Method::POST, "/v1/events").header(name, value);
        published.json(&event).send().await.problem(401, "unauthorized");
        let asked = Ask::new(sidecar.admin, Method::GET, "/v1/endpoints").header(name, value);
        asked.send().await.problem(401, "unauthorized");
    }
    let head =
        "POST /v1/events HTTP/1.1\r\nhost: hooks.example\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    crate::harness::exchange(sidecar.data, head.as_bytes()).await.problem(403, "cross_site");
}
