//! The way to Redis: a few multiplexed connections that come back by themselves, and never make a caller wait long.

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{
    Client, FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisResult, ScriptInvocation,
};
use tokio::sync::OnceCell;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// Longest wait for an answer: longer than an fsync stalls, shorter than a producer's patience.
const ANSWER: Duration = Duration::from_secs(2);
/// Requests under way on a connection before the next connection is used. Few, well filled connections cost the
/// least: requests that wait together are written, and synced to disk, together.
const CROWDED: usize = 64;

/// Whether a call whose answer was lost may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Making it twice is making it once.
    Safe,
    /// Only when it surely was not made.
    IfNotMade,
}

/// One connection, made when it is first needed.
#[derive(Default)]
struct Slot {
    connection: OnceCell<ConnectionManager>,
    under_way: AtomicUsize,
}

/// All of them.
pub(super) struct Link {
    client: Client,
    subscriber: Client,
    slots: Vec<Slot>,
}

impl Debug for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("pool", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Link {
    /// Prepares up to `pool` connections (at least one); makes none yet.
    pub(super) fn new(url: &str, pool: usize) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let with = |protocol| {
            let settings = info.redis_settings().clone().set_protocol(protocol);
            Client::open(info.clone().set_redis_settings(settings))
        };
        Ok(Self {
            // RESP3 tells of a lost connection at once, not at the next request
            client: with(ProtocolVersion::RESP3)?,
            subscriber: with(ProtocolVersion::RESP2)?,
            slots: (0..pool.max(1)).map(|_| Slot::default()).collect(),
        })
    }

    /// Runs a script, loading it when Redis does not know it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        again: Again,
    ) -> RedisResult<T> {
        let (slot, _under_way) = self.slot()?;
        let mut connection = slot.connection(&self.client).await?;
        match script.invoke_async(&mut connection).await {
            // what a connection failed with is answered once more to the first who asks after it
            Err(error) if error.is_connection_refusal() => script.invoke_async(&mut connection).await,
            Err(error) if error.is_connection_dropped() && again == Again::Safe => {
                script.invoke_async(&mut connection).await
            }
            answer => answer,
        }
    }

    /// Runs plain commands, which must be safe to repeat.
    pub(super) async fn query<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let (slot, _under_way) = self.slot()?;
        let mut connection = slot.connection(&self.client).await?;
        match commands.query_async(&mut connection).await {
            Err(error) if error.is_connection_dropped() => commands.query_async(&mut connection).await,
            answer => answer,
        }
    }

    /// A connection of its own that listens to a channel.
    pub(super) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let connect = async {
            let mut listener = self.subscriber.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener)
        };
        tokio::time::timeout(CONNECT, connect).await.unwrap_or_else(|_| {
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer to a subscription").into())
        })
    }

    /// The first connection that is not crowded, else the one with the least to do.
    fn slot(&self) -> RedisResult<(&Slot, UnderWay<'_>)> {
        let load = |slot: &&Slot| slot.under_way.load(Ordering::Relaxed);
        let free = self.slots.iter().find(|slot| load(slot) < CROWDED);
        let slot = free
            .or_else(|| self.slots.iter().min_by_key(load))
            .ok_or((redis::ErrorKind::Client, "a pool without a connection"))?;
        Ok((slot, UnderWay::begin(&slot.under_way)))
    }
}

impl Slot {
    async fn connection(&self, client: &Client) -> RedisResult<ConnectionManager> {
        let connect = || async {
            let config = ConnectionManagerConfig::new()
                .set_number_of_retries(0)
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(ANSWER))
                .set_pipeline_buffer_size(2 * CROWDED);
            ConnectionManager::new_lazy_with_config(client.clone(), config)
        };
        self.connection.get_or_try_init(connect).await.cloned()
    }
}

/// Counts a request while it is under way, whichever way it ends.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
