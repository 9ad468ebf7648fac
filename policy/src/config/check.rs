//! Checks of single values, each with the path it is complained about under.

use crate::{RateLimit, limiter::RateLimitDocument};

use super::PolicyError;

/// A place in the document: `sources[0].secrets[1]`.
#[derive(Debug, Clone)]
pub(super) struct At(String);

impl At {
    /// A field of the document.
    pub(super) fn top(field: &str) -> Self {
        Self(field.to_owned())
    }

    pub(super) fn field(&self, name: &str) -> Self {
        Self(format!("{}.{name}", self.0))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> PolicyError {
        PolicyError { path: self.0.clone(), problem: problem.into() }
    }

    /// Complains of what was `expected` unless it is `fine`.
    pub(super) fn expect(&self, fine: bool, expected: &str) -> Result<(), PolicyError> {
        if fine { Ok(()) } else { Err(self.wrong(format!("expected {expected}"))) }
    }

    pub(super) fn body_limit(&self, bytes: u64) -> Result<u64, PolicyError> {
        self.expect((1..=64 << 20).contains(&bytes), "1–67108864 bytes (64 MiB)").map(|()| bytes)
    }

    pub(super) fn rate_limit(&self, limit: RateLimitDocument) -> Result<RateLimit, PolicyError> {
        let burst = limit.burst.unwrap_or(limit.requests);
        self.field("requests").expect((1..=1_000_000).contains(&limit.requests), "1–1000000")?;
        self.field("window_s").expect((1..=86_400).contains(&limit.window_s), "1–86400 seconds")?;
        self.field("burst").expect((1..=1_000_000).contains(&burst), "1–1000000")?;
        Ok(RateLimit { requests: limit.requests, window_s: limit.window_s, burst })
    }
}

/// A source's name. `passthrough` names the limit of the paths that are passed through.
pub(super) fn is_name(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(fine) && text != super::PASSTHROUGH
}

/// A path that a request's target can equal.
pub(super) fn is_path(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    text.starts_with('/') && text.len() <= 256 && text.bytes().all(fine)
}

pub(super) fn is_method(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase()) && text != "CONNECT"
}

pub(super) fn is_tenant(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fine)
}

pub(super) fn is_visible(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
