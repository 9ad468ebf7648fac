//! Looks things up and lists them. A page costs what it shows, and a seek for each endpoint it may come from. What no
//! index knows is checked row by row, of a bounded number: then a page comes back short, with a cursor that goes on.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::fault::Trouble;
use super::rows::{
    EVENT_COLUMNS, SELECT_DELIVERY, read_attempt, read_delivery, read_delivery_id, read_event, states,
};
use crate::model::{Attempt, Delivery, DeliveryId, Event, EventId, Tenant};
use crate::store::{DeliveryFilter, EventFilter, Listed, Page};

/// Later than any id.
const NEWEST: [u8; 16] = [0xff; 16];
/// Earlier than any id.
const OLDEST: [u8; 16] = [0; 16];
/// Rows looked at for one page, at most.
const LOOKS: u16 = 5_000;
/// Rows gathered together.
const CHUNK: u16 = 251;

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
    filter: &EventFilter,
    page: &Page,
) -> Result<Listed<Event>, Trouble> {
    let whose = if filter.tenant.is_some() { "tenant = ?4" } else { "?4 IS NULL" };
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM events WHERE id < ?1 AND id >= ?2 AND {whose} ORDER BY id DESC LIMIT ?3"
    );
    let ids = filter.accepted.of_ids();
    let first = ids.since.map_or(OLDEST, |since| *EventId::least(since).as_bytes());
    let last = ids.until.map_or(NEWEST, |until| *EventId::least(until).as_bytes());
    let before = page.after::<EventId>()?.map_or(NEWEST, |id| *id.as_bytes()).min(last);
    let limit = limit(page);
    let mut select = connection.prepare_cached(&sql)?;
    let tenant = filter.tenant.as_ref().map(Tenant::as_str);
    let mut rows = select.query(params![before, first, LOOKS, tenant])?;
    let mut walk = Walk::new(limit);
    while let Some(row) = rows.next()? {
        let event = read_event(row)?;
        let id = event.id.to_string();
        if walk.look(Some(event).filter(|event| filter.fits(event)), id) {
            break;
        }
    }
    Ok(walk.page(|event| event.id.to_string()))
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
    let ids = filter.created.of_ids();
    let last = ids.until.map_or(NEWEST, |until| *DeliveryId::least(until).as_bytes());
    let mut before = page.after::<DeliveryId>()?.map_or(NEWEST, |id| *id.as_bytes()).min(last);
    let first = ids.since.map(DeliveryId::least);
    let mut walk = Walk::new(limit(page));
    loop {
        let ids = newest(connection, filter, before, CHUNK)?;
        for id in ids.iter().rev() {
            if first.is_some_and(|first| *id < first) {
                return Ok(walk.page(mark));
            }
            let found = delivery(connection, *id)?.filter(|delivery| filter.fits(delivery));
            if walk.look(found, id.to_string()) {
                return Ok(walk.page(mark));
            }
            before = *id.as_bytes();
        }
        if ids.len() < usize::from(CHUNK) {
            return Ok(walk.page(mark));
        }
    }
}

fn mark(delivery: &Delivery) -> String {
    delivery.id.to_string()
}

/// The newest deliveries before one that may fit; the filter's other demands are for the caller.
fn newest(
    connection: &Connection,
    filter: &DeliveryFilter,
    before: [u8; 16],
    most: u16,
) -> Result<BTreeSet<DeliveryId>, Trouble> {
    let mut newest = Newest { before, most, ids: BTreeSet::new() };
    match filter {
        DeliveryFilter { event: Some(event), .. } => newest.of_event(connection, *event, filter)?,
        DeliveryFilter { tenant: None, endpoint: None, status: None, reason: None, .. } => {
            newest.of_all(connection)?;
        }
        DeliveryFilter { .. } => newest.of_endpoints(connection, filter)?,
    }
    Ok(newest.ids)
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
        let wanted: Vec<i64> = states(filter).collect();
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
            for state in states(filter) {
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

/// A page in the making: rows are looked at, newest first, until it is full or has cost enough.
struct Walk<T> {
    limit: usize,
    data: Vec<T>,
    looks: u16,
    last: String,
    cut: bool,
}

impl<T> Walk<T> {
    fn new(limit: u16) -> Self {
        Self { limit: limit.into(), data: Vec::new(), looks: 0, last: String::new(), cut: false }
    }

    /// Takes in the next row, if it fits, and its name. `true`: enough.
    fn look(&mut self, row: Option<T>, name: String) -> bool {
        self.data.extend(row);
        self.looks = self.looks.saturating_add(1);
        self.cut = self.looks >= LOOKS;
        self.last = name;
        self.cut || self.data.len() > self.limit
    }

    /// What fitted, and where the next page goes on: after the last row shown when there are more, after the last row
    /// looked at when looking was cut short.
    fn page(mut self, name: impl Fn(&T) -> String) -> Listed<T> {
        let more = self.data.len() > self.limit;
        self.data.truncate(self.limit);
        let shown = self.data.last().filter(|_| more).map(name);
        let next_cursor = shown.or_else(|| Some(self.last).filter(|_| self.cut));
        Listed { data: self.data, next_cursor }
    }
}
