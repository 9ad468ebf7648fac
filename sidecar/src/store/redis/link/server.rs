//! One server, over a few multiplexed connections.

use std::pin::Pin;
use std::sync::Arc;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    ErrorKind, Pipeline, ProtocolVersion, RedisError, RedisResult, ScriptInvocation, ServerErrorKind, Value,
    from_redis_value, pipe,
};
use tokio::time::{Sleep, timeout};

use super::super::settings::ReplicaWait;
use super::line::{Line, Trunk, UnderWay, Way, late};
use super::sentinel::away;
use super::{CONNECT, CROWDED};

/// What a server is asked to do.
#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    /// Run a script, loading it when it is not known.
    Script(&'a ScriptInvocation<'a>),
    /// The same, and wait for replicas to have it.
    Acknowledged(&'a ScriptInvocation<'a>, ReplicaWait),
    /// Run plain commands.
    Commands(&'a Pipeline),
}

/// What was not done, as far as is known.
pub(super) struct Undone {
    pub(super) error: RedisError,
    /// Whether it surely did not reach the server.
    pub(super) unsent: bool,
}

/// One server. Its connections are opened when they are needed and closed with it.
pub(super) struct Server {
    trunk: Arc<Trunk>,
    lines: Vec<Arc<Line>>,
    /// For work that waits for replicas: whatever is sent after it on the same connection waits as well.
    waiting: Vec<Arc<Line>>,
}

impl Server {
    pub(super) fn new(way: Way, pool: usize) -> Self {
        let lines = || (0..pool.max(1)).map(|_| Arc::new(Line::new())).collect();
        Self { trunk: Arc::new(Trunk::new(way)), lines: lines(), waiting: lines() }
    }

    /// Where it is, if that never changes.
    pub(super) fn info(&self) -> Option<&redis::ConnectionInfo> {
        match self.trunk.way() {
            Way::To(info) => Some(info),
            Way::Primary(_) => None,
        }
    }

    /// Does it, while `patience` lasts. Replies to commands come one by one, errors among them.
    pub(super) async fn work(&self, work: Work<'_>, mut patience: Pin<&mut Sleep>) -> Result<Value, Undone> {
        let line = self.line(work).ok_or_else(|| Undone { error: away("a pool of none"), unsent: true })?;
        let _under_way = UnderWay::on(line);
        let open = tokio::select! {
            biased;
            open = line.open(&self.trunk) => open,
            () = patience.as_mut() => Err(late()),
        };
        let open = open.map_err(|error| Undone { error, unsent: true })?;
        let mut connection = open.connection.clone();
        let answer = tokio::select! {
            biased;
            answer = work.on(&mut connection) => answer,
            () = patience => {
                line.silent(&open, &self.trunk);
                Err(late())
            }
        };
        answer.map_err(|error| {
            if error.is_connection_dropped() {
                line.lost(&open);
            }
            Undone { error, unsent: false }
        })
    }

    /// Leads somewhere else by now, or should: all connect anew.
    pub(super) fn leave(&self) {
        self.lines.iter().chain(&self.waiting).for_each(|line| line.leave());
    }

    /// A connection of its own that listens to a channel.
    pub(super) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let connect = async {
            let client = self.trunk.way().client(ProtocolVersion::RESP2).await?;
            let mut listener = client.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener)
        };
        timeout(CONNECT, connect).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    /// The first connection that is not crowded, else the one with the least to do; to wait on, one of its own.
    fn line(&self, work: Work<'_>) -> Option<&Arc<Line>> {
        let (lines, crowded) = match work {
            Work::Script(_) | Work::Commands(_) => (&self.lines, CROWDED),
            Work::Acknowledged(..) => (&self.waiting, 1),
        };
        let free = lines.iter().find(|line| line.load() < crowded);
        free.or_else(|| lines.iter().min_by_key(|line| line.load()))
    }
}

impl Work<'_> {
    async fn on(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::Script(script) => script.invoke_async(connection).await,
            Self::Commands(commands) => commands.query_async(connection).await,
            Self::Acknowledged(script, wait) => match acknowledged(connection, script, wait).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(connection).await?;
                    acknowledged(connection, script, wait).await
                }
                answer => answer,
            },
        }
    }
}

/// The script and the wait leave together: one way there and back, and nothing of others between them.
async fn acknowledged(
    connection: &mut MultiplexedConnection,
    script: &ScriptInvocation<'_>,
    wait: ReplicaWait,
) -> RedisResult<Value> {
    let mut both = pipe();
    both.ignore_errors().invoke_script(script);
    both.cmd("WAIT")
        .arg(wait.replicas)
        .arg(wait.timeout.min(ReplicaWait::LONGEST).as_millis().max(1).to_string());
    let (answer, replicas): (Value, Value) = both.query_async(connection).await?;
    let answer = answer.extract_error()?;
    let replicas: u64 = from_redis_value(replicas.extract_error()?)?;
    if replicas < u64::from(wait.replicas) {
        let few = format!("{replicas} of {} replicas have it", wait.replicas);
        return Err(std::io::Error::other(few).into());
    }
    Ok(answer)
}
