//! From the store to the subscriber: take, attempt, settle.
//!
//! [`Pool`] takes leases it has room for, makes one [`attempt`] for each, and settles what came of it. [`retry`]
//! decides when a failed delivery is tried again, [`egress`] is the only way out of the process.
//! `credentials` knows what an endpoint lets an attempt in by.
//!
//! A lease is for not trying a delivery twice at once. It is not what makes a delivery survive: a worker that dies,
//! a result that cannot be settled, a stop that cuts an attempt off, all end in the lease running out and the
//! delivery being tried again. Subscribers see the same `webhook-id` then.

pub mod attempt;
mod credentials;
pub mod egress;
mod pool;
pub mod retry;
mod witness;

pub(crate) use pool::Patience;
pub use pool::{Drained, Pool, PoolSettings};
pub use witness::{Death, Witness};
