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
//!
//! ```
//! use hookgate_policy::{
//!     Counters, CountersError, Header, Next, Policy, RequestHead, Scheme, Shard, UnixMicros, Verdict,
//! };
//!
//! /// The host keeps the limiter's shards; here for one thread.
//! struct Memory(Vec<Shard>);
//!
//! impl Counters for Memory {
//!     fn load(&mut self, shard: u16) -> Result<Shard, CountersError> {
//!         self.0.get(usize::from(shard)).cloned().ok_or(CountersError)
//!     }
//!     fn swap(&mut self, shard: u16, bytes: &[u8], version: u32) -> Result<bool, CountersError> {
//!         let shard = self.0.get_mut(usize::from(shard)).ok_or(CountersError)?;
//!         let ours = shard.version == version;
//!         if ours {
//!             *shard = Shard { bytes: bytes.to_vec(), version: version.wrapping_add(1) };
//!         }
//!         Ok(ours)
//!     }
//! }
//!
//! let policy = br#"{
//!     "version": 1,
//!     "rate_limit": {"requests": 100, "window_s": 60},
//!     "sources": [{"name": "acme", "scheme": "standard-webhooks", "secrets": ["env:ACME"]}]
//! }"#;
//! let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
//! let policy = Policy::from_json(policy, &mut |name| (name == "env:ACME").then(|| secret.to_owned()))?;
//! let mut counters = Memory(vec![Shard::default(); usize::from(Policy::SHARDS)]);
//!
//! // What a producer sends, with the same scheme.
//! let (now, body) = (UnixMicros(1_760_000_000_000_000), b"{\"type\":\"order.paid\"}");
//! let scheme = Scheme::preset("standard-webhooks").ok_or("no such preset")?;
//! let signed = scheme.sign(&[scheme.key(secret)?], "msg_1", now.seconds(), body);
//!
//! // What the host makes of it.
//! let headers: Vec<_> = signed
//!     .iter()
//!     .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
//!     .collect();
//! let head = RequestHead {
//!     method: b"POST",
//!     target: b"/in/acme",
//!     headers: &headers,
//!     client: "192.0.2.1".parse().ok(),
//!     end_of_stream: false,
//!     entropy: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, // 128 bits of the host's randomness
//! };
//! let begin = policy.begin(&head, now, &mut counters);
//! let verdict = match begin.next {
//!     Next::Refuse(refusal) => Verdict::Refuse(refusal),
//!     Next::Pass => return Err("not judged here".into()),
//!     Next::Verify(mut verifier) => match body.chunks(8).try_for_each(|chunk| verifier.update(chunk)) {
//!         Ok(()) => verifier.finish(now),
//!         Err(refusal) => Verdict::Refuse(refusal),
//!     },
//! };
//! match verdict {
//!     Verdict::Accept(accepted) => assert_eq!(accepted.replay_keys, ["id:msg_1"]),
//!     Verdict::Refuse(refusal) => {
//!         let (status, headers, body) = policy.refusal_response(refusal, &begin.stamp);
//!         panic!("{status} {headers:?} {}", String::from_utf8_lossy(&body));
//!     }
//! }
//! assert!(policy.response_headers(&begin.stamp).contains(&("x-ratelimit-remaining", "99".to_owned())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
