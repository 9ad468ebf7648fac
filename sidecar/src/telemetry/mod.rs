//! What operators see of the process.

pub mod lines;
pub mod logs;
pub mod metrics;
