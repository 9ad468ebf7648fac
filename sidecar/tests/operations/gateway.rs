//! A pool over a real store and real sockets, with those who are told what it sees. It stops with this value.

use std::sync::Arc;
use std::time::Duration;

use hookgate_e2e::{Receiver, wait_until};
use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::delivery::attempt::HttpTransport;
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings};
use hookgate_sidecar::delivery::{Pool, PoolSettings};
use hookgate_sidecar::model::Endpoint;
use hookgate_sidecar::operations::Watch;
use hookgate_sidecar::operations::notices::{Herald, Notices};
use hookgate_sidecar::operations::standing::Keeper;
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::{BreakerSettings, Retention, Store, StoreSettings};
use hookgate_sidecar::telemetry::metrics::Metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::*;
use crate::hand::Hand;

/// No wait is longer.
pub const BOUND: Duration = Duration::from_secs(20);
/// How long an endpoint may fail.
pub const PATIENCE: Duration = Duration::from_secs(5 * 86_400);
/// How long an open breaker rests, always.
pub const OPEN_MS: u64 = 60_000;

pub struct Gateway {
    pub store: Arc<Embedded>,
    pub clock: Arc<Hand>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// The tenant that is told what becomes of the others' endpoints.
pub const OPERATIONS: &str = "ops";
/// How far back a herald looks at start.
pub const RECALL: Duration = Duration::from_secs(3_600);

/// One failure opens a breaker.
pub fn settings() -> StoreSettings {
    let breaker =
        BreakerSettings { failures: 1, open_ms: OPEN_MS, max_open_ms: OPEN_MS, ..BreakerSettings::default() };
    StoreSettings {
        breaker,
        retention: Retention::of(Duration::from_secs(90 * 86_400)),
        ..StoreSettings::default()
    }
}

impl Gateway {
    pub fn start() -> Self {
        let store = Arc::new(Embedded::open(Location::Memory, settings()).unwrap());
        let (clock, stop, mut tasks) = (Hand::at(at(0)), CancellationToken::new(), JoinSet::new());
        let (notices, herald) = herald(&store, &clock);
        let told = Some(notices.clone());
        let (turns, keeper) = Keeper::new(Arc::clone(&store) as _, Arc::default(), Some(PATIENCE), told, 1);
        let watch = Arc::new(Watch { turns, notices: Some(notices) });
        let egress = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
        let egress = Arc::new(Egress::new(egress, []).unwrap());
        let transport = Arc::new(HttpTransport::new(egress, Arc::clone(&clock) as _).unwrap());
        let (kept, time) = (Arc::clone(&store) as _, Arc::clone(&clock) as _);
        let pool = Pool::new(kept, time, transport, Metrics::new(), PoolSettings::default(), 1);
        let pool = pool.seen_by(watch).run(stop.clone());
        tasks.spawn(async move {
            pool.await;
        });
        tasks.spawn(keeper.run());
        tasks.spawn(herald.run());
        Self { store, clock, stop, tasks }
    }

    /// An endpoint at this receiver.
    pub async fn endpoint(&self, name: &str, receiver: &Receiver) -> Endpoint {
        let endpoint = Endpoint { url: receiver.url("/hook"), timeout_ms: 5_000, ..endpoint(name) };
        put(&*self.store, &endpoint).await;
        endpoint
    }

    /// Turns the clock once all that was tried is settled, which else would be tried again: its leases would have ended.
    /// Has the pool look again.
    pub async fn turn(&self, moment: Millis) {
        wait_until("results settled", BOUND, || async {
            let census = self.store.census().await.unwrap();
            let in_flight: u32 = census.endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
            if in_flight == 0 { Ok(()) } else { Err(format!("{in_flight} in flight")) }
        })
        .await;
        self.clock.set(moment);
        self.store.wake().notify_one();
    }

    /// The endpoint, once it stands as it should.
    pub async fn stands(&self, name: &str, what: &str, wanted: impl Fn(&Endpoint) -> bool) -> Endpoint {
        stands(&*self.store, name, what, wanted).await
    }

    /// Stops all of it, in time.
    pub async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(BOUND, self.tasks.join_all()).await;
        assert!(ended.is_ok(), "who is told ends with the pool");
    }
}

/// A herald that tells [`OPERATIONS`].
pub fn herald(store: &Arc<Embedded>, clock: &Arc<Hand>) -> (Notices, Herald) {
    let (store, clock) = (Arc::clone(store) as _, Arc::clone(clock) as _);
    Herald::new(store, clock, entropy, tenant(OPERATIONS), RECALL, 1)
}

/// The endpoint, once it stands as it should.
pub async fn stands(
    store: &dyn Store,
    name: &str,
    what: &str,
    wanted: impl Fn(&Endpoint) -> bool,
) -> Endpoint {
    let id = endpoint_id(name);
    wait_until(what, BOUND, || async {
        match store.endpoint(&id).await {
            Ok(Some(endpoint)) if wanted(&endpoint) => Ok(endpoint),
            Ok(other) => Err(format!("{:?}", other.map(|endpoint| endpoint.standing))),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}
