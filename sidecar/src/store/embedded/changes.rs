//! What a write will do to memory once it is durable. Kept apart until then: a commit that fails changes nothing.

use rusqlite::{Connection, params};

use super::fault::Trouble;
use super::schedule::{Ending, Schedule, Slot, Waiter};
use crate::clock::Millis;
use crate::model::{DeadReason, DeliveryId, Line, Next, Status};
use crate::store::Turn;

/// One thing to do to the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// A delivery became pending.
    Push {
        /// For whom.
        slot: Slot,
        /// Since when.
        due: Millis,
        /// Which.
        delivery: DeliveryId,
        /// At the end of which line.
        line: Option<Line>,
    },
    /// A waiting delivery moved to another moment.
    Move {
        /// For whom.
        slot: Slot,
        /// Where it waited.
        from: Millis,
        /// Where it waits now.
        to: Millis,
        /// Which.
        delivery: DeliveryId,
    },
    /// A waiting delivery is no longer pending.
    Drop {
        /// For whom it waited.
        slot: Slot,
        /// Since or until when.
        due: Millis,
        /// Which.
        delivery: DeliveryId,
    },
    /// An attempt ended.
    End {
        /// Whose.
        delivery: DeliveryId,
        /// How.
        ending: Ending,
    },
}

/// How many finished deliveries came or went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) delivered: i64,
    pub(super) dead: i64,
}

impl Sums {
    /// What is kept.
    pub(super) fn load(connection: &Connection) -> Result<Self, Trouble> {
        let mut select = connection.prepare_cached("SELECT delivered, dead FROM sums")?;
        Ok(select.query_row([], |row| Ok(Self { delivered: row.get(0)?, dead: row.get(1)? }))?)
    }

    /// Adds `difference` to what is kept.
    pub(super) fn write(difference: Self, connection: &Connection) -> Result<(), Trouble> {
        if difference != Self::default() {
            let mut update =
                connection.prepare_cached("UPDATE sums SET delivered = delivered + ?1, dead = dead + ?2")?;
            update.execute(params![difference.delivered, difference.dead])?;
        }
        Ok(())
    }

    /// Counts `by` deliveries more (or less) in this state.
    pub(super) fn count(&mut self, status: Status, by: i64) {
        match status {
            Status::Pending => {}
            Status::Delivered => self.delivered = self.delivered.saturating_add(by),
            Status::Dead(_) => self.dead = self.dead.saturating_add(by),
        }
    }

    /// Both together.
    pub(super) fn add(&mut self, other: Self) {
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.dead = self.dead.saturating_add(other.dead);
    }
}

/// All that one write will do to memory.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) effects: Vec<Effect>,
    pub(super) sums: Sums,
}

impl Changes {
    /// How many deliveries it makes pending.
    pub(super) fn pushed(&self) -> u64 {
        let pushed = self.effects.iter().filter(|effect| matches!(effect, Effect::Push { .. })).count();
        u64::try_from(pushed).unwrap_or(u64::MAX)
    }
}

/// Does it to the schedule. Answers how lanes turned by it.
pub(super) fn apply(schedule: &mut Schedule, effects: &[Effect], now: Millis) -> Vec<(Slot, Turn)> {
    let mut turns = Vec::new();
    for effect in effects {
        match *effect {
            Effect::Push { slot, due, delivery, line: None } => {
                schedule.push(slot, due, delivery, false, now);
            }
            Effect::Push { slot, due, delivery, line: Some(ref line) } => {
                schedule.line_up(slot, line.clone(), Waiter { delivery, due, again: false }, now);
            }
            Effect::Move { slot, from, to, delivery } => schedule.shift(slot, from, to, delivery, now),
            Effect::Drop { slot, due, delivery } => drop(schedule.remove(slot, due, delivery, now)),
            Effect::End { delivery, ending } => {
                let Some(slot) = schedule.held(delivery).map(|held| held.slot) else { continue };
                let gone = matches!(ending, Ending::Attempted { next: Next::Dead(DeadReason::Gone), .. });
                turns.extend(gone.then_some((slot, Turn::Gone)));
                turns.extend(schedule.settle(delivery, ending, now).map(|turn| (slot, turn)));
            }
        }
    }
    turns
}
