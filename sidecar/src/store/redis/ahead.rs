//! Leases made ahead: while a worker waits for work, an accept leases what it brings in the same call, and the worker's
//! next take only has to collect it. That saves a round trip, which on a quiet day is a third of what an event costs.

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
    /// Whether a worker waits, since the last take ended.
    open: bool,
    /// How long the leases shall outlive an attempt's deadline.
    grace: Duration,
    /// Whether the last ask had room for any.
    wanted: bool,
    made: Vec<Lease>,
}

/// What a take begins with.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Leases made ahead, as many as there is room for.
    pub(super) leases: Vec<Lease>,
    /// Those for which there is none: they go back.
    pub(super) excess: Vec<Lease>,
    /// How many more may be leased.
    pub(super) room: usize,
}

impl Ahead {
    /// Begins a take: nothing is promised any more but what calls under way were. Leases that have ended are left out.
    pub(super) fn collect(&self, ask: Ask) -> Collected {
        let mut state = self.lock();
        let room = usize::from(ask.room);
        (state.open, state.vacant, state.wanted) = (false, 0, room > 0);
        let mut leases = std::mem::take(&mut state.made);
        leases.retain(|lease| lease.ends_at > ask.now);
        let excess = leases.split_off(room.min(leases.len()));
        let room = room.saturating_sub(leases.len()).saturating_sub(state.promised);
        Collected { leases, excess, room }
    }

    /// Ends a take that found less than it had room for: so many leases may be made for the next.
    pub(super) fn invite(&self, vacant: usize, grace: Duration) {
        let mut state = self.lock();
        (state.open, state.vacant, state.grace) = (true, vacant, grace);
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
        Ask { now: Millis(0), room, grace: Duration::from_secs(1), ahead: true }
    }

    #[test]
    fn no_more_is_promised_than_the_last_take_left_open() {
        let ahead = Ahead::default();
        assert_eq!(ahead.promise(5).leases, 0, "nobody waits");
        assert_eq!(ahead.collect(ask(4)).room, 4);
        assert_eq!(ahead.promise(5).leases, 0, "a take is under way");
        ahead.invite(3, Duration::from_secs(1));
        let first = ahead.promise(2);
        assert_eq!((first.leases, first.grace), (2, Duration::from_secs(1)));
        assert_eq!(ahead.promise(5).leases, 1, "what is left");
        drop(first);
        assert_eq!(ahead.promise(5).leases, 3, "what was not used is free again");
    }

    #[test]
    fn what_is_promised_is_no_room_for_the_next_take() {
        let ahead = Ahead::default();
        ahead.invite(3, Duration::ZERO);
        let promise = ahead.promise(2);
        assert_eq!(ahead.collect(ask(4)).room, 2);
        drop(promise);
        assert_eq!(ahead.promise(9).leases, 0, "nobody waits until that take has ended");
        assert_eq!(ahead.collect(ask(4)).room, 4);
    }
}
