//! What the types of the settings do not say: ranges, and settings that cannot stand beside each other.

use hookgate_policy::Policy;

use super::{Config, ConfigError, key, policy};
use crate::telemetry::logs;

impl Config {
    /// The ranges that the types do not say.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(1 << 10..=64 << 20).contains(&self.max_payload_bytes) {
            return Err(ConfigError::range(&key::MAX_PAYLOAD_BYTES));
        }
        if !logs::is_filter(&self.log) {
            return Err(ConfigError::range(&key::LOG));
        }
        if self.event_ttl_s > 7_776_000 {
            return Err(ConfigError::range(&key::EVENT_TTL_S));
        }
        if self.max_batch.get() > 1000 {
            return Err(ConfigError::range(&key::MAX_BATCH));
        }
        if self.redis_wait_timeout_ms.get() > 900 {
            return Err(ConfigError::range(&key::REDIS_WAIT_TIMEOUT_MS));
        }
        if self.memory_bytes < 1 << 20 {
            return Err(ConfigError::range(&key::MEMORY_BYTES));
        }
        if !(1..=99).contains(&self.retry_percent) {
            return Err(ConfigError::range(&key::RETRY_PERCENT));
        }
        if self.breaker_failure_percent > 100 {
            return Err(ConfigError::range(&key::BREAKER_FAILURE_PERCENT));
        }
        if self.buffer_bytes < self.max_payload_bytes {
            return Err(ConfigError::range(&key::BUFFER_BYTES));
        }
        Ok(())
    }

    /// A part is not remembered for longer than the whole: whoever asks for that expects what will not be there.
    pub(super) fn check_retention(&self) -> Result<(), ConfigError> {
        let longest = self.retention_s.max(self.retention_dead_letters_s.unwrap_or(self.retention_s));
        let parts = [
            (&key::RETENTION_PAYLOADS_S, self.retention_payloads_s),
            (&key::RETENTION_ATTEMPTS_S, self.retention_attempts_s),
        ];
        let longer = parts.into_iter().find(|(_, part)| part.is_some_and(|part| part > longest));
        longer.map_or(Ok(()), |(key, _)| Err(ConfigError::outlives(key, longest)))
    }

    /// A message must not be forgotten while it is still fresh: it would be accepted twice.
    pub(super) fn check_replay(&self) -> Result<(), ConfigError> {
        if self.idempotency_window() < self.replay_window {
            return Err(ConfigError::Forgetful { least_s: self.replay_window.as_secs() });
        }
        Ok(())
    }

    /// Nobody who can reach a listener may do what only a key permits.
    pub(super) fn check_exposure(&self, policy: &Policy) -> Result<(), ConfigError> {
        if self.api_key.is_some() {
            return Ok(());
        }
        if !self.admin_listen.ip().is_loopback() {
            return Err(ConfigError::exposed(&key::ADMIN_LISTEN, self.admin_listen));
        }
        if !self.data_listen.ip().is_loopback() && policy::lets_the_api_through(policy) {
            return Err(ConfigError::exposed(&key::DATA_LISTEN, self.data_listen));
        }
        Ok(())
    }
}
