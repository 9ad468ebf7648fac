//! Which tenants' events have to wait, and who of those who wait goes in next. Decides without a clock.
//!
//! A gate closes when a first attempt waited too long. From then on events are let in by the attempts that begin: one
//! that waited long lets in less than it took out of the queue, one that hardly waited more. Never nothing: how long an
//! attempt waited tells of a queue that was, and a door that shut until the waits are short would have run it dry. So
//! the queue stays short and is not empty, whatever the number of those who wait outside. The gate is gone when for a
//! while nobody had to wait at it and attempts hardly waited.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::Tenant;

/// A first attempt that waited no longer hardly waited.
const OPEN: Duration = Duration::from_millis(4);
/// One that waited longer waited too long.
const CLOSE: Duration = Duration::from_millis(8);
/// And one that waited longer than this, much too long.
const FAR: Duration = Duration::from_millis(32);
/// Parts that a delivery is counted in: how much an attempt lets in is a number of them.
const PARTS: u32 = 4;
/// For so long nobody must have waited before a gate is gone: a queue that was drained to nothing is filled again by
/// those who waited, and they must not find the gate open.
const CALM: Duration = Duration::from_millis(200);
/// Events let in at once, at most.
const AT_ONCE: u32 = 8;
/// Gates remembered; beyond it those at which nobody waits and nothing was heard lately are forgotten.
const KNOWN: usize = 1_024;

/// One tenant's gate.
#[derive(Debug)]
struct Gate {
    /// When an attempt last told of it.
    heard: Duration,
    /// When somebody last had to wait, or an attempt waited too long.
    busy: Duration,
    waiting: u32,
    /// Parts of deliveries that may come in.
    credit: u32,
    /// Deliveries that an event brings, lately.
    worth: u32,
    bell: Arc<Notify>,
}

/// The gates that are closed. All others are open.
#[derive(Debug, Default)]
pub(super) struct Gates(HashMap<Tenant, Gate>);

impl Gates {
    /// After so long without any attempt at a tenant's endpoints there is nobody to yield to.
    pub(super) const SILENT: Duration = Duration::from_millis(20);

    /// An attempt begins for a tenant's event, which waited so long.
    pub(super) fn heard(&mut self, tenant: &Tenant, waited: Duration, now: Duration) {
        if waited > CLOSE {
            self.close(tenant, now);
        }
        if let Some(gate) = self.0.get_mut(tenant) {
            gate.let_in(share(waited), now);
            if waited <= OPEN && gate.is_calm(now) {
                self.0.remove(tenant);
            }
        }
    }

    /// Events of a tenant were accepted that brought so many deliveries each.
    pub(super) fn accepted(&mut self, tenant: &Tenant, deliveries: u32) {
        if let Some(gate) = self.0.get_mut(tenant) {
            gate.worth = deliveries.max(1);
        }
    }

    /// Whoever has to wait gets the bell that calls, and must [`leave`](Self::leave). Nobody has to for whom there is
    /// room: of a gate that closed for a moment, light traffic hardly notices.
    pub(super) fn join(&mut self, tenant: &Tenant, now: Duration) -> Option<Arc<Notify>> {
        if self.is_silent(tenant, now) {
            return None;
        }
        let gate = self.0.get_mut(tenant)?;
        if gate.waiting == 0 && gate.admits() {
            return None;
        }
        gate.waiting += 1;
        gate.busy = now;
        Some(Arc::clone(&gate.bell))
    }

    /// One who joined waits no more.
    pub(super) fn leave(&mut self, tenant: &Tenant) {
        if let Some(gate) = self.0.get_mut(tenant) {
            gate.waiting = gate.waiting.saturating_sub(1);
        }
    }

    /// Whether nothing was heard of a tenant's attempts for long.
    pub(super) fn is_silent(&self, tenant: &Tenant, now: Duration) -> bool {
        self.0.get(tenant).is_none_or(|gate| gate.is_silent(now))
    }

    fn close(&mut self, tenant: &Tenant, now: Duration) {
        if let Some(gate) = self.0.get_mut(tenant) {
            gate.busy = now;
            return;
        }
        if self.0.len() >= KNOWN {
            self.0.retain(|_, gate| gate.waiting > 0 || !gate.is_silent(now));
        }
        self.0.insert(tenant.clone(), Gate::closed(now));
    }
}

impl Gate {
    fn closed(now: Duration) -> Self {
        Self { heard: now, busy: now, waiting: 0, credit: 0, worth: 1, bell: Arc::default() }
    }

    /// Room for so many more parts of deliveries: calls those who fit.
    fn let_in(&mut self, parts: u32, now: Duration) {
        self.heard = now;
        self.credit = self.credit.saturating_add(parts).min(self.price().saturating_mul(AT_ONCE));
        for _ in 0..self.waiting {
            if !self.admits() {
                return;
            }
            self.bell.notify_one();
        }
    }

    /// Whether there is room for one more, which is taken.
    fn admits(&mut self) -> bool {
        let left = self.credit.checked_sub(self.price());
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }

    fn price(&self) -> u32 {
        self.worth.saturating_mul(PARTS)
    }

    fn is_calm(&self, now: Duration) -> bool {
        self.waiting == 0 && now.saturating_sub(self.busy) > CALM
    }

    fn is_silent(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) > Gates::SILENT
    }
}

/// How many parts an attempt lets in that waited so long.
fn share(waited: Duration) -> u32 {
    match waited {
        waited if waited <= OPEN => PARTS + PARTS / 2,
        waited if waited <= CLOSE => PARTS,
        waited if waited <= FAR => PARTS / 2,
        _ => PARTS / 4,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    #[test]
    fn a_gate_closes_by_a_long_wait_and_opens_when_all_has_been_calm() {
        type Row<'a> = (&'a str, &'a [(u64, u64)], bool);
        let table: [Row<'_>; 7] = [
            ("open at first", &[], false),
            ("open while attempts begin soon", &[(0, 1), (400, 8)], false),
            ("closed by one that waited", &[(0, 1), (400, 9)], true),
            ("not opened by one in between", &[(0, 9), (400, 5)], true),
            ("nor closed by one", &[(400, 5)], false),
            ("opened by one that hardly waited, after a while", &[(199, 9), (400, 4)], false),
            ("not before", &[(200, 9), (400, 4)], true),
        ];
        for (promise, waits, closed) in table {
            let mut gates = Gates::default();
            waits.iter().for_each(|(at, wait)| gates.heard(&tenant("a"), ms(*wait), ms(*at)));
            assert_eq!(gates.0.contains_key(&tenant("a")), closed, "{promise}");
            assert!(!gates.0.contains_key(&tenant("b")), "{promise}: another tenant's is open");
        }
    }

    #[test]
    fn as_many_go_in_as_the_attempts_that_begin_make_room_for() {
        let table: [(&str, u32, &[u64], usize); 6] = [
            ("one by one", 1, &[5, 6, 8], 3),
            ("half of one by one that waited too long", 1, &[9, 32, 9, 20], 2),
            ("a quarter by one that waited much too long", 1, &[33, 99, 99, 33, 99, 99, 99], 1),
            ("one and a half by one that hardly waited", 1, &[4, 0], 3),
            ("an event of four deliveries takes four of them", 4, &[5, 5, 5], 0),
            ("so it does", 4, &[5, 5, 5, 5], 1),
        ];
        for (promise, worth, waits, let_in) in table {
            let (mut gates, a) = (Gates::default(), tenant("a"));
            gates.close(&a, ms(100));
            gates.accepted(&a, worth);
            let bells: Vec<_> = (0..20).map(|_| gates.join(&a, ms(101)).unwrap()).collect();
            let mut calls: Vec<_> = bells.iter().map(|bell| Box::pin(bell.notified())).collect();
            calls.iter_mut().for_each(|call| assert!(call.as_mut().now_or_never().is_none()));
            waits.iter().for_each(|wait| gates.heard(&a, ms(*wait), ms(102)));
            let called = calls.iter_mut().filter_map(|call| call.as_mut().now_or_never()).count();
            assert_eq!(called, let_in, "{promise}");
            assert!(
                gates.join(&a, ms(102)).is_some(),
                "{promise}: whoever comes now waits behind the others"
            );
        }
    }

    #[test]
    fn light_traffic_hardly_notices_a_gate_that_closed_for_a_moment() {
        let (mut gates, a) = (Gates::default(), tenant("a"));
        gates.heard(&a, ms(9), ms(0));
        let mut held = 0;
        for at in (5..400).step_by(5) {
            if gates.join(&a, ms(at)).is_some() {
                held += 1;
                gates.leave(&a);
            }
            gates.heard(&a, ms(1), ms(at + 1));
        }
        assert!(held <= 3 && gates.0.is_empty(), "{held} had to wait");
    }

    #[test]
    fn where_nothing_is_tried_nobody_waits() {
        let (mut gates, a) = (Gates::default(), tenant("a"));
        gates.heard(&a, ms(9), ms(100));
        assert!(!gates.is_silent(&a, ms(120)) && gates.is_silent(&a, ms(121)));
        assert!(gates.join(&a, ms(121)).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut gates = Gates::default();
        for number in 0..10 * KNOWN {
            gates.heard(&tenant(&format!("t{number}")), ms(9), ms(u64::try_from(number).unwrap()));
        }
        assert!(gates.0.len() <= KNOWN);
    }
}
