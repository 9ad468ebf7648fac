//! Looks things up and lists them. A page costs what it shows, and a seek for each endpoint it may come from.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::fault::Trouble;
use super::rows::{
    EVENT_COLUMNS, SELECT_DELIVERY, read_attempt, read_delivery, read_delivery_id, read_event, states,
};
use crate::model::{Attempt, Delivery, DeliveryId, Event, EventId, Tenant};
use crate::store::{DeliveryFilter, Listed, Page};

/// Later than any id.
const NEWEST: [u8; 16] = [0xff; 16];

/// One event.
pub(super) fn event(connection: &Connection, id: EventId) -> Result<Option<Event>, Trouble> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE id = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([id.as_bytes()])?;
    rows.next()?.map(read_event).transpose()
}

/// The event of this number.
pub(super) fn event_at(connection: &Connection, seq: i64) -> Result<Option<Event>, Trouble> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([seq])?;
    rows.next()?.map(read_event).transpose()
}

/// Events, newest first.
pub(super) fn events(
    connection: &Connection,
    tenant: Option<&Tenant>,
    page: &Page,
) -> Result<Listed<Event>, Trouble> {
    let whose = if tenant.is_some() { "tenant = ?3" } else { "?3 IS NULL" };
    let sql =
        format!("SELECT {EVENT_COLUMNS} FROM events WHERE id < ?1 AND {whose} ORDER BY id DESC LIMIT ?2");
    let after = page.cursor.as_deref().and_then(|cursor| cursor.parse::<EventId>().ok());
    let before = after.map_or(NEWEST, |id| *id.as_bytes());
    let limit = limit(page);
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![before, limit + 1, tenant.map(Tenant::as_str)])?;
    let mut data = Vec::new();
    while let Some(row) = rows.next()? {
        data.push(read_event(row)?);
    }
    Ok(cut(data, limit, |event| event.id.to_string()))
}

/// One delivery.
pub(super) fn delivery(connection: &Connection, id: DeliveryId) -> Result<Option<Delivery>, Trouble> {
    let mut select = connection.prepare_cached(&format!("{SELECT_DELIVERY} WHERE d.id = ?1"))?;
    let mut rows = select.query([id.as_bytes()])?;
    rows.next()?.map(read_delivery).transpose()
}

/// Deliveries, newest first.
pub(super) fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    page: &Page,
) -> Result<Listed<Delivery>, Trouble> {
    let after = page.cursor.as_deref().and_then(|cursor| cursor.parse::<DeliveryId>().ok());
    let limit = limit(page);
    let mut newest =
        Newest { before: after.map_or(NEWEST, |id| *id.as_bytes()), most: limit + 1, ids: BTreeSet::new() };
    match filter {
        DeliveryFilter { event: Some(event), .. } => newest.of_event(connection, *event, filter)?,
        DeliveryFilter { tenant: None, event: None, endpoint: None, status: None } => {
            newest.of_all(connection)?;
        }
        DeliveryFilter { .. } => newest.of_endpoints(connection, filter)?,
    }
    let mut data = Vec::with_capacity(newest.ids.len());
    for id in newest.ids.iter().rev() {
        data.extend(delivery(connection, *id)?);
    }
    Ok(cut(data, limit, |delivery| delivery.id.to_string()))
}

/// A delivery's attempts, oldest first.
pub(super) fn attempts(connection: &Connection, id: DeliveryId) -> Result<Vec<Attempt>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT number, started_at, duration_ms, outcome, response FROM attempts WHERE delivery = ?1 ORDER BY number",
    )?;
    let mut rows = select.query([id.as_bytes()])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(read_attempt(row)?);
    }
    Ok(attempts)
}

/// Gathers the newest ids before one, out of several ordered sources, never keeping more than asked for.
struct Newest {
    before: [u8; 16],
    most: u16,
    ids: BTreeSet<DeliveryId>,
}

impl Newest {
    fn of_all(&mut self, connection: &Connection) -> Result<(), Trouble> {
        let mut select =
            connection.prepare_cached("SELECT id FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?;
        let mut rows = select.query(params![self.before, self.most])?;
        while let Some(row) = rows.next()? {
            self.offer(read_delivery_id(row, "id")?);
        }
        Ok(())
    }

    /// An event has no more deliveries than there were endpoints: they are looked through.
    fn of_event(
        &mut self,
        connection: &Connection,
        event: EventId,
        filter: &DeliveryFilter,
    ) -> Result<(), Trouble> {
        let slots = slots(connection, filter)?;
        let wanted = states(filter.status);
        let mut select = connection.prepare_cached(
            "SELECT d.id, d.endpoint, d.state FROM deliveries d \
             WHERE d.event = (SELECT seq FROM events WHERE id = ?1) AND d.id < ?2 ORDER BY d.id DESC",
        )?;
        let mut rows = select.query(params![event.as_bytes(), self.before])?;
        while let Some(row) = rows.next()? {
            let (slot, state) = (row.get("endpoint")?, row.get("state")?);
            if slots.contains(&slot) && wanted.contains(&state) && !self.offer(read_delivery_id(row, "id")?) {
                break;
            }
        }
        Ok(())
    }

    fn of_endpoints(&mut self, connection: &Connection, filter: &DeliveryFilter) -> Result<(), Trouble> {
        let mut select = connection.prepare_cached(
            "SELECT id FROM deliveries WHERE endpoint = ?1 AND state = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4",
        )?;
        for slot in slots(connection, filter)? {
            for state in states(filter.status) {
                let mut rows = select.query(params![slot, state, self.before, self.most])?;
                while let Some(row) = rows.next()? {
                    if !self.offer(read_delivery_id(row, "id")?) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes in one more. `false`: it is older than enough others, and so is what follows it.
    fn offer(&mut self, id: DeliveryId) -> bool {
        self.ids.insert(id);
        if self.ids.len() > usize::from(self.most) {
            return self.ids.pop_first() != Some(id);
        }
        true
    }
}

/// The endpoints, deleted ones too, whose deliveries a filter admits.
fn slots(connection: &Connection, filter: &DeliveryFilter) -> Result<BTreeSet<i64>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT slot FROM endpoints WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR id = ?2)",
    )?;
    let (tenant, endpoint) = (filter.tenant.as_ref(), filter.endpoint.as_ref());
    let mut rows = select.query(params![tenant.map(Tenant::as_str), endpoint.map(|id| id.as_str())])?;
    let mut slots = BTreeSet::new();
    while let Some(row) = rows.next()? {
        slots.insert(row.get("slot")?);
    }
    Ok(slots)
}

fn limit(page: &Page) -> u16 {
    page.limit.clamp(1, 250)
}

/// A page out of one row more than it shows, if there was one.
fn cut<T>(mut data: Vec<T>, limit: u16, name: impl Fn(&T) -> String) -> Listed<T> {
    let limit = usize::from(limit);
    let more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = data.last().filter(|_| more).map(name);
    Listed { data, next_cursor }
}
