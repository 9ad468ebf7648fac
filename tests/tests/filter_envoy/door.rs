//! One Envoy with the filter, its upstream, and genuine messages for its sources.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hookgate_e2e::envoy::Setup;
use hookgate_e2e::{Envoy, Request, Response, Upstream, wait_until};
use hookgate_policy::Scheme;

/// How long something that must happen may take.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// The sources of the shipped policy: name, scheme, variable, secret.
const SOURCES: [(&str, &str, &str, &str); 4] = [
    ("demo", "standard-webhooks", "HOOKGATE_SECRET_DEMO", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("stripe", "stripe", "HOOKGATE_SECRET_STRIPE", "whsec_stripe_for_tests_only_0123456789"),
    ("github", "github", "HOOKGATE_SECRET_GITHUB", "github-for-tests-only-0123456789"),
    ("seed", "x-webhook-signature", "HOOKGATE_SECRET_SEED", "seed-for-tests-only-0123456789"),
];

/// The modes of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Stream,
    Hold,
}

impl Mode {
    pub(crate) const BOTH: [Self; 2] = [Self::Stream, Self::Hold];

    /// The bootstrap that ships for it.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Stream => "envoy/envoy.yaml",
            Self::Hold => "envoy/envoy-hold.yaml",
        }
    }
}

/// The parts.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) envoy: Envoy,
    pub(crate) upstream: Upstream,
}

impl Door {
    /// Starts the shipped bootstrap of that mode.
    pub(crate) async fn start(mode: Mode) -> Self {
        Self::start_with(mode, |setup| setup).await
    }

    /// The same, changed.
    pub(crate) async fn start_with(mode: Mode, change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start().await;
        let setup = with_secrets(Setup::shipped(mode.file(), upstream.address()));
        Self { envoy: change(setup).start().await, upstream }
    }

    /// Bytes that the listener has read from its clients.
    pub(crate) async fn received(&self) -> u64 {
        self.envoy.stat("http.webhooks.downstream_cx_rx_bytes_total").await
    }

    /// Waits until the listener has read up to `bytes`, so that what is sent next comes apart.
    pub(crate) async fn wait_received(&self, bytes: u64) {
        wait_until("bytes at the listener", BOUND, || async move {
            let received = self.received().await;
            if received >= bytes { Ok(()) } else { Err(format!("{received} of {bytes}")) }
        })
        .await;
    }

    /// Requests that went on to the upstream so far, complete or not.
    pub(crate) async fn sent_on(&self) -> u64 {
        self.envoy.stat("cluster.sidecar.upstream_rq_total").await
    }

    /// The filter's own counter of that name and labels; 0 when it is not there.
    pub(crate) async fn counter(&self, line: &str) -> u64 {
        let text = self.envoy.prometheus().await;
        let value = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0, |value| value.trim().parse().expect("a counter's value"))
    }

    /// Ends the test: no VM died in it, and none had to be loaded again.
    pub(crate) async fn assert_never_trapped(mut self) {
        let reloads = self.envoy.stats("vm_reload").await;
        assert!(!reloads.is_empty(), "Envoy counts reloads under another name");
        assert!(reloads.values().all(|count| *count == 0), "{reloads:?}");
        let log = self.envoy.process().log();
        assert!(!log.contains("Uncaught RuntimeError") && !log.contains("Proxy-Wasm plugin in-VM"), "{log}");
    }
}

/// Gives Envoy the secrets of the shipped policy.
pub(crate) fn with_secrets(setup: Setup) -> Setup {
    SOURCES.iter().fold(setup, |setup, (_, _, variable, secret)| setup.env(variable, secret))
}

/// The headers that make `body` a genuine message of a source, now.
pub(crate) fn signature(source: &str, body: &[u8]) -> Vec<(String, String)> {
    let (_, scheme, _, secret) = SOURCES.iter().find(|(name, ..)| *name == source).expect("a shipped source");
    let scheme = Scheme::preset(scheme).expect("a preset");
    let key = scheme.key(secret).expect("a secret");
    scheme.sign(&[key], "msg_1", now_s(), body)
}

/// A genuine message for a source.
pub(crate) fn genuine(source: &str, body: &[u8]) -> Request {
    Request::post(&format!("/in/{source}")).headers(signature(source, body)).body(body)
}

/// The real clock, unix seconds.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// A refusal of ours: its status, problem+json, a request id, dressed as every response is.
#[track_caller]
pub(crate) fn assert_refusal(answer: &Response, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(answer.json().get("status"), Some(&status.into()), "{what}");
    assert_dressed(answer, what);
}

/// The headers that every response of the door carries.
#[track_caller]
pub(crate) fn assert_dressed(answer: &Response, what: &str) {
    for name in ["x-request-id", "x-content-type-options", "content-security-policy", "cache-control"] {
        assert!(answer.header(name).is_some(), "{what}: one {name} in {:?}", answer.headers);
    }
}
