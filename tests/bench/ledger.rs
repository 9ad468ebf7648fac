//! The exact account of a run: every event that was sent is delivered, dead or pending, or the run counts for nothing.

use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Most events of one run: a byte each.
pub(crate) const CAPACITY: u64 = 4_000_000;

/// In an event's byte: it was answered 202. The lower bits count its arrivals.
const ACCEPTED: u8 = 0x80;
/// In an event's byte: it was answered, but not 202.
const REFUSED: u8 = 0x40;
/// Where the count of arrivals stops.
const MOST_ARRIVALS: u8 = 0x3F;

/// One byte for each event: what it was answered, how often it arrived.
#[derive(Debug)]
pub(crate) struct Ledger {
    next: AtomicU64,
    events: Vec<AtomicU8>,
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
    /// An account of nothing.
    pub(crate) fn new() -> Self {
        let events = std::iter::repeat_with(AtomicU8::default).take(CAPACITY as usize).collect();
        Self { next: AtomicU64::new(0), events, strangers: AtomicU64::new(0) }
    }

    /// The number of the next event to send; `None` when [`CAPACITY`] is used up.
    pub(crate) fn send(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Relaxed);
        (number < CAPACITY).then_some(number)
    }

    /// Event `number` was answered.
    pub(crate) fn answered(&self, number: u64, answer: Answer) {
        let bit = match answer {
            Answer::Accepted => ACCEPTED,
            Answer::Refused => REFUSED,
        };
        self.change(number, |event| event | bit);
    }

    /// Event `number` arrived at the receiver; whether this was its first time.
    pub(crate) fn arrived(&self, number: u64) -> bool {
        let before = self.change(number, |event| match event & MOST_ARRIVALS {
            MOST_ARRIVALS => event,
            _ => event + 1,
        });
        before.is_some_and(|before| before & MOST_ARRIVALS == 0)
    }

    /// Something arrived that carries no number of ours.
    pub(crate) fn arrived_unknown(&self) {
        self.strangers.fetch_add(1, Relaxed);
    }

    /// How many events arrived at least once so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.count(|event| event & MOST_ARRIVALS > 0)
    }

    /// How many were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.count(|event| event & ACCEPTED != 0)
    }

    /// The account, with what the sidecar says is still pending and what is dead.
    pub(crate) fn balance(&self, pending: u64, dead: u64) -> Balance {
        let arrivals: u64 = self.sent_events().map(|event| u64::from(event & MOST_ARRIVALS)).sum();
        let delivered = self.delivered();
        Balance {
            sent: self.sent_events().len() as u64,
            accepted: self.accepted(),
            refused: self.count(|event| event & REFUSED != 0),
            delivered,
            dead,
            pending,
            duplicates: arrivals - delivered,
            unasked: self.count(|event| event & ACCEPTED == 0 && event & MOST_ARRIVALS > 0)
                + self.strangers.load(Relaxed),
        }
    }

    fn sent_events(&self) -> impl ExactSizeIterator<Item = u8> {
        let sent = self.next.load(Relaxed).min(CAPACITY);
        self.events.iter().take(sent as usize).map(|event| event.load(Relaxed))
    }

    fn count(&self, which: impl Fn(u8) -> bool) -> u64 {
        self.sent_events().filter(|event| which(*event)).count() as u64
    }

    /// Changes the byte of an event and answers what it was; a number that was never given out is a stranger.
    fn change(&self, number: u64, change: impl Fn(u8) -> u8) -> Option<u8> {
        let sent = self.next.load(Relaxed);
        let event =
            usize::try_from(number).ok().filter(|_| number < sent).and_then(|index| self.events.get(index));
        let Some(event) = event else {
            self.arrived_unknown();
            return None;
        };
        event.fetch_update(Relaxed, Relaxed, |before| Some(change(before))).ok()
    }
}

/// The account of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    /// Sent by the load tool.
    pub(crate) sent: u64,
    /// Answered 202.
    pub(crate) accepted: u64,
    /// Answered otherwise.
    pub(crate) refused: u64,
    /// Arrived at the receiver at least once.
    pub(crate) delivered: u64,
    /// Dead letters, by the sidecar's word.
    pub(crate) dead: u64,
    /// Pending, by the sidecar's word.
    pub(crate) pending: u64,
    /// Arrivals beyond each event's first.
    pub(crate) duplicates: u64,
    /// Arrivals of what was not answered 202, or is not ours.
    pub(crate) unasked: u64,
}

impl Balance {
    /// Whether sent = delivered + dead + pending, all of it accepted, and nothing else arrived. Only then do the run's
    /// figures mean anything.
    pub(crate) fn is_exact(&self) -> bool {
        let accounted = self.delivered + self.dead + self.pending;
        self.sent == self.accepted && self.sent == accounted && self.unasked == 0 && self.sent > 0
    }
}

impl Display for Balance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { sent, accepted, refused, delivered, dead, pending, duplicates, unasked } = self;
        write!(
            f,
            "sent {sent} = delivered {delivered} + dead {dead} + pending {pending}; accepted {accepted}, refused \
             {refused}, duplicates {duplicates}, unasked {unasked}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three events sent, accepted and delivered once.
    fn good() -> Ledger {
        let ledger = Ledger::new();
        for number in 0..3 {
            assert_eq!(ledger.send(), Some(number));
            ledger.answered(number, Answer::Accepted);
            assert!(ledger.arrived(number), "the first arrival");
        }
        ledger
    }

    #[test]
    fn a_run_counts_only_when_its_account_is_exact() {
        type Change = fn(&Ledger);
        let sent: Change = |ledger| assert!(ledger.send().is_some());
        let accepted: Change = |ledger| ledger.answered(ledger.send().unwrap(), Answer::Accepted);
        let refused: Change = |ledger| ledger.answered(ledger.send().unwrap(), Answer::Refused);
        let unasked: Change = |ledger| assert!(ledger.arrived(ledger.send().unwrap()));
        let twice: Change = |ledger| assert!(!ledger.arrived(1), "not the first arrival");
        let unknown: Change = |ledger| assert!(!ledger.arrived(99));
        let table: [(&str, Change, u64, u64, bool); 10] = [
            ("all delivered", |_| {}, 0, 0, true),
            ("one more is pending", accepted, 1, 0, true),
            ("one more is dead", accepted, 0, 1, true),
            ("one more is lost", accepted, 0, 0, false),
            ("one more is pending that nobody sent", |_| {}, 1, 0, false),
            ("one was not answered", sent, 0, 0, false),
            ("one was refused", refused, 0, 0, false),
            ("a refused one arrived", unasked, 0, 0, false),
            ("one arrived twice: at least once is the promise", twice, 0, 0, true),
            ("something arrived that nobody sent", unknown, 0, 0, false),
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
        assert!(!Ledger::new().balance(0, 0).is_exact());
    }

    #[test]
    fn arrivals_beyond_the_first_are_duplicates_and_their_count_does_not_wrap() {
        let ledger = good();
        (0..100).for_each(|_| assert!(!ledger.arrived(0)));
        let balance = ledger.balance(0, 0);
        assert_eq!((balance.delivered, balance.duplicates), (3, u64::from(MOST_ARRIVALS) - 1));
        assert!(balance.is_exact(), "the answer's bit is untouched: {balance}");
    }
}
