//! The second step: the body, and the verdict at its end.

use std::{fmt, sync::Arc};

use subtle::{Choice, ConstantTimeEq as _};

use crate::{
    Reason, Refusal, Source, UnixMicros,
    scheme::{Mac, Message, Replay, Timestamp, hex_encode},
};

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

/// One message being verified. Owns what it needs; holds no reference to the policy, and no more of the body than a
/// hash's block.
pub struct Verifier {
    source: Arc<str>,
    message_id: Option<String>,
    timestamp: Option<Timestamp>,
    tolerance_s: u64,
    candidates: Vec<Vec<u8>>,
    /// One per configured secret.
    macs: Vec<Mac>,
    replay: Replay,
    length: BodyLength,
}

/// What is known of the body's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLength {
    /// `Content-Length`.
    pub(crate) declared: Option<u64>,
    /// The most it may be.
    pub(crate) limit: u64,
    /// The host knows that no body follows.
    pub(crate) ended: bool,
    seen: u64,
}

impl BodyLength {
    /// A body of which nothing has been seen.
    ///
    /// # Errors
    /// [`Reason::BodyTooLarge`] when it says it is.
    pub(crate) const fn new(declared: Option<u64>, limit: u64, ended: bool) -> Result<Self, Reason> {
        match declared {
            Some(declared) if declared > limit => Err(Reason::BodyTooLarge),
            _ => Ok(Self { declared, limit, ended, seen: 0 }),
        }
    }

    fn count(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        self.seen = self.seen.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.seen > self.limit {
            return Err(Reason::BodyTooLarge);
        }
        if self.declared.is_some_and(|declared| self.seen > declared) {
            return Err(Reason::IncompleteBody);
        }
        Ok(())
    }

    fn judge(self) -> Result<(), Reason> {
        match self.declared {
            Some(declared) if declared != self.seen => Err(Reason::IncompleteBody),
            _ if self.seen > self.limit => Err(Reason::BodyTooLarge),
            _ => Ok(()),
        }
    }
}

impl Verifier {
    /// Starts one hash per secret of `source` with what is signed before the body.
    pub(crate) fn new(source: &Source, message: Message, length: BodyLength) -> Self {
        let start = |key: &crate::Key| {
            let mut mac = key.start();
            mac.update(&message.opening);
            mac
        };
        Self {
            source: source.shared_name(),
            macs: source.keys().iter().map(start).collect(),
            message_id: message.id,
            timestamp: message.timestamp,
            tolerance_s: source.tolerance_s(),
            candidates: message.candidates,
            replay: source.scheme().replay(),
            length,
        }
    }

    /// Feeds the next bytes of the body, as they were received: nothing decoded, nothing decompressed.
    ///
    /// # Errors
    /// When the body is now over its limit or longer than it said: refuse at once, call nothing more. `finish` refuses
    /// as well.
    pub fn update(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.length.count(chunk).map_err(Refusal::new)?;
        for mac in &mut self.macs {
            mac.update(chunk);
        }
        Ok(())
    }

    /// The verdict, at the end of the body or at the trailers. The timestamp is judged once more at `now`: a message
    /// whose body takes longer than its tolerance is stale, and may be beyond the memory of what was accepted before.
    pub fn finish(self, now: UnixMicros) -> Verdict {
        match self.judge(now) {
            Ok(accepted) => Verdict::Accept(accepted),
            Err(reason) => Verdict::Refuse(Refusal::new(reason)),
        }
    }

    /// Whether the head already said that the body is empty (`Content-Length: 0`, or no body at all), so that the
    /// verdict can and must be had now.
    #[must_use]
    pub fn body_is_empty(&self) -> bool {
        self.length.ended || self.length.declared == Some(0)
    }

    fn judge(self, now: UnixMicros) -> Result<Accepted, Reason> {
        self.length.judge()?;
        if let Some(timestamp) = self.timestamp {
            timestamp.judge(self.tolerance_s, now)?;
        }
        let digests: Vec<_> = self.macs.into_iter().map(Mac::finish).collect();
        if !fits(&digests, &self.candidates) {
            return Err(Reason::BadSignature);
        }
        let replay_keys = match (self.replay, &self.message_id) {
            (Replay::Id, Some(id)) => vec![format!("id:{id}")],
            (Replay::Id, None) => return Err(Reason::MissingHeader),
            (Replay::Signature, _) => digests.iter().map(|mac| format!("mac:{}", hex_encode(mac))).collect(),
        };
        Ok(Accepted { source: self.source, message_id: self.message_id, replay_keys })
    }
}

/// Whether any signature is any of the MACs. Compares all with all in constant time, and never stops early.
fn fits(digests: &[Vec<u8>], candidates: &[Vec<u8>]) -> bool {
    let pairs = digests.iter().flat_map(|digest| candidates.iter().map(move |candidate| (digest, candidate)));
    pairs.fold(Choice::from(0), |any, (digest, candidate)| any | digest.ct_eq(candidate)).into()
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Verifier");
        shown
            .field("source", &self.source)
            .field("message_id", &self.message_id)
            .field("length", &self.length);
        shown.finish_non_exhaustive()
    }
}
