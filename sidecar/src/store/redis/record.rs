//! How events, deliveries and settings look inside Redis, and back.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::horizon::Horizon;
use crate::clock::Millis;
use crate::model::{
    DeadReason, Delivery, DeliveryId, EndpointId, Event, EventId, EventType, Line, OrderingKey, Status,
    Tenant,
};
use crate::seal::SealError;

/// Something in Redis that cannot be read. Says what it should have been, never what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} in Redis is damaged")]
pub(super) struct Damaged {
    pub(super) what: &'static str,
}

/// Why a lease cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error(transparent)]
    Endpoint(#[from] SealError),
}

/// All of an event but its id and payload, as JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    tenant: Tenant,
    #[serde(rename = "type")]
    event_type: EventType,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    accepted_at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliver_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordering_key: Option<OrderingKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
}

impl Head {
    /// An event's head as it is written.
    pub(super) fn write(event: &Event) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Self {
            tenant: event.tenant.clone(),
            event_type: event.event_type.clone(),
            content_type: event.content_type.clone(),
            source: event.source.clone(),
            request_id: event.request_id.clone(),
            traceparent: event.traceparent.clone(),
            accepted_at: event.accepted_at,
            deliver_at: event.deliver_at,
            ordering_key: event.ordering_key.clone(),
            expires_at: event.expires_at,
        })
    }

    pub(super) fn read(json: &[u8]) -> Result<Self, Damaged> {
        serde_json::from_slice(json).ok().ok_or(Damaged { what: "an event's head" })
    }

    pub(super) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(super) const fn event_type(&self) -> &EventType {
        &self.event_type
    }

    pub(super) const fn accepted_at(&self) -> Millis {
        self.accepted_at
    }

    pub(super) fn into_ordering_key(self) -> Option<OrderingKey> {
        self.ordering_key
    }

    pub(super) fn into_event(self, id: EventId, payload: Vec<u8>) -> Event {
        Event {
            id,
            tenant: self.tenant,
            event_type: self.event_type,
            payload: Bytes::from(payload),
            forgotten_bytes: None,
            content_type: self.content_type,
            source: self.source,
            request_id: self.request_id,
            traceparent: self.traceparent,
            accepted_at: self.accepted_at,
            deliver_at: self.deliver_at,
            ordering_key: self.ordering_key,
            expires_at: self.expires_at,
        }
    }
}

/// The fields of a delivery's hash, in the order in which they are asked for.
pub(super) const DELIVERY_FIELDS: [&str; 6] = ["e", "p", "s", "a", "due", "u"];

/// What [`DELIVERY_FIELDS`] answers; all `None` when there is no such delivery.
pub(super) type DeliveryRow =
    (Option<String>, Option<String>, Option<String>, Option<u32>, Option<u64>, Option<u64>);

/// A delivery without what its event knows.
#[derive(Debug)]
pub(super) struct DeliveryRecord {
    pub(super) id: DeliveryId,
    pub(super) event: EventId,
    pub(super) endpoint: EndpointId,
    pub(super) status: Status,
    attempts: u32,
    due: Millis,
    /// Nothing for one that is as it was accepted.
    updated_at: Option<Millis>,
}

impl DeliveryRecord {
    pub(super) fn read(id: DeliveryId, row: DeliveryRow) -> Result<Option<Self>, Damaged> {
        let damaged = Damaged { what: "a delivery" };
        let (Some(event), Some(endpoint), Some(status), attempts, due, updated_at) = row else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            event: event.parse().ok().ok_or(damaged)?,
            endpoint: endpoint.parse().ok().ok_or(damaged)?,
            status: read_status(&status).ok_or(damaged)?,
            attempts: attempts.unwrap_or_default(),
            due: Millis(due.unwrap_or_default()),
            updated_at: updated_at.map(Millis),
        }))
    }

    pub(super) fn into_delivery(self, head: &Head) -> Delivery {
        Delivery {
            id: self.id,
            event_id: self.event,
            event_type: head.event_type.clone(),
            endpoint_id: self.endpoint,
            tenant: head.tenant.clone(),
            status: self.status,
            attempts: self.attempts,
            next_attempt_at: (self.status == Status::Pending).then_some(self.due),
            created_at: head.accepted_at,
            updated_at: self.updated_at.unwrap_or(head.accepted_at),
        }
    }
}

/// A line as the scripts are told of it; empty for none.
pub(super) fn line_text(line: Option<Line>) -> String {
    line.map_or_else(String::new, |line| line.to_string())
}

/// A status as the scripts write it.
fn read_status(text: &str) -> Option<Status> {
    match text {
        "pending" => Some(Status::Pending),
        "delivered" => Some(Status::Delivered),
        "dead:exhausted" => Some(Status::Dead(DeadReason::Exhausted)),
        "dead:gone" => Some(Status::Dead(DeadReason::Gone)),
        "dead:refused" => Some(Status::Dead(DeadReason::Refused)),
        "dead:endpoint_deleted" => Some(Status::Dead(DeadReason::EndpointDeleted)),
        "dead:expired" => Some(Status::Dead(DeadReason::Expired)),
        _ => None,
    }
}

/// The verdict of a dead letter, as the scripts write it.
pub(super) const fn dead(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::Exhausted => "dead:exhausted",
        DeadReason::Gone => "dead:gone",
        DeadReason::Refused => "dead:refused",
        DeadReason::EndpointDeleted => "dead:endpoint_deleted",
        DeadReason::Expired => "dead:expired",
    }
}

/// A horizon as the scripts answer it: `-1` is never.
pub(super) fn read_horizon(text: &str) -> Result<Horizon, Damaged> {
    match text {
        "-1" => Ok(None),
        moment => {
            Some(moment.parse().ok().map(Millis)).filter(Option::is_some).ok_or(Damaged { what: "a moment" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dead_reason_is_read_as_it_was_written() {
        for reason in [
            DeadReason::Exhausted,
            DeadReason::Gone,
            DeadReason::Refused,
            DeadReason::EndpointDeleted,
            DeadReason::Expired,
        ] {
            assert_eq!(read_status(dead(reason)), Some(Status::Dead(reason)));
        }
        assert_eq!(read_status("dead"), None);
    }

    #[test]
    fn a_horizon_is_a_moment_or_never() {
        let table = [
            ("-1", Ok(None)),
            ("0", Ok(Some(Millis(0)))),
            ("1764000000000", Ok(Some(Millis(1_764_000_000_000)))),
        ];
        for (text, horizon) in table {
            assert_eq!(read_horizon(text), horizon, "{text}");
        }
        assert!(read_horizon("1.7e12").is_err());
    }
}
