//! Who waits for whom at one endpoint: its lines, each in the order in which deliveries joined. Pure.
//!
//! Only the head of a line waits for its turn or is in an attempt; those behind it stand here and nowhere else, so that
//! nobody can take them.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Millis;
use crate::model::{DeliveryId, Line};

/// The lines that are not empty.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// By their places, which only grow while the line is not empty; with the moment each is due.
    lines: HashMap<Line, BTreeMap<u64, (DeliveryId, Millis)>>,
    places: HashMap<DeliveryId, (Line, u64)>,
}

impl Lines {
    /// Takes one in at the end of its line, unless it stands there. Answers whether it is the head.
    pub(super) fn join(&mut self, line: Line, delivery: DeliveryId, due: Millis) -> bool {
        if self.places.contains_key(&delivery) {
            return !self.is_behind(delivery);
        }
        let row = self.lines.entry(line.clone()).or_default();
        let place = row.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        row.insert(place, (delivery, due));
        self.places.insert(delivery, (line, place));
        row.len() == 1
    }

    /// Takes one out, wherever it stood. Answers the next head, and since or until when it is due, when it was the
    /// head that left.
    pub(super) fn leave(&mut self, delivery: DeliveryId) -> Option<(DeliveryId, Millis)> {
        let (line, place) = self.places.remove(&delivery)?;
        let row = self.lines.get_mut(&line)?;
        row.remove(&place);
        match row.first_key_value() {
            Some((first, head)) if *first > place => Some(*head),
            Some(_) => None,
            None => {
                self.lines.remove(&line);
                None
            }
        }
    }

    /// One that stands behind another is due at another moment. `false`: it stands behind nobody.
    pub(super) fn put_off(&mut self, delivery: DeliveryId, to: Millis) -> bool {
        if !self.is_behind(delivery) {
            return false;
        }
        let place = self.places.get(&delivery);
        let row = place.and_then(|(line, place)| self.lines.get_mut(line)?.get_mut(place));
        row.is_some_and(|(_, due)| {
            *due = to;
            true
        })
    }

    /// Whether another stands before it.
    pub(super) fn is_behind(&self, delivery: DeliveryId) -> bool {
        let first = |(line, place): &(Line, u64)| Some(self.lines.get(line)?.first_key_value()?.0 < place);
        self.places.get(&delivery).and_then(first).unwrap_or(false)
    }

    /// How many stand behind another.
    pub(super) fn behind(&self) -> usize {
        self.places.len().saturating_sub(self.lines.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tenant;

    fn id(n: u64) -> DeliveryId {
        DeliveryId::fresh(Millis(1), u128::from(n) << 64, &Tenant::default())
    }

    fn key(name: &str) -> Line {
        Line::Key(name.parse().unwrap())
    }

    #[test]
    fn who_leaves_lets_the_next_one_be_the_head() {
        let mut lines = Lines::default();
        for n in (1..5).rev() {
            assert_eq!(lines.join(Line::Endpoint, id(n), Millis(n)), n == 4, "whatever its id says");
        }
        assert_eq!(lines.behind(), 3);
        assert_eq!(lines.leave(id(2)), None, "from the middle");
        assert_eq!(lines.leave(id(4)), Some((id(3), Millis(3))), "the head");
        assert!(!lines.join(Line::Endpoint, id(4), Millis(4)), "to its end");
        assert_eq!(lines.leave(id(3)), Some((id(1), Millis(1))));
        assert_eq!(lines.leave(id(3)), None, "it stands there no more");
        assert_eq!(lines.leave(id(1)), Some((id(4), Millis(4))));
        assert_eq!(lines.leave(id(4)), None);
        assert!(lines.lines.is_empty() && lines.places.is_empty(), "an empty line is none");
    }

    #[test]
    fn lines_do_not_wait_for_each_other() {
        let mut lines = Lines::default();
        for (n, line) in [(1, key("a")), (2, key("b")), (3, Line::Endpoint)] {
            assert!(lines.join(line, id(n), Millis(n)), "each has its head");
        }
        assert!(!lines.join(key("a"), id(4), Millis(4)) && lines.is_behind(id(4)));
        assert!(!lines.join(key("b"), id(4), Millis(4)), "who stands somewhere stays there");
        assert_eq!(lines.leave(id(2)), None);
        assert_eq!(lines.leave(id(1)), Some((id(4), Millis(4))));
    }

    #[test]
    fn only_who_stands_behind_is_put_off_here() {
        let mut lines = Lines::default();
        lines.join(key("a"), id(1), Millis(1));
        lines.join(key("a"), id(2), Millis(1));
        assert!(!lines.put_off(id(1), Millis(7)) && !lines.put_off(id(3), Millis(7)));
        assert!(lines.put_off(id(2), Millis(7)));
        assert_eq!(lines.leave(id(1)), Some((id(2), Millis(7))));
    }
}
