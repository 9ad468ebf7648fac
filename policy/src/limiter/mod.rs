//! The rate limit per client: arithmetic over a fixed number of small shards that the host keeps.

mod client;
mod gcra;
mod shard;

use std::{net::IpAddr, sync::Arc};

use serde::Deserialize;

use crate::{Counters, CountersError, UnixMicros};

use client::Place;
use gcra::Limit;
use shard::Entries;

/// How often a swap is tried before the host counts as unable.
const TRIES: u32 = 8;

/// How far a clock may have been ahead before its traces no longer count, in microseconds: a day.
const MAX_SKEW: u64 = 86_400_000_000;

/// A limit for each client of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimit {
    /// How many requests a window takes, 1–1,000,000.
    pub requests: u32,
    /// The window, in seconds, 1–86,400.
    pub window_s: u32,
    /// How many may come at once, 1–1,000,000.
    pub burst: u32,
}

/// A limit as the document has it: `burst` is `requests` unless given.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitDocument {
    pub(crate) requests: u32,
    pub(crate) window_s: u32,
    pub(crate) burst: Option<u32>,
}

/// Where a client stands after a request, for the response's headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateState {
    /// The limit's name: the source's, or `passthrough`.
    pub name: Arc<str>,
    /// The limit.
    pub limit: RateLimit,
    /// How many more would pass right now.
    pub remaining: u32,
    /// After how many seconds, rounded up, nothing of the burst is used any more.
    pub reset_s: u32,
}

/// What the limiter says of one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) state: RateState,
    /// `None` lets it pass; else the seconds to wait, rounded up.
    pub(crate) wait_s: Option<u32>,
}

/// Counts one request of `client` against the limit called `name`. A refused one leaves no trace.
///
/// A shard that is full forgets the client that owes least; so a flood from more than 16,384 networks at once can make
/// the limiter forget some of them.
///
/// # Errors
/// When the host cannot keep its counters, or others were faster eight times in a row.
pub(crate) fn admit(
    counters: &mut impl Counters,
    name: &Arc<str>,
    limit: RateLimit,
    client: Option<IpAddr>,
    now: UnixMicros,
) -> Result<Admission, CountersError> {
    let place = Place::of(name, client);
    let rate = Limit::new(limit.requests, limit.window_s, limit.burst);
    let state = |tat: u64| RateState {
        name: Arc::clone(name),
        limit,
        remaining: u32::try_from(rate.remaining(tat, now)).unwrap_or(u32::MAX),
        reset_s: seconds_up(tat.saturating_sub(now.0)),
    };
    for _ in 0..TRIES {
        let shard = counters.load(place.shard)?;
        let mut entries = Entries::parse(&shard.bytes);
        let tat = entries.get(place.fingerprint, rate.latest(now).saturating_add(MAX_SKEW));
        let next = match gcra::take(tat, 1, rate, now) {
            Ok(next) => next,
            Err(wait) => return Ok(Admission { state: state(tat), wait_s: Some(seconds_up(wait.0).max(1)) }),
        };
        entries.set(place.fingerprint, next);
        if counters.swap(place.shard, &entries.to_bytes(), shard.version)? {
            return Ok(Admission { state: state(next), wait_s: None });
        }
    }
    Err(CountersError)
}

fn seconds_up(micros: u64) -> u32 {
    u32::try_from(micros.div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
