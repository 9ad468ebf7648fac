//! Walks through what is over, in the order of its end. What only loses a part stays where it is, so every part has a
//! walk of its own, which remembers the row that it came to. A row never moves to before such a place: it can only end
//! anew, later. Should a clock jump back, or a time be made longer, the walk goes back with it: to forget twice does no
//! harm.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Trouble;
use super::rows::{moment, read_delivery_id, read_status};
use super::trim::BATCH;
use crate::clock::Millis;
use crate::model::{DeliveryId, Status};

/// A delivery that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) delivery: DeliveryId,
    pub(super) event: i64,
    pub(super) status: Status,
}

impl Ended {
    /// From `id`, `event` and `state`.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Trouble> {
        let (delivery, event, status) = (read_delivery_id(row, "id")?, row.get("event")?, read_status(row)?);
        Ok(Self { delivery, event, status })
    }
}

const NEXT: &str = "SELECT id, event, state, updated_at FROM deliveries \
     WHERE state > 0 AND (updated_at, id) > (?1, ?2) AND updated_at <= ?3 ORDER BY updated_at, id LIMIT ?4";

/// Up to [`BATCH`] deliveries that ended at or before `until`, from where the walk of this name last came to.
pub(super) fn walk(connection: &Connection, name: &str, until: Millis) -> Result<Vec<Ended>, Trouble> {
    let place = place(connection, name, moment(until))?;
    let mut select = connection.prepare_cached(NEXT)?;
    let mut rows = select.query(params![place.0, place.1, moment(until), BATCH])?;
    let (mut ended, mut last) = (Vec::new(), place);
    while let Some(row) = rows.next()? {
        ended.push(Ended::read(row)?);
        last = (row.get("updated_at")?, row.get("id")?);
    }
    if last != place {
        remember(connection, name, last)?;
    }
    Ok(ended)
}

/// The first deliveries that ended at or before `until`, up to [`BATCH`].
pub(super) fn oldest(connection: &Connection, until: Millis) -> Result<Vec<Ended>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT id, event, state FROM deliveries WHERE state > 0 AND updated_at <= ?1 ORDER BY updated_at LIMIT ?2",
    )?;
    let mut rows = select.query(params![moment(until), BATCH])?;
    let mut ended = Vec::new();
    while let Some(row) = rows.next()? {
        ended.push(Ended::read(row)?);
    }
    Ok(ended)
}

/// A row by its end and its id.
type Place = (i64, [u8; 16]);

fn place(connection: &Connection, name: &str, until: i64) -> Result<Place, Trouble> {
    let mut select = connection.prepare_cached("SELECT ended_at, id FROM walks WHERE name = ?1")?;
    let kept = select.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match kept {
        None => Ok((i64::MIN, [0; 16])),
        Some(place) if place.0 <= until => Ok(place),
        Some(_) => {
            let back = (until, [0xff; 16]);
            remember(connection, name, back)?;
            Ok(back)
        }
    }
}

fn remember(connection: &Connection, name: &str, (ended_at, id): Place) -> Result<(), Trouble> {
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO walks (name, ended_at, id) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![name, ended_at, id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Location, schema};
    use super::*;

    #[test]
    fn a_walk_seeks_its_place_and_does_not_look_for_it() {
        let connection = schema::open(Location::Memory).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {NEXT}");
        let plan: String =
            connection.query_row(&sql, params![1, [0_u8; 16], 9, 5], |row| row.get("detail")).unwrap();
        let seek =
            "SEARCH deliveries USING INDEX deliveries_finished ((updated_at,id)>(?,?) AND updated_at<?)";
        assert_eq!(plan, seek);
    }
}
