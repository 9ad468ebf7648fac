//! Writes what was accepted: keys, events and one delivery per matching endpoint.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::changes::{Changes, Effect};
use super::expiry;
use super::fault::Trouble;
use super::line;
use super::mint::Mint;
use super::registry::Registry;
use super::rows::{kept, moment, read_event_id, read_moment, read_u32};
use crate::clock::Millis;
use crate::model::{Event, IdempotencyKey, OrderingKey, Tenant};
use crate::store::{Acceptance, Offer};

/// What accepting goes by.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) connection: &'a Connection,
    pub(super) registry: &'a Registry,
    pub(super) mint: &'a mut Mint,
    /// How long a key is known.
    pub(super) window: Duration,
    /// Deliveries pending already.
    pub(super) pending: u64,
    pub(super) max_pending: u64,
}

/// Accepts every offer in turn; the caller undoes all of it when one fails.
pub(super) fn accept(
    desk: &mut Desk<'_>,
    offers: &[Offer],
    now: Millis,
) -> Result<(Vec<Acceptance>, Changes), Trouble> {
    let mut changes = Changes::default();
    let mut answers = Vec::with_capacity(offers.len());
    for offer in offers {
        let answer = match known(desk.connection, offer, now)? {
            Some(first) => first,
            None => admit(desk, offer, now, &mut changes)?,
        };
        answers.push(answer);
    }
    Ok((answers, changes))
}

/// The first result, when one of the offer's keys is known.
fn known(connection: &Connection, offer: &Offer, now: Millis) -> Result<Option<Acceptance>, Trouble> {
    for key in &offer.keys {
        let scoped = scoped(&offer.event.tenant, key);
        let mut statement =
            connection.prepare_cached("SELECT event, deliveries, known_until FROM keys WHERE scoped = ?1")?;
        let mut rows = statement.query([scoped])?;
        let Some(row) = rows.next()? else { continue };
        if read_moment(row, "known_until")? > now {
            let (id, deliveries) = (read_event_id(row, "event")?, read_u32(row, "deliveries")?);
            return Ok(Some(Acceptance { id, deliveries, duplicate: true }));
        }
    }
    Ok(None)
}

fn admit(
    desk: &mut Desk<'_>,
    offer: &Offer,
    now: Millis,
    changes: &mut Changes,
) -> Result<Acceptance, Trouble> {
    let event = &*offer.event;
    let wanted = desk.registry.fan_out(event);
    let deliveries = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let pending = desk.pending.saturating_add(deliveries.into());
    if pending > desk.max_pending && deliveries > 0 {
        return Err(Trouble::PendingFull { pending: desk.pending, max_pending: desk.max_pending });
    }
    desk.pending = pending;
    let due = event.due(now);
    let seq = write_event(desk.connection, event, deliveries)?;
    if deliveries > 0 {
        expiry::note(desk.connection, seq, event)?;
    }
    for (slot, line) in wanted {
        let delivery = desk.mint.next(now, &event.tenant);
        let (name, place) = line::end(desk.connection, slot, line.as_ref())?;
        let mut insert = desk.connection.prepare_cached(
            "INSERT INTO deliveries (id, event, endpoint, state, attempts, step, due, updated_at, line, place) \
             VALUES (?1, ?2, ?3, 0, 0, 0, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute(params![delivery.as_bytes(), seq, slot.0, moment(due), moment(now), name, place])?;
        changes.effects.push(Effect::Push { slot, due: kept(due), delivery, line });
    }
    let acceptance = Acceptance { id: event.id, deliveries, duplicate: false };
    for key in &offer.keys {
        remember(desk, &scoped(&event.tenant, key), acceptance, now)?;
    }
    Ok(acceptance)
}

fn write_event(connection: &Connection, event: &Event, deliveries: u32) -> Result<i64, Trouble> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (id, tenant, event_type, content_type, source, request_id, traceparent, accepted_at, \
         deliveries, payload, deliver_at, expires_at, ordering_key) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    Ok(insert.insert(params![
        event.id.as_bytes(),
        event.tenant.as_str(),
        event.event_type.as_str(),
        event.content_type,
        event.source,
        event.request_id,
        event.traceparent,
        moment(event.accepted_at),
        deliveries,
        &*event.payload,
        event.deliver_at.map(moment),
        event.expires_at.map(moment),
        event.ordering_key.as_ref().map(OrderingKey::as_str),
    ])?)
}

fn remember(desk: &Desk<'_>, scoped: &[u8], first: Acceptance, now: Millis) -> Result<(), Trouble> {
    let mut insert = desk.connection.prepare_cached(
        "INSERT OR REPLACE INTO keys (scoped, event, deliveries, known_until) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let known_until = moment(now.plus(desk.window));
    insert.execute(params![scoped, first.id.as_bytes(), first.deliveries, known_until])?;
    Ok(())
}

/// A key inside its tenant. No tenant's name has a NUL, so no two pairs are one.
fn scoped(tenant: &Tenant, key: &IdempotencyKey) -> Vec<u8> {
    [tenant.as_str().as_bytes(), &[0], key.as_str().as_bytes()].concat()
}

/// How many bytes accepting `offers` will take, about.
pub(super) fn weight(offers: &[Offer]) -> u64 {
    /// Rows, indexes and pages that are not full.
    const ROW: usize = 512;
    let sum = offers.iter().map(|offer| offer.event.payload.len().saturating_add(ROW)).sum::<usize>();
    u64::try_from(sum).unwrap_or(u64::MAX)
}
