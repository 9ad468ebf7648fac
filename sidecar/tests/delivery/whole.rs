//! The pool over real sockets, from lease to settlement.

use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::delivery::Drained;
use hookgate_sidecar::model::{DeadReason, Next, Outcome, Retry};
use hookgate_sidecar::store::{Lease, Report};
use hookgate_sidecar::telemetry::metrics::Metrics;

use crate::egress::{Names, allowing};
use crate::support::{
    Answer, FakeStore, Receiver, Running, TokioClock, http, lease_to, settings, wait_until,
};

fn numbered(token: u64, receiver: &Receiver) -> Lease {
    Lease { token, ..lease_to(&receiver.url()) }
}

#[tokio::test]
async fn what_came_of_each_attempt_reaches_the_store_and_the_metrics() {
    let good = Receiver::start(http("200 OK", "", "thanks")).await;
    let busy = Receiver::start(http("503 Busy", "retry-after: 3600\r\n", "")).await;
    let gone = Receiver::start(http("410 Gone", "", "")).await;
    let hanging = Receiver::start(Answer::Hang(Vec::new())).await;
    let last = Lease { attempt: 30, step: Retry::default().attempts(), ..numbered(4, &busy) };
    let store = FakeStore::with([
        numbered(5, &hanging),
        numbered(1, &good),
        numbered(2, &busy),
        numbered(3, &gone),
        last,
    ]);
    let transport = Arc::new(allowing("127.0.0.0/8", Names::of([])));
    let metrics = Metrics::new();
    let brief = hookgate_sidecar::delivery::PoolSettings { drain: Duration::from_millis(50), ..settings(2) };
    let pool = Running::start_with(&store, &transport, brief, metrics.clone());
    wait_until("four results", || pool.settled(4)).await;
    assert_eq!(pool.stop().await, Drained::CutOff(1), "the hanging one");

    assert_eq!(store.next_of(1), Some(Next::Delivered));
    let hour = TokioClock::START.plus(Duration::from_secs(3_600));
    assert!(matches!(store.next_of(2), Some(Next::RetryAt(at)) if at >= hour), "{:?}", store.next_of(2));
    assert_eq!(store.next_of(3), Some(Next::Dead(DeadReason::Gone)));
    assert_eq!(store.next_of(4), Some(Next::Dead(DeadReason::Exhausted)));
    assert_eq!(store.returned(), [5]);
    let settled = store.settled.lock().unwrap();
    let record = settled.iter().find(|one| one.token == 1).map(|one| one.report.clone());
    let Some(Report::Attempted { attempt, .. }) = record else { panic!("{record:?}") };
    assert_eq!((attempt.number, attempt.outcome, &*attempt.response), (1, Outcome::Answered(200), "thanks"));
    let text = metrics.scrape(None);
    for (status, count) in [("delivered", 1), ("failed", 1), ("dead", 2)] {
        let line =
            format!(r#"webhook_deliveries_total{{status="{status}",event_type="order.created"}} {count}"#);
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
