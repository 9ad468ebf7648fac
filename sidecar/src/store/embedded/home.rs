//! Where the owner lives. Over a file: on a thread of its own, for a disk may be slow, and what waits for one sync
//! shares it. In memory: with whoever asks, for the work is shorter than waking a thread to do it.

use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::fault::Trouble;
use super::owner::{Command, Owner};

/// Most commands waiting for the thread; one more waits for room.
const INBOX: usize = 1024;

/// The owner, to be asked from any task. Dropping it finishes what was asked, closes the database, and blocks until that
/// is done.
pub(super) enum Home {
    /// On its own thread.
    Thread {
        /// `None` only while dropping.
        inbox: Option<mpsc::Sender<Command>>,
        thread: Option<JoinHandle<()>>,
    },
    /// With whoever asks.
    Here(Arc<Here>),
}

/// An owner without a thread. Whoever finds it free does all that waits, as one transaction; nobody waits for it to be
/// free, for whoever has it looks again before going.
pub(super) struct Here {
    inbox: Mutex<Vec<Command>>,
    owner: Mutex<Owner>,
}

impl Here {
    /// How often one task does what others brought meanwhile, before another one goes on.
    const ROUNDS: usize = 4;

    /// `false`: the owner is gone.
    async fn ask(self: &Arc<Self>, command: Command) -> bool {
        self.inbox().push(command);
        // Whoever else is ready to bring something does so first. One that goes away meanwhile leaves what it brought to
        // the next.
        tokio::task::yield_now().await;
        self.attend()
    }

    fn attend(self: &Arc<Self>) -> bool {
        for _ in 0..Self::ROUNDS {
            let mut owner = match self.owner.try_lock() {
                Ok(owner) => owner,
                Err(TryLockError::WouldBlock) => return true,
                Err(TryLockError::Poisoned(_)) => return false,
            };
            let waiting = std::mem::take(&mut *self.inbox());
            owner.attend(waiting);
            drop(owner);
            // Only now: what was brought before this was brought by one who may have found the owner taken.
            if self.inbox().is_empty() {
                return true;
            }
        }
        let here = Arc::clone(self);
        TaskTracker::new().spawn(async move { here.attend() });
        true
    }

    fn inbox(&self) -> MutexGuard<'_, Vec<Command>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Home {
    /// With whoever asks.
    pub(super) fn here(owner: Owner) -> Self {
        Self::Here(Arc::new(Here { inbox: Mutex::default(), owner: Mutex::new(owner) }))
    }

    /// On a thread.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) fn on_thread(owner: Owner) -> Result<Self, Trouble> {
        let (inbox, commands) = mpsc::channel(INBOX);
        let thread = std::thread::Builder::new()
            .name("hookgate-store".to_owned())
            .spawn(move || owner.serve(commands))
            .map_err(|error| Trouble::NoThread(Arc::new(error)))?;
        Ok(Self::Thread { inbox: Some(inbox), thread: Some(thread) })
    }

    /// Has it done; the answer goes where the command says. `false`: the owner is gone.
    pub(super) async fn ask(&self, command: Command) -> bool {
        match self {
            Self::Thread { inbox: Some(inbox), .. } => inbox.send(command).await.is_ok(),
            Self::Thread { inbox: None, .. } => false,
            Self::Here(here) => here.ask(command).await,
        }
    }
}

impl Debug for Home {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread { .. } => "Thread",
            Self::Here(_) => "Here",
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Self::Thread { inbox, thread } = self {
            drop(inbox.take());
            if thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("store: its thread panicked");
            }
        }
    }
}
