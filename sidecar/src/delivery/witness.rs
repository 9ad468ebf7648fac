//! What a pool sees of endpoints and deliveries beside its own work, and who is told.

use std::fmt::Debug;

use crate::clock::Millis;
use crate::model::{DeadReason, DeliveryId, EndpointId, EventId, EventType, Tenant};
use crate::store::News;

/// A delivery that became a dead letter by what came of its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Which.
    pub delivery: DeliveryId,
    /// What was not delivered.
    pub event: EventId,
    /// Its type.
    pub event_type: EventType,
    /// To whom.
    pub endpoint: EndpointId,
    /// Whose.
    pub tenant: Tenant,
    /// Why.
    pub reason: DeadReason,
    /// Attempts that were made.
    pub attempts: u32,
}

/// Who is told. The pool does not wait for it: what a witness does with it, it does elsewhere.
pub trait Witness: Debug + Send + Sync {
    /// An endpoint turned, by results that were settled at `at`.
    fn turned(&self, news: &News, at: Millis);

    /// A delivery was settled as a dead letter at `at`.
    fn died(&self, death: &Death, at: Millis);
}
