//! The one that holds the connection and the schedule. It takes what is waiting, writes it as one transaction, and answers
//! only after the commit: under load, many share the price of one sync.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use tokio::sync::{Notify, mpsc, oneshot};

use super::changes::{Changes, Effect, Sums, apply};
use super::fault::Trouble;
use super::group::{Group, Write};
use super::mint::Mint;
use super::registry::Registry;
use super::rows::{parsed, read_delivery_id, read_moment};
use super::schedule::{Rules, Schedule, Slot, Waiter};
use super::transaction::whole;
use super::trim::used_bytes;
use super::{Location, schema};
use crate::clock::Millis;
use crate::seal::Seal;
use crate::store::{News, StoreSettings};

/// Most commands that share one transaction.
const GROUP: usize = 256;

/// Where an answer goes. Nobody may be there any more: then it is dropped.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Trouble>>;

/// What the thread is asked to do.
pub(super) enum Command {
    /// Shares a transaction with others of its kind.
    Write(Write),
    /// Done by itself, after the writes it arrived with.
    Call(Box<dyn FnOnce(&mut Owner) + Send>),
}

/// Two numbers from outside that make this life of the store unlike any other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds {
    /// Of new ids.
    pub(super) ids: u64,
    /// Where lease tokens begin.
    pub(super) tokens: u64,
}

/// The store itself, on its thread.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) connection: Connection,
    pub(super) schedule: Schedule,
    pub(super) registry: Registry,
    pub(super) seal: Seal,
    pub(super) mint: Mint,
    pub(super) settings: StoreSettings,
    pub(super) sums: Sums,
    /// Deleted endpoints with pending deliveries that are yet to become dead letters.
    pub(super) burying: BTreeSet<Slot>,
    /// When the last take was told to come again.
    pub(super) announced: Option<Millis>,
    /// Most bytes, when the database is in memory.
    memory_bytes: Option<u64>,
    wake: Arc<Notify>,
}

impl Owner {
    /// Opens the ledger and rebuilds the schedule from it.
    pub(super) fn open(
        location: Location,
        settings: StoreSettings,
        seal: Seal,
        seeds: Seeds,
        wake: Arc<Notify>,
    ) -> Result<Self, Trouble> {
        let memory_bytes = (location == Location::Memory).then_some(settings.memory_bytes);
        let connection = schema::open(location)?;
        let mut owner = Self {
            registry: Registry::load(&connection, &seal)?,
            seal,
            schedule: Schedule::new(&settings, seeds.tokens),
            mint: Mint::new(seeds.ids),
            sums: Sums::load(&connection)?,
            burying: half_buried(&connection)?,
            announced: None,
            memory_bytes,
            connection,
            settings,
            wake,
        };
        owner.rebuild()?;
        Ok(owner)
    }

    /// Does what comes until nobody can ask any more.
    pub(super) fn serve(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut waiting = Vec::with_capacity(GROUP);
        while inbox.blocking_recv_many(&mut waiting, GROUP) > 0 {
            self.attend(waiting.drain(..));
        }
    }

    /// Does what waited together.
    pub(super) fn attend(&mut self, waiting: impl IntoIterator<Item = Command>) {
        let (mut writes, mut calls) = (Vec::new(), Vec::new());
        for command in waiting {
            match command {
                Command::Write(write) => writes.push(write),
                Command::Call(call) => calls.push(call),
            }
        }
        if !writes.is_empty() {
            self.write(writes);
        }
        for call in calls {
            call(self);
        }
    }

    /// All that waited came at once: in which order it is done is free, so the writes go first, and together.
    fn write(&mut self, writes: Vec<Write>) {
        let group = Group::run(self, writes);
        group.finish(self);
    }

    /// Does one whole transaction, then what it changes in memory.
    pub(super) fn change<T>(
        &mut self,
        now: Millis,
        work: impl FnOnce(&Self) -> Result<(T, Changes), Trouble>,
    ) -> Result<T, Trouble> {
        let (answer, changes) = whole(&self.connection, || {
            let (answer, changes) = work(self)?;
            Sums::write(changes.sums, &self.connection)?;
            Ok((answer, changes))
        })?;
        self.sums.add(changes.sums);
        self.apply(&changes.effects, now);
        Ok(answer)
    }

    /// Does to the schedule what is now durable, and wakes who can use it. Answers how endpoints turned by it, each
    /// turn once.
    pub(super) fn apply(&mut self, effects: &[Effect], now: Millis) -> Vec<News> {
        let turns = apply(&mut self.schedule, effects, now);
        self.wake_if_sooner(now);
        let mut news = Vec::new();
        for (slot, turn) in turns {
            let endpoint = self.registry.at(slot).map(|endpoint| endpoint.id.clone());
            let told = endpoint.map(|endpoint| News { endpoint, turn });
            news.extend(told.filter(|told| !news.contains(told)));
        }
        news
    }

    /// Wakes who waits, when something is due now or sooner than the last take was told.
    pub(super) fn wake_if_sooner(&mut self, now: Millis) {
        let Some(next) = self.schedule.next() else { return };
        if next <= now || self.announced.is_none_or(|announced| next < announced) {
            self.announced = Some(next);
            self.wake.notify_waiters();
            self.wake.notify_one();
        }
    }

    /// How many bytes there are and may be, when the database is in memory.
    pub(super) fn memory(&self) -> Result<Option<(u64, u64)>, Trouble> {
        self.memory_bytes.map(|most| Ok((used_bytes(&self.connection)?, most))).transpose()
    }

    /// Puts everything pending back where it was. No clock is asked: the first take moves what is due.
    fn rebuild(&mut self) -> Result<(), Trouble> {
        let mut select = self.connection.prepare(
            "SELECT id, due, step FROM deliveries WHERE endpoint = ?1 AND state = 0 AND line IS NULL",
        )?;
        let mut select_lined = self.connection.prepare(
            "SELECT id, due, step, line FROM deliveries \
             WHERE endpoint = ?1 AND state = 0 AND line IS NOT NULL ORDER BY line, place",
        )?;
        for entry in self.registry.iter() {
            let endpoint = &*entry.endpoint;
            self.schedule.open(entry.slot, &endpoint.tenant, Rules::from(endpoint), Millis(0));
            let mut rows = select.query(params![entry.slot.0])?;
            while let Some(row) = rows.next()? {
                let Waiter { delivery, due, again } = read_waiter(row)?;
                self.schedule.push(entry.slot, due, delivery, again, Millis(0));
            }
            let mut rows = select_lined.query(params![entry.slot.0])?;
            while let Some(row) = rows.next()? {
                let line = parsed(row, "line", "deliveries.line")?;
                self.schedule.line_up(entry.slot, line, read_waiter(row)?, Millis(0));
            }
        }
        Ok(())
    }
}

fn read_waiter(row: &Row<'_>) -> Result<Waiter, Trouble> {
    let (delivery, due) = (read_delivery_id(row, "id")?, read_moment(row, "due")?);
    Ok(Waiter { delivery, due, again: row.get::<_, i64>("step")? > 0 })
}

/// Endpoints that were deleted while the process died in the middle of it.
fn half_buried(connection: &Connection) -> Result<BTreeSet<Slot>, Trouble> {
    let mut select = connection.prepare(
        "SELECT slot FROM endpoints WHERE body IS NULL \
         AND EXISTS (SELECT 1 FROM deliveries WHERE endpoint = slot AND state = 0)",
    )?;
    let mut rows = select.query([])?;
    let mut slots = BTreeSet::new();
    while let Some(row) = rows.next()? {
        slots.insert(Slot(row.get("slot")?));
    }
    Ok(slots)
}
