//! What operators are told, as an ordinary event of the operations tenant. Pure.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::delivery::Death;
use crate::http::time::rfc3339;
use crate::model::{Disabled, DisabledReason, Endpoint, EndpointId, Event, EventId, Tenant};
use crate::store::Offer;

/// Something that an operator wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::operations) struct Notice {
    /// Whose endpoint it is about.
    pub(super) tenant: Tenant,
    /// Which one.
    pub(super) endpoint: EndpointId,
    /// When it happened.
    pub(super) at: Millis,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Disabled { how: Disabled, failing_since: Option<Millis>, enabled_at: Millis },
    Recovered { failing_since: Millis },
    BreakerOpened { until: Millis },
    Dead { death: Death, left_out: u64 },
}

impl Notice {
    fn of(endpoint: &Endpoint, at: Millis, what: What) -> Self {
        Self { tenant: endpoint.tenant.clone(), endpoint: endpoint.id.clone(), at, what }
    }

    /// It is disabled, and by no person. `None`: it is not.
    pub(in crate::operations) fn disabled(endpoint: &Endpoint) -> Option<Self> {
        let how = endpoint.standing.disabled.filter(|how| how.reason != DisabledReason::Operator)?;
        let enabled_at = endpoint.standing.enabled_at.max(endpoint.created_at);
        let failing_since = endpoint.standing.failing_since;
        Some(Self::of(endpoint, how.at, What::Disabled { how, failing_since, enabled_at }))
    }

    /// It recovered.
    pub(in crate::operations) fn recovered(endpoint: &Endpoint, failing_since: Millis, at: Millis) -> Self {
        Self::of(endpoint, at, What::Recovered { failing_since })
    }

    /// Its breaker opened.
    pub(in crate::operations) fn breaker_opened(endpoint: &Endpoint, until: Millis, at: Millis) -> Self {
        Self::of(endpoint, at, What::BreakerOpened { until })
    }

    /// A delivery died. `left_out`: how many before it, of the same endpoint, were not told of.
    pub(super) fn dead(death: &Death, left_out: u64, at: Millis) -> Self {
        let (tenant, endpoint) = (death.tenant.clone(), death.endpoint.clone());
        Self { tenant, endpoint, at, what: What::Dead { death: death.clone(), left_out } }
    }

    /// For how many deaths it stands.
    pub(super) const fn deaths(&self) -> u64 {
        match &self.what {
            What::Dead { left_out, .. } => left_out.saturating_add(1),
            What::Disabled { .. } | What::Recovered { .. } | What::BreakerOpened { .. } => 0,
        }
    }

    /// What it is called, after `hookgate.`.
    const fn name(&self) -> &'static str {
        match self.what {
            What::Disabled { .. } => "endpoint.disabled",
            What::Recovered { .. } => "endpoint.recovered",
            What::BreakerOpened { .. } => "breaker.opened",
            What::Dead { .. } => "delivery.dead",
        }
    }

    /// What tells it from all others: the same thing is told once, whoever tells it.
    fn key(&self) -> String {
        let (name, endpoint) = (self.name(), &self.endpoint);
        match &self.what {
            What::Disabled { enabled_at, .. } => format!("ops:{name}:{endpoint}:{}", enabled_at.0),
            What::Recovered { failing_since } => format!("ops:{name}:{endpoint}:{}", failing_since.0),
            What::BreakerOpened { .. } => format!("ops:{name}:{endpoint}:{}", self.at.0),
            What::Dead { death, .. } => format!("ops:{name}:{}:{}", death.delivery, death.attempts),
        }
    }

    fn data(&self) -> Value {
        let (endpoint_id, tenant) = (&self.endpoint, &self.tenant);
        match &self.what {
            What::Disabled { how, failing_since, .. } => json!({
                "endpoint_id": endpoint_id, "tenant": tenant, "reason": how.reason,
                "failing_since": failing_since.map(rfc3339),
            }),
            What::Recovered { failing_since } => json!({
                "endpoint_id": endpoint_id, "tenant": tenant, "failing_since": rfc3339(*failing_since),
            }),
            What::BreakerOpened { until } => json!({
                "endpoint_id": endpoint_id, "tenant": tenant, "until": rfc3339(*until),
            }),
            What::Dead { death, left_out } => json!({
                "endpoint_id": endpoint_id, "tenant": tenant, "delivery_id": death.delivery,
                "event_id": death.event, "event_type": death.event_type, "reason": death.reason,
                "attempt_count": death.attempts, "left_out": left_out,
            }),
        }
    }

    /// The event, for `to`. `entropy`: 128 random bits. `None` never happens: names and keys are sound.
    pub(super) fn offer(&self, to: &Tenant, now: Millis, entropy: u128) -> Option<Offer> {
        let event_type = format!("hookgate.{}", self.name());
        let body = json!({"type": event_type, "timestamp": rfc3339(self.at), "data": self.data()});
        let event = Event {
            id: EventId::fresh(now, entropy, to),
            tenant: to.clone(),
            event_type: event_type.parse().ok()?,
            payload: Bytes::from(body.to_string()),
            forgotten_bytes: None,
            content_type: "application/json".to_owned(),
            source: None,
            request_id: format!("hookgate-{entropy:032x}"),
            traceparent: None,
            accepted_at: now,
            deliver_at: None,
            ordering_key: None,
            expires_at: None,
        };
        Some(Offer { event: Arc::new(event), keys: vec![self.key().parse().ok()?] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeadReason, DeliveryId, Standing};
    use crate::registry::Draft;

    fn endpoint(standing: Standing) -> Endpoint {
        let draft = r#"{"url":"https://example.com/secret","id":"shop","tenant":"acme"}"#;
        Endpoint { standing, ..serde_json::from_str::<Draft>(draft).unwrap().endpoint(Millis(5), || 7) }
    }

    fn off(at: u64, enabled_at: u64) -> Notice {
        let disabled = Some(Disabled { reason: DisabledReason::Gone, at: Millis(at) });
        let standing = Standing { disabled, enabled_at: Millis(enabled_at), ..Standing::default() };
        Notice::disabled(&endpoint(standing)).unwrap()
    }

    fn death(attempts: u32) -> Death {
        let tenant: Tenant = "acme".parse().unwrap();
        Death {
            delivery: DeliveryId::fresh(Millis(1), 7, &tenant),
            event: EventId::fresh(Millis(1), 7, &tenant),
            event_type: "order.created".parse().unwrap(),
            endpoint: "shop".parse().unwrap(),
            tenant,
            reason: DeadReason::Exhausted,
            attempts,
        }
    }

    fn payload(notice: &Notice) -> Value {
        let offer = notice.offer(&"ops".parse().unwrap(), Millis(9), 1).unwrap();
        assert_eq!(offer.event.tenant.as_str(), "ops");
        let payload: Value = serde_json::from_slice(&offer.event.payload).unwrap();
        assert_eq!(payload["type"], offer.event.event_type.as_str());
        payload
    }

    #[test]
    fn a_notice_says_what_happened_to_which_endpoint_and_when() {
        let well = endpoint(Standing::default());
        let table = [
            (off(6, 0), "hookgate.endpoint.disabled", json!({"reason": "gone", "failing_since": null})),
            (
                Notice::recovered(&well, Millis(4), Millis(6)),
                "hookgate.endpoint.recovered",
                json!({"failing_since": "1970-01-01T00:00:00.004Z"}),
            ),
            (
                Notice::breaker_opened(&well, Millis(1_000), Millis(6)),
                "hookgate.breaker.opened",
                json!({"until": "1970-01-01T00:00:01Z"}),
            ),
            (
                Notice::dead(&death(25), 3, Millis(6)),
                "hookgate.delivery.dead",
                json!({"delivery_id": death(25).delivery, "event_id": death(25).event,
                    "event_type": "order.created", "reason": "exhausted", "attempt_count": 25, "left_out": 3}),
            ),
        ];
        for (notice, name, data) in table {
            let mut expected = json!({"endpoint_id": "shop", "tenant": "acme"});
            expected.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
            let told = payload(&notice);
            assert_eq!((told["type"].as_str(), &told["data"]), (Some(name), &expected));
            assert_eq!(told["timestamp"], "1970-01-01T00:00:00.006Z", "{name}");
        }
    }

    #[test]
    fn the_same_thing_has_one_key_and_another_thing_another() {
        let table = [
            ("disabled twice at once, by two replicas", off(6, 0), off(7, 0), true),
            ("disabled again after it was enabled", off(6, 0), off(9, 8), false),
            ("disabled again after it was made anew", off(6, 5), off(6, 0), true),
            (
                "a delivery",
                Notice::dead(&death(1), 0, Millis(1)),
                Notice::dead(&death(1), 9, Millis(2)),
                true,
            ),
            (
                "retried by hand",
                Notice::dead(&death(1), 0, Millis(1)),
                Notice::dead(&death(2), 0, Millis(1)),
                false,
            ),
        ];
        for (what, first, second, same) in table {
            assert_eq!(first.key() == second.key(), same, "{what}");
        }
    }
}
