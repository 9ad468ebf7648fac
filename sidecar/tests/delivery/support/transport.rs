//! A transport whose endpoints behave as their names say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::delivery::attempt::{Sent, Transport};
use hookgate_sidecar::delivery::retry::Reply;
use hookgate_sidecar::model::Outcome;
use hookgate_sidecar::store::Lease;
use tokio::sync::Semaphore;

/// The first label of an endpoint's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// `ok`: 200 at once.
    Ok,
    /// `hang`: never answers.
    Hang,
    /// `gated`: answers 200 once the test lets it.
    Gated,
    /// `bug`: panics.
    Bug,
}

#[derive(Debug)]
pub(crate) struct FakeTransport {
    /// Tokens of the attempts that began.
    pub(crate) begun: Mutex<Vec<u64>>,
    /// One permit lets one gated attempt end.
    pub(crate) gate: Semaphore,
}

impl FakeTransport {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Mutex::default(), gate: Semaphore::new(0) })
    }

    /// What began, sorted, when it is at least `count`; else what there is.
    pub(crate) fn began(&self, count: usize) -> Result<Vec<u64>, Vec<u64>> {
        let mut begun = self.begun.lock().unwrap().clone();
        begun.sort_unstable();
        if begun.len() >= count { Ok(begun) } else { Err(begun) }
    }
}

#[async_trait]
impl Transport for FakeTransport {
    async fn send(&self, lease: &Lease) -> Sent {
        self.begun.lock().unwrap().push(lease.token);
        match behaviour(lease) {
            Behaviour::Ok => {}
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Gated => self.gate.acquire().await.unwrap().forget(),
            Behaviour::Bug => panic!("a bug in an attempt (this test means it)"),
        }
        Sent {
            started_at: Millis(1),
            duration: Duration::from_millis(3),
            reply: Reply { outcome: Outcome::Answered(200), retry_after: None },
            response: String::new(),
            host: "fake".to_owned(),
            detail: None,
        }
    }
}

fn behaviour(lease: &Lease) -> Behaviour {
    match lease.endpoint.url.trim_start_matches("https://").split('.').next() {
        Some("hang") => Behaviour::Hang,
        Some("gated") => Behaviour::Gated,
        Some("bug") => Behaviour::Bug,
        _ => Behaviour::Ok,
    }
}
