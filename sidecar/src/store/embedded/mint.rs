//! New delivery ids, each later than the one before: a listing by id is then a listing by age, and equals in due time
//! are served as they came.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock::Millis;
use crate::model::{DeliveryId, Tenant};

/// How many ids one millisecond has: the counter takes the first twelve random bits (RFC 9562, 6.2, method 1).
const PER_MILLI: u16 = 1 << 12;

/// Makes ids that only grow. A burst runs ahead of the clock by a millisecond for each 4096 ids.
#[derive(Debug)]
pub(super) struct Mint {
    rng: StdRng,
    milli: Millis,
    counter: u16,
}

impl Mint {
    /// Seeded from outside.
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), milli: Millis(0), counter: 0 }
    }

    /// The next id.
    pub(super) fn next(&mut self, now: Millis, tenant: &Tenant) -> DeliveryId {
        self.step(now);
        let tail = self.rng.random::<u128>() >> 16;
        let entropy = (u128::from(self.counter) << 112) | tail;
        DeliveryId::fresh(self.milli, entropy, tenant)
    }

    fn step(&mut self, now: Millis) {
        if now > self.milli {
            (self.milli, self.counter) = (now, 0);
        } else if self.counter + 1 < PER_MILLI {
            self.counter += 1;
        } else {
            (self.milli, self.counter) = (Millis(self.milli.0.saturating_add(1)), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_only_grow_whatever_the_clock_does() {
        let mut mint = Mint::new(7);
        let tenant = Tenant::default();
        let mut ids = Vec::new();
        for now in [1_000, 1_000, 999, 1_001, 5, 1_002] {
            ids.extend((0..5_000).map(|_| mint.next(Millis(now), &tenant)));
        }
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
