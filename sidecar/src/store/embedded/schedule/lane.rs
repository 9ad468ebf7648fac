//! One endpoint's queue: what is due when, what is in an attempt, and when it may be offered the next one. Pure.

use std::num::NonZeroU16;
use std::time::Duration;

use super::lines::Lines;
use super::pace::Pace;
use super::turns::Party;
use super::waiting::Waiting;
use crate::clock::Millis;
use crate::model::{BreakerRules, DeliveryId, Endpoint};
use crate::store::vitals::{Heard, Vitals};
use crate::store::{BreakerSettings, Turn};

/// What of an endpoint its lane goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Rules {
    /// Attempts at once.
    pub(in super::super) max_in_flight: NonZeroU16,
    /// Attempts a second.
    pub(in super::super) rate_limit: Option<NonZeroU16>,
    /// An attempt's hard deadline.
    pub(in super::super) timeout: Duration,
    /// When it is left alone.
    pub(in super::super) breaker: BreakerRules,
    /// Whether anything is tried at all.
    pub(in super::super) enabled: bool,
    /// When a person last enabled it.
    pub(in super::super) enabled_at: Millis,
}

impl From<&Endpoint> for Rules {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            max_in_flight: endpoint.max_in_flight,
            rate_limit: endpoint.rate_limit,
            timeout: Duration::from_millis(endpoint.timeout_ms.into()),
            breaker: endpoint.breaker,
            enabled: endpoint.is_tried(),
            enabled_at: endpoint.standing.enabled_at,
        }
    }
}

/// One endpoint's queue.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) rules: Rules,
    /// Whose it is.
    pub(super) party: Party,
    pub(super) waiting: Waiting,
    pub(super) lines: Lines,
    /// Attempts under way.
    pub(super) in_flight: u32,
    pub(super) vitals: Vitals,
    pub(super) pace: Pace,
    /// When it last had its turn; the schedule serves the smallest first.
    pub(super) turn: u64,
    /// Where the schedule has put it; the schedule's own note.
    pub(super) place: Place,
}

/// Where a lane stands in the schedule's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: it is served only after something else has happened to it.
    Nowhere,
    /// It may be served, in this turn and since this moment.
    Ready(u64, Millis),
    /// It may be served from this moment on.
    Waiting(Millis),
}

impl Lane {
    pub(super) fn new(rules: Rules, party: Party) -> Self {
        Self {
            rules,
            party,
            waiting: Waiting::default(),
            lines: Lines::default(),
            in_flight: 0,
            vitals: Vitals::default(),
            pace: Pace::new(rules.rate_limit),
            turn: 0,
            place: Place::Nowhere,
        }
    }

    /// Goes by other rules from now on; what is under way or spent stays. Enabled anew, it has never failed.
    pub(super) fn obey(&mut self, rules: Rules) {
        if rules.enabled_at != self.rules.enabled_at {
            self.vitals = Vitals::default();
        }
        self.pace = self.pace.at_rate(rules.rate_limit);
        self.rules = rules;
    }

    /// A delivery is over, and no longer waits: who stood behind it in its line is next.
    pub(super) fn leave_line(&mut self, delivery: DeliveryId) {
        if let Some((next, due)) = self.lines.leave(delivery) {
            self.waiting.insert(due, next, false);
        }
    }

    /// The earliest moment at which it may be served, if nothing else happens to it; `None`: never.
    pub(super) fn ready_at(&self, now: Millis) -> Option<Millis> {
        let free = self.in_flight < u32::from(self.vitals.concurrency(self.rules.max_in_flight));
        let first = self.waiting.first().filter(|_| free && self.rules.enabled)?;
        let rested = self.vitals.not_before().unwrap_or_default();
        Some(first.max(rested).max(self.pace.not_before(now)))
    }

    /// Since when it has been ready, if it is.
    pub(super) const fn ready_since(&self) -> Option<Millis> {
        match self.place {
            Place::Ready(_, since) => Some(since),
            Place::Nowhere | Place::Waiting(_) => None,
        }
    }

    /// Takes in what came back from an attempt; answers how the breaker turned by it.
    pub(super) fn hear(&mut self, heard: Heard, now: Millis, settings: BreakerSettings) -> Option<Turn> {
        let settings = settings.with(self.rules.breaker);
        self.vitals.record(heard, now, &settings, self.rules.max_in_flight)
    }

    /// Where it belongs at `now`.
    pub(super) fn belongs(&self, now: Millis) -> Place {
        match self.ready_at(now) {
            None => Place::Nowhere,
            Some(moment) if moment <= now => Place::Ready(self.turn, moment),
            Some(moment) => Place::Waiting(moment),
        }
    }

    /// Deliveries pending: waiting, behind others in a line, or in an attempt.
    pub(super) fn pending(&self) -> u64 {
        let waiting = self.waiting.len().saturating_add(self.lines.behind());
        u64::try_from(waiting).unwrap_or(u64::MAX).saturating_add(self.in_flight.into())
    }
}
