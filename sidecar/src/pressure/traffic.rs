//! Which first attempts say that deliveries are behind: those whose wait can only be our own doing. Pure.
//!
//! An endpoint's own backlog is its own: one that is slow, rate limited or at its cap, or that was not tried for long
//! (an open breaker, a pause, a delivery for later), says nothing. Neither does anybody while slow endpoints hold half
//! of the workers: then there is no room, but no lack of speed.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::pacer::{Seen, TARGET};
use crate::model::{Endpoint, EndpointId};

/// An endpoint that takes no longer on average answers promptly; an attempt that does is not stuck.
const PROMPT: Duration = Duration::from_millis(100);
/// Whoever waited longer did not wait for us.
const OURS: Duration = Duration::from_secs(10);
/// So many deliveries for each worker may wait for their first attempt before they are a queue.
const AT_HAND: i64 = 8;
/// Endpoints remembered; beyond it those at rest are forgotten.
const KNOWN: usize = 4_096;

/// What is known of an endpoint.
#[derive(Debug, Default)]
struct Pulse {
    /// Attempts under way here.
    running: u32,
    /// How long attempts take, the latest for an eighth; `None` before the first has ended.
    mean: Option<Duration>,
}

/// One attempt under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trip {
    began: Duration,
    number: u64,
}

/// All that passes, in and out.
#[derive(Debug)]
pub(super) struct Traffic {
    workers: usize,
    endpoints: HashMap<EndpointId, Pulse>,
    trips: BTreeSet<Trip>,
    trips_ever: u64,
    /// How long the store takes to accept: a wait that is not one for an attempt.
    accepting: Duration,
    /// Deliveries brought whose first attempt did not begin here yet. An attempt may begin before we hear what brought
    /// it, so for a moment it may be less than none. Others may make attempts at what we brought: when most attempts
    /// begin at once there is no queue, and counting begins anew.
    owed: i64,
    seen: Seen,
}

impl Traffic {
    /// Of a pool of so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            endpoints: HashMap::new(),
            trips: BTreeSet::new(),
            trips_ever: 0,
            accepting: Duration::ZERO,
            owed: 0,
            seen: Seen::default(),
        }
    }

    /// A request has to wait at the door.
    pub(super) const fn held(&mut self) {
        self.seen.held = true;
    }

    /// The store accepted what a request brought, which took so long.
    pub(super) fn accepted(&mut self, deliveries: u32, took: Duration) {
        self.seen.requests = self.seen.requests.saturating_add(1);
        self.seen.brought = self.seen.brought.saturating_add(deliveries);
        self.owed = self.owed.saturating_add(deliveries.into());
        self.accepting = blend(self.accepting, took);
    }

    /// An attempt begins. `first`: it is the delivery's first, and so long ago the event came.
    pub(super) fn begin(&mut self, endpoint: &Endpoint, first: Option<Duration>, now: Duration) -> Trip {
        let stuck = self.trips.iter().take_while(|trip| now.saturating_sub(trip.began) > PROMPT).count();
        let is_free = stuck.saturating_mul(2) < self.workers;
        self.make_room();
        let pulse = self.endpoints.entry(endpoint.id.clone()).or_default();
        pulse.running += 1;
        if let Some(age) = first {
            let is_ours = is_free && age <= OURS && pulse.is_prompt() && pulse.has_room(endpoint);
            self.seen.begun = self.seen.begun.saturating_add(1);
            self.owed = self.owed.saturating_sub(1).max(-self.queue());
            if is_ours {
                self.seen.judge(age.saturating_sub(self.accepting));
            }
        }
        self.trips_ever = self.trips_ever.wrapping_add(1);
        let trip = Trip { began: now, number: self.trips_ever };
        self.trips.insert(trip);
        trip
    }

    /// An attempt is over.
    pub(super) fn end(&mut self, endpoint: &EndpointId, trip: Trip, now: Duration) {
        self.trips.remove(&trip);
        if let Some(pulse) = self.endpoints.get_mut(endpoint) {
            pulse.running = pulse.running.saturating_sub(1);
            let took = now.saturating_sub(trip.began);
            pulse.mean = Some(pulse.mean.map_or(took, |mean| blend(mean, took)));
        }
    }

    /// What was seen since the last time.
    pub(super) fn turn(&mut self, span: Duration) -> Seen {
        let stands = self.owed >= self.queue();
        let seen = Seen { span, stands, ..std::mem::take(&mut self.seen) };
        if seen.late.saturating_mul(2) < seen.judged {
            self.owed = 0;
        }
        seen
    }

    /// How much owed is a queue.
    fn queue(&self) -> i64 {
        i64::try_from(self.workers).unwrap_or(i64::MAX).saturating_mul(AT_HAND)
    }

    fn make_room(&mut self) {
        if self.endpoints.len() >= KNOWN {
            self.endpoints.retain(|_, pulse| pulse.running > 0);
        }
    }
}

impl Pulse {
    fn is_prompt(&self) -> bool {
        self.mean.is_some_and(|mean| mean <= PROMPT)
    }

    /// Whether one more than those under way could have begun.
    fn has_room(&self, endpoint: &Endpoint) -> bool {
        endpoint.rate_limit.is_none() && self.running < u32::from(endpoint.max_in_flight.get())
    }
}

impl Seen {
    fn judge(&mut self, waited: Duration) {
        self.judged = self.judged.saturating_add(1);
        self.waited = self.waited.saturating_add(waited);
        if waited > TARGET {
            self.late = self.late.saturating_add(1);
        }
    }
}

/// A mean in which the latest counts for an eighth.
fn blend(mean: Duration, latest: Duration) -> Duration {
    (mean.saturating_mul(7).saturating_add(latest)) / 8
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::super::good;
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// After five attempts that took so long each.
    fn known(endpoint: &Endpoint, took: Duration) -> Traffic {
        let mut traffic = Traffic::new(4);
        for _ in 0..5 {
            let trip = traffic.begin(endpoint, None, ms(0));
            traffic.end(&endpoint.id, trip, took);
        }
        traffic
    }

    #[test]
    fn only_a_wait_that_is_our_own_doing_is_judged() {
        let endpoint = good::endpoint("a");
        let limited = Endpoint { rate_limit: NonZeroU16::new(100), ..endpoint.clone() };
        let capped = Endpoint { max_in_flight: NonZeroU16::MIN, ..endpoint.clone() };
        let table = [
            ("a prompt endpoint", &endpoint, ms(2), Some(ms(20)), true),
            ("a slow one", &endpoint, ms(101), Some(ms(20)), false),
            ("a rate limited one", &limited, ms(2), Some(ms(20)), false),
            ("one at its cap", &capped, ms(2), Some(ms(20)), false),
            ("one that waited for other things", &endpoint, ms(2), Some(ms(10_001)), false),
            ("a retry", &endpoint, ms(2), None, false),
        ];
        for (promise, endpoint, took, first, judged) in table {
            let mut traffic = known(endpoint, took);
            traffic.begin(endpoint, first, ms(500));
            let seen = traffic.turn(TARGET);
            assert_eq!((seen.judged == 1, seen.late == 1), (judged, judged), "{promise}");
        }
        let mut traffic = Traffic::new(4);
        traffic.begin(&endpoint, Some(ms(20)), ms(0));
        assert_eq!(traffic.turn(TARGET).judged, 0, "nobody knows yet how it answers");
    }

    #[test]
    fn while_slow_endpoints_hold_half_of_the_workers_nobody_is_judged() {
        let (prompt, hanging) = (good::endpoint("a"), good::endpoint("b"));
        for (held, judged) in [(1, 1), (2, 0), (3, 0)] {
            let mut traffic = known(&prompt, ms(2));
            for _ in 0..held {
                traffic.begin(&hanging, None, ms(0));
            }
            traffic.begin(&prompt, Some(ms(20)), ms(101));
            assert_eq!(traffic.turn(TARGET).judged, judged, "{held} of 4");
        }
    }

    #[test]
    fn the_time_that_the_store_takes_is_no_wait() {
        let endpoint = good::endpoint("a");
        let mut traffic = known(&endpoint, ms(2));
        (0..100).for_each(|_| traffic.accepted(1, ms(30)));
        traffic.begin(&endpoint, Some(ms(35)), ms(500));
        let seen = traffic.turn(TARGET);
        assert_eq!((seen.judged, seen.late, seen.brought), (1, 0, 100), "a disk that takes 30 ms to sync");
    }

    #[test]
    fn what_was_brought_and_did_not_begin_is_a_queue_until_attempts_begin_at_once() {
        let endpoint = good::endpoint("a");
        let mut traffic = known(&endpoint, ms(2));
        let go = |traffic: &mut Traffic, age| {
            let trip = traffic.begin(&endpoint, Some(age), ms(500));
            traffic.end(&endpoint.id, trip, ms(501));
        };
        traffic.accepted(33, ms(1));
        go(&mut traffic, ms(50));
        assert!(traffic.turn(TARGET).stands, "32 for four workers");
        go(&mut traffic, ms(50));
        assert!(!traffic.turn(TARGET).stands, "31");
        for _ in 0..1_000 {
            go(&mut traffic, ms(50));
            traffic.accepted(1, ms(1));
        }
        assert!(!traffic.turn(TARGET).stands, "each began before we heard what brought it");
        traffic.accepted(1_000_000, ms(1));
        assert!(traffic.turn(TARGET).stands);
        go(&mut traffic, ms(1));
        assert!(traffic.turn(TARGET).stands && !traffic.turn(TARGET).stands, "others made the attempts");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut traffic = Traffic::new(4);
        for number in 0..3 * KNOWN {
            let endpoint = good::endpoint(&format!("e{number}"));
            let trip = traffic.begin(&endpoint, None, ms(0));
            traffic.end(&endpoint.id, trip, ms(1));
        }
        assert!(traffic.endpoints.len() <= KNOWN && traffic.trips.is_empty());
    }
}
