//! Makes dead letters of what waits for an attempt that would come too late: behind a breaker, a rate limit, or a
//! disabled endpoint nobody would take it for long, or ever.

use rusqlite::{Connection, params};

use super::changes::{Changes, Effect};
use super::fault::Trouble;
use super::rows::{moment, read_delivery_id, read_moment};
use super::schedule::{Schedule, Slot};
use super::settle::give_up;
use super::trim::BATCH;
use crate::clock::Millis;
use crate::model::{DeadReason, DeliveryId, Event, Status};

/// Notes when an event that has deliveries expires.
pub(super) fn note(connection: &Connection, seq: i64, event: &Event) -> Result<(), Trouble> {
    if let Some(expires_at) = event.expires_at {
        connection
            .prepare_cached("INSERT INTO expiring (expires_at, event) VALUES (?1, ?2)")?
            .execute(params![moment(expires_at), seq])?;
    }
    Ok(())
}

/// Ends the pending deliveries of events that have expired, about [`BATCH`] of them; answers whether there is more.
/// One in an attempt is left to its result, and looked at again when its lease has ended.
pub(super) fn expire(
    connection: &Connection,
    schedule: &Schedule,
    now: Millis,
) -> Result<(bool, Changes), Trouble> {
    let (mut changes, most) = (Changes::default(), usize::try_from(BATCH).unwrap_or(usize::MAX));
    let mut looked: usize = 0;
    while looked < most {
        let Some((expires_at, event)) = first(connection, now)? else { return Ok((false, changes)) };
        let mut again = None;
        for (delivery, slot, due) in pending(connection, event)? {
            looked = looked.saturating_add(1);
            match schedule.held(delivery) {
                Some(held) => again = again.max(Some(held.ends_at)),
                None => {
                    give_up(connection, delivery, Status::Dead(DeadReason::Expired), now, &mut changes)?;
                    changes.effects.push(Effect::Drop { slot, due, delivery });
                }
            }
        }
        looked = looked.saturating_add(1);
        forget(connection, expires_at, event)?;
        if let Some(ends_at) = again {
            // A lease that has ended and was not taken back yet must not bring us here once more in this round.
            let later = ends_at.max(Millis(now.0.saturating_add(1)));
            connection
                .prepare_cached("INSERT OR IGNORE INTO expiring (expires_at, event) VALUES (?1, ?2)")?
                .execute(params![moment(later), event])?;
        }
    }
    Ok((true, changes))
}

/// The first event to have expired by `now`.
fn first(connection: &Connection, now: Millis) -> Result<Option<(i64, i64)>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT expires_at, event FROM expiring WHERE expires_at <= ?1 ORDER BY expires_at, event LIMIT 1",
    )?;
    let mut rows = select.query([moment(now)])?;
    rows.next()?.map(|row| Ok((row.get("expires_at")?, row.get("event")?))).transpose()
}

fn forget(connection: &Connection, expires_at: i64, event: i64) -> Result<(), Trouble> {
    connection
        .prepare_cached("DELETE FROM expiring WHERE expires_at = ?1 AND event = ?2")?
        .execute(params![expires_at, event])?;
    Ok(())
}

fn pending(connection: &Connection, event: i64) -> Result<Vec<(DeliveryId, Slot, Millis)>, Trouble> {
    let mut select = connection
        .prepare_cached("SELECT id, endpoint, due FROM deliveries WHERE event = ?1 AND state = 0")?;
    let (mut rows, mut pending) = (select.query([event])?, Vec::new());
    while let Some(row) = rows.next()? {
        let slot = Slot(row.get("endpoint")?);
        pending.push((read_delivery_id(row, "id")?, slot, read_moment(row, "due")?));
    }
    Ok(pending)
}
