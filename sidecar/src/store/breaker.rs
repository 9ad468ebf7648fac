//! When a failing endpoint is left alone, as a value: every store keeps one per endpoint and decides with this.
//!
//! Enough failures in a row open it; while it is open deliveries wait and cost no attempt; then one probe at a time
//! finds out. Only the probe can move it again: what comes back of attempts that began earlier changes nothing.

use std::time::Duration;

use super::{BreakerSettings, BreakerState};
use crate::clock::Millis;

/// One endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Attempts flow.
    Closed {
        /// Failed in a row so far.
        failures: u32,
    },
    /// No attempt is made.
    Open {
        /// When one may probe.
        until: Millis,
    },
    /// A probe is under way.
    HalfOpen {
        /// When its lease ends: if it is not heard of until then, another one may probe.
        until: Millis,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What a breaker lets an endpoint have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// An attempt like any other.
    Attempt,
    /// The one attempt that decides; its lease must remember that it is the probe.
    Probe,
    /// Nothing before this moment.
    NotBefore(Millis),
}

impl Breaker {
    /// Asks for an attempt at `now` whose lease would end at `lease_ends`. Answers the breaker to keep.
    #[must_use]
    pub fn admit(self, now: Millis, lease_ends: Millis) -> (Self, Admit) {
        match self {
            Self::Closed { .. } => (self, Admit::Attempt),
            Self::Open { until } | Self::HalfOpen { until } if now < until => (self, Admit::NotBefore(until)),
            Self::Open { .. } | Self::HalfOpen { .. } => (Self::HalfOpen { until: lease_ends }, Admit::Probe),
        }
    }

    /// The earliest moment at which [`Self::admit`] may let one pass; `None`: any.
    #[must_use]
    pub const fn not_before(self) -> Option<Millis> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { until } | Self::HalfOpen { until } => Some(until),
        }
    }

    /// Takes in the result of an attempt. `probe`: whether its lease was the probe's. Answers the breaker to keep.
    #[must_use]
    pub fn record(self, probe: bool, success: bool, now: Millis, settings: BreakerSettings) -> Self {
        match self {
            Self::Closed { .. } if success => Self::default(),
            Self::Closed { failures } if failures.saturating_add(1) < settings.failures => {
                Self::Closed { failures: failures.saturating_add(1) }
            }
            Self::HalfOpen { .. } if probe && success => Self::default(),
            Self::Closed { .. } => Self::opened(now, settings),
            Self::HalfOpen { .. } if probe => Self::opened(now, settings),
            Self::Open { .. } | Self::HalfOpen { .. } => self,
        }
    }

    /// Takes in that a lease came back with no attempt made. A probe's turn passes to the next delivery at once.
    #[must_use]
    pub const fn forgo(self, probe: bool, now: Millis) -> Self {
        match self {
            Self::HalfOpen { .. } if probe => Self::Open { until: now },
            Self::Closed { .. } | Self::Open { .. } | Self::HalfOpen { .. } => self,
        }
    }

    /// What to show of it.
    #[must_use]
    pub const fn state(self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn opened(now: Millis, settings: BreakerSettings) -> Self {
        Self::Open { until: now.plus(Duration::from_millis(settings.open_ms)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings { failures: 2, open_ms: 100 };
    /// How long every lease of these tests holds.
    const LEASE: Duration = Duration::from_millis(40);

    enum Step {
        Fail(u64),
        Succeed(u64),
        ProbeFails(u64),
        ProbeSucceeds(u64),
        ProbeReturned(u64),
        Ask(u64, Admit),
    }
    use Admit::{Attempt, NotBefore, Probe};
    use Step::{Ask, Fail, ProbeFails, ProbeReturned, ProbeSucceeds, Succeed};

    #[test]
    fn breaker_keeps_its_promises() {
        let table: [(&str, &[Step]); 10] = [
            ("a new one lets attempts flow", &[Ask(0, Attempt), Ask(0, Attempt)]),
            ("one failure is not enough", &[Fail(1), Ask(2, Attempt)]),
            ("a success forgets earlier failures", &[Fail(1), Succeed(2), Fail(3), Ask(4, Attempt)]),
            ("opens after two failures in a row", &[Fail(1), Fail(2), Ask(101, NotBefore(Millis(102)))]),
            (
                "lets one probe at a time",
                &[Fail(1), Fail(2), Ask(102, Probe), Ask(103, NotBefore(Millis(142)))],
            ),
            ("a lost probe does not wedge it", &[Fail(1), Fail(2), Ask(102, Probe), Ask(142, Probe)]),
            (
                "a probe that was returned passes its turn on",
                &[Fail(1), Fail(2), Ask(102, Probe), ProbeReturned(110), Ask(110, Probe)],
            ),
            (
                "a probe's failure opens it anew",
                &[Fail(1), Fail(2), Ask(102, Probe), ProbeFails(110), Ask(209, NotBefore(Millis(210)))],
            ),
            (
                "a probe's success closes it and forgets the failures",
                &[Fail(1), Fail(2), Ask(102, Probe), ProbeSucceeds(110), Fail(111), Ask(112, Attempt)],
            ),
            (
                "a straggler neither closes, opens nor prolongs it",
                &[
                    Fail(1),
                    Fail(2),
                    Succeed(3),
                    Fail(4),
                    Ask(5, NotBefore(Millis(102))),
                    Ask(102, Probe),
                    Succeed(103),
                    Fail(104),
                    Ask(105, NotBefore(Millis(142))),
                ],
            ),
        ];
        for (promise, steps) in table {
            let mut breaker = Breaker::default();
            for step in steps {
                breaker = advance(breaker, step, promise);
            }
        }
    }

    fn advance(breaker: Breaker, step: &Step, promise: &str) -> Breaker {
        match *step {
            Fail(at) => breaker.record(false, false, Millis(at), SETTINGS),
            Succeed(at) => breaker.record(false, true, Millis(at), SETTINGS),
            ProbeFails(at) => breaker.record(true, false, Millis(at), SETTINGS),
            ProbeSucceeds(at) => breaker.record(true, true, Millis(at), SETTINGS),
            ProbeReturned(at) => breaker.forgo(true, Millis(at)),
            Ask(at, expected) => {
                let now = Millis(at);
                let (after, answer) = breaker.admit(now, now.plus(LEASE));
                assert_eq!(answer, expected, "{promise}, at {at}");
                let early = breaker.not_before().is_some_and(|moment| now < moment);
                assert_eq!(early, matches!(answer, NotBefore(_)), "{promise}, not_before at {at}");
                after
            }
        }
    }
}
