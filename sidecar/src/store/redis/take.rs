//! Leasing: which shards to ask, how many of each, and what their answers mean.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::ahead::Collected;
use super::claims::Claim;
use super::fault::{broken, failed};
use super::horizon::Look;
use super::keys::Shard;
use super::link::Again;
use super::record::{Damaged, Head, Unreadable, read_horizon};
use super::{Millis, Shared, StoreError, scripts};
use crate::model::{Endpoint, Event};
use crate::seal::{Seal, SealError};
use crate::store::{Ask, Lease, Report, Settlement, Taken};

const OPERATION: &str = "take";
/// How often what is left of the room is offered again.
const ROUNDS: usize = 4;
/// Leases that are asked of one shard before another is asked as well: what a call costs is shared by all it brings.
const TOGETHER: usize = 8;
/// Endpoints remembered as they were last read; beyond it all are forgotten.
const REMEMBERED: usize = 10_000;

/// Endpoints by their JSON, so that it is read once and not with every lease.
#[derive(Debug, Default)]
pub(super) struct EndpointCache {
    known: Mutex<HashMap<Vec<u8>, Arc<Endpoint>>>,
}

impl EndpointCache {
    fn read(&self, json: Vec<u8>, seal: &Seal) -> Result<Arc<Endpoint>, SealError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(&json) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = Arc::new(seal.read(&json)?);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(json, Arc::clone(&endpoint));
        Ok(endpoint)
    }
}

/// horizon, pending, endpoints, events (id, head, payload), leases (delivery, endpoint, event, attempt, step, ends)
type Reply = (String, u64, Vec<Vec<u8>>, Vec<(String, Vec<u8>, Vec<u8>)>, Vec<LeaseRow>);
type LeaseRow = (String, usize, usize, u32, u32, u64);

impl Shared {
    /// Shards that may have work are asked at once and share the room evenly; what that leaves over goes to those
    /// that have more. Of those that are known to have some, as many as can be expected to fill it: which, is left to
    /// chance. One of which nothing is known is asked all the same, for when it has work. What was leased ahead comes
    /// first.
    pub(super) async fn take(&self, ask: Ask) -> Result<Taken, StoreError> {
        self.open(OPERATION).await?;
        let Collected { mut leases, excess, room, mut reserve } = self.ahead.collect(ask);
        // open until all is handed over: of what a call had in hand that was cut off, nobody else knows
        let mut claims = self.claim(&leases);
        self.give_back(&excess, ask.now).await;
        let (mut most, mut failure) = (room.saturating_add(leases.len()), None);
        for _ in 0..ROUNDS {
            let room = most.saturating_sub(leases.len());
            // beginning anywhere, so that no shard is always the last
            let looks =
                self.horizons.begin(ask.now, self.random::<u8>().into(), room, |shard| self.yields(shard));
            if room == 0 || looks.is_empty() {
                break;
            }
            let shares = shares(room, looks.len());
            let given =
                join_all(looks.into_iter().zip(shares).map(|(look, room)| self.take_shard(look, room, ask)));
            for given in given.await {
                match given {
                    Ok((claim, given)) => {
                        claims.push(claim);
                        leases.extend(given);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if failure.is_some() {
                break;
            }
            if leases.len() >= most {
                most = most.saturating_add(reserve.take_back());
            }
        }
        claims.into_iter().for_each(Claim::answered);
        if ask.ahead && failure.is_none() {
            reserve.open(most.saturating_sub(leases.len()));
        }
        match failure {
            Some(error) if leases.is_empty() => Err(error),
            // what was leased must be delivered; the shard that failed is asked again by the next take
            Some(_) | None => Ok(Taken { leases, next: self.horizons.next() }),
        }
    }

    /// How much a shard can be expected to give, as far as it is known.
    fn yields(&self, shard: Shard) -> usize {
        usize::try_from(self.pending.of(shard)).unwrap_or(usize::MAX).min(TOGETHER)
    }

    /// Gives back what was leased and will not be attempted. What cannot be given back now is when its lease ends: others
    /// of the same token may be under way.
    pub(super) async fn give_back(&self, leases: &[Lease], now: Millis) {
        if leases.is_empty() {
            return;
        }
        let claims = self.claim(leases);
        let returned = |lease: &Lease| Settlement {
            delivery: lease.delivery,
            token: lease.token,
            report: Report::Returned,
        };
        let returned: Vec<Settlement> = leases.iter().map(returned).collect();
        if let Err(error) = self.settle(&returned, now).await {
            tracing::warn!(%error, leases = leases.len(), "leases not given back; they will end");
        }
        claims.into_iter().for_each(Claim::answered);
    }

    /// What becomes of these leases is not yet certain.
    fn claim(&self, leases: &[Lease]) -> Vec<Claim<'_>> {
        let shard = |lease: &Lease| Shard::of_byte(lease.delivery.shard_byte());
        leases.iter().map(|lease| self.claims.begin(shard(lease), lease.token)).collect()
    }

    /// A token as the scripts know it: with whose it is.
    pub(super) fn owned(&self, token: u64) -> String {
        format!("{}.{token}", self.origin)
    }

    async fn take_shard(
        &self,
        look: Look,
        room: usize,
        ask: Ask,
    ) -> Result<(Claim<'_>, Vec<Lease>), StoreError> {
        let claim = self.claims.begin(look.shard, self.random());
        let (token, grace) = (claim.token, u64::try_from(ask.grace.as_millis()).unwrap_or(u64::MAX));
        let mut call = scripts::TAKE.prepare_invoke();
        call.key(self.keys.prefix(look.shard)).arg(ask.now.0).arg(room).arg(grace).arg(self.owned(token));
        call.arg(self.settings.retry_percent);
        let reply = self.link.run(look.shard, &call, Again::IfNotMade).await;
        let (horizon, pending, endpoints, events, rows): Reply = reply.map_err(failed(OPERATION))?;
        self.horizons.end(look, read_horizon(&horizon).map_err(broken(OPERATION))?);
        self.pending.set(look.shard, pending);

        let endpoints: Vec<_> =
            endpoints.into_iter().map(|json| self.endpoints.read(json, &self.seal)).collect();
        let events: Vec<_> = events.into_iter().map(read_event).collect();
        let read = |row| read_lease(row, &endpoints, &events, token);
        let leases = rows.into_iter().filter_map(|row| {
            read(row).inspect_err(|error| tracing::error!(%error, "a leased delivery cannot be read")).ok()
        });
        Ok((claim, leases.collect()))
    }
}

/// An even share of `room` for each of `shards`; the first get one more when it does not divide.
fn shares(room: usize, shards: usize) -> impl Iterator<Item = usize> {
    let (each, rest) = (room.checked_div(shards).unwrap_or(0), room.checked_rem(shards).unwrap_or(0));
    (0..shards).map(move |place| each + usize::from(place < rest))
}

fn read_event((id, head, payload): (String, Vec<u8>, Vec<u8>)) -> Result<Arc<Event>, Damaged> {
    let id = id.parse().ok().ok_or(Damaged { what: "an event's id" })?;
    Ok(Arc::new(Head::read(&head)?.into_event(id, payload)))
}

fn read_lease(
    (delivery, endpoint, event, attempt, step, ends_at): LeaseRow,
    endpoints: &[Result<Arc<Endpoint>, SealError>],
    events: &[Result<Arc<Event>, Damaged>],
    token: u64,
) -> Result<Lease, Unreadable> {
    let missing = Damaged { what: "a lease" };
    Ok(Lease {
        delivery: delivery.parse().ok().ok_or(missing)?,
        token,
        event: number(events, event).ok_or(missing)?.clone()?,
        endpoint: number(endpoints, endpoint).ok_or(missing)?.clone()?,
        attempt,
        step,
        ends_at: Millis(ends_at),
    })
}

/// The item of a list that Lua counts from 1.
fn number<T>(list: &[T], number: usize) -> Option<&T> {
    list.get(number.checked_sub(1)?)
}
