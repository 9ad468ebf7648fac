//! When a failing endpoint is left alone.
//!
//! Enough failures in a row open it, and so does a high share of failures over about half a minute; while it is open
//! deliveries wait and cost no attempt; then one probe at a time finds out. Only the probe can move it again: what
//! comes back of attempts that began earlier changes nothing. Every opening lasts twice as long as the one before,
//! until the endpoint has done well for long enough.

use std::time::Duration;

use super::Heard;
use super::window::Window;
use crate::clock::Millis;
use crate::model::Signal;
use crate::store::{BreakerSettings, BreakerState, Turn};

/// One endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
    /// How often it has opened since the endpoint last did well for long.
    openings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Attempts flow. `since`: what began earlier counts for nothing. `failures`: in a row.
    Closed { since: Millis, failures: u32, recent: Window },
    /// No attempt is made before `until`.
    Open { until: Millis },
    /// A probe is under way. `until`: when its lease ends and, if it is not heard of, another one may probe.
    HalfOpen { until: Millis },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { since: Millis(0), failures: 0, recent: Window::default() }
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
        match self.state {
            State::Closed { .. } => (self, Admit::Attempt),
            State::Open { until } | State::HalfOpen { until } if now < until => {
                (self, Admit::NotBefore(until))
            }
            State::Open { .. } | State::HalfOpen { .. } => {
                (Self { state: State::HalfOpen { until: lease_ends }, ..self }, Admit::Probe)
            }
        }
    }

    /// The earliest moment at which [`Self::admit`] may let one pass; `None`: any.
    #[must_use]
    pub const fn not_before(self) -> Option<Millis> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until } | State::HalfOpen { until } => Some(until),
        }
    }

    /// Takes in what came back from an attempt, and answers how it turned.
    pub fn record(&mut self, heard: Heard, now: Millis, settings: &BreakerSettings) -> Option<Turn> {
        let success = heard.signal == Signal::Success;
        match &mut self.state {
            State::Closed { since, failures, recent } if heard.started_at >= *since => {
                recent.count(success, now);
                *failures = if success { 0 } else { failures.saturating_add(1) };
                let often = settings.failure_percent > 0
                    && recent.fails(settings.failure_percent, settings.min_attempts);
                if success || (*failures < settings.failures && !often) {
                    return None;
                }
                let calm = now.since(*since) >= Duration::from_millis(settings.max_open_ms);
                self.openings = if calm { 0 } else { self.openings };
                Some(self.open(now, settings))
            }
            State::HalfOpen { .. } if heard.probe && success => {
                self.state = State::Closed { since: now, failures: 0, recent: Window::default() };
                Some(Turn::BreakerClosed)
            }
            State::HalfOpen { .. } if heard.probe => Some(self.open(now, settings)),
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Takes in that a lease came back with no attempt made. A probe's turn passes to the next delivery at once.
    #[must_use]
    pub const fn forgo(self, probe: bool, now: Millis) -> Self {
        match self.state {
            State::HalfOpen { .. } if probe => Self { state: State::Open { until: now }, ..self },
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => self,
        }
    }

    /// What to show of it.
    #[must_use]
    pub const fn state(self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn open(&mut self, now: Millis, settings: &BreakerSettings) -> Turn {
        let doubled = settings.open_ms.saturating_mul(2_u64.saturating_pow(self.openings));
        let until = now.plus(Duration::from_millis(doubled.min(settings.max_open_ms.max(settings.open_ms))));
        self.openings = self.openings.saturating_add(1).min(32);
        self.state = State::Open { until };
        Turn::BreakerOpened { until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two failures open it for 100 ms, 400 ms at most; or half of eight attempts.
    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 2, failure_percent: 50, min_attempts: 8, open_ms: 100, max_open_ms: 400 };
    /// How long every lease of these tests holds.
    const LEASE: Duration = Duration::from_millis(40);

    enum Step {
        Fail(u64),
        Succeed(u64),
        ProbeFails(u64),
        ProbeSucceeds(u64),
        ProbeReturned(u64),
        /// A failure of an attempt that began at the first moment.
        FailLate(u64, u64),
        Ask(u64, Admit),
    }
    use Admit::{Attempt, NotBefore, Probe};
    use Step::{Ask, Fail, FailLate, ProbeFails, ProbeReturned, ProbeSucceeds, Succeed};

    #[test]
    fn breaker_keeps_its_promises() {
        let table: [(&str, &[Step]); 11] = [
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
                "a probe's failure opens it anew, for twice as long",
                &[Fail(1), Fail(2), Ask(102, Probe), ProbeFails(110), Ask(309, NotBefore(Millis(310)))],
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
            (
                "nor one that comes after it closed",
                &[
                    Fail(1),
                    Fail(2),
                    Ask(102, Probe),
                    ProbeSucceeds(110),
                    FailLate(2, 111),
                    FailLate(2, 112),
                    Ask(113, Attempt),
                ],
            ),
        ];
        walk_all(&table);
    }

    #[test]
    fn a_share_of_failures_opens_it_too() {
        let half = [1, 3, 5, 7].map(Fail).into_iter().zip([2, 4, 6, 8].map(Succeed));
        let mut steps: Vec<Step> = half.flat_map(|(fail, succeed)| [fail, succeed]).collect();
        steps.extend([Ask(9, Attempt), Fail(10), Ask(11, NotBefore(Millis(110)))]);
        walk_all(&[("half of at least eight", &steps)]);
    }

    #[test]
    fn every_opening_is_longer_until_it_did_well_for_long() {
        let (mut breaker, mut now) = (Breaker::default(), 1_000);
        let mut open_for = |breaker: &mut Breaker, after: u64| {
            now += after;
            for _ in 0..2 {
                breaker.record(heard(Signal::Failure, false, now), Millis(now), &SETTINGS);
            }
            let until = breaker.not_before().unwrap();
            let (began, opened) = (until, until.since(Millis(now)).as_millis());
            now = began.0;
            *breaker = breaker.admit(began, began.plus(LEASE)).0;
            breaker.record(heard(Signal::Success, true, now), Millis(now), &SETTINGS);
            opened
        };
        let table = [(0, 100), (10, 200), (10, 400), (399, 400), (400, 100), (399, 200)];
        for (calm_ms, expected) in table {
            assert_eq!(open_for(&mut breaker, calm_ms), expected, "after {calm_ms} ms closed");
        }
    }

    fn heard(signal: Signal, probe: bool, started_at: u64) -> Heard {
        Heard { signal, probe, started_at: Millis(started_at), duration_ms: 1, in_flight: 1 }
    }

    fn walk_all(table: &[(&str, &[Step])]) {
        for (promise, steps) in table {
            let mut breaker = Breaker::default();
            for step in *steps {
                advance(&mut breaker, step, promise);
            }
        }
    }

    fn advance(breaker: &mut Breaker, step: &Step, promise: &str) {
        let (heard, now) = match *step {
            Fail(at) => (heard(Signal::Failure, false, at), at),
            FailLate(began, at) => (heard(Signal::Failure, false, began), at),
            Succeed(at) => (heard(Signal::Success, false, at), at),
            ProbeFails(at) => (heard(Signal::Failure, true, at), at),
            ProbeSucceeds(at) => (heard(Signal::Success, true, at), at),
            ProbeReturned(at) => return *breaker = breaker.forgo(true, Millis(at)),
            Ask(at, expected) => {
                let now = Millis(at);
                let (after, answer) = breaker.admit(now, now.plus(LEASE));
                assert_eq!(answer, expected, "{promise}, at {at}");
                let early = breaker.not_before().is_some_and(|moment| now < moment);
                assert_eq!(early, matches!(answer, NotBefore(_)), "{promise}, not_before at {at}");
                return *breaker = after;
            }
        };
        breaker.record(heard, Millis(now), &SETTINGS);
    }
}
