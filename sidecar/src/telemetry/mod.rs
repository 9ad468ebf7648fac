//! What operators see of the process.

pub mod metrics;
