//! What deliveries leave in the log. A process of its own: who else logs here would be read too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    dead_code,
    unused_imports,
    reason = "a harness fails loudly; this suite uses a part of it"
)]

#[path = "delivery/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hookgate_sidecar::delivery::Drained;
use hookgate_sidecar::delivery::attempt::HttpTransport;
use hookgate_sidecar::delivery::egress::{Egress, EgressSettings};
use hookgate_sidecar::store::Lease;
use serde_json::Value;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{
    Answer, FakeStore, Receiver, Running, TokioClock, http, lease_to, settings, wait_until,
};

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything logged from now on, at every level, with a line when a span ends.
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let format = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
        format.with_span_events(FmtSpan::CLOSE).with_writer(move || writer.clone()).init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self, with: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).filter(with).collect()
    }
}

fn secretive(token: u64, receiver: &Receiver) -> Lease {
    let mut lease = Lease { token, ..lease_to(&receiver.url()) };
    let header = ("authorization".to_owned(), "Bearer t0ken".to_owned());
    Arc::make_mut(&mut lease.endpoint).headers = BTreeMap::from([header]);
    lease
}

#[tokio::test]
async fn every_attempt_leaves_one_line_and_one_span_and_no_secret() {
    let log = Log::start();
    let good = Receiver::start(http("200 OK", "", "an answer")).await;
    let bad = Receiver::start(Answer::Reset).await;
    let store = FakeStore::with([secretive(1, &good), secretive(2, &bad)]);
    let reach = EgressSettings { allow: "127.0.0.0/8".parse().unwrap(), ..EgressSettings::default() };
    let egress = Arc::new(Egress::new(reach, []).unwrap());
    let transport = Arc::new(HttpTransport::new(egress, TokioClock::start()).unwrap());
    let pool = Running::start(&store, &transport, settings(2));
    wait_until("two results", || pool.settled(2)).await;
    assert_eq!(pool.stop().await, Drained::Clean);

    let attempts = log.lines(|line| line["fields"]["message"] == "attempt");
    let told: Vec<_> = attempts.iter().map(|line| &line["fields"]).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let (delivered, failed) = match &told[0]["next"] {
        next if next == "delivered" => (told[0], told[1]),
        _ => (told[1], told[0]),
    };
    assert_eq!((&delivered["status"], &delivered["next"]), (&200.into(), &"delivered".into()));
    assert_eq!((&failed["error"], &failed["next"]), (&"protocol".into(), &"retry".into()));
    for line in told {
        for field in
            ["delivery_id", "endpoint_id", "event_type", "request_id", "attempt", "host", "duration_ms"]
        {
            assert!(!line[field].is_null(), "no {field} in {line}");
        }
    }

    let ended =
        |name: &str| log.lines(|line| line["fields"]["message"] == "close" && line["span"]["name"] == name);
    let spans = ended("webhook.deliver");
    assert_eq!(spans.len(), 2);
    for span in spans.iter().map(|line| &line["span"]) {
        for field in [
            "delivery_id",
            "event_id",
            "event_type",
            "endpoint_id",
            "attempt",
            "server.address",
            "duration_ms",
        ] {
            assert!(!span[field].is_null(), "no {field} in {span}");
        }
        assert_ne!(span["status"] == 200, span["error.type"] == "protocol", "{span}");
    }
    assert_eq!(ended("webhook.worker").len(), 1);

    let ours = log.lines(|line| line["target"].as_str().is_some_and(|target| target.starts_with("hookgate")));
    let ours = ours.iter().map(ToString::to_string).collect::<String>();
    for secret in ["s3cret", "whsec_", "t0ken", "order\\\":17", "an answer", "v1,"] {
        assert!(!ours.contains(secret), "{secret} in the log");
    }
}
