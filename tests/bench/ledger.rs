//! The exact account of a run: every event that was sent is delivered to every endpoint, dead or pending, or the run
//! counts for nothing.

use std::fmt::{self, Display, Formatter};
use std::iter::repeat_with;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// In an event's byte: it was answered 202.
const ACCEPTED: u8 = 1;
/// In an event's byte: it was answered, but not 202.
const REFUSED: u8 = 2;

/// A byte for each event, what it was answered, and one for each of its deliveries, how often it arrived.
#[derive(Debug)]
pub(crate) struct Ledger {
    next: AtomicU64,
    answers: Vec<AtomicU8>,
    arrivals: Vec<AtomicU8>,
    endpoints: usize,
    strangers: AtomicU64,
}

/// What an event was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 202 (or, in the baseline, 200).
    Accepted,
    /// Anything else.
    Refused,
}

impl Ledger {
    /// For at most `events` events, each for `endpoints` endpoints.
    pub(crate) fn new(events: usize, endpoints: usize) -> Self {
        Self {
            next: AtomicU64::new(0),
            answers: repeat_with(AtomicU8::default).take(events).collect(),
            arrivals: repeat_with(AtomicU8::default).take(events * endpoints).collect(),
            endpoints,
            strangers: AtomicU64::new(0),
        }
    }

    /// The number of the next event to send; `None` when they are used up.
    pub(crate) fn send(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Relaxed);
        (number < self.answers.len() as u64).then_some(number)
    }

    /// The numbers of the next `count` events to send together; `None` when there are not as many left.
    pub(crate) fn send_many(&self, count: u64) -> Option<Range<u64>> {
        let most = self.answers.len() as u64;
        let fits = |first: u64| first.checked_add(count).filter(|end| *end <= most);
        let first = self.next.fetch_update(Relaxed, Relaxed, fits).ok()?;
        Some(first..first + count)
    }

    /// How many events were given out to be sent.
    pub(crate) fn sent(&self) -> u64 {
        self.next.load(Relaxed).min(self.answers.len() as u64)
    }

    /// Event `number` was answered.
    pub(crate) fn answered(&self, number: u64, answer: Answer) {
        let bit = match answer {
            Answer::Accepted => ACCEPTED,
            Answer::Refused => REFUSED,
        };
        if let Some(event) = self.answers.get(number as usize) {
            event.fetch_or(bit, Relaxed);
        }
    }

    /// Event `number` arrived for endpoint `endpoint`; whether this was its first time. One that was never sent, or not
    /// to this endpoint, is a stranger.
    pub(crate) fn arrived(&self, number: u64, endpoint: u64) -> bool {
        let is_known = number < self.sent() && endpoint < self.endpoints as u64;
        let index = (number as usize).saturating_mul(self.endpoints).saturating_add(endpoint as usize);
        let Some(delivery) = self.arrivals.get(index).filter(|_| is_known) else {
            self.arrived_unknown();
            return false;
        };
        delivery.fetch_update(Relaxed, Relaxed, |before| Some(before.saturating_add(1))) == Ok(0)
    }

    /// Something arrived that carries no number of ours.
    pub(crate) fn arrived_unknown(&self) {
        self.strangers.fetch_add(1, Relaxed);
    }

    /// How many events were accepted so far, times the endpoints of each.
    pub(crate) fn owed(&self) -> u64 {
        self.answers().filter(|answer| *answer == ACCEPTED).count() as u64 * self.endpoints as u64
    }

    /// How many deliveries arrived at least once so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.arrivals().filter(|arrivals| *arrivals > 0).count() as u64
    }

    /// The account, with what the sidecar says is still pending and what is dead.
    pub(crate) fn balance(&self, pending: u64, dead: u64) -> Balance {
        let (mut delivered, mut arrivals, mut unasked) = (0, 0, self.strangers.load(Relaxed));
        let answers = self.answers().flat_map(|answer| std::iter::repeat_n(answer, self.endpoints));
        for (answer, count) in answers.zip(self.arrivals()).filter(|(_, count)| *count > 0) {
            delivered += 1;
            arrivals += u64::from(count);
            unasked += u64::from(answer != ACCEPTED);
        }
        let answered = |wanted| self.answers().filter(|answer| *answer == wanted).count() as u64;
        Balance {
            sent: self.sent(),
            endpoints: self.endpoints as u64,
            accepted: answered(ACCEPTED),
            refused: answered(REFUSED),
            delivered,
            dead,
            pending,
            duplicates: arrivals - delivered,
            unasked,
        }
    }

    fn answers(&self) -> impl Iterator<Item = u8> {
        self.answers.iter().take(self.sent() as usize).map(|answer| answer.load(Relaxed))
    }

    fn arrivals(&self) -> impl Iterator<Item = u8> {
        self.arrivals.iter().take(self.sent() as usize * self.endpoints).map(|count| count.load(Relaxed))
    }
}

/// The account of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    /// Events sent by the load tool.
    pub(crate) sent: u64,
    /// For how many endpoints each.
    pub(crate) endpoints: u64,
    /// Events answered 202.
    pub(crate) accepted: u64,
    /// Events answered otherwise.
    pub(crate) refused: u64,
    /// Deliveries that arrived at least once.
    pub(crate) delivered: u64,
    /// Dead letters, by the sidecar's word.
    pub(crate) dead: u64,
    /// Deliveries pending, by the sidecar's word.
    pub(crate) pending: u64,
    /// Arrivals beyond each delivery's first.
    pub(crate) duplicates: u64,
    /// Arrivals of what was not answered 202, or is not ours.
    pub(crate) unasked: u64,
}

impl Balance {
    /// Whether sent × endpoints = delivered + dead + pending, all of it accepted, and nothing else arrived. Only then do
    /// the run's figures mean anything.
    pub(crate) fn is_exact(&self) -> bool {
        let accounted = self.delivered + self.dead + self.pending;
        self.sent > 0
            && self.sent == self.accepted
            && self.sent * self.endpoints == accounted
            && self.unasked == 0
    }
}

impl Display for Balance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { sent, endpoints, accepted, refused, delivered, dead, pending, duplicates, unasked } = self;
        write!(
            f,
            "sent {sent} × {endpoints}, delivered {delivered} + dead {dead} + pending {pending}; accepted {accepted}, \
             refused {refused}, duplicates {duplicates}, unasked {unasked}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three events sent to two endpoints, accepted and delivered once.
    fn good() -> Ledger {
        let ledger = Ledger::new(6, 2);
        for number in 0..3 {
            assert_eq!(ledger.send(), Some(number));
            ledger.answered(number, Answer::Accepted);
            assert!(ledger.arrived(number, 0) && ledger.arrived(number, 1), "the first arrivals");
        }
        ledger
    }

    #[test]
    fn a_run_counts_only_when_its_account_is_exact() {
        type Change = fn(&Ledger);
        let sent: Change = |ledger| assert!(ledger.send().is_some());
        let accepted: Change = |ledger| ledger.answered(ledger.send().unwrap(), Answer::Accepted);
        let refused: Change = |ledger| ledger.answered(ledger.send().unwrap(), Answer::Refused);
        let half: Change = |ledger| {
            ledger.answered(ledger.send().unwrap(), Answer::Accepted);
            assert!(ledger.arrived(3, 1));
        };
        let unasked: Change = |ledger| {
            let number = ledger.send().unwrap();
            assert!(ledger.arrived(number, 0) && ledger.arrived(number, 1));
        };
        let twice: Change = |ledger| assert!(!ledger.arrived(1, 0), "not the first arrival");
        let unsent: Change = |ledger| assert!(!ledger.arrived(4, 0));
        let elsewhere: Change = |ledger| assert!(!ledger.arrived(1, 2));
        let table: [(&str, Change, u64, u64, bool); 13] = [
            ("all delivered", |_| {}, 0, 0, true),
            ("one more is pending at both", accepted, 2, 0, true),
            ("one more is dead at both", accepted, 0, 2, true),
            ("one more is delivered here and pending there", half, 1, 0, true),
            ("one more is delivered here and lost there", half, 0, 0, false),
            ("one more is lost", accepted, 0, 0, false),
            ("one more is pending that nobody sent", |_| {}, 1, 0, false),
            ("one was not answered", sent, 0, 0, false),
            ("one was refused", refused, 0, 0, false),
            ("one arrived that was not accepted", unasked, 0, 0, false),
            ("one arrived twice: at least once is the promise", twice, 0, 0, true),
            ("something arrived that nobody sent", unsent, 0, 0, false),
            ("something arrived at an endpoint that is none", elsewhere, 0, 0, false),
        ];
        for (promise, change, pending, dead, exact) in table {
            let ledger = good();
            change(&ledger);
            let balance = ledger.balance(pending, dead);
            assert_eq!(balance.is_exact(), exact, "{promise}: {balance}");
        }
    }

    #[test]
    fn an_empty_run_proves_nothing() {
        assert!(!Ledger::new(1, 1).balance(0, 0).is_exact());
    }

    #[test]
    fn no_more_events_are_given_out_than_fit() {
        let ledger = Ledger::new(2, 1);
        assert_eq!([ledger.send(), ledger.send(), ledger.send()], [Some(0), Some(1), None]);
        assert_eq!(ledger.sent(), 2);
        let ledger = Ledger::new(5, 1);
        assert_eq!(
            [ledger.send_many(2), ledger.send_many(4), ledger.send_many(3)],
            [Some(0..2), None, Some(2..5)]
        );
        assert_eq!((ledger.sent(), ledger.send_many(1)), (5, None));
    }

    #[test]
    fn arrivals_beyond_the_first_are_duplicates_and_their_count_does_not_wrap() {
        let ledger = good();
        (0..300).for_each(|_| assert!(!ledger.arrived(0, 0)));
        let balance = ledger.balance(0, 0);
        assert_eq!((balance.delivered, balance.duplicates), (6, u64::from(u8::MAX) - 1));
    }
}
