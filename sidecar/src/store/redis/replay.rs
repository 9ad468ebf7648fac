//! Replays: their steps, and what is kept of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use redis::cmd;

use super::fault::{bad_cursor, broken, failed, full};
use super::horizon::NOW;
use super::keys::Shard;
use super::link::{Again as Repeat, Commands};
use super::listing::{CHUNK, Range, scope};
use super::record::{Damaged, line_text};
use super::registry::TenantView;
use super::{Millis, Shared, StoreError, scripts};
use crate::model::{
    DeliveryId, EndpointId, EventId, Line, OrderingKey, Replay, ReplayId, ReplayState, Tenant,
};
use crate::store::{Again, Listed, Page, ReplayFilter};

/// version, JSON, replayed, failed
type Row = (Option<u64>, Option<Vec<u8>>, Option<u64>, Option<u64>);

impl Shared {
    pub(super) async fn advance(
        &self,
        replay: &Replay,
        work: &[Again],
        now: Millis,
    ) -> Result<Option<Replay>, StoreError> {
        const OPERATION: &str = "advance";
        self.open(OPERATION).await?;
        let shard = Shard::of_byte(replay.id.shard_byte());
        let there = self.accepted_for(OPERATION, work).await?;
        let lines = self.lines_of(OPERATION, &replay.wanted.tenant, work).await?;
        let mut call = scripts::REPLAY.prepare_invoke();
        call.key(self.keys.prefix(shard)).arg(now.0).arg(self.room(shard));
        call.arg(self.keys.channel()).arg(&self.origin).arg(shard.to_string());
        let next = Replay { version: replay.version.saturating_add(1), updated_at: now, ..replay.clone() };
        call.arg(replay.id.to_string()).arg(replay.version);
        call.arg(serde_json::to_vec(&next).map_err(broken(OPERATION))?);
        call.arg(u8::from(replay.state == ReplayState::Running)).arg(replay.wanted.tenant.as_str());
        call.arg(replay.left().min(u64::try_from(work.len()).unwrap_or(u64::MAX)));
        for again in work {
            match again {
                Again::Retry(id) => call.arg(id.to_string()).arg("").arg("").arg(""),
                Again::Send { event, endpoint } if there.contains(&(*event, endpoint.clone())) => continue,
                Again::Send { event, endpoint } => {
                    let id = DeliveryId::replayed(event, endpoint);
                    let line = line_text(lines.of(event, endpoint));
                    call.arg(id.to_string()).arg(event.to_string()).arg(endpoint.as_str()).arg(line)
                }
            };
        }
        let reply: Vec<u64> =
            self.link.run(shard, &call, Repeat::IfNotMade).await.map_err(failed(OPERATION))?;
        match *reply.as_slice() {
            [0, replayed, failed] => {
                self.horizons.lower(shard, NOW);
                Ok(Some(Replay { replayed, failed, ..next }))
            }
            [1] => Ok(None),
            [2] => Err(full(OPERATION)),
            _ => Err(broken(OPERATION)(Damaged { what: "a step's answer" })),
        }
    }

    /// The events and endpoints of `work` between which there is a delivery since the event was accepted. Their ids tell
    /// nothing of it, unlike those of deliveries that a replay made; but no more of them come.
    async fn accepted_for(
        &self,
        operation: &'static str,
        work: &[Again],
    ) -> Result<HashSet<(EventId, EndpointId)>, StoreError> {
        let events = sent(work);
        let ids = self.deliveries_of(operation, &events).await?;
        let records = self.read_records(operation, &ids.concat()).await?;
        Ok(records.into_iter().map(|record| (record.event, record.endpoint)).collect())
    }

    /// In which lines what is sent will stand, by what its endpoints are known to want.
    async fn lines_of(
        &self,
        operation: &'static str,
        tenant: &Tenant,
        work: &[Again],
    ) -> Result<Lines, StoreError> {
        let events = sent(work);
        if events.is_empty() {
            return Ok(Lines::default());
        }
        let heads = self.read_heads(operation, &events).await?;
        let keys = events.into_iter().zip(heads);
        let keys = keys.filter_map(|(event, head)| Some((event, head?.into_ordering_key()?))).collect();
        Ok(Lines { keys, view: self.tenant(operation, tenant).await? })
    }

    pub(super) async fn replay(&self, id: &ReplayId) -> Result<Option<Replay>, StoreError> {
        const OPERATION: &str = "replay";
        self.open(OPERATION).await?;
        Ok(self.read_replays(OPERATION, &[*id]).await?.pop())
    }

    pub(super) async fn replays(
        &self,
        filter: &ReplayFilter,
        page: &Page,
    ) -> Result<Listed<Replay>, StoreError> {
        const OPERATION: &str = "replays";
        self.open(OPERATION).await?;
        let (index, scope) =
            (if filter.running { "replaying" } else { "replays" }, scope(filter.tenant.as_ref()));
        let mut range = Range::all();
        range.after(page.after::<ReplayId>().map_err(bad_cursor(OPERATION))?);
        let (limit, mut data) = (usize::from(page.limit), Vec::new());
        loop {
            let ids = self.newest::<ReplayId>(OPERATION, index, &scope, &range, CHUNK).await?;
            let found = self.read_replays(OPERATION, &ids).await?;
            let wanted =
                |replay: &Replay| filter.tenant.as_ref().is_none_or(|tenant| *tenant == replay.wanted.tenant);
            data.extend(found.into_iter().filter(wanted));
            range.after(ids.last());
            if data.len() > limit || ids.len() < CHUNK {
                let more = data.len() > limit;
                data.truncate(limit);
                let next_cursor = data.last().filter(|_| more).map(|replay| replay.id.to_string());
                return Ok(Listed { data, next_cursor });
            }
        }
    }

    /// Those replays of `ids` that are there, in their order.
    async fn read_replays(
        &self,
        operation: &'static str,
        ids: &[ReplayId],
    ) -> Result<Vec<Replay>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Commands::default();
        for id in ids {
            let shard = Shard::of_byte(id.shard_byte());
            commands.add(shard, cmd("HMGET").arg(self.keys.of(shard, id)).arg(&["v", "j", "n", "f"]).take());
        }
        let rows: Vec<Row> = self.link.query(commands).await.map_err(failed(operation))?;
        let replays = rows.into_iter().filter_map(|row| read(row).transpose());
        replays.collect::<Result<_, _>>().map_err(broken(operation))
    }
}

/// The events of which new deliveries are to be made.
fn sent(work: &[Again]) -> Vec<EventId> {
    let events = work.iter().filter_map(|again| match again {
        Again::Retry(_) => None,
        Again::Send { event, .. } => Some(*event),
    });
    events.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What says in which line an event's delivery stands.
#[derive(Default)]
struct Lines {
    /// Of the events that have one.
    keys: HashMap<EventId, OrderingKey>,
    view: Arc<TenantView>,
}

impl Lines {
    fn of(&self, event: &EventId, endpoint: &EndpointId) -> Option<Line> {
        let endpoint = self.view.endpoints.iter().find(|known| known.id == *endpoint)?;
        endpoint.ordering.line(self.keys.get(event))
    }
}

fn read((version, json, replayed, failed): Row) -> Result<Option<Replay>, Damaged> {
    let (Some(version), Some(json)) = (version, json) else { return Ok(None) };
    let kept: Replay = serde_json::from_slice(&json).ok().ok_or(Damaged { what: "a replay" })?;
    let (replayed, failed) = (replayed.unwrap_or_default(), failed.unwrap_or_default());
    Ok(Some(Replay { version, replayed, failed, ..kept }))
}
