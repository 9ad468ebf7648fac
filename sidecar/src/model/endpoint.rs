//! Where events go, and how they are tried there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Formatter};
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::{
    Auth, ClientCertificate, EndpointId, Filter, Glob, Ordering, SecretKind, SigningScheme, SigningSecret,
    Tenant,
};
use crate::clock::Millis;

/// When a failed attempt is tried again: exponential or by a schedule of its own, with full jitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, 1–100; the last failure makes a dead letter.
    pub max_attempts: u32,
    /// The ceiling of the first wait, milliseconds; doubled with each attempt.
    pub base_ms: u64,
    /// The ceiling that no wait exceeds, milliseconds.
    pub max_ms: u64,
    /// The ceiling of every wait, milliseconds, 1–99 of them, instead of the three above: one attempt more than waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule_ms: Vec<u64>,
    /// Statuses, 300–599, that make a dead letter at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_retryable: Vec<u16>,
}

impl Retry {
    /// Attempts in all.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        let waits = u32::try_from(self.schedule_ms.len()).unwrap_or(u32::MAX);
        if waits == 0 { self.max_attempts } else { waits.saturating_add(1) }
    }

    /// The longest wait after the failure of this step, from 1, milliseconds.
    #[must_use]
    pub fn ceiling_ms(&self, step: u32) -> u64 {
        if self.schedule_ms.is_empty() {
            let doubled = 2_u64.saturating_pow(step.saturating_sub(1));
            return self.base_ms.saturating_mul(doubled).min(self.max_ms);
        }
        let place = usize::try_from(step.saturating_sub(1)).unwrap_or(usize::MAX);
        self.schedule_ms.get(place).or(self.schedule_ms.last()).copied().unwrap_or_default()
    }
}

impl Default for Retry {
    /// Twenty-five attempts, ceilings 5 s, 10 s, … 12 h: three days on average, six at most.
    fn default() -> Self {
        Self {
            max_attempts: 25,
            base_ms: 5_000,
            max_ms: 12 * 3_600_000,
            schedule_ms: Vec::new(),
            non_retryable: Vec::new(),
        }
    }
}

/// When an endpoint is left alone, where it differs from the settings of the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerRules {
    /// Failed attempts in a row that open its breaker, 1–1 000 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Share of failed attempts that opens it, percent; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_percent: Option<u8>,
    /// How many attempts there must be for that share to count, 1–1 000 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_attempts: Option<u32>,
    /// How long it stays open at first, milliseconds, up to 7 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_ms: Option<u64>,
    /// How long it stays open at most, milliseconds, up to 7 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_open_ms: Option<u64>,
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// A person did it.
    Operator,
    /// It answered 410: it wants no more.
    Gone,
    /// For days nothing but failures.
    Failing,
}

/// That an endpoint is disabled, why, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Why.
    pub reason: DisabledReason,
    /// Since when.
    pub at: Millis,
}

/// How an endpoint stands, apart from what it was asked to be: a declared one keeps it over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Disabled until a person enables it again.
    pub disabled: Option<Disabled>,
    /// Gets new events; nothing is tried until a person enables it again.
    pub paused: bool,
    /// Since when its breaker has opened again and again, with no recovery between.
    pub failing_since: Option<Millis>,
    /// When a person last enabled it. What a store knew of its failures before is forgotten then.
    pub enabled_at: Millis,
}

/// A subscriber's endpoint. The store keeps it whole; only the edge makes or changes one. `Debug` shows which one it
/// is and no more: its URL's query and its headers are secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant: Tenant,
    /// `http` or `https`, checked at the edge and again by the egress guard at every attempt.
    pub url: String,
    /// Which event types it wants; any one match is enough. `["*"]` is all.
    pub event_types: Vec<Glob>,
    /// Which payloads of these types it wants; `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// How attempts are signed.
    #[serde(default = "default_signing")]
    pub signing: BTreeSet<SigningScheme>,
    /// What they are signed with, newest first; of each kind that `signing` needs one that does not end, and at most
    /// three in all.
    pub secrets: Vec<SigningSecret>,
    /// Headers added to every attempt, for the subscriber's own authorisation. Values are secrets.
    pub headers: BTreeMap<String, String>,
    /// What goes into `authorization`, when it is more than a header.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// By what attempts over `https` prove who sends them.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// Attempts at once, over all workers and replicas.
    pub max_in_flight: NonZeroU16,
    /// Attempts a second that it is offered; `None` for no limit.
    pub rate_limit: Option<NonZeroU16>,
    /// Which of its deliveries wait for each other.
    #[serde(default)]
    pub ordering: Ordering,
    /// One deadline over DNS, connect, TLS, request and response, milliseconds, 100–120 000.
    pub timeout_ms: u32,
    /// When failed attempts are tried again.
    pub retry: Retry,
    /// When it is left alone.
    #[serde(default)]
    pub breaker: BreakerRules,
    /// Whether it was asked to get new events; see [`Endpoint::accepts`].
    pub enabled: bool,
    /// How it stands.
    #[serde(default)]
    pub standing: Standing,
    /// Declared in the configuration file: read-only in the API.
    pub declared: bool,
    /// Free text for people.
    pub description: String,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

impl Endpoint {
    /// Whether it gets new events. A disabled endpoint's pending deliveries wait.
    #[must_use]
    pub const fn accepts(&self) -> bool {
        self.enabled && self.standing.disabled.is_none()
    }

    /// Whether its deliveries are tried.
    #[must_use]
    pub const fn is_tried(&self) -> bool {
        self.accepts() && !self.standing.paused
    }

    /// The secrets of a kind that sign at `now`, newest first.
    pub fn live_secrets(&self, kind: SecretKind, now: Millis) -> impl Iterator<Item = &SigningSecret> {
        self.secrets.iter().filter(move |secret| secret.kind() == kind && secret.is_live(now))
    }
}

/// How attempts are signed unless the endpoint says otherwise: in both ways that need one `whsec_` secret.
#[must_use]
pub fn default_signing() -> BTreeSet<SigningScheme> {
    [SigningScheme::V1, SigningScheme::XWebhookSignature].into()
}

impl Debug for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schedule_reaches_three_days_on_average() {
        let retry = Retry::default();
        let most: u64 = (1..retry.attempts()).map(|step| retry.ceiling_ms(step)).sum();
        // full jitter: half of every ceiling on average
        let (average_h, most_h) = (most / 2 / 3_600_000, most / 3_600_000);
        assert!((66..=78).contains(&average_h), "{average_h} h on average");
        assert!(most_h <= 6 * 24, "{most_h} h at most: within the retention of a week");
    }

    #[test]
    fn what_is_secret_is_not_in_debug() {
        let endpoint: Endpoint = serde_json::from_value(serde_json::json!({
            "id": "a", "tenant": "acme", "url": "https://a.example/hidden", "event_types": ["*"],
            "secrets": ["whsec_hidden"], "headers": {"x-key": "hidden"}, "max_in_flight": 1,
            "rate_limit": null, "timeout_ms": 1000, "retry": {}, "enabled": true, "declared": false,
            "description": "", "created_at": 0, "updated_at": 0,
        }))
        .unwrap();
        assert_eq!(
            endpoint.signing,
            default_signing(),
            "an endpoint of an earlier version is signed as it was"
        );
        assert_eq!(endpoint.ordering, Ordering::None, "and its deliveries wait for nobody");
        let shown = format!("{endpoint:?}");
        assert!(shown.contains("acme") && !shown.contains("hidden"), "{shown}");
    }
}
