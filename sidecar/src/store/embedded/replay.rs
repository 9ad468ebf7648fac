//! Replays: what is kept of them, and their steps.

use rusqlite::{Connection, params};

use super::changes::{Changes, Effect};
use super::fault::Trouble;
use super::line;
use super::rows::{kept, moment, parsed_if_any, state};
use super::settle::{self, Hand, find, is_bare};
use crate::clock::Millis;
use crate::model::{
    DeliveryId, EndpointId, EventId, OrderingKey, Replay, ReplayId, ReplayState, Status, Tenant,
};
use crate::store::{Again, Listed, Page, ReplayFilter};

/// What became of one piece of work.
enum Did {
    MadeDue,
    Failed,
    /// It was there: nothing to do.
    Nothing,
}

/// Does one step; see [`crate::store::Store::advance`].
pub(super) fn advance(
    hand: Hand<'_>,
    replay: &Replay,
    work: &[Again],
    now: Millis,
) -> Result<(Option<Replay>, Changes), Trouble> {
    let mut changes = Changes::default();
    let version = find_replay(hand.connection, replay.id)?.map_or(0, |found| found.version);
    if version != replay.version {
        return Ok((None, changes));
    }
    let mut next = Replay { version: version.saturating_add(1), updated_at: kept(now), ..replay.clone() };
    for again in work {
        if next.left() == 0 {
            break;
        }
        let did = match again {
            Again::Retry(id) => revive(hand, *id, &replay.wanted.tenant, now, &mut changes)?,
            Again::Send { event, endpoint } => {
                send(hand, event, endpoint, &replay.wanted.tenant, now, &mut changes)?
            }
        };
        match did {
            Did::MadeDue => next.replayed = next.replayed.saturating_add(1),
            Did::Failed => next.failed = next.failed.saturating_add(1),
            Did::Nothing => {}
        }
    }
    look_for_room(hand, &changes)?;
    write(hand.connection, &next)?;
    Ok((Some(next), changes))
}

fn look_for_room(hand: Hand<'_>, changes: &Changes) -> Result<(), Trouble> {
    let added = u64::try_from(changes.effects.len()).unwrap_or(u64::MAX);
    let (pending, max_pending) = (hand.schedule.pending(), hand.max_pending);
    if added > 0 && pending.saturating_add(added) > max_pending {
        return Err(Trouble::PendingFull { pending, max_pending });
    }
    Ok(())
}

/// Makes a finished delivery due.
fn revive(
    hand: Hand<'_>,
    id: DeliveryId,
    tenant: &Tenant,
    now: Millis,
    changes: &mut Changes,
) -> Result<Did, Trouble> {
    let Some(found) = find(hand.connection, id)? else { return Ok(Did::Failed) };
    let delivery = &found.delivery;
    let home = hand.registry.get(&delivery.endpoint_id);
    let home = home.filter(|home| home.endpoint.tenant == *tenant && delivery.tenant == *tenant);
    let Some(home) = home.filter(|_| delivery.status != Status::Pending) else { return Ok(Did::Failed) };
    if is_bare(hand.connection, delivery.event_id)? {
        return Ok(Did::Failed);
    }
    settle::revive(hand.connection, home.slot, &found, now, changes)?;
    Ok(Did::MadeDue)
}

/// Makes a delivery of an event, unless there is one.
fn send(
    hand: Hand<'_>,
    event: &EventId,
    endpoint: &EndpointId,
    tenant: &Tenant,
    now: Millis,
    changes: &mut Changes,
) -> Result<Did, Trouble> {
    let home = hand.registry.get(endpoint).filter(|home| home.endpoint.tenant == *tenant);
    let (Some(home), Some((seq, key))) = (home, seq_of(hand.connection, event, tenant)?) else {
        return Ok(Did::Failed);
    };
    let mut there =
        hand.connection.prepare_cached("SELECT 1 FROM deliveries WHERE event = ?1 AND endpoint = ?2")?;
    if there.exists(params![seq, home.slot.0])? {
        return Ok(Did::Nothing);
    }
    if is_bare(hand.connection, *event)? {
        return Ok(Did::Failed);
    }
    let delivery = DeliveryId::replayed(event, endpoint);
    let line = home.endpoint.ordering.line(key.as_ref());
    let (name, place) = line::end(hand.connection, home.slot, line.as_ref())?;
    let mut insert = hand.connection.prepare_cached(
        "INSERT INTO deliveries (id, event, endpoint, state, attempts, step, due, updated_at, line, place) \
         VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5, ?6, ?7)",
    )?;
    let pending = state(Status::Pending);
    insert.execute(params![delivery.as_bytes(), seq, home.slot.0, pending, moment(now), name, place])?;
    // An event that nobody wanted is somebody's now: it goes with its deliveries.
    hand.connection
        .prepare_cached("UPDATE events SET deliveries = deliveries + 1 WHERE seq = ?1")?
        .execute([seq])?;
    changes.effects.push(Effect::Push { slot: home.slot, due: kept(now), delivery, line });
    Ok(Did::MadeDue)
}

/// An event's number and its ordering key.
fn seq_of(
    connection: &Connection,
    event: &EventId,
    tenant: &Tenant,
) -> Result<Option<(i64, Option<OrderingKey>)>, Trouble> {
    let mut select =
        connection.prepare_cached("SELECT seq, ordering_key FROM events WHERE id = ?1 AND tenant = ?2")?;
    let mut rows = select.query(params![event.as_bytes(), tenant.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((row.get("seq")?, parsed_if_any(row, "ordering_key", "events.ordering_key")?)))
}

fn write(connection: &Connection, replay: &Replay) -> Result<(), Trouble> {
    let body = serde_json::to_string(replay)
        .map_err(|error| Trouble::Unreadable { what: "replay", why: error.to_string() })?;
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO replays (id, tenant, running, updated_at, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![
        replay.id.as_bytes(),
        replay.wanted.tenant.as_str(),
        replay.state == ReplayState::Running,
        moment(replay.updated_at),
        body,
    ])?;
    Ok(())
}

fn read(body: &str) -> Result<Replay, Trouble> {
    serde_json::from_str(body)
        .map_err(|error| Trouble::Unreadable { what: "replays.body", why: error.to_string() })
}

/// One replay.
pub(super) fn find_replay(connection: &Connection, id: ReplayId) -> Result<Option<Replay>, Trouble> {
    let mut select = connection.prepare_cached("SELECT body FROM replays WHERE id = ?1")?;
    let mut rows = select.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    read(row.get_ref("body")?.as_str().map_err(rusqlite::Error::from)?).map(Some)
}

/// Replays, newest first.
pub(super) fn replays(
    connection: &Connection,
    filter: &ReplayFilter,
    page: &Page,
) -> Result<Listed<Replay>, Trouble> {
    let running = if filter.running { "running = 1" } else { "TRUE" };
    let sql = format!(
        "SELECT body FROM replays WHERE id < ?1 AND {running} AND (?2 IS NULL OR tenant = ?2) \
         ORDER BY id DESC LIMIT ?3"
    );
    let before = page.after::<ReplayId>()?.map_or([0xff; 16], |id| *id.as_bytes());
    let limit = usize::from(page.limit.clamp(1, 250));
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![
        before,
        filter.tenant.as_ref().map(Tenant::as_str),
        page.limit.clamp(1, 250) + 1
    ])?;
    let mut data = Vec::new();
    while let Some(row) = rows.next()? {
        data.push(read(row.get_ref("body")?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    let more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = data.last().filter(|_| more).map(|replay| replay.id.to_string());
    Ok(Listed { data, next_cursor })
}

/// Forgets up to `most` replays that ended at or before a moment; answers how many.
pub(super) fn trim(connection: &Connection, until: Millis, most: u32) -> Result<usize, Trouble> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM replays WHERE id IN \
         (SELECT id FROM replays WHERE running = 0 AND updated_at <= ?1 ORDER BY updated_at LIMIT ?2)",
    )?;
    Ok(delete.execute(params![moment(until), most])?)
}
