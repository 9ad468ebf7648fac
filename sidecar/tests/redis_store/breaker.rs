//! The breaker inside the scripts decides as the pure one does.

use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{DeadReason, Next};
use hookgate_sidecar::store::breaker::{Admit, Breaker};
use hookgate_sidecar::store::{BreakerSettings, Lease, Store, StoreSettings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fixture::*;
use crate::redis_server::RedisServer;
use crate::store_with;

const SETTINGS: BreakerSettings = BreakerSettings { failures: 3, open_ms: 2_000 };
/// Takes and results of one run.
const STEPS: u32 = 400;

#[tokio::test]
async fn whatever_comes_the_scripts_breaker_is_the_pure_one() {
    let server = RedisServer::start().await;
    let store = store_with(&server, StoreSettings { breaker: SETTINGS, ..StoreSettings::default() }).unwrap();
    for seed in 0..4 {
        let name = format!("seed-{seed}");
        put(&store, &endpoint(&name)).await;
        compare(&store, &name, StdRng::seed_from_u64(seed)).await;
        store.delete_endpoint(&endpoint_id(&name), at(0)).await.unwrap();
    }
}

/// Random takes and results; after each the two must agree.
async fn compare(store: &dyn Store, name: &str, mut rng: StdRng) {
    accept(store, 1_000, at(0)).await;
    let (mut breaker, mut ms) = (Breaker::default(), 0);
    let mut out: Vec<(Lease, bool)> = Vec::new();
    for step in 0..STEPS {
        ms += rng.random_range(0..400);
        let now = at(ms);
        out.retain(|(lease, _)| lease.ends_at > now);
        if out.is_empty() || rng.random_bool(0.5) {
            let (after, admit) = breaker.admit(now, lease_end(ms));
            let leases = leases(store, now, 1).await;
            assert_eq!(
                leases.len(),
                usize::from(!matches!(admit, Admit::NotBefore(_))),
                "{name}, step {step}"
            );
            breaker = after;
            out.extend(leases.into_iter().map(|lease| (lease, admit == Admit::Probe)));
        } else {
            let (lease, probe) = out.swap_remove(rng.random_range(0..out.len()));
            breaker = result(store, breaker, &lease, probe, now, rng.random_range(0..3)).await;
        }
        let health = store.census().await.unwrap().endpoints;
        let health = health.iter().find(|health| health.endpoint == endpoint_id(name)).unwrap();
        assert_eq!(health.breaker, breaker.state(), "{name}, step {step}");
    }
}

async fn result(
    store: &dyn Store,
    breaker: Breaker,
    lease: &Lease,
    probe: bool,
    now: Millis,
    kind: u8,
) -> Breaker {
    let (settlement, after) = match kind {
        0 => (succeeded(lease, now), breaker.record(probe, true, now, SETTINGS)),
        1 => (failed(lease, now, Next::Dead(DeadReason::Gone)), breaker.record(probe, false, now, SETTINGS)),
        _ => (returned(lease), breaker.forgo(probe, now)),
    };
    settle(store, settlement, now).await;
    after
}
