//! The inner door and the delivery worker pool: what it answered 202 to is delivered or visibly dead.
//!
//! Rooms: [`model`] the words, [`store`] the one seam to what is durable, then `http` (the two listeners),
//! `delivery` (take, attempt, settle), `config`, `telemetry` and `clock`, the only reader of time.

pub mod clock;
pub mod delivery;
pub mod model;
pub mod store;
pub mod telemetry;
