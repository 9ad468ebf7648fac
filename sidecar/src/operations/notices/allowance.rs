//! How many dead letters of one endpoint are told of. Pure.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::model::EndpointId;

/// Told of one endpoint in one second, at most.
pub(super) const A_SECOND: u32 = 5;
/// Endpoints remembered at once, at most.
const MOST: usize = 10_000;

/// What was told of every endpoint of late.
#[derive(Debug, Default)]
pub(super) struct Allowance(HashMap<EndpointId, Told>);

#[derive(Debug, Default)]
struct Told {
    second: u64,
    told: u32,
    left_out: u64,
}

impl Allowance {
    /// Whether one more may be told of, and of how many before it nothing was told.
    pub(super) fn take(&mut self, endpoint: &EndpointId, now: Millis) -> Option<u64> {
        let second = now.seconds();
        self.make_room(endpoint, second);
        let told = self.0.entry(endpoint.clone()).or_default();
        if told.second != second {
            (told.second, told.told) = (second, 0);
        }
        if told.told >= A_SECOND {
            told.left_out = told.left_out.saturating_add(1);
            return None;
        }
        told.told = told.told.saturating_add(1);
        Some(std::mem::take(&mut told.left_out))
    }

    /// So many were left out after all.
    pub(super) fn left_out(&mut self, endpoint: &EndpointId, count: u64) {
        if let Some(told) = self.0.get_mut(endpoint) {
            told.left_out = told.left_out.saturating_add(count);
        }
    }

    /// Forgets those of whom nothing was told of late; should all of them be busy, all: then too much is told, once.
    fn make_room(&mut self, endpoint: &EndpointId, second: u64) {
        if self.0.len() < MOST || self.0.contains_key(endpoint) {
            return;
        }
        self.0.retain(|_, told| told.second == second);
        if self.0.len() >= MOST {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> EndpointId {
        name.parse().unwrap()
    }

    #[test]
    fn so_many_a_second_are_told_of_and_the_others_counted() {
        let mut allowance = Allowance::default();
        let mut take = |name: &str, ms| allowance.take(&id(name), Millis(ms));
        for _ in 0..A_SECOND {
            assert_eq!(take("a", 1_000), Some(0));
        }
        assert_eq!([take("a", 1_500), take("a", 1_999)], [None, None], "one too many");
        assert_eq!(take("b", 1_999), Some(0), "another endpoint has its own");
        assert_eq!([take("a", 2_000), take("a", 2_000)], [Some(2), Some(0)], "told with the next one");
    }

    #[test]
    fn what_could_not_be_told_is_counted_too() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.take(&id("a"), Millis(0)), Some(0));
        allowance.left_out(&id("a"), 3);
        assert_eq!(allowance.take(&id("a"), Millis(0)), Some(3));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut allowance = Allowance::default();
        for n in 0..2 * MOST {
            assert_eq!(allowance.take(&id(&format!("e{n}")), Millis(0)), Some(0));
            assert!(allowance.0.len() <= MOST);
        }
    }
}
