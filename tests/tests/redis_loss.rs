//! A Redis that lost its data is told of, and nothing that is answered afterwards is lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::time::Duration;

use hookgate_e2e::sidecar::{Setup, event};
use hookgate_e2e::{Client, Cluster, Receiver, Sidecar, Store, wait_until};
use serde_json::json;

const BOUND: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_cluster_is_told_of_and_what_comes_afterwards_is_delivered() {
    let (cluster, receiver) = (Cluster::start().await, Receiver::start().await);
    let sidecar = Setup::on(Store::Redis(cluster.url())).start().await;
    sidecar.create_endpoint(&json!({ "url": receiver.url("/hook") })).await;
    deliver(&sidecar, &receiver, "before").await;
    let health = sidecar.read("/healthz").await;
    assert_eq!((&health["status"], &health["store"]["losses"]), (&json!("ok"), &json!(0)));

    cluster.flush_all().await;
    deliver(&sidecar, &receiver, "after").await;
    wait_until("word of the loss", BOUND, || async {
        let health = sidecar.read("/healthz").await;
        if health["status"] == "degraded" && health["store"]["status"] == "ok" { Ok(()) } else { Err(health) }
    })
    .await;
    assert_eq!(sidecar.read("/readyz").await["status"], "ok", "it accepts");
}

/// Sends some events and waits until as many have arrived.
async fn deliver(sidecar: &Sidecar, receiver: &Receiver, name: &str) {
    const EVENTS: usize = 20;
    let arrived = receiver.count();
    for number in 0..EVENTS {
        let body = json!({ "type": "order.created", "data": {}, "id": format!("{name}-{number}") });
        let answer = Client::call(sidecar.data(), &event(&body)).await;
        assert_eq!(answer.status, 202, "{name}-{number}");
    }
    receiver.wait_for(arrived + EVENTS, BOUND).await;
}
