//! The store that needs no server: SQLite, in memory or in a file. The default.
//!
//! One owner has it, on a thread of its own when there is a disk to wait for. It holds the *ledger* (SQLite: what is durable) and the *schedule* (memory: who is tried next,
//! rebuilt from the ledger at the start). An accept inserts, a settle updates; a take writes nothing, for a crash
//! merely makes what was in an attempt due again.
//!
//! What an accept's `Ok` waits for: in a file, a sync of the write-ahead log (`synchronous = FULL`), shared by all that
//! wait: it survives a power cut. A result alone waits for no sync: it survives the process, but a power cut may make
//! an attempt be made again. In memory nothing survives the process.
//!
//! **Invariant:** nothing changes in the schedule before it is committed to the ledger.

mod accept;
mod changes;
mod expiry;
mod fault;
mod group;
mod home;
mod leasing;
mod line;
mod mint;
mod owner;
mod read;
mod registry;
mod replay;
mod reseal;
mod rows;
mod schedule;
mod schema;
mod settle;
mod transaction;
mod trim;
mod upkeep;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::{Notify, oneshot};

use self::fault::Trouble;
use self::group::Write;
use self::home::Home;
use self::owner::{Command, Owner, Reply, Seeds};
use super::{
    Acceptance, Again, Ask, Census, DeliveryFilter, EventFilter, Listed, Maintained, Offer, Page, Put,
    ReplayFilter, Settlement, Settling, Store, StoreError, StoreSettings, Taken,
};
use crate::clock::Millis;
use crate::model::{
    Attempt, Delivery, DeliveryId, Endpoint, EndpointId, Event, EventId, Replay, ReplayId, Tenant,
};
use crate::seal::Seal;

/// Most rounds of forgetting that one [`Store::maintain`] does; others get their turn between two rounds.
const ROUNDS: usize = 64;

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this process: gone with it. Bounded by [`StoreSettings::memory_bytes`].
    Memory,
    /// In this file, made if it is not there. Its log lies beside it (`-wal`) and belongs to it.
    File(PathBuf),
}

/// SQLite behind the seam. Dropping it finishes what was asked, closes the file, and blocks until that is done.
#[derive(Debug)]
pub struct Embedded {
    home: Home,
    wake: Arc<Notify>,
}

impl Embedded {
    /// Opens the database, and starts the thread that owns a file. Blocks for as long as reading what is pending takes.
    ///
    /// # Errors
    /// `Unavailable`: another process has the file, or the file cannot be opened. `Broken`: it is damaged, another
    /// program's, or of a newer version.
    pub fn open(location: Location, settings: StoreSettings) -> Result<Self, StoreError> {
        Self::open_sealed(location, settings, Seal::default())
    }

    /// [`Self::open`] where endpoints are kept sealed.
    ///
    /// # Errors
    /// As [`Self::open`]; and `Unavailable` when an endpoint is sealed with a key that `seal` has not.
    pub fn open_sealed(location: Location, settings: StoreSettings, seal: Seal) -> Result<Self, StoreError> {
        let wake = Arc::new(Notify::new());
        let mut rng: StdRng = rand::make_rng();
        let seeds = Seeds { ids: rng.random(), tokens: rng.random() };
        let in_memory = location == Location::Memory;
        let owner = Owner::open(location, settings, seal, seeds, Arc::clone(&wake))
            .map_err(|trouble| trouble.during("open"))?;
        let home = if in_memory { Ok(Home::here(owner)) } else { Home::on_thread(owner) };
        Ok(Self { home: home.map_err(|trouble| trouble.during("open"))?, wake })
    }

    /// Sends what `command` makes of a reply, and waits for the answer.
    async fn ask<T: Send>(
        &self,
        operation: &'static str,
        command: impl FnOnce(Reply<T>) -> Command + Send,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let answer = if self.home.ask(command(reply)).await {
            answer.await.unwrap_or(Err(Trouble::Gone))
        } else {
            Err(Trouble::Gone)
        };
        answer.map_err(|trouble| trouble.during(operation))
    }

    /// Has the owner do `verb` by itself.
    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        verb: impl FnOnce(&mut Owner) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let command = |reply: Reply<T>| Command::Call(Box::new(move |owner| drop(reply.send(verb(owner)))));
        self.ask(operation, command).await
    }
}

#[async_trait]
impl Store for Embedded {
    async fn accept(&self, offers: &[Offer], now: Millis) -> Result<Vec<Acceptance>, StoreError> {
        let offers = offers.to_vec();
        self.ask("accept", |reply| Command::Write(Write::Accept { offers, now, reply })).await
    }

    async fn take(&self, ask: Ask) -> Result<Taken, StoreError> {
        let command = |reply: Reply<Taken>| {
            Command::Call(Box::new(move |owner| {
                // Whoever asked is gone: nobody would settle these.
                if let Err(Ok(taken)) = reply.send(owner.take(ask)) {
                    owner.give_back(taken.leases.iter().map(|lease| lease.delivery), ask.now);
                }
            }))
        };
        self.ask("take", command).await
    }

    async fn settle(&self, settlements: &[Settlement], now: Millis) -> Result<Settling, StoreError> {
        let settlements = settlements.to_vec();
        self.ask("settle", |reply| Command::Write(Write::Settle { settlements, now, reply })).await
    }

    async fn maintain(&self, now: Millis) -> Result<Maintained, StoreError> {
        let mut sum = Maintained::default();
        for _ in 0..ROUNDS {
            let round = self.call("maintain", move |owner| owner.tend(now)).await?;
            sum.reclaimed = sum.reclaimed.saturating_add(round.did.reclaimed);
            sum.trimmed = sum.trimmed.saturating_add(round.did.trimmed);
            if !round.more {
                break;
            }
        }
        Ok(sum)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call("ping", |owner| changes::Sums::load(&owner.connection).map(drop)).await
    }

    async fn census(&self) -> Result<Census, StoreError> {
        self.call("census", |owner| Ok(owner.census())).await
    }

    async fn put_endpoint(&self, endpoint: &Endpoint, put: Put) -> Result<bool, StoreError> {
        let endpoint = endpoint.clone();
        self.call("put_endpoint", move |owner| owner.put(&endpoint, put)).await
    }

    async fn endpoint(&self, id: &EndpointId) -> Result<Option<Endpoint>, StoreError> {
        let id = id.clone();
        let verb = move |owner: &mut Owner| {
            Ok(owner.registry.get(&id).map(|entry| Endpoint::clone(&entry.endpoint)))
        };
        self.call("endpoint", verb).await
    }

    async fn endpoints(&self, tenant: Option<&Tenant>, page: &Page) -> Result<Listed<Endpoint>, StoreError> {
        let (tenant, page) = (tenant.cloned(), page.clone());
        self.call("endpoints", move |owner| owner.registry.page(tenant.as_ref(), &page)).await
    }

    async fn delete_endpoint(&self, id: &EndpointId, now: Millis) -> Result<bool, StoreError> {
        let id = id.clone();
        let deleted = self.call("delete_endpoint", move |owner| owner.delete(&id, now)).await?;
        let Some((slot, mut more)) = deleted else { return Ok(false) };
        // In parts, so that a long backlog does not hold up everybody; `maintain` finishes what is cut off here.
        while more {
            more = self.call("delete_endpoint", move |owner| owner.bury_more(slot, now)).await?;
        }
        Ok(true)
    }

    async fn reseal(&self) -> Result<u64, StoreError> {
        self.call("reseal", Owner::reseal).await
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let id = *id;
        self.call("event", move |owner| read::event(&owner.connection, id)).await
    }

    async fn events(&self, filter: &EventFilter, page: &Page) -> Result<Listed<Event>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.call("events", move |owner| read::events(&owner.connection, &filter, &page)).await
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let id = *id;
        self.call("delivery", move |owner| read::delivery(&owner.connection, id)).await
    }

    async fn deliveries(&self, filter: &DeliveryFilter, page: &Page) -> Result<Listed<Delivery>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.call("deliveries", move |owner| read::deliveries(&owner.connection, &filter, &page)).await
    }

    async fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        let id = *id;
        self.call("attempts", move |owner| read::attempts(&owner.connection, id)).await
    }

    async fn retry(&self, id: &DeliveryId, now: Millis) -> Result<Option<Delivery>, StoreError> {
        let id = *id;
        self.call("retry", move |owner| owner.retry(id, now)).await
    }

    async fn purge(&self, ids: &[DeliveryId]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        self.call("purge", move |owner| owner.purge(&ids)).await
    }

    async fn advance(
        &self,
        replay: &Replay,
        work: &[Again],
        now: Millis,
    ) -> Result<Option<Replay>, StoreError> {
        let (replay, work) = (replay.clone(), work.to_vec());
        self.call("advance", move |owner| owner.advance(&replay, &work, now)).await
    }

    async fn replay(&self, id: &ReplayId) -> Result<Option<Replay>, StoreError> {
        let id = *id;
        self.call("replay", move |owner| replay::find_replay(&owner.connection, id)).await
    }

    async fn replays(&self, filter: &ReplayFilter, page: &Page) -> Result<Listed<Replay>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.call("replays", move |owner| replay::replays(&owner.connection, &filter, &page)).await
    }
}
