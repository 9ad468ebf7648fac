//! Pages of events and deliveries, newest first.
//!
//! An index lists the events of each shard; deliveries are found through their events, dead letters by an index of
//! their own in the same order, so that a cursor `event.delivery` means the same in both. Other demands are checked row by row: a page whose filter fits few of very many rows may come back
//! short, with a cursor that goes on.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use redis::cmd;

use super::fault::{bad_cursor, failed};
use super::keys::Shard;
use super::ledger::shard_of;
use super::link::Commands;
use super::{Shared, StoreError};
use crate::model::{Delivery, DeliveryId, Event, EventId, InvalidId, Status, Tenant};
use crate::store::{DeliveryFilter, EventFilter, Listed, Page};

/// Rows looked at for one page, at most about this many.
const LOOKS: usize = 5_000;
/// Rows looked at together.
pub(super) const CHUNK: usize = 250;
/// Events whose deliveries are looked at together; each may have very many.
const EVENTS: usize = 50;

/// A delivery that may belong to a page: its event's id and its own. Its cursor stands for "after it".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    event: EventId,
    id: DeliveryId,
}

impl Display for Candidate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.id)
    }
}

impl FromStr for Candidate {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (event, id) =
            text.split_once('.').ok_or(InvalidId { expected: "an event's and a delivery's id" })?;
        Ok(Self { event: event.parse()?, id: id.parse()? })
    }
}

impl Shared {
    pub(super) async fn events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listed<Event>, StoreError> {
        const OPERATION: &str = "events";
        self.open(OPERATION).await?;
        let (scope, ids) = (scope(filter.tenant.as_ref()), filter.accepted.of_ids());
        let after = page.after::<EventId>().map_err(bad_cursor(OPERATION))?;
        let mut range = Range::of(ids.since.map(EventId::least), ids.until.map(EventId::least));
        range.after(after);
        let (limit, mut data, mut looks) = (usize::from(page.limit), Vec::new(), 0);
        loop {
            let ids = self.newest::<EventId>(OPERATION, "events", &scope, &range, CHUNK).await?;
            looks += ids.len();
            let last = ids.len() < CHUNK;
            let heads = self.read_heads(OPERATION, &ids).await?;
            let wanted = ids.iter().zip(heads).filter(|(_, head)| {
                head.as_ref().is_some_and(|h| filter.admits(h.tenant(), h.event_type(), h.accepted_at()))
            });
            data.extend(wanted.map(|(id, _)| *id));
            range.after(ids.last());
            if last || data.len() > limit || looks >= LOOKS {
                let more = data.len() > limit;
                data.truncate(limit);
                let next_cursor = match (more, last) {
                    (true, _) => data.last().map(EventId::to_string),
                    (false, true) => None,
                    (false, false) => ids.last().map(EventId::to_string),
                };
                return Ok(Listed { data: self.read_events(OPERATION, &data).await?, next_cursor });
            }
        }
    }

    pub(super) async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Listed<Delivery>, StoreError> {
        const OPERATION: &str = "deliveries";
        self.open(OPERATION).await?;
        let limit = usize::from(page.limit);
        let mut after = page.after::<Candidate>().map_err(bad_cursor(OPERATION))?;
        let (mut data, mut looks) = (Vec::new(), 0);
        loop {
            let (candidates, last) = self.candidates(OPERATION, filter, after).await?;
            for chunk in candidates.chunks(CHUNK) {
                looks += chunk.len();
                data.extend(self.fitting(OPERATION, filter, chunk).await?);
                after = chunk.last().copied().or(after);
                if data.len() > limit {
                    data.truncate(limit);
                    let next_cursor = data.last().map(mark);
                    return Ok(Listed { data, next_cursor });
                }
            }
            if last || looks >= LOOKS {
                let next_cursor = after.filter(|_| !last).map(|after| after.to_string());
                return Ok(Listed { data, next_cursor });
            }
        }
    }

    /// The next rows after one that may fit, and whether they are the last.
    async fn candidates(
        &self,
        operation: &'static str,
        filter: &DeliveryFilter,
        after: Option<Candidate>,
    ) -> Result<(Vec<Candidate>, bool), StoreError> {
        let (scope, ids) = (scope(filter.tenant.as_ref()), filter.created.of_ids());
        let mut range = Range::of(ids.since.map(EventId::least), ids.until.map(EventId::least));
        if only_dead(filter) && filter.event.is_none() {
            range.after(after);
            let dead = self.newest(operation, "dead", &scope, &range, CHUNK).await?;
            let last = dead.len() < CHUNK;
            return Ok((dead, last));
        }
        range.from(after.map(|after| after.event));
        let events = match filter.event {
            Some(event) => vec![event],
            None => self.newest(operation, "events", &scope, &range, EVENTS).await?,
        };
        let last = filter.event.is_some() || events.len() < EVENTS;
        let deliveries = self.deliveries_of(operation, &events).await?;
        let rows = events.iter().zip(deliveries);
        let rows = rows.flat_map(|(event, ids)| ids.into_iter().map(|id| Candidate { event: *event, id }));
        Ok((rows.filter(|row| after.is_none_or(|after| *row < after)).collect(), last))
    }

    /// The ids of each event's deliveries.
    pub(super) async fn deliveries_of(
        &self,
        operation: &'static str,
        events: &[EventId],
    ) -> Result<Vec<Vec<DeliveryId>>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Commands::default();
        for event in events {
            commands.add(shard_of(event), cmd("HGET").arg(self.event_key(event)).arg("d").take());
        }
        let rows: Vec<Option<String>> = self.link.query(commands).await.map_err(failed(operation))?;
        let read = |ids: Option<String>| {
            ids.unwrap_or_default().split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect()
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Those candidates that fit, as deliveries.
    async fn fitting(
        &self,
        operation: &'static str,
        filter: &DeliveryFilter,
        candidates: &[Candidate],
    ) -> Result<Vec<Delivery>, StoreError> {
        let ids: Vec<DeliveryId> = candidates.iter().map(|candidate| candidate.id).collect();
        let mut records = self.read_records(operation, &ids).await?;
        records.retain(|record| {
            filter.event.is_none_or(|event| event == record.event)
                && filter.endpoint.as_ref().is_none_or(|endpoint| *endpoint == record.endpoint)
                && filter.admits(record.status)
        });
        let mut events: Vec<EventId> = records.iter().map(|record| record.event).collect();
        events.dedup();
        let heads = self.read_heads(operation, &events).await?;
        let heads: HashMap<EventId, _> = events.into_iter().zip(heads).collect();
        let fits = records.into_iter().filter_map(|record| {
            let head = heads.get(&record.event)?.as_ref()?;
            Some(record.into_delivery(head)).filter(|delivery| filter.fits(delivery))
        });
        Ok(fits.collect())
    }

    /// Up to `count` ids of an index over some shards, newest first.
    pub(super) async fn newest<T: Ord + FromStr>(
        &self,
        operation: &'static str,
        index: &str,
        scope: &[Shard],
        range: &Range,
        count: usize,
    ) -> Result<Vec<T>, StoreError> {
        let mut commands = Commands::default();
        for shard in scope {
            let mut newest = cmd("ZRANGE");
            newest.arg(self.keys.index(*shard, index)).arg(&range.most).arg(&range.least);
            newest.arg("BYLEX").arg("REV").arg("LIMIT").arg(0).arg(count);
            commands.add(*shard, newest);
        }
        let ids: Vec<Vec<String>> = self.link.query(commands).await.map_err(failed(operation))?;
        let mut ids: Vec<T> = ids.iter().flatten().filter_map(|id| id.parse().ok()).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(count);
        Ok(ids)
    }
}

/// The part of an index that a walk has before it, as Redis writes it: from the newest down.
pub(super) struct Range {
    most: String,
    least: String,
}

impl Range {
    /// Between two ids, or all of it. Rows that begin with an event's id sort as their events do.
    fn of(since: Option<EventId>, until: Option<EventId>) -> Self {
        Self {
            most: until.map_or_else(|| "+".to_owned(), |until| format!("({until}")),
            least: since.map_or_else(|| "-".to_owned(), |since| format!("[{since}")),
        }
    }

    /// All of an index.
    pub(super) fn all() -> Self {
        Self::of(None, None)
    }

    /// What comes after this row.
    pub(super) fn after(&mut self, row: Option<impl Display>) {
        if let Some(row) = row {
            self.most = format!("({row}");
        }
    }

    /// This row and what comes after it.
    fn from(&mut self, row: Option<impl Display>) {
        if let Some(row) = row {
            self.most = format!("[{row}");
        }
    }
}

/// The shards that a tenant's rows are in.
pub(super) fn scope(tenant: Option<&Tenant>) -> Vec<Shard> {
    tenant.map_or_else(|| Shard::all().collect(), |tenant| vec![Shard::of(tenant)])
}

/// The cursor that stands for "after this delivery".
fn mark(delivery: &Delivery) -> String {
    Candidate { event: delivery.event_id, id: delivery.id }.to_string()
}

/// Whether no delivery fits that is not dead.
fn only_dead(filter: &DeliveryFilter) -> bool {
    ![Status::Pending, Status::Delivered].into_iter().any(|status| filter.admits(status))
}
