//! Which shards may have work, and when: a hint per shard, so that a worker asks Redis only where it may find some.
//!
//! A hint that is too early costs one needless look. One that is too late would hide work, so whoever brings news
//! lowers it at once, and a take raises it only when there was no news, and no other take, since it began.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::keys::{SHARDS, Shard};
use crate::clock::Millis;

/// When a shard may have something to lease; `None`: never by itself.
pub(super) type Horizon = Option<Millis>;

/// At once, or already.
pub(super) const NOW: Horizon = Some(Millis(0));

#[derive(Debug, Clone, Copy)]
struct Hint {
    next: Horizon,
    /// Somebody was woken to look here, whatever `next` says.
    unknown: bool,
    /// Counts news.
    news: u64,
    /// Counts takes that began.
    looks: u64,
}

impl Hint {
    fn due(&self, now: Millis) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

/// A take of one shard that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) shard: Shard,
    news: u64,
    looks: u64,
}

/// The hints of all shards, and who is woken when one comes nearer.
#[derive(Debug)]
pub(super) struct Horizons {
    hints: Mutex<[Hint; SHARDS as usize]>,
    wake: Arc<Notify>,
}

impl Horizons {
    /// Nothing is known: every shard may have work.
    pub(super) fn new() -> Self {
        let unknown = Hint { next: None, unknown: true, news: 0, looks: 0 };
        Self { hints: Mutex::new([unknown; SHARDS as usize]), wake: Arc::default() }
    }

    pub(super) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// News: this shard may have work at `horizon`.
    pub(super) fn lower(&self, shard: Shard, horizon: Horizon) {
        if self.learn(shard, horizon) {
            self.notify();
        }
    }

    /// As [`Self::lower`], but wakes nobody: answers whether somebody should be.
    pub(super) fn learn(&self, shard: Shard, horizon: Horizon) -> bool {
        let mut hints = self.lock();
        let Some(hint) = hints.get_mut(shard.index()) else { return false };
        let nearer = earlier(horizon, hint.next) != hint.next;
        hint.next = earlier(horizon, hint.next);
        hint.news = hint.news.wrapping_add(1);
        nearer
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        for hint in self.lock().iter_mut() {
            hint.unknown = true;
            hint.news = hint.news.wrapping_add(1);
        }
        self.notify();
    }

    /// Begins a take of shards that may have work at `now`: of those that are known to only so many as may fill `room`,
    /// where each can be expected to give as much as `yields` says, then all of which nothing is known; each counted from
    /// shard `first` on.
    pub(super) fn begin(
        &self,
        now: Millis,
        first: usize,
        room: usize,
        yields: impl Fn(Shard) -> usize,
    ) -> Vec<Look> {
        let mut hints = self.lock();
        let (before, after) = hints.split_at_mut(first % usize::from(SHARDS));
        let (shards_before, shards_after) = (Shard::all(), Shard::all().skip(before.len()));
        let in_turn = shards_after.zip(after).chain(shards_before.zip(before));
        let (known, rest): (Vec<_>, Vec<_>) = in_turn.partition(|(_, hint)| hint.due(now));
        let unknown = rest.into_iter().filter(|(_, hint)| hint.unknown);
        let mut expected = 0_usize;
        let enough = |(shard, _): &(Shard, _)| {
            let before = expected;
            expected = expected.saturating_add(yields(*shard).max(1));
            before < room
        };
        let asked = known.into_iter().take_while(enough).chain(unknown);
        asked
            .map(|(shard, hint)| {
                hint.looks = hint.looks.wrapping_add(1);
                Look { shard, news: hint.news, looks: hint.looks }
            })
            .collect()
    }

    /// What a take found ahead.
    pub(super) fn end(&self, look: Look, horizon: Horizon) {
        if let Some(hint) = self.lock().get_mut(look.shard.index()) {
            let no_news = hint.news == look.news;
            let alone = no_news && hint.looks == look.looks;
            hint.next = if alone { horizon } else { earlier(horizon, hint.next) };
            hint.unknown &= !no_news;
        }
    }

    /// The earliest of all.
    pub(super) fn next(&self) -> Horizon {
        self.lock().iter().fold(None, |next, hint| earlier(next, hint.next))
    }

    /// Wakes who waits for work.
    pub(super) fn notify(&self) {
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, [Hint; SHARDS as usize]> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The earlier of two, where `None` is never.
fn earlier(a: Horizon, b: Horizon) -> Horizon {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const ALL: usize = SHARDS as usize;

    fn one(_: Shard) -> usize {
        1
    }

    fn quiet() -> (Horizons, Shard) {
        let horizons = Horizons::new();
        for look in horizons.begin(Millis(0), 0, ALL, one) {
            horizons.end(look, None);
        }
        (horizons, Shard::of_byte(5))
    }

    #[test]
    fn at_first_every_shard_may_have_work() {
        let horizons = Horizons::new();
        assert_eq!(horizons.begin(Millis(0), 7, ALL, one).len(), usize::from(SHARDS));
        let (quiet, _) = quiet();
        assert!(quiet.begin(Millis(u64::MAX), 7, ALL, one).is_empty());
        assert_eq!(quiet.next(), None);
        quiet.forget();
        assert_eq!(
            quiet.begin(Millis(0), 7, ALL, one).len(),
            usize::from(SHARDS),
            "nothing is known any more"
        );
    }

    #[test]
    fn any_shard_can_be_the_first() {
        let shards: Vec<usize> =
            Horizons::new().begin(Millis(0), 15, ALL, one).iter().map(|look| look.shard.index()).collect();
        assert_eq!((shards.first(), shards.get(1), shards.last()), (Some(&15), Some(&0), Some(&14)));
    }

    #[test]
    fn shards_that_have_work_come_before_those_that_may() {
        let horizons = Horizons::new();
        horizons.lower(Shard::of_byte(5), NOW);
        assert_eq!(horizons.begin(Millis(0), 9, ALL, one)[0].shard, Shard::of_byte(5));
    }

    #[test]
    fn many_takes_at_once_learn_of_a_shard_all_the_same() {
        let horizons = Horizons::new();
        let early = horizons.begin(Millis(0), 0, ALL, one);
        let late = horizons.begin(Millis(0), 0, ALL, one);
        early.into_iter().for_each(|look| horizons.end(look, None));
        assert!(
            horizons.begin(Millis(0), 0, ALL, one).is_empty(),
            "each is known, though another take is under way"
        );
        late.into_iter().for_each(|look| horizons.end(look, None));
        assert_eq!(horizons.next(), None);
    }

    fn look(horizons: &Horizons) -> Look {
        horizons.begin(Millis(u64::MAX), 0, ALL, one)[0]
    }

    #[test]
    fn of_shards_that_have_work_no_more_are_asked_than_there_is_room_for() {
        let horizons = Horizons::new();
        [3, 5, 8].into_iter().for_each(|shard| horizons.lower(Shard::of_byte(shard), NOW));
        for (room, expected) in [(0, vec![]), (1, vec![5]), (2, vec![5, 8]), (9, vec![5, 8, 3])] {
            let looks = horizons.begin(Millis(0), 4, room, one);
            let asked: Vec<usize> = looks.iter().map(|look| look.shard.index()).collect();
            assert_eq!(asked[..expected.len()], expected, "room for {room}");
            assert_eq!(asked.len(), expected.len() + ALL - 3, "and all of which nothing is known");
        }
        let (horizons, shard) = quiet();
        horizons.lower(shard, NOW);
        assert!(horizons.begin(Millis(0), 0, 0, one).is_empty());
        assert_eq!(horizons.next(), NOW, "it is asked when there is room");
    }

    #[test]
    fn a_shard_that_can_fill_the_room_is_asked_alone() {
        let horizons = quiet().0;
        [3, 5, 8].into_iter().for_each(|shard| horizons.lower(Shard::of_byte(shard), NOW));
        let yields = |shard: Shard| if shard.index() == 5 { 6 } else { 2 };
        for (room, expected) in [(1, vec![5]), (6, vec![5]), (7, vec![5, 8]), (9, vec![5, 8, 3])] {
            let looks = horizons.begin(Millis(0), 4, room, yields);
            let asked: Vec<usize> = looks.iter().map(|look| look.shard.index()).collect();
            assert_eq!(asked, expected, "room for {room}");
        }
    }

    #[test]
    fn news_that_come_during_a_take_are_not_lost() {
        let (horizons, shard) = quiet();
        horizons.lower(shard, NOW);
        let first = look(&horizons);
        horizons.lower(shard, NOW);
        horizons.end(first, None);
        assert_eq!(horizons.next(), NOW, "the take may have looked before the news");
        horizons.end(look(&horizons), Some(Millis(9)));
        assert_eq!(horizons.next(), Some(Millis(9)), "the next take looked after them");
    }

    #[test]
    fn of_two_takes_at_once_neither_hides_what_the_other_found() {
        let (horizons, shard) = quiet();
        horizons.lower(shard, NOW);
        let (one, two) = (look(&horizons), look(&horizons));
        horizons.end(two, Some(Millis(7)));
        horizons.end(one, None);
        assert_eq!(horizons.next(), Some(Millis(7)));
    }

    #[test]
    fn only_what_comes_nearer_wakes() {
        let (horizons, shard) = quiet();
        let table =
            [(Some(Millis(9)), true), (Some(Millis(9)), false), (None, false), (Some(Millis(8)), true)];
        while horizons.wake().notified().now_or_never().is_some() {}
        for (horizon, wakes) in table {
            horizons.lower(shard, horizon);
            assert_eq!(horizons.wake().notified().now_or_never().is_some(), wakes, "{horizon:?}");
        }
    }
}
