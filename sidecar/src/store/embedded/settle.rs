//! Writes what came of attempts, and what a person makes of a delivery by hand.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::changes::{Changes, Effect};
use super::fault::Trouble;
use super::line;
use super::registry::Registry;
use super::rows::{SELECT_DELIVERY, kept, moment, outcome, parsed_if_any, read_delivery, read_moment, state};
use super::schedule::{Ending, Schedule, Slot};
use crate::clock::Millis;
use crate::model::{Attempt, Delivery, DeliveryId, EventId, Line, Next, Status};
use crate::store::{Report, Settled, Settlement};

/// How many of a delivery's attempts are remembered.
pub(super) const ATTEMPTS_KEPT: u32 = 100;

/// Settles in order. `ended`: leases that the same transaction has settled before; the schedule does not know yet.
pub(super) fn settle(
    connection: &Connection,
    schedule: &Schedule,
    ended: &mut HashSet<DeliveryId>,
    settlements: &[Settlement],
    now: Millis,
) -> Result<(Vec<Settled>, Changes), Trouble> {
    let mut changes = Changes::default();
    let mut answers = Vec::with_capacity(settlements.len());
    for Settlement { delivery, token, report } in settlements {
        let held = schedule.held(*delivery).is_some_and(|held| held.token == *token);
        if !held || !ended.insert(*delivery) {
            answers.push(Settled::LeaseLost);
            continue;
        }
        let ending = match report {
            Report::Returned => Ending::Returned,
            Report::Over(reason) => {
                give_up(connection, *delivery, Status::Dead(*reason), now, &mut changes)?;
                Ending::Over
            }
            Report::Attempted { attempt, next, signal } => {
                let next = record(connection, *delivery, attempt, *next, now, &mut changes)?;
                let (started_at, duration_ms) = (attempt.started_at, attempt.duration_ms);
                Ending::Attempted { signal: *signal, started_at, duration_ms, next }
            }
        };
        changes.effects.push(Effect::End { delivery: *delivery, ending });
        answers.push(Settled::Recorded);
    }
    Ok((answers, changes))
}

/// Writes one result; answers what it does to the delivery as it is kept.
fn record(
    connection: &Connection,
    delivery: DeliveryId,
    attempt: &Attempt,
    next: Next,
    now: Millis,
    changes: &mut Changes,
) -> Result<Next, Trouble> {
    let (status, due) = match next {
        Next::Delivered => (Status::Delivered, now),
        Next::RetryAt(due) => (Status::Pending, due),
        Next::Dead(reason) => (Status::Dead(reason), now),
    };
    changes.sums.count(status, 1);
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = ?2, attempts = attempts + 1, step = step + 1, due = ?3, updated_at = ?4 \
         WHERE id = ?1",
    )?;
    update.execute(params![delivery.as_bytes(), state(status), moment(due), moment(now)])?;
    remember(connection, delivery, attempt)?;
    Ok(if let Next::RetryAt(due) = next { Next::RetryAt(kept(due)) } else { next })
}

/// Ends a delivery without an attempt.
pub(super) fn give_up(
    connection: &Connection,
    delivery: DeliveryId,
    dead: Status,
    now: Millis,
    changes: &mut Changes,
) -> Result<(), Trouble> {
    changes.sums.count(dead, 1);
    let mut update =
        connection.prepare_cached("UPDATE deliveries SET state = ?2, updated_at = ?3 WHERE id = ?1")?;
    update.execute(params![delivery.as_bytes(), state(dead), moment(now)])?;
    Ok(())
}

fn remember(connection: &Connection, delivery: DeliveryId, attempt: &Attempt) -> Result<(), Trouble> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery, number, started_at, duration_ms, outcome, response) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    insert.execute(params![
        delivery.as_bytes(),
        attempt.number,
        moment(attempt.started_at),
        attempt.duration_ms,
        outcome(attempt.outcome),
        attempt.response,
    ])?;
    if let Some(oldest) = attempt.number.checked_sub(ATTEMPTS_KEPT).filter(|oldest| *oldest > 0) {
        let mut delete =
            connection.prepare_cached("DELETE FROM attempts WHERE delivery = ?1 AND number <= ?2")?;
        delete.execute(params![delivery.as_bytes(), oldest])?;
    }
    Ok(())
}

/// What retrying by hand goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand<'a> {
    pub(super) connection: &'a Connection,
    pub(super) registry: &'a Registry,
    pub(super) schedule: &'a Schedule,
    pub(super) max_pending: u64,
}

/// Makes a delivery due at `now` with a fresh schedule, unless it is in an attempt or has nowhere to go.
pub(super) fn retry(
    hand: Hand<'_>,
    id: DeliveryId,
    now: Millis,
) -> Result<(Option<Delivery>, Changes), Trouble> {
    let mut changes = Changes::default();
    let Some(found) = find(hand.connection, id)? else { return Ok((None, changes)) };
    let delivery = &found.delivery;
    let entry = hand.registry.get(&delivery.endpoint_id);
    let home = entry.filter(|entry| entry.endpoint.tenant == delivery.tenant).map(|entry| entry.slot);
    let Some(slot) = home.filter(|_| hand.schedule.held(id).is_none()) else {
        return Ok((Some(found.delivery), changes));
    };
    if is_bare(hand.connection, delivery.event_id)? {
        return Err(Trouble::Forgotten { event: delivery.event_id });
    }
    let (pending, max_pending) = (hand.schedule.pending(), hand.max_pending);
    if delivery.status != Status::Pending && pending >= max_pending {
        return Err(Trouble::PendingFull { pending, max_pending });
    }
    if delivery.status == Status::Pending {
        make_due(hand.connection, id, now)?;
        changes.effects.push(Effect::Move { slot, from: found.due, to: kept(now), delivery: id });
    } else {
        revive(hand.connection, slot, &found, now, &mut changes)?;
    }
    let (status, next_attempt_at) = (Status::Pending, Some(kept(now)));
    Ok((Some(Delivery { status, next_attempt_at, updated_at: kept(now), ..found.delivery }), changes))
}

/// Makes a delivery due at `now`, with a fresh schedule; it keeps its place in its line.
fn make_due(connection: &Connection, id: DeliveryId, now: Millis) -> Result<(), Trouble> {
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = 0, step = 0, due = ?2, updated_at = ?2 WHERE id = ?1",
    )?;
    update.execute(params![id.as_bytes(), moment(now)])?;
    Ok(())
}

/// Makes a finished delivery due at `now`, at the end of its line.
pub(super) fn revive(
    connection: &Connection,
    slot: Slot,
    Found { delivery, line, .. }: &Found,
    now: Millis,
    changes: &mut Changes,
) -> Result<(), Trouble> {
    let (id, line) = (delivery.id, line.clone());
    if let (_, Some(place)) = line::end(connection, slot, line.as_ref())? {
        connection
            .prepare_cached("UPDATE deliveries SET place = ?2 WHERE id = ?1")?
            .execute(params![id.as_bytes(), place])?;
    }
    make_due(connection, id, now)?;
    changes.sums.count(delivery.status, -1);
    changes.effects.push(Effect::Push { slot, due: kept(now), delivery: id, line });
    Ok(())
}

/// Whether an event has nothing to send: its payload is forgotten.
pub(super) fn is_bare(connection: &Connection, event: EventId) -> Result<bool, Trouble> {
    let mut select =
        connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1 AND forgotten_bytes IS NOT NULL")?;
    Ok(select.exists([event.as_bytes()])?)
}

/// A delivery with what only the store knows of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) delivery: Delivery,
    /// When it is or was due.
    due: Millis,
    /// The line it stands in, or stood in.
    line: Option<Line>,
}

/// What the ledger says of a delivery.
pub(super) fn find(connection: &Connection, id: DeliveryId) -> Result<Option<Found>, Trouble> {
    let mut select = connection.prepare_cached(&format!("{SELECT_DELIVERY} WHERE d.id = ?1"))?;
    let mut rows = select.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let line = parsed_if_any(row, "line", "deliveries.line")?;
    Ok(Some(Found { delivery: read_delivery(row)?, due: read_moment(row, "due")?, line }))
}
