//! One endpoint's trouble is not another's: what hangs holds its own cap of attempts and nothing else.
//!
//! Without a clock: while an endpoint hangs, everything for the others arrives. How much later it arrives is measured
//! by the benchmark `isolation`.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails loudly")]

use std::time::Duration;

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::sidecar::{Setup, event};
use hookgate_e2e::{Answer, Client, Receiver, Redis, Sidecar, Store, wait_until};
use serde_json::json;

/// Healthy endpoints beside the one that hangs.
const HEALTHY: usize = 99;
/// Attempts at once at the one that hangs: the default.
const CAP: usize = 64;
/// Far longer than a delivery takes, far shorter than an attempt at the endpoint that hangs.
const BOUND: Duration = Duration::from_secs(10);
/// No attempt here ends by it.
const TIMEOUT_MS: u64 = 120_000;

#[tokio::test]
async fn a_hanging_endpoint_costs_its_tenants_others_nothing_on_the_embedded_store() {
    hangs_alone(Store::Memory, |_| "acme".to_owned()).await;
}

#[tokio::test]
async fn a_hanging_endpoint_costs_its_tenants_others_nothing_on_redis() {
    let redis = Redis::start(Persistence::None).await;
    hangs_alone(Store::Redis(redis.url()), |_| "acme".to_owned()).await;
}

#[tokio::test]
async fn a_hanging_endpoint_costs_other_tenants_nothing_on_the_embedded_store() {
    hangs_alone(Store::Memory, |endpoint| format!("tenant-{endpoint}")).await;
}

#[tokio::test]
async fn a_hanging_endpoint_costs_other_tenants_nothing_on_redis() {
    let redis = Redis::start(Persistence::None).await;
    hangs_alone(Store::Redis(redis.url()), |endpoint| format!("tenant-{endpoint}")).await;
}

/// Endpoint 0 hangs and is sent as much as all others together. `tenant`: whose an endpoint is.
async fn hangs_alone(store: Store, tenant: impl Fn(usize) -> String) {
    let receiver = Receiver::start().await;
    receiver.answer_by(|_, request| if request.target == "/0" { Answer::Hang } else { Answer::status(200) });
    let sidecar = Setup::on(store).start().await;
    for endpoint in 0..=HEALTHY {
        let url = receiver.url(&format!("/{endpoint}"));
        let types = [format!("to.{endpoint}")];
        let endpoint =
            json!({ "url": url, "tenant": tenant(endpoint), "event_types": types, "timeout_ms": TIMEOUT_MS });
        sidecar.create_endpoint(&endpoint).await;
    }
    for endpoint in 1..=HEALTHY {
        send(&sidecar, &tenant(0), 0).await;
        send(&sidecar, &tenant(endpoint), endpoint).await;
        arrives(&receiver, endpoint).await;
    }
    let hanging = arrived(&receiver, 0);
    assert!((1..=CAP).contains(&hanging), "it holds no more than its cap: {hanging}");
}

async fn send(sidecar: &Sidecar, tenant: &str, endpoint: usize) {
    let body = json!({ "type": format!("to.{endpoint}"), "tenant": tenant, "data": {} });
    let answer = Client::call(sidecar.data(), &event(&body)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["deliveries"], 1, "{answer:?}");
}

/// Before anything else is sent: the queue of a healthy endpoint never holds more than this one.
async fn arrives(receiver: &Receiver, endpoint: usize) {
    wait_until("arrival beside an endpoint that hangs", BOUND, || {
        let (here, hanging) = (arrived(receiver, endpoint), arrived(receiver, 0));
        std::future::ready(if here == 1 { Ok(()) } else { Err(format!("{here}, {hanging} attempts hang")) })
    })
    .await;
}

fn arrived(receiver: &Receiver, endpoint: usize) -> usize {
    let path = format!("/{endpoint}");
    receiver.look(|received| received.iter().filter(|one| one.target == path).count())
}
