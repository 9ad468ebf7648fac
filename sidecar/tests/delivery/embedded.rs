//! The pool over the real default store and real sockets.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::clock::Stopwatch;
use hookgate_sidecar::delivery::{Drained, Pool};
use hookgate_sidecar::model::{Event, EventId, Status, Tenant};
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::{DeliveryFilter, Offer, Page, Put, Store, StoreSettings};
use hookgate_sidecar::telemetry::metrics::Metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::egress::{Names, allowing};
use crate::support::{Receiver, TokioClock, event, http, lease_to, settings, wait_until};

const EVENTS: u128 = 20;

/// A store with one endpoint, served one attempt at a time, and twenty events for it.
async fn store_with_events_for(receiver: &Receiver) -> Arc<Embedded> {
    let store = Embedded::open(Location::Memory, StoreSettings::default()).unwrap();
    let mut endpoint = (*lease_to(&receiver.url()).endpoint).clone();
    endpoint.max_in_flight = NonZeroU16::MIN;
    assert!(store.put_endpoint(&endpoint, Put::Create).await.unwrap());
    let fresh = |n| EventId::fresh(TokioClock::START, n << 96, &Tenant::default());
    let offer = |n| Offer { event: Arc::new(Event { id: fresh(n), ..event() }), keys: Vec::new() };
    let offers: Vec<_> = (1..=EVENTS).map(offer).collect();
    store.accept(&offers, TokioClock::START).await.unwrap();
    Arc::new(store)
}

#[tokio::test]
async fn everything_accepted_is_delivered_and_said_to_be() {
    let receiver = Receiver::start(http("200 OK", "", "ok")).await;
    let store = store_with_events_for(&receiver).await;
    let (stop, mut running, metrics) = (CancellationToken::new(), JoinSet::new(), Metrics::new());
    let (clock, transport) = (TokioClock::start(), Arc::new(allowing("127.0.0.0/8", Names::of([]))));
    let watch = Stopwatch::start();
    let pool = Pool::new(Arc::clone(&store) as _, clock, transport, metrics.clone(), settings(4), 1);
    running.spawn(pool.run(stop.clone()));
    let arrived = || {
        let count = receiver.requests().len();
        if count == 20 { Ok(()) } else { Err(count) }
    };
    wait_until("twenty requests", arrived).await;
    assert!(
        watch.elapsed() < Duration::from_secs(3),
        "a place set free is used at once: {:?}",
        watch.elapsed()
    );
    stop.cancel();
    assert_eq!(running.join_next().await.unwrap().unwrap(), Drained::Clean);

    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), (0, 20, 0));
    let page = Page { cursor: None, limit: 250 };
    let listed = store.deliveries(&DeliveryFilter::default(), &page).await.unwrap().data;
    assert!(listed.iter().all(|one| one.status == Status::Delivered && one.attempts == 1), "{listed:?}");
    let text = metrics.scrape(Some(&census));
    for line in ["webhook_queue_size 0", r#"webhook_circuit_breaker_state{endpoint_id="ep_1"} 0"#] {
        assert!(text.lines().any(|seen| seen == line), "{line}\n{text}");
    }
}
