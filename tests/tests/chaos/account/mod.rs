//! The account of a run, drawn up from what producers were told, what the sidecar's ledger says, and what arrived. Pure.

mod facts;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

pub(crate) use facts::{Arrival, Delivery, End, Facts, Fault, Row};

/// How long ago an attempt may have been answered whose result is not settled yet.
const SETTLING: Duration = Duration::from_secs(5);

/// The account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    accepted: usize,
    endpoints: usize,
    faults: usize,
    delivered: usize,
    dead: usize,
    pending: usize,
    lost: usize,
    /// Deliveries that had been made when the store that knew of them was emptied.
    forgotten: usize,
    /// Those that had not: they went with the store.
    emptied: usize,
    /// Attempts that arrived but are not in the ledger: their results were not kept, so they were made again.
    duplicates: usize,
    in_flight: InFlight,
    /// What must not be.
    wrong: Vec<String>,
}

/// Attempts under way when faults began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct InFlight {
    /// The subscriber had not answered.
    unanswered: usize,
    /// It had, but the result may not have been settled.
    unsettled: usize,
}

impl InFlight {
    /// At all faults, in order of their beginning. Every attempt counts at the first fault that came after it began.
    ///
    /// What had arrived but was not answered is counted; so is what arrived during the fault. Whether an answer was
    /// settled only the store knows: of those of the last seconds at most two for each place of the pool were not, one
    /// that waited and one on its way to the store.
    fn at(faults: &[Fault], arrivals: &[Arrival], places: usize) -> Self {
        let mut sums = vec![Self::default(); faults.len()];
        for arrival in arrivals {
            let first = faults.iter().zip(&mut sums).find(|(fault, _)| arrival.at <= fault.over);
            let Some((fault, sum)) = first else { continue };
            match arrival.answered.map(|answered| fault.began.checked_duration_since(answered.at)) {
                Some(Some(since)) => sum.unsettled += usize::from(since <= SETTLING),
                Some(None) | None => sum.unanswered += 1,
            }
        }
        sums.iter().fold(Self::default(), |all, one| Self {
            unanswered: all.unanswered + one.unanswered.min(places),
            unsettled: all.unsettled + one.unsettled.min(2 * places),
        })
    }

    fn sum(self) -> usize {
        self.unanswered + self.unsettled
    }
}

impl Account {
    /// Draws it up.
    pub(crate) fn of(facts: &Facts) -> Self {
        let mut account = Self {
            accepted: facts.accepted.len(),
            endpoints: facts.endpoints.len(),
            faults: facts.faults.len() + facts.emptied.len(),
            ..Self::default()
        };
        let rows = account.rows_by_delivery(facts);
        account.look_for_lost(facts, &rows);
        for row in &facts.rows {
            account.enter(facts, row);
        }
        account.compare_with_arrivals(facts, &rows);
        account
    }

    /// Whether it is as it must be.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn assert_exact(&self) {
        let shown: Vec<_> = self.wrong.iter().take(10).collect();
        assert!(self.wrong.is_empty(), "{self}\n{} things are wrong: {shown:#?}", self.wrong.len());
    }

    /// Dead letters.
    pub(crate) fn dead(&self) -> usize {
        self.dead
    }

    /// Deliveries that went with the store.
    pub(crate) fn emptied(&self) -> usize {
        self.emptied
    }

    fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn rows_by_delivery<'a>(&mut self, facts: &'a Facts) -> BTreeMap<&'a Delivery, &'a Row> {
        let mut rows = BTreeMap::new();
        for row in &facts.rows {
            if rows.insert(&row.delivery, row).is_some() {
                self.wrong(format!("two deliveries of {:?}", row.delivery));
            }
            if !facts.accepted.contains_key(&row.delivery.0) {
                self.wrong(format!("a delivery of what nobody was told of: {:?}", row.delivery));
            }
        }
        rows
    }

    fn look_for_lost(&mut self, facts: &Facts, rows: &BTreeMap<&Delivery, &Row>) {
        for (event, begun) in &facts.accepted {
            for endpoint in &facts.endpoints {
                let delivery = (event.clone(), endpoint.clone());
                if rows.contains_key(&delivery) {
                    continue;
                }
                if !facts.emptied.iter().any(|emptied| *begun <= emptied.over) {
                    self.lost += 1;
                    self.wrong(format!("{delivery:?} is lost"));
                } else if facts.arrivals(&delivery).iter().any(Arrival::succeeded) {
                    self.forgotten += 1;
                } else {
                    self.emptied += 1;
                }
            }
        }
    }

    fn enter(&mut self, facts: &Facts, row: &Row) {
        let arrivals = facts.arrivals(&row.delivery);
        match &row.end {
            End::Pending => {
                self.pending += 1;
                self.wrong(format!("{:?} is still pending", row.delivery));
            }
            End::Delivered => {
                self.delivered += 1;
                if !arrivals.iter().any(Arrival::succeeded) {
                    self.wrong(format!("{:?} is delivered, but never was: {arrivals:?}", row.delivery));
                }
            }
            End::Dead(reason) => {
                self.dead += 1;
                if reason != "exhausted" || row.attempts != facts.most_attempts {
                    self.wrong(format!("{row:?} is dead"));
                }
            }
        }
    }

    /// An attempt that is not in the ledger must have been in flight at a fault that lies between it and the next.
    fn compare_with_arrivals(&mut self, facts: &Facts, rows: &BTreeMap<&Delivery, &Row>) {
        let mut events = BTreeSet::new();
        for (delivery, arrivals) in &facts.arrivals {
            if !facts.accepted.contains_key(&delivery.0) && facts.emptied.is_empty() {
                events.insert(&delivery.0);
                let before = |fault: &Fault| arrivals.iter().all(|arrival| arrival.at <= fault.over);
                if !facts.faults.iter().any(before) {
                    self.wrong(format!(
                        "{delivery:?} arrived after every fault, without anybody having been told"
                    ));
                }
            }
            let Some(row) = rows.get(delivery) else { continue };
            let extra = arrivals.len().saturating_sub(row.attempts);
            let between =
                |fault: &&Fault| arrivals.windows(2).any(|two| fault.lies_between(&two[0], &two[1]));
            let explained = facts.faults.iter().chain(&facts.emptied).filter(between).count();
            if extra > explained {
                self.wrong(format!("{delivery:?} arrived {extra} times more than {row:?}: {arrivals:?}"));
            }
            self.duplicates += extra;
        }
        if events.len() > facts.taken_back {
            self.wrong(format!("arrived without anybody having been told: {events:?}"));
        }
        let all: Vec<Arrival> = facts.arrivals.values().flatten().copied().collect();
        let mut faults = [facts.faults.as_slice(), &facts.emptied].concat();
        faults.sort_by_key(|fault| fault.began);
        self.in_flight = InFlight::at(&faults, &all, facts.places);
        if self.duplicates > self.in_flight.sum() {
            self.wrong("more duplicates than attempts were in flight");
        }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { accepted, endpoints, faults, delivered, dead, pending, lost, duplicates, .. } = self;
        let InFlight { unanswered, unsettled } = self.in_flight;
        write!(
            f,
            "faults {faults}, accepted {accepted} × {endpoints} = delivered {delivered} + dead {dead} + pending {pending}"
        )?;
        if self.emptied + self.forgotten > 0 {
            let Self { forgotten, emptied, .. } = self;
            write!(f, " + gone with redis {emptied}, and {forgotten} that had been delivered")?;
        }
        write!(
            f,
            ", lost {lost}, duplicates {duplicates} of at most {} in flight (unanswered {unanswered}, \
             answered and perhaps not settled {unsettled})",
            self.in_flight.sum()
        )
    }
}
