//! What waits for one endpoint: first attempts and retries, each in order of due time. Pure.
//!
//! While both are due, retries get a share of the turns and no more: an endpoint that comes back with a backlog of
//! failures still hears the news.

use std::collections::BTreeSet;

use crate::clock::Millis;
use crate::model::DeliveryId;

/// Forty bytes or so for each delivery that waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By due time; ids are in order of acceptance, so equals are served as they came.
    fresh: BTreeSet<(Millis, DeliveryId)>,
    /// The same of those that were tried before in their present schedule.
    again: BTreeSet<(Millis, DeliveryId)>,
    /// Hundredths of a turn that retries are owed.
    owed: u8,
}

impl Waiting {
    /// Takes one in. `again`: it is a retry. `false`: it waits already.
    pub(super) fn insert(&mut self, due: Millis, delivery: DeliveryId, again: bool) -> bool {
        if again { self.again.insert((due, delivery)) } else { self.fresh.insert((due, delivery)) }
    }

    /// Takes one out. `false`: it does not wait.
    pub(super) fn remove(&mut self, due: Millis, delivery: DeliveryId) -> bool {
        self.fresh.remove(&(due, delivery)) || self.again.remove(&(due, delivery))
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Millis> {
        let (fresh, again) = (self.fresh.first(), self.again.first());
        fresh.into_iter().chain(again).map(|(due, _)| *due).min()
    }

    /// The next of those that are due at `now`, and whether it is a retry. `percent`: the share of the turns that
    /// retries get while both are due, at most 100.
    pub(super) fn pop(&mut self, now: Millis, percent: u8) -> Option<(Millis, DeliveryId, bool)> {
        let due = |set: &BTreeSet<(Millis, DeliveryId)>| set.first().is_some_and(|(due, _)| *due <= now);
        let again = match (due(&self.fresh), due(&self.again)) {
            (false, again) => again,
            (true, false) => false,
            (true, true) => {
                self.owed = self.owed.saturating_add(percent);
                let again = self.owed >= 100;
                self.owed = if again { self.owed - 100 } else { self.owed };
                again
            }
        };
        let set = if again { &mut self.again } else { &mut self.fresh };
        set.first().filter(|(due, _)| *due <= now)?;
        set.pop_first().map(|(due, delivery)| (due, delivery, again))
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.len().saturating_add(self.again.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tenant;

    #[test]
    fn retries_get_their_share_and_no_more_while_first_attempts_wait() {
        let id = |n: u64| DeliveryId::fresh(Millis(1), u128::from(n) << 64, &Tenant::default());
        let table = [
            (50, ".r.r.r.r.r.r", "every other turn"),
            (25, "...r...rrrrr", "every fourth turn"),
            (100, "rrrrrr......", "all of them"),
            (0, "......rrrrrr", "none"),
        ];
        for (percent, expected, promise) in table {
            let mut waiting = Waiting::default();
            for n in 0..6 {
                waiting.insert(Millis(9), id(n), false);
                waiting.insert(Millis(2), id(10 + n), true);
            }
            let turn = |_| waiting.pop(Millis(9), percent).map(|(_, _, again)| if again { 'r' } else { '.' });
            let turns: String = (0..12).filter_map(turn).collect();
            assert_eq!(turns, expected, "{promise}");
            assert_eq!(waiting.len(), 0);
        }
    }

    #[test]
    fn what_is_not_due_waits() {
        let id = DeliveryId::fresh(Millis(1), 7 << 64, &Tenant::default());
        let mut waiting = Waiting::default();
        waiting.insert(Millis(5), id, true);
        assert_eq!((waiting.first(), waiting.pop(Millis(4), 50)), (Some(Millis(5)), None));
        assert_eq!(waiting.pop(Millis(5), 50), Some((Millis(5), id, true)));
    }
}
