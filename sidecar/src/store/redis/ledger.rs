//! Looking things up by their ids, which tell their shard.

use redis::cmd;

use super::fault::{broken, failed};
use super::keys::Shard;
use super::link::Commands;
use super::record::{DELIVERY_FIELDS, Damaged, DeliveryRecord, DeliveryRow, Head};
use super::{Shared, StoreError};
use crate::model::{Attempt, Delivery, DeliveryId, Event, EventId};

/// head, payload, how long the payload was that is forgotten
type EventRow = (Option<Vec<u8>>, Option<Vec<u8>>, Option<u64>);

impl Shared {
    pub(super) async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        self.open("event").await?;
        Ok(self.read_events("event", &[*id]).await?.into_iter().next())
    }

    /// Those events of `ids` that are there, in their order.
    pub(super) async fn read_events(
        &self,
        operation: &'static str,
        ids: &[EventId],
    ) -> Result<Vec<Event>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Commands::default();
        for id in ids {
            commands.add(shard_of(id), cmd("HMGET").arg(self.event_key(id)).arg(&["m", "p", "z"]).take());
        }
        let rows: Vec<EventRow> = self.link.query(commands).await.map_err(failed(operation))?;
        let events = ids.iter().zip(rows).filter_map(|(id, row)| read_event(*id, row).transpose());
        events.collect::<Result<_, _>>().map_err(broken(operation))
    }

    pub(super) async fn delivery(
        &self,
        operation: &'static str,
        id: &DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        self.open(operation).await?;
        let Some(record) = self.read_records(operation, &[*id]).await?.pop() else { return Ok(None) };
        let heads = self.read_heads(operation, &[record.event]).await?;
        Ok(heads.into_iter().next().flatten().map(|head| record.into_delivery(&head)))
    }

    /// Those deliveries of `ids` that are there, in their order.
    pub(super) async fn read_records(
        &self,
        operation: &'static str,
        ids: &[DeliveryId],
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Commands::default();
        for id in ids {
            let row = cmd("HMGET").arg(self.delivery_key(id, "")).arg(&DELIVERY_FIELDS).take();
            commands.add(Shard::of_byte(id.shard_byte()), row);
        }
        let rows: Vec<DeliveryRow> = self.link.query(commands).await.map_err(failed(operation))?;
        let records = ids.iter().zip(rows).filter_map(|(id, row)| DeliveryRecord::read(*id, row).transpose());
        records.collect::<Result<_, _>>().map_err(broken(operation))
    }

    /// The head of each event, `None` for one that is not there.
    pub(super) async fn read_heads(
        &self,
        operation: &'static str,
        ids: &[EventId],
    ) -> Result<Vec<Option<Head>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Commands::default();
        for id in ids {
            commands.add(shard_of(id), cmd("HGET").arg(self.event_key(id)).arg("m").take());
        }
        let rows: Vec<Option<Vec<u8>>> = self.link.query(commands).await.map_err(failed(operation))?;
        let heads = rows.into_iter().map(|head| head.map(|head| Head::read(&head)).transpose());
        heads.collect::<Result<_, _>>().map_err(broken(operation))
    }

    pub(super) async fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        const OPERATION: &str = "attempts";
        self.open(OPERATION).await?;
        let all = cmd("LRANGE").arg(self.delivery_key(id, "try:")).arg(0).arg(-1).take();
        let shard = Shard::of_byte(id.shard_byte());
        let attempts: Vec<String> = self.link.ask(shard, all).await.map_err(failed(OPERATION))?;
        let attempts = attempts.iter().map(|attempt| serde_json::from_str(attempt));
        attempts.collect::<Result<_, _>>().map_err(broken(OPERATION))
    }

    pub(super) fn event_key(&self, id: &EventId) -> String {
        self.keys.of(shard_of(id), id)
    }

    fn delivery_key(&self, id: &DeliveryId, kind: &str) -> String {
        self.keys.of(Shard::of_byte(id.shard_byte()), format_args!("{kind}{id}"))
    }
}

/// An event whose payload is gone says so, and is no event with an empty one.
fn read_event(id: EventId, (head, payload, forgotten): EventRow) -> Result<Option<Event>, Damaged> {
    let Some(head) = head else { return Ok(None) };
    let forgotten_bytes = payload.is_none().then(|| forgotten.unwrap_or_default());
    let event = Head::read(&head)?.into_event(id, payload.unwrap_or_default());
    Ok(Some(Event { forgotten_bytes, ..event }))
}

pub(super) fn shard_of(event: &EventId) -> Shard {
    Shard::of_byte(event.shard_byte())
}
