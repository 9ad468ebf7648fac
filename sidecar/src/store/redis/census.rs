//! Sums: of the ledger, of every endpoint, and of what is pending, by which new events are refused.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::cmd;

use super::fault::failed;
use super::keys::{SHARDS, Shard};
use super::link::Commands;
use super::{Shared, StoreError};
use crate::clock::Millis;
use crate::model::EndpointId;
use crate::store::{BreakerState, Census, Health};

const OPERATION: &str = "census";
/// Endpoints asked after at once.
const CHUNK: usize = 500;

/// Deliveries pending by shard, as last heard. Exact for the shard that a script runs on, which counts for itself;
/// of the others at most as old as the last take, accept or maintain there by this process.
#[derive(Debug, Default)]
pub(super) struct Pending([AtomicU64; SHARDS as usize]);

impl Pending {
    pub(super) fn set(&self, shard: Shard, pending: u64) {
        if let Some(place) = self.0.get(shard.index()) {
            place.store(pending, Ordering::Relaxed);
        }
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, place| sum.saturating_add(place.load(Ordering::Relaxed)))
    }

    pub(super) fn of(&self, shard: Shard) -> u64 {
        self.0.get(shard.index()).map_or(0, |place| place.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// Most deliveries that a shard may hold, given what the others do.
    pub(super) fn room(&self, shard: Shard) -> u64 {
        let others = self.pending.sum().saturating_sub(self.pending.of(shard));
        self.settings.max_pending.saturating_sub(others)
    }

    /// Learns how much is pending everywhere.
    pub(super) async fn count_pending(&self, operation: &'static str) -> Result<(), StoreError> {
        let mut sums = Commands::default();
        for shard in Shard::all() {
            sums.add(shard, cmd("HGET").arg(self.keys.index(shard, "sums")).arg("pending").take());
        }
        let sums: Vec<Option<u64>> = self.link.query(sums).await.map_err(failed(operation))?;
        for (shard, pending) in Shard::all().zip(sums) {
            self.pending.set(shard, pending.unwrap_or_default());
        }
        Ok(())
    }

    pub(super) async fn census(&self) -> Result<Census, StoreError> {
        self.open(OPERATION).await?;
        let mut commands = Commands::default();
        for shard in Shard::all() {
            let of = |name| self.keys.index(shard, name);
            commands.add(shard, cmd("HMGET").arg(of("sums")).arg(&["pending", "delivered", "dead"]).take());
            commands.add(shard, cmd("ZRANGE").arg(of("endpoints")).arg(0).arg(-1).take());
        }
        let rows: Vec<Vec<Option<String>>> = self.link.query(commands).await.map_err(failed(OPERATION))?;
        let mut census = Census::default();
        let mut endpoints = Vec::new();
        for (shard, rows) in Shard::all().zip(rows.chunks(2)) {
            let [sums, ids] = rows else { continue };
            let sum =
                |at: usize| sums.get(at).and_then(Option::as_deref).and_then(|n| n.parse().ok()).unwrap_or(0);
            self.pending.set(shard, sum(0));
            census.pending = census.pending.saturating_add(sum(0));
            census.delivered = census.delivered.saturating_add(sum(1));
            census.dead = census.dead.saturating_add(sum(2));
            endpoints
                .extend(ids.iter().flatten().filter_map(|id| Some((shard, id.parse::<EndpointId>().ok()?))));
        }
        for chunk in endpoints.chunks(CHUNK) {
            census.endpoints.extend(self.conditions(chunk).await?);
        }
        census.endpoints.sort_unstable_by(|a, b| a.endpoint.cmp(&b.endpoint));
        Ok(census)
    }

    async fn conditions(&self, endpoints: &[(Shard, EndpointId)]) -> Result<Vec<Health>, StoreError> {
        let mut commands = Commands::default();
        for (shard, id) in endpoints {
            let state = self.keys.index(*shard, format_args!("ep:{id}"));
            for field in ["flight", "breaker", "max", "cap", "hold", "behind"] {
                commands.add(*shard, cmd("HGET").arg(&state).arg(field).take());
            }
            for queue in ["queue", "again"] {
                commands
                    .add(*shard, cmd("ZCARD").arg(self.keys.of(*shard, format_args!("{queue}:{id}"))).take());
            }
        }
        let rows: Vec<Option<String>> = self.link.query(commands).await.map_err(failed(OPERATION))?;
        let read = |((_, id), row): (&(Shard, EndpointId), &[Option<String>])| {
            let [flight, breaker, max, cap, hold, behind, fresh, again] = row else { return None };
            let number =
                |text: &Option<String>| text.as_deref().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
            let hold = hold.as_deref().and_then(|n| n.parse().ok()).map(Millis);
            Some(Health {
                endpoint: id.clone(),
                breaker: read_breaker(breaker.as_deref()),
                pending: [fresh, again, flight, behind].into_iter().map(|text| u64::from(number(text))).sum(),
                in_flight: number(flight),
                concurrency: concurrency(number(max), number(cap)),
                held_until: hold.filter(|hold| *hold > Millis(0)),
            })
        };
        Ok(endpoints.iter().zip(rows.chunks(8)).filter_map(read).collect())
    }
}

/// Attempts at once, by an endpoint's own cap and the one that was learned, in thousandths; 0 for none.
fn concurrency(max: u32, cap: u32) -> u16 {
    let learned = if cap == 0 { max } else { (cap / 1_000).clamp(1, max.max(1)) };
    u16::try_from(learned).unwrap_or(u16::MAX)
}

/// A breaker's state as the scripts write it; one that never failed has none.
fn read_breaker(text: Option<&str>) -> BreakerState {
    match text {
        Some("open") => BreakerState::Open,
        Some("half_open") => BreakerState::HalfOpen,
        Some(_) | None => BreakerState::Closed,
    }
}
