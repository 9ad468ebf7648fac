//! What an account is drawn up from.

use std::collections::BTreeMap;
use std::time::Instant;

use hookgate_e2e::receiver::Answered;

/// An event and an endpoint.
pub(crate) type Delivery = (String, String);

/// What the ledger says of one delivery.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) delivery: Delivery,
    pub(crate) end: End,
    /// Attempts that the ledger knows of.
    pub(crate) attempts: usize,
}

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Pending,
    Delivered,
    /// And why.
    Dead(String),
}

/// One attempt as the subscriber saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) answered: Option<Answered>,
}

impl Arrival {
    pub(super) fn succeeded(&self) -> bool {
        self.answered.and_then(|answered| answered.status).is_some_and(|status| (200..300).contains(&status))
    }
}

/// From when until when something was broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) began: Instant,
    pub(crate) over: Instant,
}

impl Fault {
    /// Whether it can be why `second` followed `first`.
    pub(super) fn lies_between(&self, first: &Arrival, second: &Arrival) -> bool {
        first.at <= self.over && second.at >= self.began
    }
}

/// All that is known of a run.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Events answered 202, with when the request began that was answered so.
    pub(crate) accepted: BTreeMap<String, Instant>,
    /// Every event goes to each of these.
    pub(crate) endpoints: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) arrivals: BTreeMap<Delivery, Vec<Arrival>>,
    pub(crate) faults: Vec<Fault>,
    /// When the store was emptied: what was sent before the end of it may be gone.
    pub(crate) emptied: Vec<Fault>,
    /// Requests that were not answered 202, where a fault takes back what a server had alone: so many events may have been
    /// delivered before it, and be unknown afterwards. Their producers were told to send again.
    pub(crate) taken_back: usize,
    /// Attempts that the process which a fault hits can make at once.
    pub(crate) places: usize,
    /// Attempts after which a delivery is dead.
    pub(crate) most_attempts: usize,
}

impl Facts {
    pub(super) fn arrivals(&self, delivery: &Delivery) -> &[Arrival] {
        self.arrivals.get(delivery).map(Vec::as_slice).unwrap_or_default()
    }
}
