//! Taking events in: who gets them is decided here, from remembered endpoints; whether that still holds, whether they
//! are known and whether there is room is decided by the script, which then writes all of them or none. While a worker
//! waits it also leases what can be tried at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{FromRedisValue, ScriptInvocation, Value, from_redis_value};

use super::ahead::Promise;
use super::claims::Claim;
use super::draft::{Draft, Drafted, Leased, Seen, due_at_once, first_due, read_leases};
use super::fault::{broken, failed, full};
use super::keys::Shard;
use super::record::{Damaged, Head, line_text};
use super::registry::TenantView;
use super::{Millis, Shared, StoreError, scripts};
use crate::model::{DeliveryId, Endpoint, Tenant, matching};
use crate::store::{Acceptance, Lease, Offer, StoreFault};

const OPERATION: &str = "accept";
/// How often the endpoints may change under our hands before we give up for now.
const TRIES: usize = 8;

type Views = BTreeMap<Tenant, Arc<TenantView>>;

/// What the script did with the offers of one shard.
enum Reply {
    Accepted {
        /// Deliveries pending in the shard.
        pending: u64,
        answers: Vec<Acceptance>,
        leased: Vec<Leased>,
    },
    /// This tenant's endpoints are not as we believed.
    Stale(String),
    Full,
}

impl Shared {
    pub(super) async fn accept(
        self: &Arc<Self>,
        offers: &[Offer],
        now: Millis,
    ) -> Result<Vec<Acceptance>, StoreError> {
        self.open(OPERATION).await?;
        let offers: Vec<Seen<'_>> = offers.iter().map(Seen::of).collect();
        let mut shards: BTreeMap<Shard, Vec<(usize, &Seen<'_>)>> = BTreeMap::new();
        for (place, offer) in offers.iter().enumerate() {
            shards.entry(Shard::of(&offer.offer.event.tenant)).or_default().push((place, offer));
        }
        if shards.len() > 1 {
            self.look_for_room(&offers).await?;
        }
        let mut answers = Vec::with_capacity(offers.len());
        for (shard, offers) in shards {
            let (places, offers): (Vec<usize>, Vec<&Seen<'_>>) = offers.into_iter().unzip();
            answers.extend(places.into_iter().zip(self.accept_together(shard, &offers, now).await?));
        }
        answers.sort_unstable_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Refuses a batch over several shards before its first script, if all of it would be too much.
    async fn look_for_room(&self, offers: &[Seen<'_>]) -> Result<(), StoreError> {
        let views = self.views(offers.iter()).await?;
        let added: usize = offers.iter().map(|offer| recipients(offer, &views).count()).sum();
        let pending = self.pending.sum().saturating_add(u64::try_from(added).unwrap_or(u64::MAX));
        if pending > self.settings.max_pending { Err(full(OPERATION)) } else { Ok(()) }
    }

    pub(super) async fn accept_shard(
        &self,
        shard: Shard,
        offers: &[&Seen<'_>],
        now: Millis,
    ) -> Result<Vec<Acceptance>, StoreError> {
        for _ in 0..TRIES {
            let views = self.views(offers.iter().copied()).await?;
            let drafts: Vec<Drafted<'_>> =
                offers.iter().map(|offer| (*offer, self.draft(offer, &views, now))).collect();
            let promise = self.ahead.promise(due_at_once(&drafts, now));
            let claim = (promise.leases > 0).then(|| self.claims.begin(shard, self.random()));
            let token = claim.as_ref().map(|claim| claim.token);
            let call = self.accept_call(shard, &drafts, &views, (&promise, token), now)?;
            let reply = self.link.accept(shard, &call).await.map_err(failed(OPERATION));
            let reply: Vec<Value> = reply.inspect_err(|error| self.may_have_been_done(shard, error))?;
            let reply = read_reply(reply, offers.len()).map_err(broken(OPERATION))?;
            claim.into_iter().for_each(Claim::answered);
            match reply {
                Reply::Accepted { pending, answers, leased } => {
                    self.pending.set(shard, pending);
                    let leases = read_leases(&leased, token, &drafts).map_err(broken(OPERATION))?;
                    let due = first_due(&drafts, &answers, &leases, now);
                    let unwanted = self.announce(shard, due, promise, leases);
                    self.give_back(&unwanted, now).await;
                    return Ok(answers);
                }
                Reply::Stale(tenant) => {
                    let tenant: Tenant = tenant.parse().map_err(broken(OPERATION))?;
                    self.refresh(OPERATION, &tenant).await?;
                }
                Reply::Full => return Err(full(OPERATION)),
            }
        }
        let source = Some("the endpoints keep changing".into());
        Err(StoreError { operation: OPERATION, fault: StoreFault::Unavailable, source })
    }

    /// Who waits gets what was leased, and learns of what is `due`. Answers leases that nobody wants any more.
    fn announce(
        &self,
        shard: Shard,
        due: Option<Millis>,
        promise: Promise<'_>,
        leases: Vec<Lease>,
    ) -> Vec<Lease> {
        let (leased, ends) = (!leases.is_empty(), leases.iter().map(|lease| lease.ends_at).min());
        let unwanted = promise.keep(leases);
        if self.horizons.learn(shard, due.into_iter().chain(ends).min()) || leased {
            self.horizons.notify();
        }
        unwanted
    }

    /// What was written and not answered is to be delivered as well, and nobody else tells us of it.
    fn may_have_been_done(&self, shard: Shard, error: &StoreError) {
        if error.fault == StoreFault::Unavailable {
            self.horizons.lower(shard, super::horizon::NOW);
        }
    }

    async fn views<'a>(&self, offers: impl Iterator<Item = &'a Seen<'a>>) -> Result<Views, StoreError> {
        let mut views = Views::new();
        for offer in offers {
            let tenant = &offer.offer.event.tenant;
            if !views.contains_key(tenant) {
                views.insert(tenant.clone(), self.tenant(OPERATION, tenant).await?);
            }
        }
        Ok(views)
    }

    fn draft(&self, offer: &Seen<'_>, views: &Views, now: Millis) -> Vec<Draft> {
        let tenant = &offer.offer.event.tenant;
        let mut drafts: Vec<Draft> = recipients(offer, views)
            .map(|endpoint| Draft {
                id: DeliveryId::fresh(now, self.random(), tenant),
                endpoint: Arc::clone(endpoint),
            })
            .collect();
        drafts.sort_unstable_by_key(|draft| Reverse(draft.id));
        drafts
    }

    fn accept_call(
        &self,
        shard: Shard,
        drafts: &[Drafted<'_>],
        views: &Views,
        (promise, token): (&Promise<'_>, Option<u64>),
        now: Millis,
    ) -> Result<ScriptInvocation<'static>, StoreError> {
        let window = u64::try_from(self.settings.idempotency_window.as_millis()).unwrap_or(u64::MAX);
        let grace = u64::try_from(promise.grace.as_millis()).unwrap_or(u64::MAX);
        let mut call = scripts::ACCEPT.prepare_invoke();
        call.key(self.keys.prefix(shard)).arg(now.0).arg(self.room(shard)).arg(window.min(LONGEST_MS));
        let channel = if self.others.none() { String::new() } else { self.keys.channel() };
        call.arg(channel).arg(&self.origin).arg(shard.to_string());
        call.arg(promise.leases).arg(grace).arg(token.map(|token| self.owned(token)).unwrap_or_default());
        call.arg(views.len());
        for (tenant, view) in views {
            call.arg(tenant.as_str()).arg(&view.version);
        }
        call.arg(drafts.len());
        for drafted in drafts {
            add_offer(&mut call, drafted, now)?;
        }
        Ok(call)
    }
}

fn add_offer(
    call: &mut ScriptInvocation<'_>,
    (offer, drafts): &Drafted<'_>,
    now: Millis,
) -> Result<(), StoreError> {
    let (event, keys) = (&offer.offer.event, &offer.offer.keys);
    let head = Head::write(event).map_err(broken(OPERATION))?;
    call.arg(event.id.to_string()).arg(event.tenant.as_str()).arg(head).arg(event.payload.as_ref());
    call.arg(event.due(now).0).arg(event.expires_at.map_or_else(String::new, |end| end.0.to_string()));
    call.arg(keys.len());
    for key in keys {
        call.arg(key.as_str());
    }
    call.arg(drafts.len());
    for draft in drafts {
        call.arg(draft.id.to_string()).arg(draft.endpoint.id.as_str());
        call.arg(line_text(draft.endpoint.ordering.line(event.ordering_key.as_ref())));
    }
    Ok(())
}

/// A century: a window is a number that Lua can add to a moment exactly.
const LONGEST_MS: u64 = 100 * 366 * 24 * 3_600_000;

/// The endpoints that get an event.
fn recipients<'a>(offer: &'a Seen<'_>, views: &'a Views) -> impl Iterator<Item = &'a Arc<Endpoint>> {
    let endpoints = views.get(&offer.offer.event.tenant).map_or(&[][..], |view| &view.endpoints);
    matching(endpoints, &offer.sight)
}

fn read_reply(reply: Vec<Value>, offers: usize) -> Result<Reply, Damaged> {
    let damaged = Damaged { what: "an accept's answer" };
    let mut parts = reply.into_iter();
    let mut part = || parts.next().ok_or(damaged);
    match read::<u8>(part()?)? {
        0 => {
            let pending = read(part()?)?;
            let answers: Vec<(String, u32, u8)> = read(part()?)?;
            let answers: Option<Vec<Acceptance>> = answers
                .into_iter()
                .map(|(id, deliveries, duplicate)| {
                    Some(Acceptance { id: id.parse().ok()?, deliveries, duplicate: duplicate == 1 })
                })
                .collect();
            let answers = answers.filter(|answers| answers.len() == offers).ok_or(damaged)?;
            Ok(Reply::Accepted { pending, answers, leased: read(part()?)? })
        }
        1 => Ok(Reply::Stale(read(part()?)?)),
        2 => Ok(Reply::Full),
        _ => Err(damaged),
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, Damaged> {
    from_redis_value(value).ok().ok_or(Damaged { what: "an accept's answer" })
}
