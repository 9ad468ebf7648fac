//! How many attempts an endpoint may have at once: additive increase, multiplicative decrease between 1 and its own
//! cap, as TCP finds its window. Pure.
//!
//! - Slow start and congestion avoidance after RFC 5681: below the *knee* every success adds one, so that the cap
//!   doubles with every round trip; above it every success adds its share of one. Only while the cap is used
//!   (RFC 7661): what was never tried is not learned.
//! - Overload halves it, at most once per round trip: what began before the last cut changes nothing.
//! - Latency is compared with its own long-term average, which follows it, as in Netflix' concurrency-limits
//!   (Gradient2): an endpoint that becomes slow is offered less for some dozens of attempts, one that is slow is not.

use std::num::NonZeroU16;

use super::Heard;
use crate::clock::Millis;
use crate::model::Signal;

/// What is learned of one endpoint. Caps are in thousandths of an attempt; 0 is the endpoint's own cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Throttle {
    cap: u32,
    /// Below it the cap doubles, above it the cap creeps.
    knee: u32,
    /// When the cap was last cut.
    cut_at: Millis,
    /// Most attempts seen under way in the present round trip,
    peak: u32,
    /// which began here.
    round: Millis,
    /// Average duration of the last successes, in eighths of a millisecond.
    short: u64,
    /// The same of many more, in sixty-fourths.
    long: u64,
}

impl Throttle {
    /// One attempt.
    const ONE: u32 = 1_000;
    /// What overload leaves of the cap, in eighths.
    const OVERLOADED: u32 = 4;
    /// What slowness does.
    const SLOW: u32 = 6;
    /// Milliseconds by which twice the usual duration must be exceeded: short ones vary for reasons of their own.
    const SLACK_MS: u64 = 50;

    /// Attempts at once, 1 up to `ceiling`.
    pub(super) fn concurrency(self, ceiling: NonZeroU16) -> u16 {
        let whole = u16::try_from(self.cap / Self::ONE).unwrap_or(u16::MAX);
        if self.cap == 0 { ceiling.get() } else { whole.clamp(1, ceiling.get()) }
    }

    /// Begins again at one attempt, and doubles from there.
    pub(super) fn ramp(&mut self, now: Millis) {
        *self = Self { cap: Self::ONE, knee: 0, cut_at: now, ..*self };
    }

    /// Takes in what came back from an attempt.
    pub(super) fn record(&mut self, heard: Heard, now: Millis, ceiling: NonZeroU16) {
        let slow = heard.signal == Signal::Success && self.is_slow_after(heard.duration_ms);
        self.look(heard, now);
        if heard.started_at < self.cut_at {
            return;
        }
        match heard.signal {
            Signal::Overloaded { .. } => self.cut(Self::OVERLOADED, now, ceiling),
            Signal::Success if slow => self.cut(Self::SLOW, now, ceiling),
            Signal::Success => self.grow(ceiling),
            Signal::Failure => {}
        }
    }

    /// Averages with weights of an eighth and a sixty-fourth; the first success is the average.
    fn is_slow_after(&mut self, duration_ms: u32) -> bool {
        let duration = u64::from(duration_ms);
        if self.long == 0 {
            (self.short, self.long) = (duration.saturating_mul(8), duration.saturating_mul(64));
        } else {
            self.short = self.short.saturating_sub(self.short / 8).saturating_add(duration);
            self.long = self.long.saturating_sub(self.long / 64).saturating_add(duration);
        }
        self.short / 8 > (self.long / 64).saturating_mul(2).saturating_add(Self::SLACK_MS)
    }

    fn cut(&mut self, eighths: u32, now: Millis, ceiling: NonZeroU16) {
        let most = Self::ceiling(ceiling);
        let present = if self.cap == 0 { most } else { self.cap.min(most) };
        self.cap = (present / 8 * eighths).max(Self::ONE);
        (self.knee, self.cut_at) = (self.cap, now);
    }

    /// What began after this round trip did begins the next one.
    fn look(&mut self, heard: Heard, now: Millis) {
        if heard.started_at > self.round {
            (self.round, self.peak) = (now, heard.in_flight);
        } else {
            self.peak = self.peak.max(heard.in_flight);
        }
    }

    fn grow(&mut self, ceiling: NonZeroU16) {
        let used = self.peak.saturating_mul(2) >= self.cap / Self::ONE;
        if self.cap == 0 || !used {
            return;
        }
        let doubling = self.knee == 0 || self.cap < self.knee;
        let more = if doubling { Self::ONE } else { (Self::ONE * Self::ONE / self.cap).max(1) };
        self.cap = self.cap.saturating_add(more);
        if self.cap >= Self::ceiling(ceiling) {
            (self.cap, self.knee) = (0, 0);
        }
    }

    fn ceiling(ceiling: NonZeroU16) -> u32 {
        u32::from(ceiling.get()) * Self::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: NonZeroU16 = NonZeroU16::new(16).unwrap();
    const BUSY: Signal = Signal::Overloaded { hold_until: None };

    fn heard(signal: Signal, started_at: u64, duration_ms: u32, in_flight: u32) -> Heard {
        Heard { signal, probe: false, started_at: Millis(started_at), duration_ms, in_flight }
    }

    /// The cap after rounds of as many attempts as it allows, each `(signal, duration)`; the first caps are returned.
    fn rounds(throttle: &mut Throttle, from: u64, rounds: &[(Signal, u32)]) -> Vec<u16> {
        let (mut now, mut caps) = (from, Vec::new());
        for (signal, duration_ms) in rounds {
            let (began, in_flight) = (now, throttle.concurrency(CEILING));
            now += u64::from(*duration_ms) + 1;
            for left in (1..=in_flight).rev() {
                throttle.record(heard(*signal, began, *duration_ms, left.into()), Millis(now), CEILING);
            }
            caps.push(throttle.concurrency(CEILING));
        }
        caps
    }

    #[test]
    fn it_halves_once_a_round_trip_and_creeps_up_again() {
        let mut throttle = Throttle::default();
        assert_eq!(rounds(&mut throttle, 10, &[(BUSY, 100); 5]), [8, 4, 2, 1, 1], "never below one");
        let climb = rounds(&mut throttle, 9_000, &[(Signal::Success, 100); 40]);
        assert_eq!(climb[..3], [2, 2, 3], "about one a round trip: {climb:?}");
        assert_eq!(climb[39], 16, "up to its own cap: {climb:?}");
    }

    #[test]
    fn a_ramp_doubles() {
        let mut throttle = Throttle::default();
        throttle.ramp(Millis(5));
        let climb = rounds(&mut throttle, 5, &[(Signal::Success, 20); 4]);
        assert_eq!(climb[3], 16, "{climb:?}");
        assert!(climb.windows(2).all(|pair| pair[1] <= 2 * pair[0]), "{climb:?}");
    }

    #[test]
    fn a_cap_that_is_not_used_is_not_raised() {
        let mut throttle = Throttle { cap: 8_000, knee: 8_000, ..Throttle::default() };
        for n in 0..1_000 {
            throttle.record(heard(Signal::Success, n, 10, 3), Millis(n), CEILING);
        }
        assert_eq!(throttle.concurrency(CEILING), 8, "three at once tell nothing of nine");
    }

    #[test]
    fn becoming_slow_costs_a_part_and_being_slow_costs_nothing() {
        let mut throttle = Throttle::default();
        assert_eq!(rounds(&mut throttle, 10, &[(Signal::Success, 20); 8]), [16; 8]);
        let slower = rounds(&mut throttle, 1_000, &[(Signal::Success, 500); 40]);
        let least = slower.iter().min().copied().unwrap();
        assert!((5..16).contains(&least), "it is noticed: {slower:?}");
        assert_eq!(slower[39], 16, "and becomes the usual: {slower:?}");
        let always = rounds(&mut Throttle::default(), 10, &[(Signal::Success, 9_000); 50]);
        assert_eq!(always, [16; 50], "slow from the beginning is how it is");
    }

    #[test]
    fn durations_that_vary_are_not_slowness() {
        let mut throttle = Throttle::default();
        for n in 0..2_000_u32 {
            // exponentially distributed, 100 ms on average, by a fixed sequence
            let uniform = f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0–2000")]
            let duration_ms = (-100.0 * (1.0 - uniform).ln()) as u32;
            throttle.record(heard(Signal::Success, n.into(), duration_ms, 16), Millis(n.into()), CEILING);
        }
        assert_eq!(throttle.concurrency(CEILING), 16);
    }
}
