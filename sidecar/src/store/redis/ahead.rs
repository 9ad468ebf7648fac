//! Leases made ahead: while a worker waits for work, an accept leases what it brings in the same call, and the worker's
//! next take only has to collect it. That saves a round trip, which on a quiet day is a third of what an event costs.
//!
//! While a take is under way some of its room is kept for this. Otherwise all that comes meanwhile would have to wait in
//! a queue, for the next take, and so on: once behind, every event would cost the longer way.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{Ask, Lease};

/// What the last take left open, and what was leased for the next.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Leases that may be made.
    vacant: usize,
    /// Leases that calls under way may make.
    promised: usize,
    /// Whether what calls under way leave unused may be used by others.
    open: bool,
    /// Whether the last take found all that it had room for: the next one needs all of its room.
    pressed: bool,
    /// How long the leases shall outlive an attempt's deadline.
    grace: Duration,
    /// Whether the last ask had room for any.
    wanted: bool,
    made: Vec<Lease>,
}

/// What a take begins with.
#[derive(Debug)]
pub(super) struct Collected<'a> {
    /// Leases made ahead, as many as there is room for.
    pub(super) leases: Vec<Lease>,
    /// Those for which there is none: they go back.
    pub(super) excess: Vec<Lease>,
    /// How many more may be leased now.
    pub(super) room: usize,
    pub(super) reserve: Reserve<'a>,
}

/// What is kept of a take's room for accepts. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Reserve<'a>(Option<&'a Ahead>);

impl Ahead {
    /// Begins a take: nothing is promised any more but what calls under way were. Leases that have ended are left out.
    pub(super) fn collect(&self, ask: Ask) -> Collected<'_> {
        let mut state = self.lock();
        let room = usize::from(ask.room);
        let mut leases = std::mem::take(&mut state.made);
        leases.retain(|lease| lease.ends_at > ask.now);
        let excess = leases.split_off(room.min(leases.len()));
        let room = room.saturating_sub(leases.len()).saturating_sub(state.promised);
        let kept = if ask.ahead && !state.pressed { room / 2 } else { 0 };
        (state.open, state.vacant, state.wanted) = (kept > 0, kept, ask.room > 0);
        state.grace = ask.grace;
        Collected { leases, excess, room: room.saturating_sub(kept), reserve: Reserve(Some(self)) }
    }

    /// Up to `most` leases for a call that can make some.
    pub(super) fn promise(&self, most: usize) -> Promise<'_> {
        let mut state = self.lock();
        let leases = most.min(state.vacant);
        state.vacant = state.vacant.saturating_sub(leases);
        state.promised = state.promised.saturating_add(leases);
        Promise { ahead: self, leases, made: 0, grace: state.grace }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserve<'_> {
    /// The take found all it had room for: what accepts have not used is room as well.
    pub(super) fn take_back(&mut self) -> usize {
        let Some(ahead) = self.0 else { return 0 };
        let mut state = ahead.lock();
        (state.open, state.pressed) = (false, true);
        std::mem::take(&mut state.vacant)
    }

    /// Ends a take that has room for `rest` more: so many leases may be made for the next.
    pub(super) fn open(mut self, rest: usize) {
        let Some(ahead) = self.0.take() else { return };
        let mut state = ahead.lock();
        (state.open, state.pressed) = (true, rest == 0);
        state.vacant = state.vacant.saturating_add(rest);
    }
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        let Some(ahead) = self.0 else { return };
        let mut state = ahead.lock();
        (state.open, state.vacant) = (false, 0);
    }
}

/// The right to make leases. What of it is not [used](Promise::keep) is free again.
#[derive(Debug)]
pub(super) struct Promise<'a> {
    ahead: &'a Ahead,
    /// How many.
    pub(super) leases: usize,
    made: usize,
    /// How long each shall outlive an attempt's deadline.
    pub(super) grace: Duration,
}

impl Promise<'_> {
    /// The next take has these. Answers those that nobody will take: the last one had no room at all.
    pub(super) fn keep(mut self, leases: Vec<Lease>) -> Vec<Lease> {
        let mut state = self.ahead.lock();
        self.made = leases.len();
        if !state.wanted {
            return leases;
        }
        state.made.extend(leases);
        Vec::new()
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut state = self.ahead.lock();
        state.promised = state.promised.saturating_sub(self.leases);
        if state.open {
            state.vacant = state.vacant.saturating_add(self.leases.saturating_sub(self.made));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    fn ask(room: u16) -> Ask {
        Ask { now: Millis(0), room, grace: GRACE, ahead: true }
    }

    const GRACE: Duration = Duration::from_secs(1);

    /// A take that leaves `rest` of its room.
    fn leaves(ahead: &Ahead, room: u16, rest: usize) {
        let collected = ahead.collect(ask(room));
        assert!(rest <= collected.room, "of what it had");
        collected.reserve.open(rest);
    }

    #[test]
    fn no_more_is_promised_than_the_last_take_left_open() {
        let ahead = Ahead::default();
        assert_eq!(ahead.promise(5).leases, 0, "nobody waits");
        leaves(&ahead, 4, 1);
        let first = ahead.promise(2);
        assert_eq!((first.leases, first.grace), (2, GRACE));
        assert_eq!(ahead.promise(5).leases, 1, "what is left");
        drop(first);
        assert_eq!(ahead.promise(5).leases, 3, "what was not used is free again");
    }

    #[test]
    fn half_of_the_room_is_kept_while_a_take_is_under_way_unless_it_needs_all() {
        let ahead = Ahead::default();
        let mut first = ahead.collect(ask(9));
        assert_eq!((first.room, ahead.promise(9).leases), (5, 4));
        let used = ahead.promise(1);
        assert_eq!(first.reserve.take_back(), 3, "what nobody uses");
        assert_eq!(ahead.promise(9).leases, 0);
        drop((used, first));
        let second = ahead.collect(ask(9));
        assert_eq!(second.room, 9, "the last one needed all");
        second.reserve.open(1);
        assert_eq!(ahead.collect(ask(9)).room, 5);
    }

    #[test]
    fn what_is_promised_is_no_room_for_the_next_take() {
        let ahead = Ahead::default();
        leaves(&ahead, 6, 0);
        let promise = ahead.promise(2);
        let next = ahead.collect(Ask { ahead: false, ..ask(6) });
        assert_eq!(next.room, 4);
        drop(promise);
        assert_eq!(ahead.promise(9).leases, 0, "it keeps nothing");
    }

    #[test]
    fn a_take_that_is_cut_off_keeps_nothing() {
        let ahead = Ahead::default();
        let promise = {
            let _take = ahead.collect(ask(8));
            ahead.promise(2)
        };
        drop(promise);
        assert_eq!(ahead.promise(9).leases, 0);
    }
}
