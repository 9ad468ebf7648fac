//! A setting that cannot be: which, where it was set, what was expected. Never a variable's value: it may be a
//! secret in the wrong place.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;

use hookgate_policy::PolicyError;

use super::Key;
use crate::store::redis::InvalidRedis;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{file} (from {origin}): {problem}")]
    Unreadable {
        /// Which file.
        file: String,
        /// The setting that names it.
        origin: &'static str,
        /// What the system said.
        problem: String,
    },
    /// Something in the configuration file is not as it must be.
    #[error("{file}:{line}:{column}: {key}: {problem}")]
    File {
        /// Which file.
        file: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// `endpoints[0].url`; `.` for the whole.
        key: String,
        /// What is wrong there.
        problem: String,
    },
    /// A variable is not of its form.
    #[error("{variable} (environment): expected {expected}")]
    Variable {
        /// Its name.
        variable: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A setting out of its range, wherever it was set.
    #[error("{key} ({variable}): expected {expected}")]
    Range {
        /// In the file.
        key: &'static str,
        /// In the environment.
        variable: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// There is no way to Redis.
    #[error("REDIS_URL (environment): {0}")]
    Redis(#[from] InvalidRedis),
    /// The policy document is refused.
    #[error("{file} (from policy, HOOKGATE_POLICY): {source}")]
    Policy {
        /// Which file.
        file: String,
        /// Where in it, and why.
        source: PolicyError,
    },
    /// A declared endpoint is refused.
    #[error("endpoints[{index}].{field}: {problem}")]
    Endpoint {
        /// Which one, from 0.
        index: usize,
        /// Which of its fields.
        field: String,
        /// What is wrong there.
        problem: String,
    },
    /// A replayed message would outlive the memory of the first.
    #[error(
        "idempotency_window_s (HOOKGATE_IDEMPOTENCY_WINDOW_S): expected at least {least_s} s, twice the policy's \
         largest tolerance_s and a minute: until then a message could be accepted again"
    )]
    Forgetful {
        /// The least window, in seconds.
        least_s: u64,
    },
    /// A part would be remembered for longer than what it is a part of.
    #[error(
        "{key} ({variable}): expected at most {most_s} s, the longer of retention_s (HOOKGATE_RETENTION_S) and \
         retention_dead_letters_s (HOOKGATE_RETENTION_DEAD_LETTERS_S): after that there is nothing it could be part of"
    )]
    Outlives {
        /// In the file.
        key: &'static str,
        /// In the environment.
        variable: &'static str,
        /// The longest time, in seconds.
        most_s: u32,
    },
    /// A listener that others can reach would answer without a key.
    #[error(
        "{key} ({variable}) is {address}, which is not loopback, and no API key is set: \
         set HOOKGATE_API_KEY, or listen on 127.0.0.1"
    )]
    Exposed {
        /// In the file.
        key: &'static str,
        /// In the environment.
        variable: &'static str,
        /// Where it would listen.
        address: SocketAddr,
    },
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, origin: &'static str, problem: &impl ToString) -> Self {
        Self::Unreadable { file: file.display().to_string(), origin, problem: problem.to_string() }
    }

    pub(super) fn range(key: &Key) -> Self {
        Self::Range { key: key.name, variable: key.variable, expected: key.expected }
    }

    pub(super) fn outlives(key: &Key, longest: NonZeroU32) -> Self {
        Self::Outlives { key: key.name, variable: key.variable, most_s: longest.get() }
    }

    pub(super) fn exposed(key: &Key, address: SocketAddr) -> Self {
        Self::Exposed { key: key.name, variable: key.variable, address }
    }
}
