//! The webhook policy that both doors ask: pure, without clock, I/O, randomness or host calls.
//!
//! A host drives it in steps and applies what it answers:
//!
//! 1. [`Policy::begin`] at the request head: reserved headers, request id, source, method, sizes, per-client rate
//!    limit, presence and age of the signature. The cheapest refusal comes first.
//! 2. [`Verifier::update`] for every chunk of the body.
//! 3. [`Verifier::finish`] exactly once, at the end of the body or at the trailers.
//! 4. [`Policy::response_headers`] on every response, refusals included.
//!
//! Nothing is accepted by default: a request that never reached `finish` was not accepted.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod begin;
mod config;
mod counters;
mod head;
mod headers;
mod limiter;
mod refusal;
mod request_id;
mod response;
mod scheme;
mod verdict;

pub use begin::{Begin, HeadEdits, Next, Stamp};
pub use config::{EventTypeRule, Gateway, Host, Mode, Policy, PolicyError, Source};
pub use counters::{Counters, CountersError, Shard};
pub use head::{Header, RequestHead, UnixMicros};
pub use limiter::{RateLimit, RateState};
pub use refusal::{Reason, Refusal};
pub use scheme::{Key, Scheme, SecretError};
pub use verdict::{Accepted, Verdict, Verifier};
