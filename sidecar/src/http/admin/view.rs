//! Endpoints, events, deliveries and attempts as the API shows them: names for people, moments in RFC 3339, and
//! never a secret or a header's value.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::time::Moment;
use crate::clock::Millis;
use crate::delivery::attempt::Ed25519Key;
use crate::model::{
    Attempt, Auth, BreakerRules, DeadReason, Delivery, DeliveryId, DisabledReason, Endpoint, EndpointId,
    Event, EventId, EventType, Failure, Filter, Glob, MASK, Ordering, OrderingKey, Outcome, Retry, Secret,
    SecretKind, SigningScheme, SigningSecret, Status, Tenant,
};
use crate::store::Listed;

/// An endpoint.
#[derive(Debug, Serialize)]
pub(super) struct EndpointView {
    id: EndpointId,
    tenant: Tenant,
    url: String,
    event_types: Vec<Glob>,
    filter: Option<Filter>,
    /// Names only.
    headers: Vec<String>,
    signing: BTreeSet<SigningScheme>,
    /// How many secrets sign; after a rotation more than one.
    live_secrets: usize,
    /// When the first of them signs no more, after a rotation.
    next_expiry_at: Option<Moment>,
    /// What `v1a` is verified with, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    public_keys: Vec<String>,
    /// With an ellipsis for every secret.
    auth: Option<Auth>,
    client_certificate: Option<CertificateView>,
    max_in_flight: u16,
    rate_limit: Option<u16>,
    ordering: Ordering,
    timeout_ms: u32,
    retry: Retry,
    breaker: BreakerRules,
    /// Whether it gets new events.
    enabled: bool,
    /// Whether what it gets waits.
    paused: bool,
    disabled_reason: Option<DisabledReason>,
    disabled_at: Option<Moment>,
    failing_since: Option<Moment>,
    declared: bool,
    description: String,
    created_at: Moment,
    updated_at: Moment,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl EndpointView {
    /// The same with the secret that was just made.
    pub(super) fn with_secret(self, secret: Option<Secret>) -> Self {
        Self { secret: secret.map(|secret| secret.0), ..self }
    }
}

/// A client certificate without its key.
#[derive(Debug, Serialize)]
struct CertificateView {
    certificate_pem: String,
    key_pem: &'static str,
}

impl EndpointView {
    /// An endpoint as it is at `now`.
    pub(super) fn at(now: Millis, endpoint: Endpoint) -> Self {
        let live: Vec<&SigningSecret> =
            endpoint.secrets.iter().filter(|secret| secret.is_live(now)).collect();
        let keys =
            endpoint.live_secrets(SecretKind::Ed25519, now).filter_map(|key| Ed25519Key::parse(&key.text));
        let public_keys = keys.map(|key| key.public_text()).collect();
        let (enabled, standing) = (endpoint.accepts(), endpoint.standing);
        let reason = standing.disabled.map_or(DisabledReason::Operator, |disabled| disabled.reason);
        Self {
            live_secrets: live.len(),
            next_expiry_at: live.iter().filter_map(|secret| secret.expires_at).min().map(Moment),
            public_keys,
            signing: endpoint.signing,
            auth: endpoint.auth.as_ref().map(Auth::masked),
            client_certificate: endpoint
                .client_certificate
                .map(|pair| CertificateView { certificate_pem: pair.certificate_pem, key_pem: MASK }),
            id: endpoint.id,
            tenant: endpoint.tenant,
            url: endpoint.url,
            event_types: endpoint.event_types,
            filter: endpoint.filter,
            headers: endpoint.headers.into_keys().collect(),
            max_in_flight: endpoint.max_in_flight.get(),
            rate_limit: endpoint.rate_limit.map(Into::into),
            ordering: endpoint.ordering,
            timeout_ms: endpoint.timeout_ms,
            retry: endpoint.retry,
            breaker: endpoint.breaker,
            enabled,
            paused: standing.paused,
            disabled_reason: (!enabled).then_some(reason),
            disabled_at: standing.disabled.map(|disabled| Moment(disabled.at)),
            failing_since: standing.failing_since.map(Moment),
            declared: endpoint.declared,
            description: endpoint.description,
            created_at: Moment(endpoint.created_at),
            updated_at: Moment(endpoint.updated_at),
            secret: None,
        }
    }
}

/// An event; its payload only when it is asked for by name.
#[derive(Debug, Serialize)]
pub(super) struct EventView {
    id: EventId,
    tenant: Tenant,
    r#type: EventType,
    source: Option<String>,
    content_type: String,
    size_bytes: u64,
    /// Whether its payload is forgotten: it cannot be sent any more.
    payload_forgotten: bool,
    request_id: String,
    accepted_at: Moment,
    deliver_at: Option<Moment>,
    ordering_key: Option<OrderingKey>,
    expires_at: Option<Moment>,
    /// As text, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Base64, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl EventView {
    /// The event with its payload, if that is not forgotten.
    pub(super) fn with_payload(event: Event) -> Self {
        use base64::Engine as _;
        let bytes = event.payload.clone();
        let view = Self::from(event);
        if view.payload_forgotten {
            return view;
        }
        match String::from_utf8(bytes.into()) {
            Ok(text) => Self { payload: Some(text), ..view },
            Err(error) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
                Self { payload_base64: Some(encoded), ..view }
            }
        }
    }
}

fn size(payload: &[u8]) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX)
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            tenant: event.tenant,
            r#type: event.event_type,
            source: event.source,
            content_type: event.content_type,
            size_bytes: event.forgotten_bytes.unwrap_or_else(|| size(&event.payload)),
            payload_forgotten: event.forgotten_bytes.is_some(),
            request_id: event.request_id,
            accepted_at: Moment(event.accepted_at),
            deliver_at: event.deliver_at.map(Moment),
            ordering_key: event.ordering_key,
            expires_at: event.expires_at.map(Moment),
            payload: None,
            payload_base64: None,
        }
    }
}

/// A delivery.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryView {
    id: DeliveryId,
    event_id: EventId,
    event_type: EventType,
    endpoint_id: EndpointId,
    tenant: Tenant,
    /// `pending`, `delivered` or `dead`.
    status: &'static str,
    dead_reason: Option<DeadReason>,
    attempt_count: u32,
    next_attempt_at: Option<Moment>,
    created_at: Moment,
    updated_at: Moment,
    /// The latest 100, oldest first, when it is asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptView>>,
}

impl DeliveryView {
    /// The same with its attempts.
    pub(super) fn with_attempts(self, attempts: Vec<Attempt>) -> Self {
        Self { attempts: Some(attempts.into_iter().map(Into::into).collect()), ..self }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let (status, dead_reason) = match delivery.status {
            Status::Pending => ("pending", None),
            Status::Delivered => ("delivered", None),
            Status::Dead(reason) => ("dead", Some(reason)),
        };
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            endpoint_id: delivery.endpoint_id,
            tenant: delivery.tenant,
            status,
            dead_reason,
            attempt_count: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at.map(Moment),
            created_at: Moment(delivery.created_at),
            updated_at: Moment(delivery.updated_at),
            attempts: None,
        }
    }
}

/// An attempt.
#[derive(Debug, Serialize)]
pub(super) struct AttemptView {
    number: u32,
    started_at: Moment,
    duration_ms: u32,
    /// The answer's, if there was one.
    status: Option<u16>,
    /// Why there was none.
    failure: Option<Failure>,
    /// The beginning of the answer's body.
    response: String,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let (status, failure) = match attempt.outcome {
            Outcome::Answered(status) => (Some(status), None),
            Outcome::Failed(failure) => (None, Some(failure)),
        };
        Self {
            number: attempt.number,
            started_at: Moment(attempt.started_at),
            duration_ms: attempt.duration_ms,
            status,
            failure,
            response: attempt.response,
        }
    }
}

/// A page of views.
pub(super) fn listed<T, V: From<T>>(listed: Listed<T>) -> axum::Json<Listed<V>> {
    let data = listed.data.into_iter().map(Into::into).collect();
    axum::Json(Listed { data, next_cursor: listed.next_cursor })
}
