//! The way to Redis, whichever kind it is: one server, the primary that Sentinels name, or the nodes of a cluster.
//!
//! Connections come back by themselves, and nobody waits long: a call ends within its patience, and at once while the
//! server is known to be down. An answer that shows that we asked the wrong server (`MOVED`, `READONLY`, a lost
//! connection) makes us look where Redis is by now, and what surely was not done is tried once more there.

mod address;
mod cluster;
mod line;
mod next;
mod sentinel;
mod server;
mod slot;

use std::fmt::{self, Debug, Formatter};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::aio::PubSub;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation, ServerErrorKind,
    Value, from_redis_value,
};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::address::Address;
pub use self::address::InvalidRedis;
use self::cluster::Cluster;
use self::line::Way;
pub(super) use self::line::late;
use self::next::next;
use self::sentinel::Sentinels;
use self::server::{Server, Undone, Work};
use super::keys::{Keys, Place};
use super::settings::{RedisSettings, ReplicaWait};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// Longest wait for an answer: longer than an fsync stalls.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest wait for an event to be accepted: a producer has less patience than we have.
pub(super) const ACCEPT: Duration = Duration::from_secs(1);
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

enum Kind {
    One(Arc<Server>),
    Cluster(Cluster),
}

/// The way to Redis.
pub(super) struct Link {
    kind: Kind,
    wait: Option<ReplicaWait>,
    /// Ends what runs beside the calls.
    _running: DropGuard,
}

impl Debug for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("wait", &self.wait).finish_non_exhaustive()
    }
}

/// Plain commands, each for the place of its key. They must be safe to repeat.
#[derive(Debug, Default)]
pub(super) struct Commands(Vec<(Place, Cmd)>);

impl Commands {
    pub(super) fn add(&mut self, place: impl Into<Place>, command: Cmd) {
        self.0.push((place.into(), command));
    }
}

impl RedisSettings {
    /// Whether the URL and the certificates can be.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), InvalidRedis> {
        Address::parse(self).map(|_| ())
    }
}

impl Link {
    /// Prepares it, and connects to nothing yet. Must be called inside a Tokio runtime.
    pub(super) fn new(
        settings: &RedisSettings,
        keys: &Keys,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let pool = settings.pool;
        let stop = CancellationToken::new();
        let kind = match Address::parse(settings)? {
            Address::Server(server) => Kind::One(Arc::new(Server::new(Way::To(Box::new(server)), pool))),
            Address::Sentinel { sentinels, name, server } => {
                let sentinels = Arc::new(Sentinels::new(sentinels, name, server)?);
                let server = Arc::new(Server::new(Way::Primary(Arc::clone(&sentinels)), pool));
                let primary = Arc::clone(&server);
                let watch = async move { sentinels.watch(|| primary.leave()).await };
                TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(watch));
                Kind::One(server)
            }
            Address::Cluster(seeds) => {
                let keys: Vec<String> = Place::all().map(|place| keys.somewhere_in(place)).collect();
                Kind::Cluster(
                    Cluster::new(seeds, pool, &keys, &stop).ok_or("no node of the cluster is named")?,
                )
            }
        };
        Ok(Self { kind, wait: settings.wait, _running: stop.drop_guard() })
    }

    /// Runs a script, loading it when Redis does not know it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        place: impl Into<Place>,
        script: &ScriptInvocation<'_>,
        again: Again,
    ) -> RedisResult<T> {
        let answer = self.work(place.into(), Work::Script(script), again, pin!(sleep(ANSWER))).await?;
        Ok(from_redis_value(answer)?)
    }

    /// Runs a script that accepts, and answers when as many replicas have it as must. May be made again.
    pub(super) async fn accept<T: FromRedisValue>(
        &self,
        place: impl Into<Place>,
        script: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let work = self.wait.map_or(Work::Script(script), |wait| Work::Acknowledged(script, wait));
        let answer = self.work(place.into(), work, Again::Safe, pin!(sleep(ACCEPT))).await?;
        Ok(from_redis_value(answer)?)
    }

    /// Runs one plain command, as patiently as an accept, which may begin with one.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        place: impl Into<Place>,
        command: Cmd,
    ) -> RedisResult<T> {
        let mut one = Pipeline::with_capacity(1);
        one.add_command(command);
        let mut answers = self.pipe(place.into(), &mut one, ACCEPT).await?;
        Ok(from_redis_value(answers.pop().unwrap_or(Value::Nil))?)
    }

    /// Runs plain commands together; their answers are in their order.
    pub(super) async fn query<T: FromRedisValue>(&self, commands: Commands) -> RedisResult<Vec<T>> {
        let groups = match &self.kind {
            Kind::One(_) => one_group(commands),
            Kind::Cluster(_) => by_place(commands),
        };
        let answers = groups.into_iter().map(|(place, numbers, mut pipeline)| async move {
            Ok::<_, RedisError>(numbers.into_iter().zip(self.pipe(place, &mut pipeline, ANSWER).await?))
        });
        let mut answers: Vec<(usize, Value)> = try_join_all(answers).await?.into_iter().flatten().collect();
        answers.sort_unstable_by_key(|(number, _)| *number);
        answers.into_iter().map(|(_, answer)| Ok(from_redis_value(answer)?)).collect()
    }

    /// A connection of its own that listens to a channel.
    pub(super) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        match &self.kind {
            Kind::One(server) => server.subscribe(channel).await,
            Kind::Cluster(cluster) => cluster.subscribe(channel).await,
        }
    }

    async fn pipe(
        &self,
        place: Place,
        commands: &mut Pipeline,
        patience: Duration,
    ) -> RedisResult<Vec<Value>> {
        let commands = Work::Commands(commands.ignore_errors());
        let answers = self.work(place, commands, Again::Safe, pin!(sleep(patience))).await?;
        Ok(from_redis_value(answers)?)
    }

    async fn work(
        &self,
        place: Place,
        work: Work<'_>,
        again: Again,
        patience: Pin<&mut Sleep>,
    ) -> RedisResult<Value> {
        match &self.kind {
            Kind::One(server) => at_one(server, work, again, patience).await,
            Kind::Cluster(cluster) => in_cluster(cluster, place, work, again, patience).await,
        }
    }
}

async fn at_one(
    server: &Server,
    work: Work<'_>,
    again: Again,
    mut patience: Pin<&mut Sleep>,
) -> RedisResult<Value> {
    match attempt(server, work, patience.as_mut()).await {
        Err(undone) if !undone.unsent && next(&undone, again).again => {
            if undone.error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
                server.leave();
            }
            attempt(server, work, patience).await
        }
        answer => answer,
    }
    .map_err(|undone| undone.error)
}

async fn in_cluster(
    cluster: &Cluster,
    place: Place,
    work: Work<'_>,
    again: Again,
    mut patience: Pin<&mut Sleep>,
) -> RedisResult<Value> {
    let place = place.index();
    let first: Arc<Server> = tokio::select! {
        biased;
        server = cluster.server(place) => server?,
        () = patience.as_mut() => return Err(late()),
    };
    let undone = match attempt(&first, work, patience.as_mut()).await {
        Ok(answer) => return Ok(answer),
        Err(undone) => undone,
    };
    let next = next(&undone, again);
    if !next.look {
        return Err(undone.error);
    }
    let Ok(second) = cluster.look_again(place, &first, &undone.error).await else { return Err(undone.error) };
    // one that refused a connection a moment ago is not asked again
    if !next.again || (undone.unsent && Arc::ptr_eq(&first, &second)) {
        return Err(undone.error);
    }
    attempt(&second, work, patience).await.map_err(|undone| undone.error)
}

/// Commands are done when none of them was refused.
async fn attempt(server: &Server, work: Work<'_>, patience: Pin<&mut Sleep>) -> Result<Value, Undone> {
    let answer = server.work(work, patience).await?;
    match work {
        Work::Commands(_) => answer.extract_error().map_err(|error| Undone { error, unsent: false }),
        Work::Script(_) | Work::Acknowledged(..) => Ok(answer),
    }
}

type Group = (Place, Vec<usize>, Pipeline);

fn one_group(commands: Commands) -> Vec<Group> {
    let numbers = (0..commands.0.len()).collect();
    let mut pipeline = Pipeline::with_capacity(commands.0.len());
    for (_, command) in commands.0 {
        pipeline.add_command(command);
    }
    if pipeline.is_empty() { Vec::new() } else { vec![(Place::Layout, numbers, pipeline)] }
}

fn by_place(commands: Commands) -> Vec<Group> {
    let mut groups: Vec<Group> = Place::all().map(|place| (place, Vec::new(), Pipeline::new())).collect();
    for (number, (place, command)) in commands.0.into_iter().enumerate() {
        if let Some((_, numbers, pipeline)) = groups.get_mut(place.index()) {
            numbers.push(number);
            pipeline.add_command(command);
        }
    }
    groups.retain(|(_, numbers, _)| !numbers.is_empty());
    groups
}
