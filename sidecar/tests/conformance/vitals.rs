//! How an endpoint does and what may be tried there: every store decides as the pure value does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU16;
use std::time::Duration;

use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{BreakerRules, DeadReason, DeliveryId, Endpoint, Next, Signal};
use hookgate_sidecar::store::vitals::{Admit, Heard, Vitals};
use hookgate_sidecar::store::{
    BreakerSettings, BreakerState, Health, Lease, Report, Settled, Settlement, Store, StoreSettings, Turn,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fixture::*;
use crate::subject::Subject;

const SETTINGS: BreakerSettings =
    BreakerSettings { failures: 4, failure_percent: 50, min_attempts: 9, open_ms: 2_000, max_open_ms: 9_000 };
const BUSY: Signal = Signal::Overloaded { hold_until: None };

async fn open(subject: &impl Subject, breaker: BreakerSettings) -> std::sync::Arc<dyn Store> {
    subject.open(StoreSettings { breaker, ..StoreSettings::default() }).await
}

async fn health(store: &dyn Store) -> Health {
    let census = store.census().await.unwrap();
    census.endpoints.into_iter().find(|health| health.endpoint == endpoint_id("a")).unwrap()
}

/// What comes back for a lease taken at `began`: a success delivers, everything else is due again at once.
fn heard(lease: &Lease, signal: Signal, began: Millis, duration_ms: u32) -> Settlement {
    let now = began.plus(Duration::from_millis(duration_ms.into()));
    let next = if signal == Signal::Success { Next::Delivered } else { Next::RetryAt(now) };
    let settlement = attempted(lease, began, if signal == Signal::Success { OK } else { BAD }, next);
    let Report::Attempted { attempt, .. } = settlement.report else { panic!("an attempt was made") };
    let attempt = hookgate_sidecar::model::Attempt { duration_ms, ..attempt };
    Settlement { report: Report::Attempted { attempt, next, signal }, ..settlement }
}

/// One endpoint's history, walked by a store and by the pure value at once.
struct Walk<'a> {
    store: &'a dyn Store,
    settings: BreakerSettings,
    vitals: Vitals,
    now: Millis,
    out: Vec<(Lease, Millis, bool)>,
}

const CEILING: NonZeroU16 = NonZeroU16::new(12).unwrap();

impl Walk<'_> {
    async fn take(&mut self) {
        let full = self.out.len() >= self.vitals.concurrency(CEILING).into();
        let (after, admit) = self.vitals.admit(self.now, self.now.plus(TIMEOUT).plus(GRACE));
        let admitted = !full && !matches!(admit, Admit::NotBefore(_));
        let leases = leases(self.store, self.now, 1).await;
        assert_eq!(leases.len(), usize::from(admitted), "{:?} at {:?}", self.vitals, self.now);
        if admitted {
            self.vitals = after;
        }
        self.out.extend(leases.into_iter().map(|lease| (lease, self.now, admit == Admit::Probe)));
    }

    async fn settle(&mut self, rng: &mut StdRng) {
        let in_flight = u32::try_from(self.out.len()).unwrap();
        let (lease, began, probe) = self.out.swap_remove(rng.random_range(0..self.out.len()));
        let hold_until = rng.random_bool(0.3).then(|| Millis(self.now.0 + rng.random_range(0..900)));
        let signal = match rng.random_range(0..20) {
            0 => {
                assert!(self.store.settle(&[returned(&lease)], self.now).await.unwrap().news.is_empty());
                return self.vitals.forgo(probe, self.now);
            }
            1..=3 => Signal::Failure,
            4 => Signal::Overloaded { hold_until },
            _ => Signal::Success,
        };
        let duration_ms = if rng.random_bool(0.1) { 900 } else { rng.random_range(1..60) };
        let heard_of = Heard { signal, probe, started_at: began, duration_ms, in_flight };
        let turn = self.vitals.record(heard_of, self.now, &self.settings, CEILING);
        let settling = self.store.settle(&[heard(&lease, signal, began, duration_ms)], self.now).await;
        let news: Vec<Turn> = settling.unwrap().news.into_iter().map(|news| news.turn).collect();
        assert_eq!(news, turn.into_iter().collect::<Vec<_>>(), "news of {signal:?} at {:?}", self.now);
    }

    async fn compare(&self) {
        let health = health(self.store).await;
        let pure = (self.vitals.breaker(), self.vitals.concurrency(CEILING), self.vitals.held_until());
        assert_eq!((health.breaker, health.concurrency, health.held_until), pure, "at {:?}", self.now);
    }
}

pub async fn any_trajectory_is_the_pure_one(subject: &impl Subject) {
    let store = open(subject, SETTINGS).await;
    let own = BreakerRules { failures: Some(3), max_open_ms: Some(4_000), ..BreakerRules::default() };
    for (seed, breaker) in [BreakerRules::default(), own, BreakerRules::default()].into_iter().enumerate() {
        put(&*store, &Endpoint { max_in_flight: CEILING, breaker, ..endpoint("a") }).await;
        accept(&*store, 400, at(0)).await;
        let mut rng = StdRng::seed_from_u64(seed as u64);
        let settings = SETTINGS.with(breaker);
        let mut walk = Walk { store: &*store, settings, vitals: Vitals::default(), now: at(0), out: vec![] };
        for _ in 0..500 {
            let most = if rng.random_bool(0.05) { 3_000 } else { 30 };
            walk.now = Millis(walk.now.0 + rng.random_range(0..most));
            walk.out.retain(|(lease, ..)| lease.ends_at > walk.now);
            if walk.out.is_empty() || rng.random_bool(0.55) {
                walk.take().await;
            } else {
                walk.settle(&mut rng).await;
            }
            walk.compare().await;
        }
        store.delete_endpoint(&endpoint_id("a"), at(0)).await.unwrap();
    }
}

pub async fn a_share_of_failures_opens_a_breaker(subject: &impl Subject) {
    let store = open(subject, BreakerSettings { min_attempts: 20, ..BreakerSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 30, at(0)).await;
    for n in 1..=20_u64 {
        assert_eq!(health(&*store).await.breaker, BreakerState::Closed, "before result {n}");
        let lease = leases(&*store, at(n), 1).await.remove(0);
        let signal = if n % 2 == 0 { Signal::Failure } else { Signal::Success };
        settle(&*store, heard(&lease, signal, at(n), 0), at(n)).await;
    }
    assert_eq!(health(&*store).await.breaker, BreakerState::Open, "ten of twenty, never two in a row");
}

pub async fn retry_after_holds_the_whole_endpoint(subject: &impl Subject) {
    let store = open(subject, BreakerSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 9, at(0)).await;
    let lease = leases(&*store, at(0), 1).await.remove(0);
    let held = Signal::Overloaded { hold_until: Some(at(5_000)) };
    settle(&*store, heard(&lease, held, at(0), 1), at(1)).await;
    let waiting = take(&*store, at(2), 10).await;
    assert!(waiting.leases.is_empty(), "the others too: {waiting:?}");
    assert!(waiting.next.is_some_and(|next| at(2) < next && next <= at(5_000)), "{waiting:?}");
    assert!(leases(&*store, at(4_999), 10).await.is_empty());
    assert_eq!(health(&*store).await.held_until, Some(at(5_000)));
    let taken = leases(&*store, at(5_000), 10).await;
    assert_eq!(taken.len(), 9);
    assert_eq!(taken.iter().filter(|lease| lease.attempt == 1).count(), 8, "waiting cost no attempt");
}

pub async fn overload_halves_what_is_tried_at_once(subject: &impl Subject) {
    let never = BreakerSettings { failures: 1_000, failure_percent: 0, ..BreakerSettings::default() };
    let store = open(subject, never).await;
    put(&*store, &Endpoint { max_in_flight: NonZeroU16::new(16).unwrap(), ..endpoint("a") }).await;
    accept(&*store, 60, at(0)).await;
    let mut expected = [16, 8, 4, 2, 1, 1].into_iter();
    for round in 0..6 {
        let (began, now) = (at(round * 100), at(round * 100 + 50));
        let taken = leases(&*store, began, 100).await;
        assert_eq!(Some(taken.len()), expected.next(), "round {round}");
        let busy: Vec<_> = taken.iter().map(|lease| heard(lease, BUSY, began, 50)).collect();
        store.settle(&busy, now).await.unwrap();
    }
    assert_eq!(health(&*store).await.concurrency, 1, "never less");
}

/// Most attempts at once at the endpoint that recovers.
const NARROW: NonZeroU16 = NonZeroU16::new(256).unwrap();

pub async fn a_recovered_endpoint_is_served_by_a_ramp_in_order_of_due_time(subject: &impl Subject) {
    recovers(subject, 3_000).await;
}

pub async fn fifty_thousand_retries_of_one_second_are_served_by_a_ramp(subject: &impl Subject) {
    recovers(subject, 50_000).await;
}

/// `count` deliveries, thousands, are due again within one second; the first of them opens the breaker.
async fn recovers(subject: &impl Subject, count: usize) {
    let store = open(subject, BreakerSettings::default()).await;
    let due = due_together(&*store, count).await;
    let first = leases(&*store, at(60_000), 1).await.remove(0);
    settle(&*store, failed(&first, at(60_000), Next::Dead(DeadReason::Exhausted)), at(60_000)).await;
    assert!(leases(&*store, at(89_999), 1_000).await.is_empty(), "open: nothing is tried");

    // at every moment the older half of what is under way succeeds, and as much as is allowed begins
    let (mut now, mut out, mut served, mut caps) = (at(90_000), VecDeque::new(), Vec::new(), Vec::new());
    while served.len() + 1 < count {
        let health = health(&*store).await;
        let cap = if health.breaker == BreakerState::Closed { health.concurrency.into() } else { 1 };
        let taken = leases(&*store, now, 1_000).await;
        served.extend(taken.iter().map(|lease| (due[&lease.delivery], lease.delivery)));
        out.extend(taken.into_iter().map(|lease| (lease, now)));
        let all = served.len() + 1 == count;
        assert!(out.len() == cap || (all && out.len() < cap), "{} at once of {cap}, at {now:?}", out.len());
        caps.push(cap);
        now = now.plus(Duration::from_millis(10));
        let over: Vec<_> = out.drain(..out.len().div_ceil(2)).collect();
        succeed(&*store, &over, now).await;
    }
    succeed(&*store, out.make_contiguous(), now).await;
    assert_eq!(caps[..8], [1, 1, 2, 3, 5, 8, 12, 18], "the probe, then one more for each that succeeds");
    let most = |cap: usize| (cap + cap.div_ceil(2)).min(NARROW.get().into());
    assert!(caps.windows(2).all(|two| two[0] <= two[1] && two[1] <= most(two[0])), "a ramp: {caps:?}");
    assert_eq!(caps.last(), Some(&usize::from(NARROW.get())), "up to its own cap");
    assert!(served.is_sorted(), "in order of due time");
    assert_eq!(served.iter().collect::<HashSet<_>>().len(), count - 1, "none twice");
    let census = store.census().await.unwrap();
    assert_eq!((census.delivered, census.dead, census.pending), (count as u64 - 1, 1, 0));
}

/// Makes `count` deliveries fail once; the next failure opens the endpoint's breaker. Answers when each is due again.
async fn due_together(store: &dyn Store, count: usize) -> HashMap<DeliveryId, Millis> {
    let never =
        BreakerRules { failures: Some(1_000_000), failure_percent: Some(0), ..BreakerRules::default() };
    put(store, &Endpoint { breaker: never, ..endpoint("a") }).await;
    for _ in 0..count / 1_000 {
        accept(store, 1_000, at(0)).await;
    }
    let mut due = HashMap::new();
    while due.len() < count {
        let taken = leases(store, at(0), 1_000).await;
        let moment = |n: usize| at(60_000 + (n as u64 * 7_919) % 1_000);
        let again: Vec<_> =
            taken.iter().enumerate().map(|(n, lease)| (lease, moment(due.len() + n))).collect();
        let failures = again.iter().map(|(lease, due)| failed(lease, at(1), Next::RetryAt(*due)));
        store.settle(&failures.collect::<Vec<_>>(), at(1)).await.unwrap();
        due.extend(again.iter().map(|(lease, due)| (lease.delivery, *due)));
    }
    let strict = BreakerRules { failures: Some(1), ..BreakerRules::default() };
    put(store, &Endpoint { max_in_flight: NARROW, breaker: strict, ..endpoint("a") }).await;
    due
}

/// Attempts that began when they were taken succeed at `now`.
async fn succeed(store: &dyn Store, over: &[(Lease, Millis)], now: Millis) {
    let took = |began: Millis| u32::try_from(now.since(began).as_millis()).unwrap();
    let done: Vec<_> =
        over.iter().map(|(lease, began)| heard(lease, Signal::Success, *began, took(*began))).collect();
    assert!(store.settle(&done, now).await.unwrap().settled.iter().all(|one| *one == Settled::Recorded));
}
