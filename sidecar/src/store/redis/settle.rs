//! Results of leases, and a retry by hand.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use redis::ScriptInvocation;

use super::fault::{broken, failed, forgotten, full};
use super::horizon::NOW;
use super::keys::Shard;
use super::link::Again;
use super::record::{Damaged, dead, read_horizon};
use super::{Millis, Shared, StoreError, scripts};
use crate::model::{Delivery, DeliveryId, Next, Signal};
use crate::store::{BreakerSettings, News, Report, Settled, Settlement, Settling, Turn};

const OPERATION: &str = "settle";
/// Attempts that are kept of a delivery.
const KEPT: u16 = 100;

impl Shared {
    /// When one shard fails the whole call does, once the others are done: the same call again finds their leases
    /// gone, and changes nothing.
    pub(super) async fn settle(
        &self,
        settlements: &[Settlement],
        now: Millis,
    ) -> Result<Settling, StoreError> {
        self.open(OPERATION).await?;
        let mut shards: BTreeMap<Shard, Vec<(usize, &Settlement)>> = BTreeMap::new();
        for (place, settlement) in settlements.iter().enumerate() {
            shards
                .entry(Shard::of_byte(settlement.delivery.shard_byte()))
                .or_default()
                .push((place, settlement));
        }
        let calls = shards.into_iter().map(|(shard, settlements)| async move {
            let (places, settlements): (Vec<usize>, Vec<&Settlement>) = settlements.into_iter().unzip();
            let settling = self.settle_shard(shard, &settlements, now).await?;
            Ok::<_, StoreError>((places, settling))
        });
        let (mut settled, mut news) = (Vec::with_capacity(settlements.len()), Vec::new());
        for settling in join_all(calls).await {
            let (places, settling) = settling?;
            settled.extend(places.into_iter().zip(settling.settled));
            news.extend(settling.news);
        }
        settled.sort_unstable_by_key(|(place, _)| *place);
        Ok(Settling { settled: settled.into_iter().map(|(_, settled)| settled).collect(), news })
    }

    async fn settle_shard(
        &self,
        shard: Shard,
        settlements: &[&Settlement],
        now: Millis,
    ) -> Result<Settling, StoreError> {
        let BreakerSettings { failures, failure_percent, min_attempts, open_ms, max_open_ms } =
            self.settings.breaker;
        let mut call = scripts::SETTLE.prepare_invoke();
        call.key(self.keys.prefix(shard)).arg(now.0);
        call.arg(failures).arg(failure_percent).arg(min_attempts).arg(open_ms).arg(max_open_ms).arg(KEPT);
        for settlement in settlements {
            call.arg(settlement.delivery.to_string()).arg(self.owned(settlement.token));
            tell(&mut call, &settlement.report).map_err(broken(OPERATION))?;
        }
        let reply = self.link.run(shard, &call, Again::IfNotMade).await;
        let (horizon, results, news): (String, Vec<u8>, Vec<NewsRow>) = reply.map_err(failed(OPERATION))?;
        self.horizons.lower(shard, read_horizon(&horizon).map_err(broken(OPERATION))?);
        let read = |result| if result == 1 { Settled::Recorded } else { Settled::LeaseLost };
        let news = news.into_iter().map(read_news).collect::<Result<_, _>>().map_err(broken(OPERATION))?;
        Ok(Settling { settled: results.into_iter().map(read).collect(), news })
    }

    pub(super) async fn retry(&self, id: &DeliveryId, now: Millis) -> Result<Option<Delivery>, StoreError> {
        const OPERATION: &str = "retry";
        self.open(OPERATION).await?;
        let shard = Shard::of_byte(id.shard_byte());
        let mut call = scripts::RETRY.prepare_invoke();
        call.key(self.keys.prefix(shard)).arg(now.0).arg(id.to_string()).arg(self.room(shard));
        call.arg(self.keys.channel()).arg(&self.origin).arg(shard.to_string());
        match self.link.run::<u8>(shard, &call, Again::Safe).await.map_err(failed(OPERATION))? {
            2 => return Err(full(OPERATION)),
            3 => return Err(forgotten(OPERATION)),
            1 => self.horizons.lower(shard, NOW),
            _ => {}
        }
        self.delivery(OPERATION, id).await
    }
}

/// An endpoint, what happened to it, and the moment that belongs to it.
type NewsRow = (String, String, u64);

fn read_news((endpoint, turn, moment): NewsRow) -> Result<News, Damaged> {
    let damaged = Damaged { what: "an endpoint's news" };
    let turn = match turn.as_str() {
        "opened" => Turn::BreakerOpened { until: Millis(moment) },
        "closed" => Turn::BreakerClosed,
        "gone" => Turn::Gone,
        _ => return Err(damaged),
    };
    Ok(News { endpoint: endpoint.parse().ok().ok_or(damaged)?, turn })
}

/// What the script is told of a report: the verdict, the moment of a retry, and what it says of the endpoint; nothing
/// of that for an attempt that was not made.
fn tell(call: &mut ScriptInvocation<'_>, report: &Report) -> Result<(), serde_json::Error> {
    let (attempt, next, signal) = match report {
        Report::Attempted { attempt, next, signal } => (attempt, next, signal),
        Report::Returned | Report::Over(_) => {
            let verdict = if let Report::Over(reason) = report { dead(*reason) } else { "returned" };
            call.arg(verdict).arg(0).arg("").arg(0).arg(0).arg(0).arg("");
            return Ok(());
        }
    };
    match *next {
        Next::Delivered => call.arg("delivered").arg(0),
        Next::RetryAt(moment) => call.arg("retry").arg(moment.0),
        Next::Dead(reason) => call.arg(dead(reason)).arg(0),
    };
    match *signal {
        Signal::Success => call.arg("+").arg(0),
        Signal::Failure => call.arg("-").arg(0),
        Signal::Overloaded { hold_until } => call.arg("~").arg(hold_until.unwrap_or_default().0),
    };
    call.arg(attempt.started_at.0).arg(attempt.duration_ms).arg(serde_json::to_string(attempt)?);
    Ok(())
}
