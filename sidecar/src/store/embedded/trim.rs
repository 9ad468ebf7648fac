//! Forgets what is over, in bounded batches, so that nobody waits long behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::changes::Sums;
use super::fault::Trouble;
use super::replay;
use super::rows::{moment, read_delivery_id, read_status, state};
use super::schedule::Slot;
use crate::clock::Millis;
use crate::model::{DeadReason, DeliveryId, Status};
use crate::store::StoreSettings;

/// Most rows of each kind that one batch forgets: some milliseconds.
pub(super) const BATCH: u32 = 500;

/// What is to be forgotten: everything that ended at or before these moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon {
    /// Of finished deliveries and of events that nobody wanted.
    finished: Millis,
    /// Of the windows of idempotency keys.
    known_until: Millis,
}

impl Horizon {
    /// By the settings.
    pub(super) fn due(settings: &StoreSettings, now: Millis) -> Self {
        Self { finished: before(now, settings.retention), known_until: now }
    }

    /// When memory is short: all that is finished, and keys before their time.
    pub(super) fn early(settings: &StoreSettings, now: Millis) -> Self {
        let spared = settings.idempotency_window.saturating_sub(settings.replay_window);
        Self { finished: now, known_until: now.plus(spared) }
    }
}

fn before(now: Millis, span: Duration) -> Millis {
    Millis(now.0.saturating_sub(Millis(0).plus(span).0))
}

/// Forgets up to [`BATCH`] of each kind; answers how many in all, and what it did to the sums.
pub(super) fn trim(connection: &Connection, horizon: Horizon) -> Result<(u64, Sums), Trouble> {
    let (deliveries, sums) = trim_deliveries(connection, horizon.finished)?;
    let events = connection
        .prepare_cached(
            "DELETE FROM events WHERE seq IN \
             (SELECT seq FROM events WHERE deliveries = 0 AND accepted_at <= ?1 ORDER BY accepted_at LIMIT ?2)",
        )?
        .execute(params![moment(horizon.finished), BATCH])?;
    let keys = connection
        .prepare_cached(
            "DELETE FROM keys WHERE scoped IN \
             (SELECT scoped FROM keys WHERE known_until <= ?1 ORDER BY known_until LIMIT ?2)",
        )?
        .execute(params![moment(horizon.known_until), BATCH])?;
    let replays = replay::trim(connection, horizon.finished, BATCH)?;
    let sum = deliveries.saturating_add(events).saturating_add(keys).saturating_add(replays);
    Ok((u64::try_from(sum).unwrap_or(u64::MAX), sums))
}

/// Finished deliveries with their attempts; an event goes with the last of its deliveries.
fn trim_deliveries(connection: &Connection, until: Millis) -> Result<(usize, Sums), Trouble> {
    let mut old = connection.prepare_cached(
        "SELECT id, event, state FROM deliveries WHERE state > 0 AND updated_at <= ?1 ORDER BY updated_at LIMIT ?2",
    )?;
    let mut over = Over::default();
    let mut rows = old.query(params![moment(until), BATCH])?;
    while let Some(row) = rows.next()? {
        over.note(row)?;
    }
    let (deliveries, events) = over.forget(connection)?;
    Ok((deliveries.saturating_add(events), over.sums))
}

/// Forgets those of `ids` that are dead letters; answers how many, and what it did to the sums.
pub(super) fn purge(connection: &Connection, ids: &[DeliveryId]) -> Result<(u64, Sums), Trouble> {
    let mut over = Over::default();
    for id in ids {
        let mut dead = connection
            .prepare_cached("SELECT id, event, state FROM deliveries WHERE id = ?1 AND state > ?2")?;
        let mut rows = dead.query(params![id.as_bytes(), state(Status::Delivered)])?;
        if let Some(row) = rows.next()? {
            over.note(row)?;
        }
    }
    let (deliveries, _events) = over.forget(connection)?;
    Ok((u64::try_from(deliveries).unwrap_or(u64::MAX), over.sums))
}

/// Finished deliveries that are to be forgotten.
#[derive(Debug, Default)]
struct Over {
    deliveries: BTreeSet<DeliveryId>,
    events: BTreeSet<i64>,
    sums: Sums,
}

impl Over {
    fn note(&mut self, row: &Row<'_>) -> Result<(), Trouble> {
        if self.deliveries.insert(read_delivery_id(row, "id")?) {
            self.events.insert(row.get("event")?);
            self.sums.count(read_status(row)?, -1);
        }
        Ok(())
    }

    /// Forgets them with their attempts, and the events that they were the last of; answers how many of each.
    fn forget(&self, connection: &Connection) -> Result<(usize, usize), Trouble> {
        for delivery in &self.deliveries {
            let id = [delivery.as_bytes()];
            connection.prepare_cached("DELETE FROM attempts WHERE delivery = ?1")?.execute(id)?;
            connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute(id)?;
        }
        let mut events = 0_usize;
        for event in &self.events {
            let mut delete = connection.prepare_cached(
                "DELETE FROM events WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1)",
            )?;
            events = events.saturating_add(delete.execute([event])?);
        }
        Ok((self.deliveries.len(), events))
    }
}

/// Makes dead letters of up to `most` pending deliveries of a deleted endpoint; answers how many.
pub(super) fn bury(connection: &Connection, slot: Slot, now: Millis, most: u32) -> Result<usize, Trouble> {
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = ?1, updated_at = ?2 WHERE id IN \
         (SELECT id FROM deliveries WHERE endpoint = ?3 AND state = 0 LIMIT ?4)",
    )?;
    let dead = state(Status::Dead(DeadReason::EndpointDeleted));
    Ok(update.execute(params![dead, moment(now), slot.0, most])?)
}

/// How many bytes a database in memory takes, without what is free inside.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT (c.page_count - f.freelist_count) * s.page_size \
         FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s",
    )?;
    let used: i64 = select.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(used).unwrap_or_default())
}
