//! Where in its line a delivery stands, in the ledger: behind the last one that is pending, as in the schedule.

use rusqlite::{Connection, params};

use super::fault::Trouble;
use super::schedule::Slot;
use crate::model::Line;

/// A line and a place in it, as columns; both NULL for what stands in none.
pub(super) type Columns = (Option<String>, Option<i64>);

/// The place behind the last of `line`.
pub(super) fn end(connection: &Connection, slot: Slot, line: Option<&Line>) -> Result<Columns, Trouble> {
    let Some(line) = line.map(Line::to_string) else { return Ok((None, None)) };
    let mut last = connection.prepare_cached(
        "SELECT coalesce(max(place), 0) + 1 FROM deliveries WHERE endpoint = ?1 AND line = ?2 AND state = 0",
    )?;
    let place = last.query_row(params![slot.0, line], |row| row.get(0))?;
    Ok((Some(line), Some(place)))
}
