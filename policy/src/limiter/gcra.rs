//! The rate limiter's arithmetic: the generic cell rate algorithm, without a clock and without a store.

use crate::UnixMicros;

/// A limit in the units of the arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// What one request costs, in microseconds; rounded up, so that the rate is never exceeded.
    emission: u64,
    /// How far a client may run ahead, in microseconds.
    credit: u64,
}

/// How long until the same cost would pass, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) u64);

impl Limit {
    /// `requests` per `window_s`, and at most `burst` at once. Zeroes count as one.
    pub(crate) fn new(requests: u32, window_s: u32, burst: u32) -> Self {
        let window = u64::from(window_s.max(1)).saturating_mul(1_000_000);
        let emission = window.div_ceil(u64::from(requests.max(1)));
        Self { emission, credit: emission.saturating_mul(burst.max(1).into()) }
    }

    /// The latest that a state of this limit can be at `now`: anything later was not written under this clock and
    /// this limit.
    pub(crate) const fn latest(self, now: UnixMicros) -> u64 {
        now.0.saturating_add(self.credit)
    }

    /// How many requests would pass at once at `now`.
    pub(crate) const fn remaining(self, tat: u64, now: UnixMicros) -> u64 {
        let used = tat.saturating_sub(now.0);
        match self.credit.saturating_sub(used).checked_div(self.emission) {
            Some(remaining) => remaining,
            None => 0,
        }
    }
}

/// Takes `cost` cells from a GCRA limiter (ITU-T I.371, virtual scheduling; `tat` = theoretical arrival time).
/// - `tat`: the stored state, unix **microseconds**; 0 for a limiter never used.
/// - `now`: may lie before `tat` or jump back: the answer is then stricter, never looser.
///
/// Answers the `tat` to store. Refusing stores nothing, so a client that hammers does not push itself back.
///
/// # Errors
/// [`Wait`]: how long until the same cost would pass; `Retry-After` rounds it **up** to seconds.
pub(crate) fn take(tat: u64, cost: u32, limit: Limit, now: UnixMicros) -> Result<u64, Wait> {
    let next = tat.max(now.0).saturating_add(limit.emission.saturating_mul(cost.into()));
    match next.saturating_sub(limit.latest(now)) {
        0 => Ok(next),
        wait => Err(Wait(wait)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;
    const START: u64 = 1_760_000_000 * SECOND;

    #[test]
    fn the_limiter_keeps_its_promises() {
        // One a second, three at once. Offsets in milliseconds; `true` passes.
        let table: [(&str, &[(u64, bool)]); 5] = [
            ("a burst passes, the next does not", &[(0, true), (0, true), (0, true), (0, false)]),
            (
                "one comes back a second",
                &[(0, true), (0, true), (0, true), (999, false), (1_000, true), (1_000, false)],
            ),
            (
                "hammering costs nothing",
                &[(0, true), (0, true), (0, true), (1, false), (2, false), (1_000, true)],
            ),
            (
                "all come back in the end",
                &[
                    (0, true),
                    (0, true),
                    (0, true),
                    (3_000, true),
                    (3_000, true),
                    (3_000, true),
                    (3_000, false),
                ],
            ),
            (
                "going back in time is stricter",
                &[(9_000, true), (9_000, true), (9_000, true), (0, false), (9_999, false), (10_000, true)],
            ),
        ];
        let limit = Limit::new(60, 60, 3);
        for (promise, steps) in table {
            let mut tat = 0;
            for (offset_ms, passes) in steps {
                let now = UnixMicros(START + offset_ms * 1_000);
                let taken = take(tat, 1, limit, now);
                assert_eq!(taken.is_ok(), *passes, "{promise}, at {offset_ms} ms");
                tat = taken.unwrap_or(tat);
            }
        }
    }

    #[test]
    fn the_wait_is_exactly_what_is_missing() {
        let limit = Limit::new(1, 10, 1);
        let tat = take(0, 1, limit, UnixMicros(START)).unwrap();
        let Err(Wait(wait)) = take(tat, 1, limit, UnixMicros(START + 1)) else { panic!("passed") };
        assert_eq!(wait, 10 * SECOND - 1);
        assert!(take(tat, 1, limit, UnixMicros(START + wait)).is_err());
        assert!(take(tat, 1, limit, UnixMicros(START + 1 + wait)).is_ok());
    }

    #[test]
    fn a_rate_that_does_not_divide_is_rounded_to_the_stricter_side() {
        let limit = Limit::new(3, 1, 1);
        let tat = take(0, 1, limit, UnixMicros(START)).unwrap();
        assert_eq!(take(tat, 1, limit, UnixMicros(START + 333_333)), Err(Wait(1)));
        assert!(take(tat, 1, limit, UnixMicros(START + 333_334)).is_ok());
    }

    #[test]
    fn what_remains_is_what_would_pass_at_once() {
        let (limit, now) = (Limit::new(60, 60, 3), UnixMicros(START));
        let mut tat = 0;
        for remaining in [2, 1, 0] {
            tat = take(tat, 1, limit, now).unwrap();
            assert_eq!(limit.remaining(tat, now), remaining);
        }
        assert_eq!(limit.remaining(0, now), 3);
        assert_eq!(limit.remaining(u64::MAX, now), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate_pass(
            (requests, window_s, burst) in (1..200_u32, 1..120_u32, 1..50_u32),
            steps in prop::collection::vec(0..2_000_000_u64, 1..300),
        ) {
            let limit = Limit::new(requests, window_s, burst);
            let (mut now, mut tat, mut passed) = (START, 0, 0_u64);
            for step in steps {
                now += step;
                if let Ok(next) = take(tat, 1, limit, UnixMicros(now)) {
                    (tat, passed) = (next, passed + 1);
                }
                let allowed = u64::from(burst) + (now - START) * u64::from(requests) / (u64::from(window_s) * SECOND);
                prop_assert!(passed <= allowed, "{passed} of {allowed}");
            }
        }

        #[test]
        fn a_clock_that_went_back_never_lets_more_pass(
            tat in START..START + 100 * SECOND, now in START..START + 100 * SECOND, back in 0..100 * SECOND,
        ) {
            let limit = Limit::new(10, 10, 5);
            if take(tat, 1, limit, UnixMicros(now - back)).is_ok() {
                prop_assert!(take(tat, 1, limit, UnixMicros(now)).is_ok());
            }
        }

        #[test]
        fn no_number_overflows(tat: u64, cost: u32, now: u64, requests: u32, window_s: u32, burst: u32) {
            let limit = Limit::new(requests, window_s, burst);
            if let Ok(next) = take(tat, cost, limit, UnixMicros(now)) {
                prop_assert!(next >= tat.max(now));
            }
        }
    }
}
