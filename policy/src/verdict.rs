//! The second step: the body, and the verdict at its end.

use std::sync::Arc;

use crate::{Reason, Refusal, UnixMicros};

/// A message that a door lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its source's name.
    pub source: Arc<str>,
    /// The id it carries, signed or not; for logs.
    pub message_id: Option<String>,
    /// By which it is known to have come before, one per configured secret (a message can be signed with any of
    /// them): `id:msg_1` for a signed id, else `mac:` and the lower-case hex of the MAC. Not yet scoped by source.
    pub replay_keys: Vec<String>,
}

/// What a door decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Genuine and fresh.
    Accept(Accepted),
    /// Not to be let in.
    Refuse(Refusal),
}

/// One message being verified. Owns what it needs; holds no reference to the policy.
#[derive(Debug)]
pub struct Verifier {}

impl Verifier {
    /// Feeds the next bytes of the body.
    ///
    /// # Errors
    /// When the body is now over its limit or longer than it said: refuse at once, call nothing more.
    pub fn update(&mut self, _chunk: &[u8]) -> Result<(), Refusal> {
        Err(Refusal::new(Reason::BodyTooLarge))
    }

    /// The verdict, at the end of the body or at the trailers.
    pub fn finish(self, _now: UnixMicros) -> Verdict {
        Verdict::Refuse(Refusal::new(Reason::BadSignature))
    }

    /// Whether the head already said that the body is empty (`Content-Length: 0`, or no body at all), so that the
    /// verdict can and must be had now.
    #[must_use]
    pub fn body_is_empty(&self) -> bool {
        false
    }
}
