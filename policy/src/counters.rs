//! The seam behind which the rate limiter keeps its state: a fixed set of small shards and compare-and-swap.
//!
//! Envoy's and Kong's shared data, and native memory, all fit it. Shards are created by the host before the first
//! request, each empty; a shard that is missing at request time is an error, never created then (on Envoy a
//! compare-and-swap on a missing key succeeds for everyone).

use std::fmt::Debug;

/// One shard: its bytes and the version under which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shard {
    /// At most 1 KiB; empty when new.
    pub bytes: Vec<u8>,
    /// What [`Counters::swap`] must find unchanged. Opaque.
    pub version: u32,
}

/// The host could not say or keep a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host's counters are not available")]
pub struct CountersError;

/// Shared state of the limiter.
pub trait Counters {
    /// Reads a shard, `0..Policy::SHARDS`.
    ///
    /// # Errors
    /// When it is missing or the host failed.
    fn load(&mut self, shard: u16) -> Result<Shard, CountersError>;

    /// Writes a shard if its version is still `version`; `Ok(false)` when somebody was faster.
    ///
    /// # Errors
    /// When the host failed.
    fn swap(&mut self, shard: u16, bytes: &[u8], version: u32) -> Result<bool, CountersError>;
}
