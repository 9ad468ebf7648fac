//! One connection to a server: opened when it is first needed and again when it is lost, by one task for all who wait.
//!
//! Who finds the server known to be down waits no longer than [`HINT`] for a connection that is being opened, and not
//! at all when that time is over: the task goes on, and whoever asks after it has succeeded finds it open.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::address::speaking;
use super::sentinel::{Sentinels, away};
use super::{CONNECT, CROWDED};

/// Longest wait for a server that is known to be down.
const HINT: Duration = Duration::from_millis(50);

/// To whom a new connection leads.
pub(super) enum Way {
    /// Always there.
    To(Box<redis::ConnectionInfo>),
    /// Whoever is the primary by then.
    Primary(Arc<Sentinels>),
}

impl Way {
    pub(super) async fn client(&self, protocol: ProtocolVersion) -> RedisResult<Client> {
        let server = match self {
            Self::To(server) => (**server).clone(),
            Self::Primary(sentinels) => sentinels.primary().await?,
        };
        Client::open(speaking(server, protocol))
    }
}

/// What all lines to one server share.
pub(super) struct Trunk {
    way: Way,
    /// Whether the last try to connect, or the last wait for an answer, was in vain.
    down: AtomicBool,
    tasks: TaskTracker,
}

impl Trunk {
    pub(super) fn new(way: Way) -> Self {
        Self { way, down: AtomicBool::new(false), tasks: TaskTracker::new() }
    }

    pub(super) const fn way(&self) -> &Way {
        &self.way
    }
}

type Opening = Shared<BoxFuture<'static, RedisResult<Open>>>;

/// A connection, and which of its line's it is.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    number: u64,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    opening: Option<Opening>,
    /// How many were opened.
    opened: u64,
}

/// One connection of several to a server.
pub(super) struct Line {
    state: Mutex<State>,
    under_way: AtomicUsize,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), under_way: AtomicUsize::new(0) }
    }

    /// Requests under way.
    pub(super) fn load(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The connection, opened if need be.
    pub(super) async fn open(self: &Arc<Self>, trunk: &Arc<Trunk>) -> RedisResult<Open> {
        let opening = {
            let mut state = self.lock();
            if let Some(open) = &state.open {
                return Ok(open.clone());
            }
            state.opening.get_or_insert_with(|| begin(self, trunk)).clone()
        };
        opening.await
    }

    /// This connection is lost: the next request opens another.
    pub(super) fn lost(&self, open: &Open) {
        self.lost_number(open.number);
    }

    /// This connection does not answer: neither it nor the server is waited for any more.
    pub(super) fn silent(&self, open: &Open, trunk: &Trunk) {
        trunk.down.store(true, Ordering::Relaxed);
        self.lost(open);
    }

    /// Whichever connection there is, it leads to the wrong server.
    pub(super) fn leave(&self) {
        self.lock().open = None;
    }

    fn lost_number(&self, number: u64) {
        let mut state = self.lock();
        if state.open.as_ref().is_some_and(|open| open.number == number) {
            state.open = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to open a connection, in a task that ends by itself in bounded time.
fn begin(line: &Arc<Line>, trunk: &Arc<Trunk>) -> Opening {
    let task = trunk.tasks.spawn(connect(Arc::clone(line), Arc::clone(trunk)));
    let opened = task.map(|ended| ended.unwrap_or_else(|_| Err(away("the connection was not opened"))));
    if trunk.down.load(Ordering::Relaxed) {
        let hinted = timeout(HINT, opened);
        return hinted
            .map(|opened| opened.unwrap_or_else(|_| Err(away("the server is down"))))
            .boxed()
            .shared();
    }
    opened.boxed().shared()
}

async fn connect(line: Arc<Line>, trunk: Arc<Trunk>) -> RedisResult<Open> {
    let number = {
        let mut state = line.lock();
        state.opened = state.opened.wrapping_add(1);
        state.opened
    };
    let opened = dial(&line, &trunk.way, number).await;
    trunk.down.store(opened.is_err(), Ordering::Relaxed);
    let mut state = line.lock();
    state.opening = None;
    state.open = opened.as_ref().ok().cloned();
    opened
}

async fn dial(line: &Arc<Line>, way: &Way, number: u64) -> RedisResult<Open> {
    let dialled = async {
        // RESP3 tells of a lost connection at once, not at the next request
        let client = way.client(ProtocolVersion::RESP3).await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(2 * CROWDED)
            .set_push_sender(hang_up(Arc::downgrade(line), number));
        client.get_multiplexed_async_connection_with_config(&config).await
    };
    let connection = timeout(CONNECT, dialled).await.unwrap_or_else(|_elapsed| Err(late()))?;
    Ok(Open { connection, number })
}

/// Hears that a connection was lost.
fn hang_up(line: Weak<Line>, number: u64) -> impl Fn(PushInfo) -> Result<(), RedisError> {
    move |push| {
        if push.kind == PushKind::Disconnection
            && let Some(line) = line.upgrade()
        {
            line.lost_number(number);
        }
        Ok(())
    }
}

/// No answer in time.
pub(in super::super) fn late() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}

/// Counts a request on a line while it is under way, whichever way it ends.
pub(super) struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    pub(super) fn on(line: &'a Line) -> Self {
        line.under_way.fetch_add(1, Ordering::Relaxed);
        Self(&line.under_way)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
