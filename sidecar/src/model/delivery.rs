//! One event for one endpoint, over all attempts.

use serde::{Deserialize, Serialize};

use super::{DeliveryId, EndpointId, EventId, EventType, Tenant};
use crate::clock::Millis;

/// Why a delivery will not be tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// Every attempt of its schedule failed.
    Exhausted,
    /// The endpoint answered 410: it wants no more.
    Gone,
    /// It answered with a status that is not to be tried again (`retry.non_retryable`).
    Refused,
    /// Its endpoint was deleted while it waited.
    EndpointDeleted,
    /// Its event's time was over before it was delivered.
    Expired,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for its next attempt, or in one.
    Pending,
    /// The subscriber answered 2xx.
    Delivered,
    /// A dead letter.
    Dead(DeadReason),
}

/// What an attempt's result does to its delivery: decided by the worker, applied by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Delivered,
    /// Not before this moment.
    RetryAt(Millis),
    /// Over.
    Dead(DeadReason),
}

/// A delivery as the ledger shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// What is delivered.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// To whom.
    pub endpoint_id: EndpointId,
    /// Whose.
    pub tenant: Tenant,
    /// Where it stands.
    pub status: Status,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt may begin; `None` unless pending.
    pub next_attempt_at: Option<Millis>,
    /// When its event was accepted.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}
