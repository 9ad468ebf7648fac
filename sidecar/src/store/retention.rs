//! How long what is over is remembered, part by part. Both stores ask here what is to be forgotten by now.

use std::time::Duration;

use crate::clock::Millis;

/// How long each part of what is over is remembered, from the end of its delivery. What is pending is never forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What was delivered, with its attempts; events that nobody wanted, and replays. An event goes with the last of
    /// its deliveries. Default 7 d.
    pub finished: Duration,
    /// Dead letters, with their attempts. Default 7 d.
    pub dead_letters: Duration,
    /// The bytes of an event, once the last of its deliveries is over. It stays listed, and cannot be sent again.
    /// `None`, the default: as long as the event itself.
    pub payloads: Option<Duration>,
    /// The records of attempts, with the answers in them. `None`, the default: as long as their delivery.
    pub attempts: Option<Duration>,
}

impl Retention {
    /// The same for all, as long as this.
    #[must_use]
    pub const fn of(span: Duration) -> Self {
        Self { finished: span, dead_letters: span, payloads: None, attempts: None }
    }

    /// What is to be forgotten at `now`.
    pub(super) fn horizon(&self, now: Millis) -> Horizon {
        let before = |span: Duration| Millis(now.0.saturating_sub(Millis(0).plus(span).0));
        Horizon {
            finished: before(self.finished),
            dead_letters: before(self.dead_letters),
            payloads: self.payloads.map(before),
            attempts: self.attempts.map(before),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::of(Duration::from_secs(7 * 24 * 3600))
    }
}

/// The parts of what is over by the moment of their end: what ended at it or before is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Horizon {
    pub(super) finished: Millis,
    pub(super) dead_letters: Millis,
    pub(super) payloads: Option<Millis>,
    pub(super) attempts: Option<Millis>,
}

impl Horizon {
    /// All that is over, at once.
    pub(super) const fn all(now: Millis) -> Self {
        Self { finished: now, dead_letters: now, payloads: None, attempts: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_own_moment_and_what_is_not_set_has_none() {
        let seconds = |s| Some(Duration::from_secs(s));
        let retention = Retention { payloads: seconds(2), ..Retention::of(Duration::from_secs(9)) };
        let retention = Retention { dead_letters: Duration::from_secs(99), ..retention };
        let horizon = retention.horizon(Millis(10_000));
        assert_eq!((horizon.finished, horizon.dead_letters), (Millis(1_000), Millis(0)), "never before 1970");
        assert_eq!((horizon.payloads, horizon.attempts), (Some(Millis(8_000)), None));
    }
}
