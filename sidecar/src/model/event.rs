//! What arrives: its type, its bytes, and the keys by which it is known to have come before.

use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use super::{EventId, InvalidId, OrderingKey, Tenant};
use crate::clock::Millis;

/// The kind of an event: 1–128 of `A–Z a–z 0–9 _ - . / :`; by habit words with dots between, `order.created`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EventType(String);

impl EventType {
    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(sound) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { expected: "an event type: 1–128 of A–Z a–z 0–9 _ - . / :" })
        }
    }
}

impl Display for EventType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What makes two events the same one, inside a tenant: 1–512 bytes, opaque to the store. The edge scopes it
/// (`src:acme:id:msg_1`, `api:order-17`), so that one source can never spend another's keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=512).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { expected: "an idempotency key of 1–512 bytes" })
        }
    }
}

/// One event, as it is kept and delivered. Never changed once accepted. `Debug` shows the payload's length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name; subscribers see it as `webhook-id`.
    pub id: EventId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What happened.
    pub event_type: EventType,
    /// The very bytes that subscribers get and that are signed; none once they are forgotten.
    pub payload: Bytes,
    /// How many bytes were forgotten: the event is listed, and cannot be sent any more. `None`: it has its payload.
    pub forgotten_bytes: Option<u64>,
    /// The `content-type` that goes with them.
    pub content_type: String,
    /// Where it came from: a source's name, or `None` for the API.
    pub source: Option<String>,
    /// The request that brought it, carried to subscribers as `x-request-id`.
    pub request_id: String,
    /// The W3C trace context it came with, carried on to subscribers.
    pub traceparent: Option<String>,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// Not to be delivered before this moment; `None`: at once.
    pub deliver_at: Option<Millis>,
    /// By what endpoints that ask for it get it in order.
    pub ordering_key: Option<OrderingKey>,
    /// Not to be tried from this moment on; `None`: for as long as its deliveries' schedules go.
    pub expires_at: Option<Millis>,
}

impl Event {
    /// When its deliveries are first due, if it is accepted at `now`.
    #[must_use]
    pub fn due(&self, now: Millis) -> Millis {
        self.deliver_at.map_or(now, |moment| moment.max(now))
    }

    /// Whether `moment` is too late for an attempt.
    #[must_use]
    pub fn has_expired(&self, moment: Millis) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= moment)
    }
}

impl Debug for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("event_type", &self.event_type)
            .field("payload_bytes", &self.payload.len())
            .field("forgotten_bytes", &self.forgotten_bytes)
            .field("content_type", &self.content_type)
            .field("source", &self.source)
            .field("request_id", &self.request_id)
            .field("traceparent", &self.traceparent)
            .field("accepted_at", &self.accepted_at)
            .field("deliver_at", &self.deliver_at)
            .field("ordering_key", &self.ordering_key)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
