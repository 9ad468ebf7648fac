//! Connections kept open between attempts, each for the origin it was made for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connection::Connection;
use super::guard::Route;
use super::identity::Fingerprint;
use super::tasks::Tasks;
use crate::clock::Stopwatch;

/// What a connection is for. Nothing else is ever sent on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) https: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// As whom we go there.
    pub(super) identity: Option<Fingerprint>,
}

/// A connection that rests, or is shared.
#[derive(Debug)]
struct Kept {
    connection: Connection,
    since: Stopwatch,
}

impl Kept {
    fn is_good(&self) -> bool {
        !self.connection.is_over() && self.since.elapsed() < Pool::IDLE
    }
}

/// What is known of one origin.
#[derive(Debug, Default)]
struct Slot {
    shared: Option<Kept>,
    idle: Vec<Kept>,
    /// Whoever holds it opens a connection; the others wait whether they can share it.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// It does not speak HTTP/2: there is nothing to wait for.
    each_for_itself: bool,
}

impl Slot {
    fn kept(&self) -> usize {
        self.idle.len() + usize::from(self.shared.is_some())
    }

    fn take(&mut self, route: &Route) -> Option<Connection> {
        let good = |kept: &Kept| kept.is_good() && route.leads_to(kept.connection.reached);
        self.shared.take_if(|kept| !good(kept));
        if let Some(kept) = &mut self.shared {
            kept.since = Stopwatch::start();
            return kept.connection.share();
        }
        self.idle.retain(good);
        self.idle.pop().map(|kept| kept.connection)
    }

    fn keep(&mut self, connection: Connection) {
        let kept = Kept { connection, since: Stopwatch::start() };
        if kept.connection.is_shared() {
            self.shared = Some(kept);
        } else {
            self.idle.push(kept);
        }
    }
}

#[derive(Debug, Default)]
struct Slots {
    by_origin: HashMap<Origin, Slot>,
    /// Connections in all slots.
    kept: usize,
    /// Whether a task looks after what rests.
    watched: bool,
}

/// The kept connections. HTTP/1.1 ones rest here between two requests; an HTTP/2 one is shared by all of its origin.
#[derive(Debug)]
pub(super) struct Pool {
    slots: Mutex<Slots>,
    pub(super) tasks: Tasks,
    most: usize,
}

impl Pool {
    /// Shorter than the 5 s after which widely used servers close: what is reused is rarely already closed.
    const IDLE: Duration = Duration::from_secs(4);

    /// `most`: connections that may rest at once.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { slots: Mutex::default(), tasks: Tasks::default(), most })
    }

    /// A kept connection of this origin whose other end is still on the route that was just judged.
    pub(super) fn take(&self, origin: &Origin, route: &Route) -> Option<Connection> {
        let mut slots = self.lock();
        let Slots { by_origin, kept, .. } = &mut *slots;
        let slot = by_origin.get_mut(origin)?;
        let before = slot.kept();
        let taken = slot.take(route);
        *kept = kept.saturating_sub(before.saturating_sub(slot.kept()));
        taken
    }

    /// Keeps a connection for the next who comes. Where there is no room for it, it is closed.
    pub(super) fn keep(self: &Arc<Self>, origin: &Origin, connection: Connection) {
        let mut slots = self.lock();
        if connection.is_over() || slots.kept >= self.most {
            return;
        }
        let slot = self.slot(&mut slots, origin);
        let before = slot.kept();
        slot.keep(connection);
        let more = slot.kept().saturating_sub(before);
        slots.kept = slots.kept.saturating_add(more);
    }

    /// Connections to this origin cannot be shared: nobody needs to wait for another's.
    pub(super) fn each_for_itself(self: &Arc<Self>, origin: &Origin) {
        self.slot(&mut self.lock(), origin).each_for_itself = true;
    }

    /// What to hold while opening a connection that others may be able to share; `None` when they will not be.
    pub(super) fn turn(self: &Arc<Self>, origin: &Origin) -> Option<Arc<tokio::sync::Mutex<()>>> {
        if !origin.https {
            return None;
        }
        let mut slots = self.lock();
        let slot = self.slot(&mut slots, origin);
        (!slot.each_for_itself).then(|| Arc::clone(&slot.turn))
    }

    fn slot<'a>(self: &Arc<Self>, slots: &'a mut Slots, origin: &Origin) -> &'a mut Slot {
        if !std::mem::replace(&mut slots.watched, true) {
            self.watch();
        }
        slots.by_origin.entry(origin.clone()).or_default()
    }

    /// Closes what has rested for too long, as long as there is anything.
    fn watch(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(Self::IDLE / 4).await;
                if pool.upgrade().is_none_or(|pool| pool.sweep()) {
                    break;
                }
            }
        });
    }

    /// Whether nothing is left.
    fn sweep(&self) -> bool {
        let mut slots = self.lock();
        slots.by_origin.retain(|_, slot| {
            slot.shared.take_if(|kept| !kept.is_good());
            slot.idle.retain(Kept::is_good);
            slot.kept() > 0 || Arc::strong_count(&slot.turn) > 1
        });
        slots.kept = slots.by_origin.values().map(Slot::kept).sum();
        slots.watched = !slots.by_origin.is_empty();
        !slots.watched
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tasks.end();
    }
}
