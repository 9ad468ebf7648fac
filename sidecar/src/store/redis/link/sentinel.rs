//! Who is the primary: the Sentinels are asked for every new connection, so a failover is followed by connecting anew.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::select_ok;
use redis::aio::PubSub;
use redis::{Client, ConnectionInfo, RedisError, RedisResult, Value, cmd};
use tokio::time::{sleep, timeout};

use super::address::elsewhere;

/// Longest wait for one Sentinel's word, and for its primary's own.
const WORD: Duration = Duration::from_millis(800);

/// How often a connection on which nothing is said is tested.
const LOOK: Duration = Duration::from_secs(5);
/// Before the next Sentinel is listened to.
const PAUSE: Duration = Duration::from_secs(1);

/// The Sentinels of one primary.
pub(super) struct Sentinels {
    sentinels: Vec<Client>,
    name: String,
    /// The primary at whatever host.
    server: ConnectionInfo,
}

impl Sentinels {
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        name: String,
        server: ConnectionInfo,
    ) -> RedisResult<Self> {
        let sentinels = sentinels.into_iter().map(Client::open).collect::<RedisResult<_>>()?;
        Ok(Self { sentinels, name, server })
    }

    /// The first server that a Sentinel calls the primary and that calls itself so: a Sentinel that was cut off may
    /// believe in one that is none any more.
    pub(super) async fn primary(&self) -> RedisResult<ConnectionInfo> {
        let asked = self.sentinels.iter().map(|sentinel| Box::pin(self.ask(sentinel)));
        select_ok(asked).await.map(|(primary, _others)| primary)
    }

    /// Listens to the Sentinels, one after the other, and calls `left` whenever the primary is another one, or may be:
    /// the old one is demoted only seconds later, and what it takes until then is lost. Being cut off is safe.
    pub(super) async fn watch(&self, left: impl Fn()) {
        for sentinel in self.sentinels.iter().cycle() {
            match hear(sentinel).await {
                Ok(news) => self.heed(news, &left).await,
                Err(error) => tracing::debug!(%error, "not listening to a sentinel"),
            }
            sleep(PAUSE).await;
            left();
        }
    }

    /// Until the connection is lost.
    async fn heed(&self, news: PubSub, left: &impl Fn()) {
        let (mut sink, mut news) = news.split();
        loop {
            match timeout(LOOK, news.next()).await {
                Ok(Some(message)) => {
                    let words = message.get_payload::<String>().unwrap_or_default();
                    if words.split(' ').next() == Some(&self.name) {
                        tracing::warn!("sentinel names another primary; connecting to it");
                        left();
                    }
                }
                Ok(None) => return,
                Err(_quiet) if matches!(timeout(WORD, sink.ping::<Value>()).await, Ok(Ok(_))) => {}
                Err(_quiet) => return,
            }
        }
    }

    async fn ask(&self, sentinel: &Client) -> RedisResult<ConnectionInfo> {
        let mut named = cmd("SENTINEL");
        named.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let address: Option<(String, u16)> = word(sentinel, &named).await?;
        let unknown =
            (redis::ErrorKind::MasterNameNotFoundBySentinel, "Sentinel knows no primary of this name");
        let (host, port) = address.ok_or(unknown)?;
        let primary = elsewhere(&self.server, &host, port);
        let role: Vec<Value> = word(&Client::open(primary.clone())?, &cmd("ROLE")).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(primary),
            _ => Err(away("whom Sentinel calls the primary is none")),
        }
    }
}

async fn hear(sentinel: &Client) -> RedisResult<PubSub> {
    let connect = async {
        let mut news = sentinel.get_async_pubsub().await?;
        news.subscribe("+switch-master").await?;
        Ok(news)
    };
    timeout(WORD, connect).await.unwrap_or_else(|_elapsed| Err(away("a Sentinel does not answer")))
}

async fn word<T: redis::FromRedisValue>(server: &Client, command: &redis::Cmd) -> RedisResult<T> {
    let asked = async {
        let mut connection = server.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    };
    timeout(WORD, asked)
        .await
        .unwrap_or_else(|_elapsed| Err(away("no word of Sentinel, or of whom it names")))
}

/// What is answered in the place of a server that is not there.
pub(super) fn away(what: &'static str) -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, what).into()
}
