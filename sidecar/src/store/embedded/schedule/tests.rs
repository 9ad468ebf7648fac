//! The schedule against tables, and any history of it against a list that is looked through.

use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{BreakerRules, DeadReason, Tenant};
use crate::store::vitals::Vitals;

const BREAKER: BreakerSettings =
    BreakerSettings { failures: 2, failure_percent: 50, min_attempts: 20, open_ms: 100, max_open_ms: 400 };
const GRACE: Duration = Duration::from_millis(50);
/// How long every lease of these tests holds.
const LEASE_MS: u64 = 60;

fn rules(max_in_flight: u16) -> Rules {
    let max_in_flight = NonZeroU16::new(max_in_flight).unwrap();
    Rules {
        max_in_flight,
        rate_limit: None,
        timeout: Duration::from_millis(10),
        breaker: BreakerRules::default(),
        enabled: true,
        enabled_at: Millis(0),
    }
}

fn id(n: u128) -> DeliveryId {
    DeliveryId::fresh(Millis(1), n << 64, &Tenant::default())
}

/// Lanes beyond the second are another tenant's.
fn tenant_of(slot: Slot) -> Tenant {
    (if slot.0 > 2 { "other" } else { "default" }).parse().unwrap()
}

/// A schedule with these lanes open.
fn schedule(lanes: &[(i64, Rules)]) -> Schedule {
    let settings = StoreSettings { breaker: BREAKER, ..StoreSettings::default() };
    let mut schedule = Schedule::new(&settings, 0);
    for (slot, rules) in lanes {
        schedule.open(Slot(*slot), &tenant_of(Slot(*slot)), *rules, Millis(0));
    }
    schedule
}

fn attempted(signal: Signal, next: Next) -> Ending {
    Ending::Attempted { signal, started_at: Millis(0), duration_ms: 5, next }
}

fn take_all(schedule: &mut Schedule, now: u64) -> Vec<Grant> {
    std::iter::from_fn(|| schedule.take(Millis(now), GRACE)).collect()
}

#[test]
fn lanes_take_turns_and_a_late_one_does_not_wait() {
    let mut schedule = schedule(&[(1, rules(100)), (2, rules(100)), (3, rules(100))]);
    for n in 0..10 {
        schedule.push(Slot(1), Millis(0), id(n), false, Millis(0));
    }
    let slots = |schedule: &mut Schedule, count: usize| -> Vec<i64> {
        (0..count).map(|_| schedule.take(Millis(0), GRACE).unwrap().held.slot.0).collect()
    };
    assert_eq!(slots(&mut schedule, 3), [1, 1, 1], "alone");
    for n in 10..13 {
        schedule.push(Slot(2), Millis(0), id(n), false, Millis(0));
    }
    schedule.push(Slot(3), Millis(0), id(13), false, Millis(0));
    assert_eq!(slots(&mut schedule, 7), [3, 2, 1, 2, 1, 2, 1], "the other tenant first");
}

#[test]
fn a_rate_limit_spaces_what_is_taken() {
    let mut schedule = schedule(&[(1, Rules { rate_limit: NonZeroU16::new(10), ..rules(100) })]);
    for n in 0..5 {
        schedule.push(Slot(1), Millis(1_000), id(n), false, Millis(1_000));
    }
    let table =
        [(1_000, 1, 1_100), (1_099, 0, 1_100), (1_100, 1, 1_200), (1_150, 0, 1_200), (1_900, 1, 2_000)];
    for (now, taken, next) in table {
        for grant in take_all(&mut schedule, now) {
            schedule.settle(grant.delivery, attempted(Signal::Success, Next::Delivered), Millis(now));
            assert_eq!(taken, 1, "at {now}");
        }
        assert_eq!(schedule.next(), Some(Millis(next)), "at {now}");
    }
}

#[test]
fn a_clock_that_goes_back_stops_nothing_for_ever() {
    let mut schedule = schedule(&[(1, rules(10)), (2, rules(10))]);
    schedule.push(Slot(1), Millis(500), id(1), false, Millis(1_000));
    assert_eq!(take_all(&mut schedule, 400), [], "not due by the present clock");
    assert_eq!(schedule.next(), Some(Millis(500)));
    assert_eq!(take_all(&mut schedule, 500).len(), 1);
}

#[test]
fn a_closed_lane_leaves_nothing_behind() {
    let mut schedule = schedule(&[(1, rules(1)), (2, rules(1))]);
    for n in 0..4 {
        schedule.push(Slot(1 + i64::from(n > 2)), Millis(0), id(n), false, Millis(0));
    }
    let held = take_all(&mut schedule, 0);
    assert_eq!((held.len(), schedule.pending()), (2, 4));
    schedule.close(Slot(1));
    assert_eq!(schedule.pending(), 1);
    assert_eq!(schedule.count(Slot(1)), None);
    assert_eq!(schedule.held(held[0].delivery), None);
    assert_eq!(schedule.reclaim(Millis(LEASE_MS)), 1, "only the other lane's");
    schedule.push(Slot(1), Millis(0), id(9), false, Millis(0));
    assert_eq!(schedule.pending(), 1, "without a lane nothing is taken in");
}

#[test]
fn a_raised_cap_is_used_and_a_lowered_one_kept() {
    let mut schedule = schedule(&[(1, rules(2))]);
    for n in 0..6 {
        schedule.push(Slot(1), Millis(0), id(n), false, Millis(0));
    }
    let held = take_all(&mut schedule, 0);
    assert_eq!(held.len(), 2);
    schedule.open(Slot(1), &tenant_of(Slot(1)), rules(3), Millis(0));
    assert_eq!(take_all(&mut schedule, 0).len(), 1);
    schedule.open(Slot(1), &tenant_of(Slot(1)), rules(1), Millis(0));
    schedule.settle(held[0].delivery, Ending::Returned, Millis(1));
    assert_eq!(take_all(&mut schedule, 1).len(), 0, "two are still under way");
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Push { slot: i64, wait_ms: u64, line: Option<u8> },
    Take,
    Settle { which: usize, ending: Ending },
    Reclaim,
    Pass { ms: u64 },
    Obey { slot: i64, max_in_flight: u16, enabled: bool },
    Remove { which: usize },
    Shift { which: usize, wait_ms: u64 },
}

fn any_ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        2 => Just(attempted(Signal::Success, Next::Delivered)),
        1 => Just(attempted(Signal::Failure, Next::Dead(DeadReason::Exhausted))),
        3 => (0..400_u64).prop_map(|ms| attempted(Signal::Failure, Next::RetryAt(Millis(ms)))),
        2 => (0..400_u64, proptest::option::of(0..400_u64)).prop_map(|(ms, hold)| {
            attempted(Signal::Overloaded { hold_until: hold.map(Millis) }, Next::RetryAt(Millis(ms)))
        }),
        1 => Just(Ending::Returned),
        1 => Just(Ending::Over),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_i64, 0..50_u64, proptest::option::of(0..3_u8))
            .prop_map(|(slot, wait_ms, line)| Step::Push { slot, wait_ms, line }),
        5 => Just(Step::Take),
        4 => (any::<usize>(), any_ending()).prop_map(|(which, ending)| Step::Settle { which, ending }),
        1 => Just(Step::Reclaim),
        3 => (0..80_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (1..4_i64, 1..4_u16, any::<bool>())
            .prop_map(|(slot, max_in_flight, enabled)| Step::Obey { slot, max_in_flight, enabled }),
        1 => any::<usize>().prop_map(|which| Step::Remove { which }),
        1 => (any::<usize>(), 0..50_u64).prop_map(|(which, wait_ms)| Step::Shift { which, wait_ms }),
    ]
}

/// A pending delivery as the list knows it.
#[derive(Debug, Clone, Copy)]
struct Row {
    slot: Slot,
    id: DeliveryId,
    due: Millis,
    again: bool,
    held: Option<Held>,
    line: Option<u8>,
}

/// The line of this number; the first is the endpoint's own.
fn line(number: u8) -> Line {
    if number == 0 { Line::Endpoint } else { Line::Key(number.to_string().parse().unwrap()) }
}

/// A lane as the list knows it: rules, condition, last turn, hundredths of a turn that retries are owed.
type LaneRow = (Slot, Rules, Vitals, u64, u8);

/// What the schedule should do, by looking through everything.
#[derive(Debug)]
struct List {
    rows: Vec<Row>,
    lanes: Vec<LaneRow>,
    turns: u64,
    /// Every tenant's last turn.
    shares: HashMap<Tenant, u64>,
    made: u128,
}

impl List {
    fn new() -> Self {
        let lane = |slot| (Slot(slot), rules(2), Vitals::default(), 0, 0);
        Self {
            rows: Vec::new(),
            lanes: (1..4).map(lane).collect(),
            turns: 0,
            shares: HashMap::new(),
            made: 0,
        }
    }

    fn in_flight(&self, slot: Slot) -> usize {
        self.rows.iter().filter(|row| row.slot == slot && row.held.is_some()).count()
    }

    /// Whether another stands before it in its line: the list is in the order in which they came.
    fn is_behind(&self, row: &Row) -> bool {
        let before = self.rows.iter().take_while(|other| other.id != row.id);
        row.line.is_some()
            && before.filter(|other| other.slot == row.slot).any(|other| other.line == row.line)
    }

    fn first(&self, slot: Slot) -> Option<Row> {
        let waits = |row: &&Row| row.slot == slot && row.held.is_none() && !self.is_behind(row);
        let waiting = self.rows.iter().filter(waits);
        waiting.min_by_key(|row| (row.due, row.id)).copied()
    }

    /// The one that a lane serves: of first attempts and retries that are due, every other one.
    fn choose(&mut self, slot: Slot, now: Millis) -> Option<Row> {
        let waits = |row: &Row| row.slot == slot && row.held.is_none() && !self.is_behind(row);
        let due = |row: &&Row| waits(row) && row.due <= now;
        let first = |again| {
            let rows = self.rows.iter().filter(due).filter(|row| row.again == again);
            rows.min_by_key(|row| (row.due, row.id)).copied()
        };
        let (fresh, again) = (first(false), first(true));
        let owed = &mut self.lanes.iter_mut().find(|lane| lane.0 == slot)?.4;
        if fresh.is_some() && again.is_some() {
            *owed = if *owed >= 50 { 0 } else { 50 };
            return if *owed == 0 { again } else { fresh };
        }
        fresh.or(again)
    }

    /// When each lane may be served, with its turn.
    fn ready(&self) -> Vec<(Millis, u64, Slot)> {
        let lane = |(slot, rules, vitals, turn, _): &LaneRow| {
            let free =
                rules.enabled && self.in_flight(*slot) < usize::from(vitals.concurrency(rules.max_in_flight));
            let first = self.first(*slot).filter(|_| free)?;
            Some((first.due.max(vitals.not_before().unwrap_or_default()), *turn, *slot))
        };
        self.lanes.iter().filter_map(lane).collect()
    }

    /// What a take at `now` must answer.
    fn take(&mut self, now: Millis) -> Option<DeliveryId> {
        let ready = self.ready();
        let share = |slot| self.shares.get(&tenant_of(slot)).copied().unwrap_or_default();
        let order = |(_, turn, slot): &&(Millis, u64, Slot)| (share(*slot), tenant_of(*slot), *turn, *slot);
        let (_, _, slot) = ready.iter().filter(|(at, ..)| *at <= now).min_by_key(order)?;
        let (slot, row) = (*slot, self.choose(*slot, now)?);
        self.turns += 1;
        self.shares.insert(tenant_of(slot), self.turns);
        let ends = Millis(now.0 + LEASE_MS);
        let lane = self.lanes.iter_mut().find(|lane| lane.0 == slot)?;
        (lane.2, lane.3) = (lane.2.admit(now, ends).0, self.turns);
        Some(row.id)
    }

    fn settle(&mut self, id: DeliveryId, ending: Ending, now: Millis) {
        let at = self.rows.iter().position(|row| row.id == id).unwrap();
        let in_flight = u32::try_from(self.in_flight(self.rows[at].slot)).unwrap();
        let held = self.rows[at].held.take().unwrap();
        let lane = self.lanes.iter_mut().find(|lane| lane.0 == held.slot).unwrap();
        match ending {
            Ending::Returned => lane.2.forgo(held.probe, now),
            Ending::Over => {
                lane.2.forgo(held.probe, now);
                self.rows.remove(at);
            }
            Ending::Attempted { signal, started_at, duration_ms, next } => {
                let heard = Heard { signal, probe: held.probe, started_at, duration_ms, in_flight };
                lane.2.record(heard, now, &BREAKER, lane.1.max_in_flight);
                match next {
                    Next::RetryAt(due) => (self.rows[at].due, self.rows[at].again) = (due, true),
                    Next::Delivered | Next::Dead(_) => drop(self.rows.remove(at)),
                }
            }
        }
    }

    fn reclaim(&mut self, now: Millis) -> u64 {
        let ended = self.rows.iter().filter(|row| row.held.is_some_and(|held| held.ends_at <= now));
        let ended: Vec<DeliveryId> = ended.map(|row| row.id).collect();
        for id in &ended {
            self.settle(*id, Ending::Returned, now);
        }
        ended.len() as u64
    }

    /// The earliest moment at which something may happen; what has passed is all the same: now.
    fn next(&self, now: Millis) -> Option<Millis> {
        let ready = self.ready().into_iter().map(|(at, ..)| at);
        let ends = self.rows.iter().filter_map(|row| row.held.map(|held| held.ends_at));
        ready.chain(ends).min().map(|moment| moment.max(now))
    }
}

/// Does one step to both and compares what they say.
fn walk(schedule: &mut Schedule, list: &mut List, step: &Step, now: &mut Millis) {
    match *step {
        Step::Push { slot, wait_ms, line: number } => {
            list.made += 1;
            let row = Row {
                slot: Slot(slot),
                id: id(list.made),
                due: Millis(now.0 + wait_ms),
                again: false,
                held: None,
                line: number,
            };
            list.rows.push(row);
            let waiter = Waiter { delivery: row.id, due: row.due, again: false };
            match number.map(line) {
                Some(line) => schedule.line_up(row.slot, line, waiter, *now),
                None => schedule.push(row.slot, row.due, row.id, false, *now),
            }
        }
        Step::Take => {
            let (expected, grant) = (list.take(*now), schedule.take(*now, GRACE));
            assert_eq!(grant.map(|grant| grant.delivery), expected);
            if let Some(grant) = grant {
                let row = list.rows.iter_mut().find(|row| row.id == grant.delivery).unwrap();
                assert_eq!((grant.held.due, grant.held.ends_at), (row.due, Millis(now.0 + LEASE_MS)));
                row.held = Some(grant.held);
            }
        }
        Step::Settle { which, ending } => {
            let held: Vec<DeliveryId> =
                list.rows.iter().filter(|row| row.held.is_some()).map(|row| row.id).collect();
            let Some(id) = which.checked_rem(held.len()).map(|at| held[at]) else { return };
            schedule.settle(id, ending, *now);
            list.settle(id, ending, *now);
        }
        Step::Reclaim => assert_eq!(schedule.reclaim(*now), list.reclaim(*now)),
        Step::Pass { ms } => *now = Millis(now.0 + ms),
        Step::Obey { slot, max_in_flight, enabled } => {
            let rules = Rules { enabled, ..rules(max_in_flight) };
            schedule.open(Slot(slot), &tenant_of(Slot(slot)), rules, *now);
            list.lanes.iter_mut().filter(|lane| lane.0 == Slot(slot)).for_each(|lane| lane.1 = rules);
        }
        Step::Remove { which } => {
            let Some(at) = which.checked_rem(list.rows.len()) else { return };
            let row = list.rows[at];
            assert_eq!(schedule.remove(row.slot, row.due, row.id, *now), row.held.is_none());
            list.rows.retain(|other| other.id != row.id || row.held.is_some());
        }
        Step::Shift { which, wait_ms } => {
            let Some(at) = which.checked_rem(list.rows.len()) else { return };
            let (row, to) = (list.rows[at], Millis(now.0 + wait_ms));
            schedule.shift(row.slot, row.due, to, row.id, *now);
            if row.held.is_none() {
                (list.rows[at].due, list.rows[at].again) = (to, false);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_what_a_list_would_make_of_it(steps in proptest::collection::vec(any_step(), 1..120)) {
        let (mut list, mut now) = (List::new(), Millis(0));
        let mut schedule = schedule(&[(1, rules(2)), (2, rules(2)), (3, rules(2))]);
        for step in &steps {
            walk(&mut schedule, &mut list, step, &mut now);
            prop_assert_eq!(schedule.pending(), list.rows.len() as u64);
            let next = schedule.next().map(|moment| moment.max(now));
            prop_assert_eq!(next, list.next(now), "after {:?} at {:?}", step, now);
            for (slot, rules, vitals, ..) in &list.lanes {
                let count = schedule.count(*slot).unwrap();
                prop_assert_eq!(count.in_flight as usize, list.in_flight(*slot));
                prop_assert_eq!(count.breaker, vitals.breaker());
                prop_assert_eq!(count.concurrency, vitals.concurrency(rules.max_in_flight));
            }
        }
    }
}
