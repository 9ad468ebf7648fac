//! How often a store that fails is asked again, and how often the log hears of it: once when it goes, once when it
//! is back.

use std::error::Error;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use crate::store::StoreError;

/// Waits between tries of one operation: 50 ms doubled up to 5 s, each between half of that and all of it.
#[derive(Debug)]
pub(crate) struct Patience {
    operation: &'static str,
    failures: u32,
    rng: StdRng,
}

impl Patience {
    const LEAST_MS: u64 = 50;
    const MOST_MS: u64 = 5_000;

    pub(crate) const fn new(operation: &'static str, rng: StdRng) -> Self {
        Self { operation, failures: 0, rng }
    }

    /// Notes a failure and answers how long to wait.
    pub(crate) fn failed(&mut self, error: &StoreError) -> Duration {
        let (first, wait) = self.one_more();
        if first {
            tracing::warn!(
                operation = self.operation,
                error = error as &dyn Error,
                "the store fails; trying on"
            );
        }
        wait
    }

    /// Notes a success.
    pub(crate) fn succeeded(&mut self) {
        if let Some(failures) = self.over() {
            tracing::info!(operation = self.operation, failures, "the store is back");
        }
    }

    /// Whether this failure is the first, and the wait after it.
    fn one_more(&mut self) -> (bool, Duration) {
        let doubled = Self::LEAST_MS.saturating_mul(2_u64.saturating_pow(self.failures));
        let most = doubled.min(Self::MOST_MS);
        let wait = Duration::from_millis(self.rng.random_range(most / 2..=most));
        self.failures = self.failures.saturating_add(1);
        (self.failures == 1, wait)
    }

    /// How many failures a success ends; `None` when there was none.
    fn over(&mut self) -> Option<u32> {
        Some(std::mem::take(&mut self.failures)).filter(|failures| *failures > 0)
    }

    /// A quarter less to a quarter more than `span`, so that replicas do not move in step.
    pub(super) fn spread(&mut self, span: Duration) -> Duration {
        let quarter = span / 4;
        span.saturating_sub(quarter) + quarter * (self.rng.next_u32() % 1_024) / 512
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut patience = Patience::new("take", StdRng::seed_from_u64(1));
        for most in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let wait = patience.one_more().1.as_millis();
            assert!((most / 2..=most).contains(&wait), "{wait} of {most}");
        }
        patience.succeeded();
        assert!(patience.one_more().1.as_millis() <= 50);
    }

    #[test]
    fn the_log_hears_of_a_change_and_not_of_every_try() {
        let mut patience = Patience::new("take", StdRng::seed_from_u64(1));
        assert_eq!(patience.over(), None, "nothing was wrong");
        for first in [true, false, false] {
            assert_eq!(patience.one_more().0, first);
        }
        assert_eq!([patience.over(), patience.over()], [Some(3), None]);
        assert!(patience.one_more().0, "gone again");
    }

    #[test]
    fn a_spread_span_stays_near_the_span() {
        let mut patience = Patience::new("maintain", StdRng::seed_from_u64(1));
        let spans: Vec<_> = (0..100).map(|_| patience.spread(Duration::from_secs(1)).as_millis()).collect();
        assert!(spans.iter().all(|ms| (750..=1_250).contains(ms)), "{spans:?}");
        assert!(spans.iter().any(|ms| *ms < 900) && spans.iter().any(|ms| *ms > 1_100), "{spans:?}");
    }
}
