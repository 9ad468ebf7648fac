//! What an arrival gives to every event it brings: tenant, keys, ids, trace.

use std::sync::Arc;

use bytes::Bytes;
use hookgate_policy::{Accepted, Policy};
use http::HeaderMap;

use super::super::Problem;
use super::terms::Terms;
use super::{Arrival, Reading};
use crate::model::{Event, EventId, EventType, IdempotencyKey, OrderingKey, Tenant};
use crate::store::Offer;

/// The parts of an event that its body decides.
pub(super) struct Content {
    pub(super) event_type: EventType,
    pub(super) payload: Bytes,
    pub(super) content_type: String,
    pub(super) ordering_key: Option<OrderingKey>,
    pub(super) terms: Terms,
}

/// The event with its keys.
pub(super) fn offer(
    arrival: &Arrival<'_>,
    tenant: Tenant,
    content: Content,
    keys: Vec<IdempotencyKey>,
    reading: Reading<'_>,
) -> Offer {
    let event = Event {
        id: EventId::fresh(arrival.now, (reading.entropy)(), &tenant),
        tenant,
        event_type: content.event_type,
        payload: content.payload,
        forgotten_bytes: None,
        content_type: content.content_type,
        source: arrival.accepted.as_ref().map(|accepted| accepted.source.to_string()),
        request_id: arrival.stamp.request_id.clone(),
        traceparent: traceparent(&arrival.parts.headers),
        accepted_at: arrival.now,
        deliver_at: content.terms.deliver_at,
        ordering_key: content.ordering_key,
        expires_at: content.terms.expires_at,
    };
    Offer { event: Arc::new(event), keys }
}

/// The keys by which a signed message is known to have come before, in its source's own scope. `place` tells the
/// events of one message apart: empty for the only one.
pub(super) fn replay_keys(accepted: &Accepted, place: &str) -> Result<Vec<IdempotencyKey>, Problem> {
    let keys = accepted.replay_keys.iter().map(|key| format!("src:{}{place}:{key}", accepted.source).parse());
    keys.collect::<Result<_, _>>().or(Err(Problem::Internal))
}

/// The tenant of a source: what the policy says, never what the message says.
pub(super) fn tenant_of(accepted: &Accepted, policy: &Policy) -> Result<Tenant, Problem> {
    let source = policy.source(&accepted.source).ok_or(Problem::Internal)?;
    source.tenant().parse().or(Err(Problem::Internal))
}

/// The W3C trace context, if it is one: `00-` 32 hex `-` 16 hex `-` 2 hex, lower case, ids not zero.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all("traceparent").into_iter();
    let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
    let mut parts = line.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let sound = hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !is_zero(trace) && !is_zero(span);
    sound.then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_a_sound_trace_context_is_carried_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let table: [(&[&str], bool); 8] = [
            (&[good], true),
            (&[], false),
            (&[good, good], false),
            (&["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], false),
            (&["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"], false),
            (&["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], false),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"], false),
            (&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"], false),
        ];
        for (lines, carried) in table {
            let value =
                |line: &&str| (HeaderName::from_static("traceparent"), HeaderValue::from_str(line).unwrap());
            let headers = lines.iter().map(value).collect();
            assert_eq!(traceparent(&headers).is_some(), carried, "{lines:?}");
        }
    }
}
