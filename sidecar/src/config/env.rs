//! The environment over the file. It is passed in, so that a test can be any machine.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::key::{self, Key};
use super::{Config, ConfigError};

/// What surrounds the process: its variables and its files.
pub struct Surroundings<'a> {
    /// A variable's text.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// A file's text.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl Surroundings<'_> {
    /// A variable's text; an empty one counts as unset.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|text| !text.is_empty())
    }

    /// A file's text; `origin` is the setting that names it.
    pub(super) fn text(&self, path: &Path, origin: &'static str) -> Result<String, ConfigError> {
        (self.read)(path).map_err(|error| ConfigError::unreadable(path, origin, &error))
    }

    fn parsed<T: FromStr>(&self, key: &Key) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.variable(key.variable) else { return Ok(None) };
        text.parse().map(Some).or(Err(refused(key)))
    }

    fn set<T: FromStr>(&self, key: &Key, setting: &mut T) -> Result<(), ConfigError> {
        if let Some(value) = self.parsed(key)? {
            *setting = value;
        }
        Ok(())
    }

    fn set_some<T: FromStr>(&self, key: &Key, setting: &mut Option<T>) -> Result<(), ConfigError> {
        if let Some(value) = self.parsed(key)? {
            *setting = Some(value);
        }
        Ok(())
    }

    fn set_list<T: FromStr>(&self, key: &Key, setting: &mut Vec<T>) -> Result<(), ConfigError> {
        if let Some(text) = self.variable(key.variable) {
            let parts = text.split(',').map(str::trim);
            *setting = parts.map(str::parse).collect::<Result<_, _>>().or(Err(refused(key)))?;
        }
        Ok(())
    }
}

impl Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// The process's own variable. A text that is not UTF-8 comes with marks where it is not, so that it fits nothing.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one reader")]
pub fn system_variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.to_string_lossy().into_owned())
}

/// Sets what the environment sets.
pub(super) fn apply(config: &mut Config, around: &Surroundings<'_>) -> Result<(), ConfigError> {
    around.set(&key::DATA_LISTEN, &mut config.data_listen)?;
    around.set(&key::ADMIN_LISTEN, &mut config.admin_listen)?;
    around.set_some(&key::API_KEY_FILE, &mut config.api_key_file)?;
    around.set_some(&key::SEAL_KEYS_FILE, &mut config.seal_keys_file)?;
    around.set(&key::STORE, &mut config.store)?;
    apply_redis(config, around)?;
    around.set_some(&key::WORKERS, &mut config.workers)?;
    around.set(&key::WORKER_ATTEMPTS, &mut config.worker_attempts)?;
    around.set_some(&key::SLOW_ATTEMPTS, &mut config.slow_attempts)?;
    around.set_some(&key::POOL, &mut config.pool)?;
    around.set(&key::EGRESS_ALLOW, &mut config.egress_allow)?;
    around.set_list(&key::EGRESS_PORTS, &mut config.egress_ports)?;
    around.set(&key::EGRESS_HTTP, &mut config.egress_http)?;
    around.set_some(&key::EGRESS_PROXY, &mut config.egress_proxy)?;
    around.set(&key::EGRESS_NO_PROXY, &mut config.egress_no_proxy)?;
    around.set(&key::EGRESS_PROXY_RESOLVES, &mut config.egress_proxy_resolves)?;
    around.set_list(&key::TRUSTED_PROXIES, &mut config.trusted_proxies)?;
    around.set_some(&key::POLICY, &mut config.policy)?;
    around.set(&key::MAX_PAYLOAD_BYTES, &mut config.max_payload_bytes)?;
    around.set(&key::BUFFER_BYTES, &mut config.buffer_bytes)?;
    around.set(&key::MAX_CONNECTIONS, &mut config.max_connections)?;
    around.set(&key::IDLE_TIMEOUT_MS, &mut config.idle_timeout_ms)?;
    around.set(&key::BODY_TIMEOUT_MS, &mut config.body_timeout_ms)?;
    around.set(&key::DRAIN_MS, &mut config.drain_ms)?;
    around.set(&key::IDEMPOTENCY_WINDOW_S, &mut config.idempotency_window_s)?;
    around.set(&key::EVENT_TTL_S, &mut config.event_ttl_s)?;
    around.set(&key::MAX_BATCH, &mut config.max_batch)?;
    around.set(&key::RETENTION_S, &mut config.retention_s)?;
    around.set_some(&key::RETENTION_DEAD_LETTERS_S, &mut config.retention_dead_letters_s)?;
    around.set_some(&key::RETENTION_PAYLOADS_S, &mut config.retention_payloads_s)?;
    around.set_some(&key::RETENTION_ATTEMPTS_S, &mut config.retention_attempts_s)?;
    around.set(&key::MAX_PENDING, &mut config.max_pending)?;
    around.set(&key::MEMORY_BYTES, &mut config.memory_bytes)?;
    around.set(&key::BREAKER_FAILURES, &mut config.breaker_failures)?;
    around.set(&key::BREAKER_FAILURE_PERCENT, &mut config.breaker_failure_percent)?;
    around.set(&key::BREAKER_MIN_ATTEMPTS, &mut config.breaker_min_attempts)?;
    around.set(&key::BREAKER_OPEN_MS, &mut config.breaker_open_ms)?;
    around.set(&key::BREAKER_MAX_OPEN_MS, &mut config.breaker_max_open_ms)?;
    around.set(&key::RETRY_PERCENT, &mut config.retry_percent)?;
    around.set(&key::LONGEST_HOLD_S, &mut config.longest_hold_s)?;
    around.set(&key::AUTO_DISABLE_AFTER_S, &mut config.auto_disable_after_s)?;
    around.set_some(&key::OPERATIONS_TENANT, &mut config.operations_tenant)?;
    around.set(&key::LOG, &mut config.log)?;
    around.set(&key::ENABLE_METRICS, &mut config.enable_metrics)
}

fn apply_redis(config: &mut Config, around: &Surroundings<'_>) -> Result<(), ConfigError> {
    around.set_some(&key::REDIS_CA_FILE, &mut config.redis_ca_file)?;
    around.set_some(&key::REDIS_CERT_FILE, &mut config.redis_cert_file)?;
    around.set_some(&key::REDIS_KEY_FILE, &mut config.redis_key_file)?;
    around.set(&key::REDIS_WAIT_REPLICAS, &mut config.redis_wait_replicas)?;
    around.set(&key::REDIS_WAIT_TIMEOUT_MS, &mut config.redis_wait_timeout_ms)
}

pub(super) fn refused(key: &Key) -> ConfigError {
    ConfigError::Variable { variable: key.variable.to_owned(), expected: key.expected }
}
