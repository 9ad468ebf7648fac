//! Where everything is kept.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::env::refused;
use super::{ConfigError, Hidden, Surroundings, key};

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

/// `REDIS_URL`, if it is one.
pub(super) fn redis_url(around: &Surroundings<'_>) -> Result<Option<Hidden>, ConfigError> {
    let known = ["redis://", "rediss://", "redis+unix://", "unix://"];
    match around.variable(key::REDIS_URL.variable) {
        None => Ok(None),
        Some(url) if known.iter().any(|scheme| url.starts_with(scheme)) => Ok(Some(Hidden(url))),
        Some(_) => Err(refused(&key::REDIS_URL)),
    }
}
