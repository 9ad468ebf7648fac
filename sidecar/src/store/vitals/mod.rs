//! How one endpoint does, and what may be tried there: breaker, hold and concurrency as one value that every store
//! keeps per endpoint, shared by all replicas. Pure: it is told `now`.
//!
//! The embedded store decides with this; the scripts of the Redis store (`lua/vitals.lua`) decide the same, and the
//! conformance suite walks both through the same trajectories.

mod breaker;
mod throttle;
mod window;

use std::num::NonZeroU16;

pub use self::breaker::{Admit, Breaker};
use self::throttle::Throttle;
use super::{BreakerSettings, BreakerState, Turn};
use crate::clock::Millis;
use crate::model::Signal;

/// One endpoint's condition. The default is an endpoint of which nothing is known: everything may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    breaker: Breaker,
    throttle: Throttle,
    /// Until when the endpoint asked to be left alone; 0 when it never did.
    hold: Millis,
}

/// What came back from one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// What it says of the endpoint.
    pub signal: Signal,
    /// Whether its lease was the probe's.
    pub probe: bool,
    /// When it began.
    pub started_at: Millis,
    /// How long it took, milliseconds.
    pub duration_ms: u32,
    /// Attempts under way at the endpoint, this one included.
    pub in_flight: u32,
}

impl Vitals {
    /// Asks for an attempt at `now` whose lease would end at `lease_ends`. Answers what to keep.
    #[must_use]
    pub fn admit(self, now: Millis, lease_ends: Millis) -> (Self, Admit) {
        if now < self.hold {
            return (self, Admit::NotBefore(self.not_before().unwrap_or(self.hold)));
        }
        let (breaker, admit) = self.breaker.admit(now, lease_ends);
        (Self { breaker, ..self }, admit)
    }

    /// The earliest moment at which [`Self::admit`] may let one pass; `None`: any.
    #[must_use]
    pub fn not_before(self) -> Option<Millis> {
        self.breaker.not_before().max(self.held_until())
    }

    /// Until when the endpoint asked to be left alone, if it ever did. May have passed.
    #[must_use]
    pub fn held_until(self) -> Option<Millis> {
        Some(self.hold).filter(|hold| *hold > Millis(0))
    }

    /// Attempts it may have at once at present: 1 up to `ceiling`, its own cap.
    #[must_use]
    pub fn concurrency(self, ceiling: NonZeroU16) -> u16 {
        self.throttle.concurrency(ceiling)
    }

    /// Takes in what came back. `ceiling`: the endpoint's own cap. Answers how its breaker turned.
    pub fn record(
        &mut self,
        heard: Heard,
        now: Millis,
        settings: &BreakerSettings,
        ceiling: NonZeroU16,
    ) -> Option<Turn> {
        if let Signal::Overloaded { hold_until: Some(until) } = heard.signal {
            self.hold = self.hold.max(until);
        }
        let turn = self.breaker.record(heard, now, settings);
        match turn {
            Some(Turn::BreakerClosed) => self.throttle.ramp(now),
            Some(Turn::BreakerOpened { .. } | Turn::Gone) | None => {
                self.throttle.record(heard, now, ceiling);
            }
        }
        turn
    }

    /// Takes in that a lease came back with no attempt made. A probe's turn passes to the next delivery at once.
    pub fn forgo(&mut self, probe: bool, now: Millis) {
        self.breaker = self.breaker.forgo(probe, now);
    }

    /// What to show of the breaker.
    #[must_use]
    pub const fn breaker(self) -> BreakerState {
        self.breaker.state()
    }
}
