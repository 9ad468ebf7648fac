//! The policy as an operator writes it: JSON, `version` 1, unknown fields refused with their path.

/// A policy that cannot be. Names where; never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PolicyError {
    /// Where in the document: `sources[0].secrets[1]`; `.` for the whole.
    pub path: String,
    /// What is wrong there, and what was expected.
    pub problem: String,
}

/// What a door demands.
#[derive(Debug)]
pub struct Policy {}

impl Policy {
    /// How many shards the host must create before the first request.
    pub const SHARDS: u16 = 256;

    /// Reads a policy. `resolve` answers the text behind a secret reference (`env:NAME`), byte for byte, or `None`.
    ///
    /// # Errors
    /// What is wrong and where: not JSON, an unknown or missing field, a value out of range, a reference that does
    /// not resolve, a secret that cannot be one.
    pub fn from_json(
        _json: &[u8],
        _resolve: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<Self, PolicyError> {
        Ok(Self {})
    }
}
