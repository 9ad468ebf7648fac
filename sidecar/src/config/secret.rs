//! Settings that nobody may see.

use std::fmt::{self, Debug, Formatter};
use std::path::Path;

use subtle::ConstantTimeEq;

use super::env::refused;
use super::{ConfigError, Surroundings, key};

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

/// The key from the environment, else from its file (one line end at its end is no part of it).
pub(super) fn api_key(file: Option<&Path>, around: &Surroundings<'_>) -> Result<Option<ApiKey>, ConfigError> {
    if let Some(text) = around.variable(key::API_KEY.variable) {
        return ApiKey::new(&text).map(Some).ok_or_else(|| refused(&key::API_KEY));
    }
    let Some(path) = file else { return Ok(None) };
    let origin = "api_key_file, HOOKGATE_API_KEY_FILE";
    let text = around.text(path, origin)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let expected = || ConfigError::unreadable(path, origin, &format!("expected {}", key::API_KEY.expected));
    ApiKey::new(line).map(Some).ok_or_else(expected)
}
