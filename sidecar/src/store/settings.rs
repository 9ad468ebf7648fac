//! What every store is told when it is opened.

use std::time::Duration;

use super::Retention;
use crate::model::BreakerRules;

/// Bounds and times, the same for every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// How long an idempotency key is known after its event was accepted. Default 24 h.
    pub idempotency_window: Duration,
    /// How long a key is known however short memory is: for as long as a signed message could be replayed. At most
    /// `idempotency_window`. Default 11 min, for a tolerance of 5 min.
    pub replay_window: Duration,
    /// How long what is over is remembered.
    pub retention: Retention,
    /// Most deliveries pending at once; an accept that would pass it is refused as `Full`. Default 1 000 000.
    pub max_pending: u64,
    /// Most bytes a store that lives in this process's memory may take. Near it, finished deliveries are forgotten
    /// before their `retention`, and idempotency keys before the end of their window but not within `replay_window`; at
    /// it an accept is refused as `Full`. Default 256 MiB.
    pub memory_bytes: u64,
    /// When an endpoint is left alone.
    pub breaker: BreakerSettings,
    /// Most of an endpoint's attempts that are retries while first attempts wait, percent. Default 50.
    pub retry_percent: u8,
}

/// When an endpoint is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failed attempts in a row that open it. Default 5.
    pub failures: u32,
    /// Share of the attempts of the last 15 to 30 seconds, in percent, whose failure opens it; 0 for never. Default 50.
    pub failure_percent: u8,
    /// How many attempts there must be for that share to count. Default 20.
    pub min_attempts: u32,
    /// How long it stays open before one attempt may probe, milliseconds; doubled with each opening. Default 30 000.
    pub open_ms: u64,
    /// The longest it stays open, milliseconds (never less than `open_ms`). Closed for as long, it begins with
    /// `open_ms` again. Default 600 000.
    pub max_open_ms: u64,
}

impl BreakerSettings {
    /// These, but for what an endpoint wants otherwise.
    #[must_use]
    pub fn with(self, own: BreakerRules) -> Self {
        Self {
            failures: own.failures.unwrap_or(self.failures),
            failure_percent: own.failure_percent.unwrap_or(self.failure_percent),
            min_attempts: own.min_attempts.unwrap_or(self.min_attempts),
            open_ms: own.open_ms.unwrap_or(self.open_ms),
            max_open_ms: own.max_open_ms.unwrap_or(self.max_open_ms),
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            idempotency_window: Duration::from_secs(24 * 3600),
            replay_window: Duration::from_secs(11 * 60),
            retention: Retention::default(),
            max_pending: 1_000_000,
            memory_bytes: 256 << 20,
            breaker: BreakerSettings::default(),
            retry_percent: 50,
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, failure_percent: 50, min_attempts: 20, open_ms: 30_000, max_open_ms: 600_000 }
    }
}
