//! Good values; a test changes the one thing it is about.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookgate_sidecar::clock::{Clock, Millis, Stopwatch};
use hookgate_sidecar::delivery::PoolSettings;
use hookgate_sidecar::model::{
    BreakerRules, DeliveryId, Endpoint, Event, EventId, Ordering, Retry, Secret, Standing, Tenant,
    default_signing,
};
use hookgate_sidecar::store::Lease;

/// A wall clock that goes with tokio's, paused or not.
#[derive(Debug)]
pub(crate) struct TokioClock(Stopwatch);

impl TokioClock {
    pub(crate) const START: Millis = Millis(1_760_000_000_000);

    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self(Stopwatch::start()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Millis {
        Self::START.plus(self.0.elapsed())
    }
}

/// Each worker makes one attempt at a time.
pub(crate) fn settings(workers: u16) -> PoolSettings {
    PoolSettings {
        workers: NonZeroU16::new(workers).unwrap(),
        worker_attempts: NonZeroU16::MIN,
        slow_attempts: 0,
        drain: Duration::from_secs(20),
        ..PoolSettings::default()
    }
}

pub(crate) fn event() -> Event {
    Event {
        id: EventId::fresh(TokioClock::START, 7, &Tenant::default()),
        tenant: Tenant::default(),
        event_type: "order.created".parse().unwrap(),
        payload: Bytes::from_static(br#"{"order":17}"#),
        forgotten_bytes: None,
        content_type: "application/json".to_owned(),
        source: None,
        request_id: "req-1".to_owned(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        accepted_at: TokioClock::START,
        deliver_at: None,
        ordering_key: None,
        expires_at: None,
    }
}

pub(crate) fn lease_to(url: &str) -> Lease {
    let endpoint = Endpoint {
        id: "ep_1".parse().unwrap(),
        tenant: Tenant::default(),
        url: url.to_owned(),
        event_types: vec!["*".parse().unwrap()],
        filter: None,
        signing: default_signing(),
        secrets: vec![Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()).into()],
        headers: BTreeMap::new(),
        auth: None,
        client_certificate: None,
        max_in_flight: NonZeroU16::MAX,
        rate_limit: None,
        ordering: Ordering::None,
        timeout_ms: 5_000,
        retry: Retry::default(),
        breaker: BreakerRules::default(),
        enabled: true,
        standing: Standing::default(),
        declared: false,
        description: String::new(),
        created_at: TokioClock::START,
        updated_at: TokioClock::START,
    };
    Lease {
        delivery: DeliveryId::fresh(TokioClock::START, 1, &Tenant::default()),
        token: 1,
        event: Arc::new(event()),
        endpoint: Arc::new(endpoint),
        attempt: 1,
        step: 1,
        ends_at: TokioClock::START.plus(Duration::from_secs(20)),
    }
}

/// The `number`th lease, to the endpoint of a behaviour of the fake transport.
pub(crate) fn lease(number: u64, endpoint: &str) -> Lease {
    Lease { token: number, ..lease_to(&format!("https://{endpoint}.example/hook")) }
}
