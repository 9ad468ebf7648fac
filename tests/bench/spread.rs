//! How a measured time spreads: quantiles to three digits, from a microsecond to a minute.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

const MOST_MICROS: u64 = 60_000_000;

/// Many measured times.
#[derive(Debug, Clone)]
pub(crate) struct Spread(Histogram<u64>);

/// What is told of them, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    /// Half took at most this long.
    pub p50_ms: f64,
    /// 99 of 100 took at most this long.
    pub p99_ms: f64,
    /// None took longer.
    pub(crate) max_ms: f64,
}

impl Spread {
    /// Of nothing.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MOST_MICROS, 3).expect("bounds in order"))
    }

    /// One more. Longer than a minute counts as a minute.
    pub(crate) fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// All of another's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the same bounds");
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What is told of them.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let ms = |micros: u64| micros as f64 / 1000.0;
        Quantiles {
            p50_ms: ms(self.0.value_at_quantile(0.5)),
            p99_ms: ms(self.0.value_at_quantile(0.99)),
            max_ms: ms(self.0.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_that_was_recorded() {
        let (mut one, mut other) = (Spread::new(), Spread::new());
        (1..=90).for_each(|ms| one.record(Duration::from_millis(ms)));
        (91..=100).for_each(|ms| other.record(Duration::from_millis(ms)));
        one.add(&other);
        let Quantiles { p50_ms, p99_ms, max_ms } = one.quantiles();
        for (what, seen, expected) in [("p50", p50_ms, 50.0), ("p99", p99_ms, 99.0), ("max", max_ms, 100.0)] {
            assert!((seen - expected).abs() <= expected / 1000.0, "{what}: {seen}");
        }
    }
}
