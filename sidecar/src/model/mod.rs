//! The words of the product as types that cannot be wrong. Outside data becomes one of these once, at the edge.

mod attempt;
mod auth;
mod delivery;
mod endpoint;
mod event;
mod fan_out;
mod filter;
mod id;
mod ordering;
mod replay;
mod secret;

pub use attempt::{Attempt, Failure, Outcome, Signal};
pub use auth::{Auth, ClientAuth, ClientCertificate, MASK, OAuth2};
pub use delivery::{DeadReason, Delivery, Next, Status};
pub use endpoint::{BreakerRules, Disabled, DisabledReason, Endpoint, Retry, Standing, default_signing};
pub use event::{Event, EventType, IdempotencyKey};
pub use fan_out::{Glob, Sight, matching};
pub use filter::Filter;
pub use id::{DeliveryId, EndpointId, EventId, InvalidId, ReplayId, Tenant};
pub use ordering::{Line, Ordering, OrderingKey};
pub use replay::{Replay, ReplayOf, ReplayState, Wanted};
pub use secret::{Secret, SecretKind, SigningScheme, SigningSecret};
