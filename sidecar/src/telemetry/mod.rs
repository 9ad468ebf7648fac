//! What operators see of the process.

pub mod logs;
pub mod metrics;
