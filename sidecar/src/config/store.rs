//! Where everything is kept.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{Config, ConfigError, Surroundings, key};
use crate::store::redis::{RedisSettings, RedisTls, ReplicaWait};

/// The embedded store's place. Redis is chosen by `REDIS_URL` alone: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// Gone with the process.
    Memory,
    /// A file.
    File(PathBuf),
}

impl StoreChoice {
    /// The same with a relative file put into `folder`.
    pub(super) fn beneath(self, folder: &Path) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::File(path) => Self::File(folder.join(path)),
        }
    }
}

/// A text that names no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", key::STORE.expected)]
pub struct InvalidStore;

impl FromStr for StoreChoice {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            None if text == "memory" => Ok(Self::Memory),
            _ => Err(InvalidStore),
        }
    }
}

impl<'de> Deserialize<'de> for StoreChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Redis, if `REDIS_URL` is one. Its files are read now, once.
pub(super) fn redis(
    config: &Config,
    around: &Surroundings<'_>,
) -> Result<Option<RedisSettings>, ConfigError> {
    let Some(url) = around.variable(key::REDIS_URL.variable) else { return Ok(None) };
    let read = |path: &Option<PathBuf>, origin| {
        path.as_deref().map(|path| around.text(path, origin).map(String::into_bytes)).transpose()
    };
    let certificate = read(&config.redis_cert_file, "redis_cert_file, REDIS_CERT_FILE")?;
    let identity = match (certificate, read(&config.redis_key_file, "redis_key_file, REDIS_KEY_FILE")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (None, Some(_)) => return Err(ConfigError::range(&key::REDIS_CERT_FILE)),
        (Some(_), None) => return Err(ConfigError::range(&key::REDIS_KEY_FILE)),
    };
    let ca = read(&config.redis_ca_file, "redis_ca_file, REDIS_CA_FILE")?;
    let timeout = Duration::from_millis(config.redis_wait_timeout_ms.get().into());
    let replicas = config.redis_wait_replicas;
    let settings = RedisSettings {
        pool: config.pool().get().into(),
        tls: RedisTls { ca, identity },
        sentinel_password: around.variable(key::REDIS_SENTINEL_PASSWORD.variable),
        wait: (replicas > 0).then_some(ReplicaWait { replicas, timeout }),
        ..RedisSettings::at(url)
    };
    settings.check()?;
    Ok(Some(settings))
}
