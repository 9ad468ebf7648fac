//! Any history of accepts, takes, results, upkeep, retries, passing time and re-openings against a simple model: what
//! is accepted is delivered or dead, once, and never lost; of what stands in one line never two are in attempts at once,
//! and none before its time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{DeadReason, DeliveryId, Endpoint, Event, EventId, Next, Ordering, Status};
use hookgate_sidecar::store::{
    Acceptance, Ask, BreakerSettings, Lease, Retention, Settled, Settlement, Store, StoreFault, StoreSettings,
};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::fixture::*;
use crate::steps::{NextStep, Step, Wish, any_step};
use crate::subject::Subject;

/// How many histories, each over a place of its own.
const HISTORIES: u32 = 24;
/// The window of idempotency keys, short enough to end within a history.
const WINDOW_MS: u64 = 20_000;
/// How long payloads and attempts are remembered, also short enough.
const PAYLOADS_MS: u64 = 6_000;
const ATTEMPTS_MS: u64 = 3_000;

/// A delivery as it must be.
#[derive(Debug, Clone)]
struct Row {
    status: Status,
    /// Since when it is over; what it was before, while it is pending.
    ended: Millis,
    attempts: u32,
    /// How many of its attempts are remembered.
    remembered: usize,
    step: u32,
    due: Millis,
    /// The lease under which it is in an attempt.
    held: Option<(u64, Millis)>,
    event: EventId,
    /// The line it stands in, and its place there.
    line: Option<(String, u64)>,
}

impl Row {
    /// A new delivery of this event.
    fn of(event: EventId) -> Self {
        let (status, held, line) = (Status::Pending, None, None);
        Self { status, ended: at(0), attempts: 0, remembered: 0, step: 0, due: at(0), held, event, line }
    }
}

/// One history: a store, and what it must say.
struct History<S> {
    subject: S,
    store: Option<Arc<dyn Store>>,
    now: Millis,
    rows: HashMap<DeliveryId, Row>,
    keys: HashMap<u8, (Acceptance, Millis)>,
    events: Vec<EventId>,
    /// Those whose payload is forgotten.
    bare: HashSet<EventId>,
    /// Every lease ever handed out, the lost ones too.
    leases: Vec<Lease>,
    /// Whether workers wait for what they left room for.
    waits: bool,
    /// What was accepted since the last take: by when it is leased no more, if it was leased for who waits.
    ahead: HashMap<DeliveryId, Millis>,
    /// When events are looked at because their time is over.
    ends: HashMap<EventId, Millis>,
    /// The last place that was given in a line.
    place: u64,
}

/// The endpoints, and which of their deliveries wait for each other.
const ENDPOINTS: [(&str, Ordering); 4] =
    [("a", Ordering::None), ("b", Ordering::None), ("ordered", Ordering::Endpoint), ("keyed", Ordering::Key)];

fn settings() -> StoreSettings {
    let breaker = BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() };
    StoreSettings {
        breaker,
        retention: Retention {
            payloads: Some(Duration::from_millis(PAYLOADS_MS)),
            attempts: Some(Duration::from_millis(ATTEMPTS_MS)),
            ..Retention::default()
        },
        idempotency_window: Duration::from_millis(WINDOW_MS),
        ..StoreSettings::default()
    }
}

impl<S: Subject> History<S> {
    async fn begin(waits: bool) -> Self {
        let subject = S::start().await;
        let store = subject.open(settings()).await;
        for (name, ordering) in ENDPOINTS {
            put(&*store, &Endpoint { ordering, ..endpoint(name) }).await;
        }
        let (rows, keys) = (HashMap::new(), HashMap::new());
        let (events, bare, leases) = (Vec::new(), HashSet::new(), Vec::new());
        let (ahead, ends) = (HashMap::new(), HashMap::new());
        let (store, now, place) = (Some(store), at(0), 0);
        Self { subject, store, now, rows, keys, events, bare, leases, waits, ahead, ends, place }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    async fn walk(&mut self, step: Step) {
        match step {
            Step::Accept(wish) => self.accept(wish).await,
            Step::Take { room } => self.take(room).await,
            Step::Settle { which, next } => self.settle(which, next).await,
            Step::Maintain => self.maintain().await,
            Step::Retry { which } => self.retry(which).await,
            Step::Pass { ms } => self.now = Millis(self.now.0 + ms),
            Step::Reopen => self.reopen().await,
        }
        let count =
            |status: fn(&Status) -> bool| self.rows.values().filter(|row| status(&row.status)).count() as u64;
        let census = self.store().census().await.unwrap();
        assert_eq!(census.pending, count(|status| matches!(status, Status::Pending)), "pending");
        assert_eq!(census.delivered, count(|status| matches!(status, Status::Delivered)), "delivered");
        assert_eq!(census.dead, count(|status| matches!(status, Status::Dead(_))), "dead");
    }

    async fn accept(&mut self, Wish { keys, ahead_ms, ttl_ms, line }: Wish) {
        let names: Vec<String> = keys.iter().map(|key| format!("key {key}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let due = Millis(self.now.0 + ahead_ms);
        let ordering_key = line.map(|line| format!("line {line}").parse().unwrap());
        let deliver_at = (ahead_ms > 0).then_some(due);
        // what was leased ahead is not known to be in an attempt, and that decides when it expires
        let expires_at = ttl_ms.filter(|_| !self.waits).map(|ttl_ms| Millis(due.0 + ttl_ms));
        let event = Event { deliver_at, ordering_key, expires_at, ..event(self.now) };
        let answer = self.store().accept(&[offer(event, &names)], self.now).await.unwrap()[0];
        let known =
            |key| self.keys.get(key).filter(|(_, until)| self.now < *until).map(|(first, _)| first.id);
        let first = keys.iter().find_map(known);
        assert_eq!((answer.duplicate, answer.deliveries), (first.is_some(), 4), "keys {keys:?}");
        assert!(first.is_none_or(|first| first == answer.id), "the first result");
        if first.is_none() {
            let until = Millis(self.now.0 + WINDOW_MS);
            self.keys.extend(keys.iter().map(|key| (*key, (answer, until))));
            self.events.push(answer.id);
            self.ends.extend(expires_at.map(|end| (answer.id, end)));
            self.place += 1;
            for delivery in deliveries_of(&*self.store(), answer.id).await {
                if self.waits && due <= self.now {
                    self.ahead.insert(delivery.id, self.now.plus(TIMEOUT).plus(GRACE));
                }
                let line = match delivery.endpoint_id.as_str() {
                    "ordered" => Some(String::new()),
                    "keyed" => line.map(|line| line.to_string()),
                    _ => None,
                };
                let line = line.map(|line| (line, self.place));
                self.rows.insert(delivery.id, Row { due, line, ..Row::of(answer.id) });
            }
        }
    }

    /// Whether nobody stands before it in its line.
    fn is_head(&self, row: &Row) -> bool {
        let before = |other: &Row| match (&row.line, &other.line) {
            (Some((line, place)), Some((same, earlier))) => line == same && earlier < place,
            _ => false,
        };
        !self.rows.values().any(|other| other.status == Status::Pending && before(other))
    }

    fn reclaim(&mut self) -> u64 {
        let ended = self.rows.values_mut().filter(|row| row.held.is_some_and(|(_, end)| end <= self.now));
        ended.map(|row| row.held = None).count() as u64
    }

    async fn take(&mut self, room: u16) {
        let ended = self.rows.values().any(|row| row.held.is_some_and(|(_, end)| end <= self.now));
        if self.waits && ended {
            // who collects what was leased ahead need not look for leases that ended: upkeep does
            self.maintain().await;
        }
        self.reclaim();
        let waits = |row: &Row| row.status == Status::Pending && row.held.is_none() && self.is_head(row);
        let due = self.rows.values().filter(|row| waits(row) && row.due <= self.now).count();
        let ask = Ask { now: self.now, room, grace: GRACE, ahead: self.waits };
        let leases = self.store().take(ask).await.unwrap().leases;
        self.ahead.clear();
        assert_eq!(leases.len(), due.min(room.into()), "all that is due, as far as there is room");
        for lease in &leases {
            assert!(self.is_head(&self.rows[&lease.delivery]), "one of a line at a time, in order");
            let row = self.rows.get_mut(&lease.delivery).unwrap();
            assert!(row.status == Status::Pending && row.held.is_none() && row.due <= self.now, "{row:?}");
            assert_eq!((lease.attempt, lease.step), (row.attempts + 1, row.step + 1));
            row.held = Some((lease.token, lease.ends_at));
        }
        self.leases.extend(leases);
    }

    async fn settle(&mut self, which: usize, next: NextStep) {
        let Some(lease) = which.checked_rem(self.leases.len()).map(|at| self.leases[at].clone()) else {
            return;
        };
        let now = self.now;
        let settlement: Settlement = match next {
            NextStep::Delivered => succeeded(&lease, now),
            NextStep::RetryIn(ms) => failed(&lease, now, Next::RetryAt(Millis(now.0 + ms))),
            NextStep::Dead => failed(&lease, now, Next::Dead(DeadReason::Exhausted)),
            NextStep::GivenUp => given_up(&lease),
            NextStep::Returned => returned(&lease),
        };
        let settled = settle(&*self.store(), settlement, now).await;
        let row = self.rows.get_mut(&lease.delivery).unwrap();
        let holds = row.held.is_some_and(|(token, _)| token == lease.token);
        assert_eq!(settled, if holds { Settled::Recorded } else { Settled::LeaseLost });
        if !holds {
            return;
        }
        (row.held, row.ended) = (None, now);
        match next {
            NextStep::Delivered => row.status = Status::Delivered,
            NextStep::RetryIn(ms) => row.due = Millis(now.0 + ms),
            NextStep::Dead => row.status = Status::Dead(DeadReason::Exhausted),
            NextStep::GivenUp => {
                row.status = Status::Dead(DeadReason::Expired);
                return;
            }
            NextStep::Returned => return,
        }
        (row.attempts, row.step, row.remembered) = (row.attempts + 1, row.step + 1, row.remembered + 1);
    }

    async fn maintain(&mut self) {
        let reclaimed = self.store().maintain(self.now).await.unwrap().reclaimed;
        let ahead = self.ahead.values().filter(|ends| **ends <= self.now).count() as u64;
        self.ahead.retain(|_, ends| *ends > self.now);
        let known = self.reclaim();
        assert!((known..=known + ahead).contains(&reclaimed), "{reclaimed} of {known} and {ahead}");
        self.expire();
        self.forget();
    }

    /// What waits of an event whose time is over is dead; what is in an attempt is looked at when its lease has ended.
    fn expire(&mut self) {
        let over: Vec<EventId> =
            self.ends.iter().filter(|(_, end)| **end <= self.now).map(|(event, _)| *event).collect();
        for event in over {
            self.ends.remove(&event);
            let pending = |row: &&mut Row| row.event == event && row.status == Status::Pending;
            for row in self.rows.values_mut().filter(pending) {
                match row.held {
                    Some((_, end)) => {
                        let again = self.ends.entry(event).or_insert(end);
                        *again = end.max(*again);
                    }
                    None => (row.status, row.ended) = (Status::Dead(DeadReason::Expired), self.now),
                }
            }
        }
    }

    /// What is over for long loses its attempts, and its payload with the last of its event's deliveries.
    fn forget(&mut self) {
        let now = self.now;
        let over = |row: &Row, ms: u64| row.status != Status::Pending && row.ended.0 + ms <= now.0;
        self.rows.values_mut().filter(|row| over(row, ATTEMPTS_MS)).for_each(|row| row.remembered = 0);
        let whole: HashSet<EventId> =
            self.rows.values().filter(|row| !over(row, PAYLOADS_MS)).map(|row| row.event).collect();
        self.bare.extend(self.events.iter().filter(|event| !whole.contains(event)));
    }

    async fn retry(&mut self, which: usize) {
        let mut ids: Vec<DeliveryId> = self.rows.keys().copied().collect();
        ids.sort_unstable();
        let Some(id) = which.checked_rem(ids.len()).map(|at| ids[at]) else { return };
        if self.ahead.contains_key(&id) {
            return; // it may be as good as in an attempt
        }
        let retried = self.store().retry(&id, self.now).await;
        let row = self.rows.get_mut(&id).unwrap();
        if self.bare.contains(&row.event) {
            assert_eq!(retried.unwrap_err().fault, StoreFault::Forgotten, "there is nothing to send");
            return;
        }
        retried.unwrap().unwrap();
        if row.held.is_none() {
            if let Some((_, place)) = row.line.as_mut().filter(|_| row.status != Status::Pending) {
                self.place += 1;
                *place = self.place;
            }
            (row.status, row.step, row.due) = (Status::Pending, 0, self.now);
        }
    }

    /// Opens the store again. Whether leases outlive that is the store's affair: by their end they are lost.
    async fn reopen(&mut self) {
        self.ahead.clear();
        self.store = None;
        self.store = Some(self.subject.open(settings()).await);
        let ends = self.rows.values().filter_map(|row| row.held.map(|(_, end)| end)).max();
        self.now = self.now.max(ends.unwrap_or_default());
        self.store().maintain(self.now).await.unwrap();
        self.rows.values_mut().for_each(|row| row.held = None);
        self.expire();
        self.forget();
    }

    /// Delivers all that is left, and compares the whole ledger.
    async fn end(mut self) {
        self.now = Millis(self.now.0 + 1_000_000);
        self.reclaim();
        let store = self.store();
        deliver_all(&*store, self.now).await;
        for row in self.rows.values_mut().filter(|row| row.status == Status::Pending) {
            (row.status, row.attempts, row.remembered) =
                (Status::Delivered, row.attempts + 1, row.remembered + 1);
        }
        for id in &self.events {
            let event = store.event(id).await.unwrap().unwrap();
            assert_eq!(event.forgotten_bytes.is_some(), self.bare.contains(id), "its payload");
            for delivery in deliveries_of(&*store, *id).await {
                let row = self.rows.remove(&delivery.id).expect("a delivery that was accepted");
                assert_eq!((delivery.status, delivery.attempts), (row.status, row.attempts));
                assert_eq!(store.attempts(&delivery.id).await.unwrap().len(), row.remembered);
            }
        }
        assert!(self.rows.is_empty(), "lost: {:?}", self.rows);
    }
}

pub async fn any_history_is_what_a_simple_model_makes_of_it<S: Subject>(_: &S) {
    run::<S>(0, false);
}

pub async fn any_history_is_that_with_a_worker_that_waits<S: Subject>(_: &S) {
    run::<S>(0, true);
}

pub async fn any_history_survives_opening_again<S: Subject>(_: &S) {
    run::<S>(1, false);
}

fn run<S: Subject>(reopen: u32, waits: bool) {
    let config = ProptestConfig { cases: HISTORIES, failure_persistence: None, ..ProptestConfig::default() };
    let steps = proptest::collection::vec(any_step(reopen), 1..60);
    let result = TestRunner::new(config).run(&steps, |steps| {
        let walk = async {
            let mut history = History::<S>::begin(waits).await;
            for step in steps {
                history.walk(step).await;
            }
            history.end().await;
        };
        block_in_place(|| Handle::current().block_on(walk));
        Ok(())
    });
    if let Err(TestError::Fail(why, steps)) = result {
        panic!("{why}, after {steps:#?}");
    }
}
