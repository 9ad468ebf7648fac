//! The inner door and the delivery worker pool: what it answered 202 to is delivered or visibly dead.
//!
//! Rooms: [`model`] the words, [`store`] the one seam to what is durable, [`registry`] what may be an endpoint, [`seal`]
//! how its secrets are kept, [`http`] the two listeners, [`delivery`] (take, attempt, settle), [`pressure`] between the
//! two, [`operations`] what goes on beside it, [`config`], [`telemetry`], [`serve`] which puts
//! them together, and [`clock`] and [`entropy`], the only readers of time and chance.

pub mod clock;
pub mod config;
pub mod delivery;
pub mod entropy;
pub mod http;
pub mod model;
pub mod operations;
pub mod pressure;
pub mod registry;
pub mod seal;
pub mod serve;
pub mod store;
pub mod telemetry;
