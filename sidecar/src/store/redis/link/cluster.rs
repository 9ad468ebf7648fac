//! Which node of a cluster has which place: a map that one task keeps, and looks at anew when somebody was sent wrong.
//!
//! Only the slots of our places count, of which there are few; each is asked of the one node that serves it. While a
//! slot is being moved (`ASK`) its shard is away: half of its keys would be at either node, and a script needs all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::PubSub;
use redis::{ConnectionInfo, RedisError, RedisResult, Value, from_redis_value, pipe};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::{elsewhere, host_and_port};
use super::line::Way;
use super::sentinel::away;
use super::server::{Server, Work};
use super::slot::slot;

/// Longest wait for the nodes to tell the map.
const TELL: Duration = Duration::from_millis(800);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait of a call for a look that it asked for.
const HINT: Duration = Duration::from_millis(50);

/// A node, by the host and port that the cluster calls it.
type Name = (String, u16);

/// Who serves what, as far as is known.
#[derive(Default)]
struct Map {
    /// Whether anybody was asked yet.
    looked: bool,
    nodes: HashMap<Name, Arc<Server>>,
    /// By place; `None` when no node serves it.
    places: Vec<Option<Arc<Server>>>,
}

/// What the calls and the task share.
struct Shared {
    /// The slot of each place.
    slots: Vec<u16>,
    /// Any node, for its user and trust.
    like: ConnectionInfo,
    pool: usize,
    seeds: Vec<Arc<Server>>,
    map: watch::Sender<Map>,
    look: Notify,
}

/// The way into a cluster.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    listened: AtomicUsize,
}

impl Cluster {
    /// Begins with these nodes; `keys` is one key of each place. Runs a task until `stop`.
    pub(super) fn new(
        seeds: Vec<ConnectionInfo>,
        pool: usize,
        keys: &[String],
        stop: &CancellationToken,
    ) -> Option<Self> {
        let like = seeds.first()?.clone();
        let seeds =
            seeds.into_iter().map(|seed| Arc::new(Server::new(Way::To(Box::new(seed)), pool))).collect();
        let slots = keys.iter().map(|key| slot(key.as_bytes())).collect();
        let map = watch::Sender::new(Map::default());
        let shared = Arc::new(Shared { slots, like, pool, seeds, map, look: Notify::new() });
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(keep(Arc::clone(&shared))));
        Some(Self { shared, listened: AtomicUsize::new(0) })
    }

    /// Who serves a place. Waits only for the very first look.
    pub(super) async fn server(&self, place: usize) -> RedisResult<Arc<Server>> {
        let mut map = self.shared.map.subscribe();
        let looked = map.wait_for(|map| map.looked).await;
        let server = looked.ok().and_then(|map| map.places.get(place).cloned().flatten());
        server.ok_or_else(|| {
            self.shared.look.notify_one();
            away("no node of the cluster serves this shard")
        })
    }

    /// `server` was the wrong one for `place`, or did not answer. Believes whom it named instead, and asks the others
    /// who it is; answers the one to try now.
    pub(super) async fn look_again(
        &self,
        place: usize,
        server: &Arc<Server>,
        error: &RedisError,
    ) -> RedisResult<Arc<Server>> {
        let mut map = self.shared.map.subscribe();
        self.shared.look.notify_one();
        if let Some((name, _slot)) = error.redirect_node() {
            self.shared.believe(place, server, name);
        } else {
            map.mark_unchanged();
            let _looked_or_late = timeout(HINT, map.changed()).await.is_ok();
        }
        self.server(place).await
    }

    /// Listens at one of the nodes, each time at another: what is said at any is heard at all.
    pub(super) async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let turn = self.listened.fetch_add(1, Ordering::Relaxed);
        let nodes: Vec<Arc<Server>> = {
            let map = self.shared.map.borrow();
            map.places.iter().flatten().map(Arc::clone).collect()
        };
        let nodes = if nodes.is_empty() { &self.shared.seeds } else { &nodes };
        let node = nodes.iter().cycle().nth(turn % nodes.len().max(1)).ok_or_else(|| away("no node"))?;
        node.subscribe(channel).await
    }
}

impl Shared {
    /// A node told who serves a place: `host:port`, the host empty when it is its own.
    fn believe(&self, place: usize, teller: &Server, name: &str) {
        let Some((host, port)) = name.rsplit_once(':') else { return };
        let Ok(port) = port.parse() else { return };
        let own = || teller.info().and_then(host_and_port).map_or("", |(host, _)| host);
        let host = if host.is_empty() { own() } else { host.trim_matches(['[', ']']) };
        self.map.send_modify(|map| {
            let server = self.node(map, (host.to_owned(), port));
            if let Some(server_of) = map.places.get_mut(place) {
                *server_of = Some(server);
            }
        });
    }

    /// The node of this name, as it is known already or new.
    fn node(&self, map: &mut Map, name: Name) -> Arc<Server> {
        let info = elsewhere(&self.like, &name.0, name.1);
        let new = || Arc::new(Server::new(Way::To(Box::new(info)), self.pool));
        Arc::clone(map.nodes.entry(name).or_insert_with(new))
    }

    /// One look: what the first node says that says anything.
    async fn look(&self) -> RedisResult<Vec<Range>> {
        let known: Vec<Arc<Server>> = self.map.borrow().nodes.values().map(Arc::clone).collect();
        let asked = known.iter().chain(&self.seeds).map(|node| Box::pin(ask(node)));
        select_ok(asked).await.map(|(ranges, _others)| ranges)
    }

    fn draw(&self, ranges: &[Range]) {
        self.map.send_modify(|map| {
            let serving = |slot: u16| ranges.iter().find(|range| (range.first..=range.last).contains(&slot));
            let names: Vec<Option<Name>> =
                self.slots.iter().map(|slot| serving(*slot).map(|range| range.node.clone())).collect();
            map.places = names.iter().map(|name| name.clone().map(|name| self.node(map, name))).collect();
            map.nodes.retain(|name, _| ranges.iter().any(|range| range.node == *name));
            map.looked = true;
        });
    }
}

/// Keeps the map for as long as anybody needs it.
async fn keep(shared: Arc<Shared>) {
    loop {
        match shared.look().await {
            Ok(ranges) => shared.draw(&ranges),
            Err(error) => {
                tracing::debug!(%error, "no node of the redis cluster tells who serves what");
                shared.map.send_modify(|map| map.looked = true);
            }
        }
        sleep(PAUSE).await;
        shared.look.notified().await;
    }
}

/// Slots that one node serves.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    node: Name,
}

async fn ask(node: &Server) -> RedisResult<Vec<Range>> {
    let mut slots = pipe();
    slots.ignore_errors().cmd("CLUSTER").arg("SLOTS");
    let patience = std::pin::pin!(sleep(TELL));
    let told = node.work(Work::Commands(&slots), patience).await.map_err(|undone| undone.error)?;
    let (rows,): (Value,) = from_redis_value(told)?;
    let own = node.info().and_then(host_and_port).map_or("", |(host, _)| host);
    read_ranges(rows.extract_error()?, own).ok_or_else(|| away("a node's slots cannot be read"))
}

/// Rows of (first, last, primary, replicas…), each node as (host, port, …); a host that is not told is the teller's.
fn read_ranges(rows: Value, own: &str) -> Option<Vec<Range>> {
    let rows: Vec<(u16, u16, Vec<Value>)> =
        from_redis_value::<Vec<Vec<Value>>>(rows).ok()?.into_iter().map(read_row).collect::<Option<_>>()?;
    rows.into_iter()
        .map(|(first, last, node)| {
            let mut node = node.into_iter();
            let host: Option<String> = from_redis_value(node.next()?).ok()?;
            let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| own.to_owned());
            Some(Range { first, last, node: (host, from_redis_value(node.next()?).ok()?) })
        })
        .collect()
}

fn read_row(row: Vec<Value>) -> Option<(u16, u16, Vec<Value>)> {
    let mut row = row.into_iter();
    let first = from_redis_value(row.next()?).ok()?;
    let last = from_redis_value(row.next()?).ok()?;
    Some((first, last, from_redis_value(row.next()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(resp: &str) -> Option<Vec<Range>> {
        read_ranges(redis::parse_redis_value(resp.replace(' ', "\r\n").as_bytes()).unwrap(), "own")
    }

    #[test]
    fn a_node_tells_who_serves_what() {
        let two = "*2 *4 :0 :99 *3 $1 a :7 $2 id *3 $1 b :8 $2 id *3 :100 :16383 *3 $-1 :9 $2 id ";
        let range = |first, last, host: &str, port| Range { first, last, node: (host.to_owned(), port) };
        assert_eq!(read(two), Some(vec![range(0, 99, "a", 7), range(100, 16383, "own", 9)]));
        assert_eq!(read("*0 "), Some(vec![]));
        for damaged in ["*1 *2 :0 :99 ", "*1 *3 $1 x :9 *2 $1 a :7 ", "*1 *3 :0 :9 *1 $1 a "] {
            assert_eq!(read(damaged), None, "{damaged}");
        }
    }
}
