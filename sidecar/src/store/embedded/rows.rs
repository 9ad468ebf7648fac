//! Between SQLite's values and the model's. The only place that knows the numbers behind the words.

use bytes::Bytes;
use rusqlite::Row;

use super::fault::Trouble;
use crate::clock::Millis;
use crate::model::{Attempt, DeadReason, Delivery, DeliveryId, Event, EventId, Failure, Outcome, Status};
use crate::store::DeliveryFilter;

/// The latest moment that can be kept.
const LAST: u64 = i64::MAX.unsigned_abs();

/// A moment as it will be read again.
pub(super) fn kept(moment: Millis) -> Millis {
    Millis(moment.0.min(LAST))
}

/// A moment as a column.
pub(super) fn moment(moment: Millis) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

pub(super) fn read_moment(row: &Row<'_>, column: &str) -> Result<Millis, Trouble> {
    Ok(Millis(read_count(row, column)?))
}

/// A moment that may be absent.
fn read_if_any(row: &Row<'_>, column: &str) -> Result<Option<Millis>, Trouble> {
    let moment: Option<i64> = row.get(column)?;
    Ok(moment.map(|moment| Millis(u64::try_from(moment).unwrap_or_default())))
}

pub(super) fn read_count(row: &Row<'_>, column: &str) -> Result<u64, Trouble> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

pub(super) fn read_u32(row: &Row<'_>, column: &str) -> Result<u32, Trouble> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}

pub(super) fn read_delivery_id(row: &Row<'_>, column: &str) -> Result<DeliveryId, Trouble> {
    Ok(DeliveryId::from_bytes(row.get(column)?))
}

pub(super) fn read_event_id(row: &Row<'_>, column: &str) -> Result<EventId, Trouble> {
    Ok(EventId::from_bytes(row.get(column)?))
}

/// A text that was a checked type when it was written.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &Row<'_>,
    column: &str,
    what: &'static str,
) -> Result<T, Trouble> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    text.parse().map_err(|why: T::Err| Trouble::Unreadable { what, why: why.to_string() })
}

/// The same, where there may be none.
pub(super) fn parsed_if_any<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &Row<'_>,
    column: &str,
    what: &'static str,
) -> Result<Option<T>, Trouble> {
    let absent = row.get_ref(column)?.data_type() == rusqlite::types::Type::Null;
    if absent { Ok(None) } else { parsed(row, column, what).map(Some) }
}

/// A status as `deliveries.state`.
pub(super) const fn state(status: Status) -> i64 {
    match status {
        Status::Pending => 0,
        Status::Delivered => 1,
        Status::Dead(DeadReason::Exhausted) => 2,
        Status::Dead(DeadReason::Gone) => 3,
        Status::Dead(DeadReason::EndpointDeleted) => 4,
        Status::Dead(DeadReason::Expired) => 5,
        Status::Dead(DeadReason::Refused) => 6,
    }
}

/// Every status there is.
const STATUSES: [Status; 7] = [
    Status::Pending,
    Status::Delivered,
    Status::Dead(DeadReason::Exhausted),
    Status::Dead(DeadReason::Gone),
    Status::Dead(DeadReason::EndpointDeleted),
    Status::Dead(DeadReason::Expired),
    Status::Dead(DeadReason::Refused),
];

/// The states that a filter admits.
pub(super) fn states(filter: &DeliveryFilter) -> impl Iterator<Item = i64> {
    STATUSES.into_iter().filter(|status| filter.admits(*status)).map(state)
}

pub(super) fn read_status(row: &Row<'_>) -> Result<Status, Trouble> {
    match row.get::<_, i64>("state")? {
        0 => Ok(Status::Pending),
        1 => Ok(Status::Delivered),
        2 => Ok(Status::Dead(DeadReason::Exhausted)),
        3 => Ok(Status::Dead(DeadReason::Gone)),
        4 => Ok(Status::Dead(DeadReason::EndpointDeleted)),
        5 => Ok(Status::Dead(DeadReason::Expired)),
        6 => Ok(Status::Dead(DeadReason::Refused)),
        other => Err(Trouble::Unreadable { what: "deliveries.state", why: format!("no state is {other}") }),
    }
}

/// An outcome as `attempts.outcome`.
pub(super) fn outcome(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Answered(status) => status.into(),
        Outcome::Failed(Failure::Egress) => -1,
        Outcome::Failed(Failure::Dns) => -2,
        Outcome::Failed(Failure::Connect) => -3,
        Outcome::Failed(Failure::Tls) => -4,
        Outcome::Failed(Failure::Timeout) => -5,
        Outcome::Failed(Failure::Protocol) => -6,
        Outcome::Failed(Failure::Unsendable) => -7,
        Outcome::Failed(Failure::Credentials) => -8,
    }
}

fn outcome_of(number: i64) -> Option<Outcome> {
    match number {
        -1 => Some(Outcome::Failed(Failure::Egress)),
        -2 => Some(Outcome::Failed(Failure::Dns)),
        -3 => Some(Outcome::Failed(Failure::Connect)),
        -4 => Some(Outcome::Failed(Failure::Tls)),
        -5 => Some(Outcome::Failed(Failure::Timeout)),
        -6 => Some(Outcome::Failed(Failure::Protocol)),
        -7 => Some(Outcome::Failed(Failure::Unsendable)),
        -8 => Some(Outcome::Failed(Failure::Credentials)),
        status => u16::try_from(status).ok().map(Outcome::Answered),
    }
}

/// The columns that [`read_event`] reads.
pub(super) const EVENT_COLUMNS: &str = "id, tenant, event_type, content_type, source, request_id, traceparent, accepted_at, payload, \
     deliver_at, expires_at, ordering_key, forgotten_bytes";

pub(super) fn read_event(row: &Row<'_>) -> Result<Event, Trouble> {
    Ok(Event {
        id: read_event_id(row, "id")?,
        tenant: parsed(row, "tenant", "events.tenant")?,
        event_type: parsed(row, "event_type", "events.event_type")?,
        payload: Bytes::from(row.get::<_, Vec<u8>>("payload")?),
        forgotten_bytes: row.get::<_, Option<i64>>("forgotten_bytes")?.map(i64::unsigned_abs),
        content_type: row.get("content_type")?,
        source: row.get("source")?,
        request_id: row.get("request_id")?,
        traceparent: row.get("traceparent")?,
        accepted_at: read_moment(row, "accepted_at")?,
        deliver_at: read_if_any(row, "deliver_at")?,
        ordering_key: parsed_if_any(row, "ordering_key", "events.ordering_key")?,
        expires_at: read_if_any(row, "expires_at")?,
    })
}

/// What [`read_delivery`] reads, but for the condition.
pub(super) const SELECT_DELIVERY: &str = "SELECT d.id, e.id AS event_id, e.event_type, n.id AS endpoint_id, n.tenant, \
     d.state, d.attempts, d.due, d.line, e.accepted_at, d.updated_at \
     FROM deliveries d JOIN events e ON e.seq = d.event JOIN endpoints n ON n.slot = d.endpoint";

pub(super) fn read_delivery(row: &Row<'_>) -> Result<Delivery, Trouble> {
    let status = read_status(row)?;
    let due = read_moment(row, "due")?;
    Ok(Delivery {
        id: read_delivery_id(row, "id")?,
        event_id: read_event_id(row, "event_id")?,
        event_type: parsed(row, "event_type", "events.event_type")?,
        endpoint_id: parsed(row, "endpoint_id", "endpoints.id")?,
        tenant: parsed(row, "tenant", "endpoints.tenant")?,
        status,
        attempts: read_u32(row, "attempts")?,
        next_attempt_at: (status == Status::Pending).then_some(due),
        created_at: read_moment(row, "accepted_at")?,
        updated_at: read_moment(row, "updated_at")?,
    })
}

pub(super) fn read_attempt(row: &Row<'_>) -> Result<Attempt, Trouble> {
    let number: i64 = row.get("outcome")?;
    let outcome = outcome_of(number).ok_or_else(|| Trouble::Unreadable {
        what: "attempts.outcome",
        why: format!("no outcome is {number}"),
    })?;
    Ok(Attempt {
        number: read_u32(row, "number")?,
        started_at: read_moment(row, "started_at")?,
        duration_ms: read_u32(row, "duration_ms")?,
        outcome,
        response: row.get("response")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_read_as_it_was_written() {
        let failures = [
            Failure::Egress,
            Failure::Dns,
            Failure::Connect,
            Failure::Tls,
            Failure::Timeout,
            Failure::Protocol,
            Failure::Unsendable,
            Failure::Credentials,
        ];
        let answers = [0, 200, 599, u16::MAX].map(Outcome::Answered);
        for expected in failures.map(Outcome::Failed).into_iter().chain(answers) {
            assert_eq!(outcome_of(outcome(expected)), Some(expected), "{expected:?}");
        }
        assert_eq!(outcome_of(-9), None);
        assert_eq!(outcome_of(70_000), None);
    }
}
