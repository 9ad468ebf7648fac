//! What a store tells of itself at a moment: the ledger's sums, and how every endpoint does.

use serde::Serialize;

use crate::clock::Millis;
use crate::model::EndpointId;

/// Whether an endpoint is being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Attempts flow.
    #[default]
    Closed,
    /// Deliveries wait; no attempt is made.
    Open,
    /// One attempt at a time finds out.
    HalfOpen,
}

/// One endpoint's present condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Deliveries pending, in an attempt or waiting.
    pub pending: u64,
    /// Attempts under way.
    pub in_flight: u32,
    /// Attempts it may have at once at present: 1 up to its `max_in_flight`.
    pub concurrency: u16,
    /// Until when it asked to be left alone, if it ever did. May have passed.
    pub held_until: Option<Millis>,
}

/// The ledger's sums and every endpoint's condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Deliveries pending.
    pub pending: u64,
    /// Deliveries delivered and still remembered.
    pub delivered: u64,
    /// Dead letters still remembered.
    pub dead: u64,
    /// Every endpoint.
    pub endpoints: Vec<Health>,
}
