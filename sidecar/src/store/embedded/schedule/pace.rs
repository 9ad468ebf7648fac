//! How fast one endpoint may be offered attempts: GCRA (ITU-T I.371, virtual scheduling) in microseconds. Pure.

use std::num::NonZeroU16;

use crate::clock::Millis;

/// One endpoint's rate limit and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// One attempt's share of a second, microseconds; 0 for no limit.
    emission: u64,
    /// How far ahead of the even pace it may run, microseconds: a tenth of a second's attempts at once.
    credit: u64,
    /// The theoretical arrival time of the next attempt, unix microseconds.
    tat: u64,
}

impl Pace {
    /// A limiter never used.
    pub(super) fn new(per_second: Option<NonZeroU16>) -> Self {
        let Some(rate) = per_second else { return Self { emission: 0, credit: 0, tat: 0 } };
        let emission = 1_000_000 / u64::from(rate.get());
        let burst = u64::from(rate.get() / 10).max(1);
        Self { emission, credit: emission.saturating_mul(burst), tat: 0 }
    }

    /// This limiter with another rate; what was spent stays spent.
    pub(super) fn at_rate(self, per_second: Option<NonZeroU16>) -> Self {
        Self { tat: self.tat, ..Self::new(per_second) }
    }

    /// The earliest moment at which one more attempt fits, as far as is known at `now`. After a clock that went back
    /// it is one attempt's share away at most, not as long as the clock needs to catch up.
    pub(super) fn not_before(self, now: Millis) -> Millis {
        if self.emission == 0 {
            return Millis(0);
        }
        let even = self.tat.saturating_add(self.emission).saturating_sub(self.credit);
        let furthest = now.0.saturating_mul(1_000).saturating_add(self.emission);
        Millis(even.min(furthest).div_ceil(1_000))
    }

    /// Spends one attempt at `now`.
    pub(super) fn spend(&mut self, now: Millis) {
        if self.emission > 0 {
            let now = now.0.saturating_mul(1_000);
            let tat = self.tat.min(now.saturating_add(self.credit)).max(now);
            self.tat = tat.saturating_add(self.emission);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many attempts pass in `seconds`, asked every millisecond; and the most in any one second.
    fn passed(rate: Option<NonZeroU16>, seconds: u64) -> (usize, usize) {
        let mut pace = Pace::new(rate);
        let mut passed = Vec::new();
        for ms in 1_000_000..1_000_000 + seconds * 1_000 {
            while pace.not_before(Millis(ms)) <= Millis(ms) && passed.len() < 5_000 {
                pace.spend(Millis(ms));
                passed.push(ms);
            }
        }
        let within = |from: u64| passed.iter().filter(|ms| (from..from + 1_000).contains(ms)).count();
        let most = passed.iter().map(|from| within(*from)).max().unwrap_or_default();
        (passed.len(), most)
    }

    #[test]
    fn a_pace_is_kept_over_seconds_and_in_each() {
        for rate in [1_u16, 2, 7, 10, 100, 999] {
            let (sum, most) = passed(NonZeroU16::new(rate), 3);
            let rate = usize::from(rate);
            assert!(
                (3 * rate..=3 * rate + rate.div_ceil(10) + 1).contains(&sum),
                "{rate}: {sum} in three seconds"
            );
            assert!(most <= rate + rate.div_ceil(10) + 1, "{rate}: {most} in one second");
        }
    }

    #[test]
    fn no_limit_is_none() {
        let mut pace = Pace::new(None);
        pace.spend(Millis(7));
        assert_eq!(pace.not_before(Millis(7)), Millis(0), "as many as you like, at any time");
    }

    #[test]
    fn an_idle_second_is_not_saved_up() {
        let mut pace = Pace::new(NonZeroU16::new(10));
        pace.spend(Millis(0));
        pace.spend(Millis(60_000));
        assert_eq!(pace.not_before(Millis(60_000)), Millis(60_100));
    }

    #[test]
    fn another_rate_does_not_forgive_what_was_spent() {
        let mut pace = Pace::new(NonZeroU16::new(1));
        pace.spend(Millis(5_000));
        assert_eq!(pace.at_rate(NonZeroU16::new(2)).not_before(Millis(5_700)), Millis(6_000));
        assert_eq!(pace.at_rate(None).not_before(Millis(5_700)), Millis(0));
    }

    #[test]
    fn a_clock_that_went_back_costs_one_attempts_share() {
        let mut pace = Pace::new(NonZeroU16::new(10));
        pace.spend(Millis(3_600_000));
        assert_eq!(pace.not_before(Millis(1_000)), Millis(1_100));
        pace.spend(Millis(1_100));
        assert_eq!(pace.not_before(Millis(1_100)), Millis(1_200), "and it keeps its pace from there");
    }
}
