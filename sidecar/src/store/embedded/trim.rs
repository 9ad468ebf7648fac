//! Forgets what is over, in bounded batches, so that nobody waits long behind it.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::changes::Sums;
use super::fault::Trouble;
use super::replay;
use super::rows::{moment, state};
use super::schedule::Slot;
use super::walk::{Ended, oldest, walk};
use crate::clock::Millis;
use crate::model::{DeadReason, DeliveryId, Status};
use crate::store::{StoreSettings, retention};

/// Most rows of each kind that one batch forgets: some milliseconds.
pub(super) const BATCH: u32 = 500;

/// What is to be forgotten: everything that ended at or before these moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon {
    /// Of what is over.
    over: retention::Horizon,
    /// Of the windows of idempotency keys.
    known_until: Millis,
}

impl Horizon {
    /// By the settings.
    pub(super) fn due(settings: &StoreSettings, now: Millis) -> Self {
        Self { over: settings.retention.horizon(now), known_until: now }
    }

    /// When memory is short: all that is finished, and keys before their time.
    pub(super) fn early(settings: &StoreSettings, now: Millis) -> Self {
        let spared = settings.idempotency_window.saturating_sub(settings.replay_window);
        Self { over: retention::Horizon::all(now), known_until: now.plus(spared) }
    }
}

/// What a batch did.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    /// How much was forgotten, in all.
    pub(super) rows: u64,
    /// Whether another batch would find more.
    pub(super) more: bool,
    pub(super) sums: Sums,
}

impl Trimmed {
    /// Counts `rows` that were forgotten of `looked`, of which at most [`BATCH`] come at once.
    fn count(&mut self, rows: usize, looked: usize) {
        self.rows = self.rows.saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
        self.more |= u32::try_from(looked).is_ok_and(|looked| looked >= BATCH);
    }
}

/// Forgets up to [`BATCH`] of each kind.
pub(super) fn trim(connection: &Connection, horizon: Horizon) -> Result<Trimmed, Trouble> {
    let (over, mut done) = (horizon.over, Trimmed::default());
    if let Some(until) = over.attempts {
        trim_attempts(connection, until, &mut done)?;
    }
    if let Some(until) = over.payloads {
        trim_payloads(connection, until, &mut done)?;
    }
    trim_deliveries(connection, over, &mut done)?;
    let events = connection
        .prepare_cached(
            "DELETE FROM events WHERE seq IN \
             (SELECT seq FROM events WHERE deliveries = 0 AND accepted_at <= ?1 ORDER BY accepted_at LIMIT ?2)",
        )?
        .execute(params![moment(over.finished), BATCH])?;
    let keys = connection
        .prepare_cached(
            "DELETE FROM keys WHERE scoped IN \
             (SELECT scoped FROM keys WHERE known_until <= ?1 ORDER BY known_until LIMIT ?2)",
        )?
        .execute(params![moment(horizon.known_until), BATCH])?;
    let replays = replay::trim(connection, over.finished, BATCH)?;
    for forgotten in [events, keys, replays] {
        done.count(forgotten, forgotten);
    }
    Ok(done)
}

/// The records of attempts of finished deliveries.
fn trim_attempts(connection: &Connection, until: Millis, done: &mut Trimmed) -> Result<(), Trouble> {
    let ended = walk(connection, "attempts", until)?;
    let mut forgotten = 0_usize;
    for row in &ended {
        let mut delete = connection.prepare_cached("DELETE FROM attempts WHERE delivery = ?1")?;
        forgotten = forgotten.saturating_add(delete.execute([row.delivery.as_bytes()])?);
    }
    done.count(forgotten, ended.len());
    Ok(())
}

/// The payloads of events whose deliveries are all over, and of those that nobody wanted.
fn trim_payloads(connection: &Connection, until: Millis, done: &mut Trimmed) -> Result<(), Trouble> {
    let ended = walk(connection, "payloads", until)?;
    let forgotten = strip(connection, ended.iter().map(|row| row.event).collect(), until)?;
    done.count(forgotten, ended.len());
    let unwanted = connection
        .prepare_cached(
            "UPDATE events SET forgotten_bytes = length(payload), payload = x'' WHERE seq IN \
             (SELECT seq FROM events WHERE deliveries = 0 AND forgotten_bytes IS NULL AND accepted_at <= ?1 \
             ORDER BY accepted_at LIMIT ?2)",
        )?
        .execute(params![moment(until), BATCH])?;
    done.count(unwanted, unwanted);
    Ok(())
}

/// Forgets the payloads of these events, but of those with a delivery that is pending or ended after `until`.
fn strip(connection: &Connection, events: BTreeSet<i64>, until: Millis) -> Result<usize, Trouble> {
    let mut forgotten = 0_usize;
    for event in events {
        let mut update = connection.prepare_cached(
            "UPDATE events SET forgotten_bytes = length(payload), payload = x'' \
             WHERE seq = ?1 AND forgotten_bytes IS NULL AND NOT EXISTS \
             (SELECT 1 FROM deliveries WHERE event = ?1 AND (state = 0 OR updated_at > ?2))",
        )?;
        forgotten = forgotten.saturating_add(update.execute(params![event, moment(until)])?);
    }
    Ok(forgotten)
}

/// Finished deliveries with their attempts; an event goes with the last of its deliveries.
fn trim_deliveries(
    connection: &Connection,
    horizon: retention::Horizon,
    done: &mut Trimmed,
) -> Result<(), Trouble> {
    let retention::Horizon { finished, dead_letters, payloads, .. } = horizon;
    let dead = |row: &Ended| matches!(row.status, Status::Dead(_));
    let (mut over, mut looks) = (Over::default(), Vec::new());
    // of one time for all there is nothing to walk past
    if finished == dead_letters {
        let ended = oldest(connection, finished)?;
        looks.push(ended.len());
        ended.into_iter().for_each(|row| over.note(row));
    } else {
        let ended = walk(connection, "finished", finished)?;
        looks.push(ended.len());
        ended.into_iter().filter(|row| !dead(row)).for_each(|row| over.note(row));
        let ended = walk(connection, "dead", dead_letters)?;
        looks.push(ended.len());
        ended.into_iter().filter(dead).for_each(|row| over.note(row));
    }
    let (deliveries, events) = over.forget(connection)?;
    // where an event stays for other deliveries, its payload may have waited for one of these only
    let bare = payloads.map_or(Ok(0), |until| strip(connection, over.events.clone(), until))?;
    done.sums.add(over.sums);
    done.count(deliveries.saturating_add(events).saturating_add(bare), 0);
    looks.into_iter().for_each(|looked| done.count(0, looked));
    Ok(())
}

/// Forgets those of `ids` that are dead letters; answers how many, and what it did to the sums.
pub(super) fn purge(connection: &Connection, ids: &[DeliveryId]) -> Result<(u64, Sums), Trouble> {
    let mut over = Over::default();
    for id in ids {
        let mut dead = connection
            .prepare_cached("SELECT id, event, state FROM deliveries WHERE id = ?1 AND state > ?2")?;
        let mut rows = dead.query(params![id.as_bytes(), state(Status::Delivered)])?;
        if let Some(row) = rows.next()? {
            over.note(Ended::read(row)?);
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
    fn note(&mut self, row: Ended) {
        if self.deliveries.insert(row.delivery) {
            self.events.insert(row.event);
            self.sums.count(row.status, -1);
        }
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
