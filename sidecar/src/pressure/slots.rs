//! The door's slots: while the door yields, requests pass at an even pace, in order of arrival and without a queue:
//! whoever comes draws the next number, and a clock counts up to it as fast as the pace is. Pure.

use std::time::Duration;

/// Longest wait. Whoever had to wait longer passes after this without a number: what is more than deliveries keep up
/// with is backlog then, and `max_pending` bounds it.
pub(super) const MOST: Duration = Duration::from_millis(250);
/// Shorter waits are none: no timer is so exact.
const LEAST: Duration = Duration::from_millis(1);
/// A pace that nobody renews ends: deliveries that stand still altogether are not slowed by the door.
const RENEWED: Duration = Duration::from_secs(1);

/// The numbers that were drawn, and the clock that counts up to them. Moments are counted from any fixed one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slots {
    /// Numbers a second; `None`: the door is free.
    pace: Option<f64>,
    /// When the pace was set, and what the clock showed then.
    set: Duration,
    counted: f64,
    /// The next number.
    next: f64,
}

/// A request's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    /// `None`: no number, it waits as long as one may.
    number: Option<f64>,
    drawn: Duration,
}

impl Slots {
    /// Goes at `pace` requests a second from now on; `None`: freely.
    pub(super) fn set(&mut self, pace: Option<f64>, now: Duration) {
        self.counted = self.count(now);
        if self.is_free(now) {
            self.next = self.counted;
        }
        (self.pace, self.set) = (pace, now);
    }

    /// A place for whoever comes at `now`.
    pub(super) fn draw(&mut self, now: Duration) -> Ticket {
        let number = self.next.max(self.count(now));
        let ticket = Ticket { number: Some(number), drawn: now };
        if self.distance(number, now) > MOST {
            return Ticket { number: None, ..ticket };
        }
        if !self.is_free(now) {
            self.next = number + 1.0;
        }
        ticket
    }

    /// How long it still waits, as far as can be said at `now`: the pace may change meanwhile. Zero: it passes.
    pub(super) fn wait(&self, ticket: Ticket, now: Duration) -> Duration {
        let most = MOST.saturating_sub(now.saturating_sub(ticket.drawn));
        let wait = ticket.number.map_or(most, |number| self.distance(number, now).min(most));
        if wait < LEAST || self.is_free(now) { Duration::ZERO } else { wait }
    }

    fn is_free(&self, now: Duration) -> bool {
        self.pace.is_none() || now.saturating_sub(self.set) >= RENEWED
    }

    /// What the clock shows.
    fn count(&self, now: Duration) -> f64 {
        self.counted + self.pace.unwrap_or_default() * now.saturating_sub(self.set).as_secs_f64()
    }

    fn distance(&self, number: f64, now: Duration) -> Duration {
        let Some(pace) = self.pace.filter(|_| !self.is_free(now)) else { return Duration::ZERO };
        let seconds = (number - self.count(now)).max(0.0) / pace;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn paced(pace: f64) -> Slots {
        let mut slots = Slots::default();
        slots.set(Some(pace), ms(0));
        slots
    }

    /// The waits of so many who come at `now`, in whole milliseconds.
    fn waits(slots: &mut Slots, now: Duration, count: usize) -> Vec<u128> {
        let wait = |_| {
            let ticket = slots.draw(now);
            (slots.wait(ticket, now) + Duration::from_micros(10)).as_millis()
        };
        (0..count).map(wait).collect()
    }

    #[test]
    fn a_free_door_makes_nobody_wait() {
        let mut slots = Slots::default();
        assert_eq!(waits(&mut slots, ms(5), 1_000), vec![0; 1_000]);
        slots.set(Some(100.0), ms(5));
        assert_eq!(waits(&mut slots, ms(5), 2), [0, 10], "nor counts who passed");
    }

    #[test]
    fn slots_are_evenly_spaced_and_given_in_order() {
        let mut slots = paced(100.0);
        assert_eq!(waits(&mut slots, ms(0), 3), [0, 10, 20]);
        assert_eq!(waits(&mut slots, ms(25), 2), [5, 15], "who comes later gets the next one");
        assert_eq!(waits(&mut slots, ms(500), 2), [0, 10], "what was not used is not saved up");
    }

    #[test]
    fn nobody_waits_longer_than_the_bound_and_who_would_takes_no_slot() {
        let mut slots = paced(10.0);
        assert_eq!(waits(&mut slots, ms(0), 6), [0, 100, 200, 250, 250, 250]);
        assert_eq!(waits(&mut slots, ms(200), 1), [100]);
        let late = slots.draw(ms(201));
        slots.set(Some(0.1), ms(202));
        assert_eq!(slots.wait(late, ms(450)), ms(1), "not even when the pace falls");
        assert_eq!(slots.wait(late, ms(451)), ms(0));
    }

    #[test]
    fn a_pace_that_changes_is_felt_by_those_who_wait() {
        let mut slots = paced(10.0);
        slots.draw(ms(0));
        let second = slots.draw(ms(0));
        slots.set(Some(5.0), ms(50));
        assert_eq!(slots.wait(second, ms(50)), ms(100), "half a slot was left");
        slots.set(None, ms(60));
        assert_eq!(slots.wait(second, ms(60)), ms(0));
    }

    #[test]
    fn waits_that_no_timer_can_keep_are_none() {
        assert_eq!(waits(&mut paced(4_000.0), ms(0), 6), [0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_pace_ends_when_it_is_lifted_or_not_renewed() {
        let mut slots = paced(10.0);
        assert_eq!(waits(&mut slots, ms(999), 2), [0, 100]);
        assert_eq!(waits(&mut slots, ms(1_000), 2), [0, 0], "nothing was delivered for a second");
        slots.set(Some(10.0), ms(1_000));
        slots.set(None, ms(1_001));
        assert_eq!(waits(&mut slots, ms(1_001), 2), [0, 0]);
    }
}
