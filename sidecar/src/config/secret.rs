//! Settings that nobody may see.

use std::fmt::{self, Debug, Formatter};
use std::path::Path;

use subtle::ConstantTimeEq;

use super::env::refused;
use super::{ConfigError, Surroundings, key};
use crate::seal::SealKey;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl Debug for Hidden {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// The key to the API: 1–256 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey(Hidden);

impl ApiKey {
    /// A key, if the text can be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let sound = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| Self(Hidden(text.to_owned())))
    }

    /// Whether this is the key. Takes the same time wherever the first difference is; only the length shows.
    #[must_use]
    pub fn is(&self, offered: &[u8]) -> bool {
        self.0.0.as_bytes().ct_eq(offered).into()
    }
}

/// The key from the environment, else from its file.
pub(super) fn api_key(file: Option<&Path>, around: &Surroundings<'_>) -> Result<Option<ApiKey>, ConfigError> {
    secret(&key::API_KEY, "api_key_file, HOOKGATE_API_KEY_FILE", file, around, ApiKey::new)
}

/// Most seal keys: one that seals, and those before it that still open.
const MAX_SEAL_KEYS: usize = 8;

/// The keys from the environment, else from their file, with commas between.
pub(super) fn seal_keys(file: Option<&Path>, around: &Surroundings<'_>) -> Result<Vec<SealKey>, ConfigError> {
    let read = |text: &str| {
        let keys: Option<Vec<SealKey>> = text.split(',').map(|key| key.trim().parse().ok()).collect();
        keys.filter(|keys| keys.len() <= MAX_SEAL_KEYS)
    };
    let keys = secret(&key::SEAL_KEYS, "seal_keys_file, HOOKGATE_SEAL_KEYS_FILE", file, around, read)?;
    Ok(keys.unwrap_or_default())
}

/// What `read` makes of a variable, else of a file (one line end at its end is no part of it).
fn secret<T>(
    variable: &key::Key,
    origin: &'static str,
    file: Option<&Path>,
    around: &Surroundings<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    if let Some(text) = around.variable(variable.variable) {
        return read(&text).map(Some).ok_or_else(|| refused(variable));
    }
    let Some(path) = file else { return Ok(None) };
    let text = around.text(path, origin)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let expected = || ConfigError::unreadable(path, origin, &format!("expected {}", variable.expected));
    read(line).map(Some).ok_or_else(expected)
}
