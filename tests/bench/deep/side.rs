//! One of the two that are compared: a Redis, a sidecar, its endpoints and their subscriber, and the account.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::sidecar::Setup;
use hookgate_e2e::{Redis, Sidecar, Store, wait_until};
use serde_json::json;
use tokio::process::Command;

use super::fill;
use super::flow::{Flow, Meter};
use super::places::{self, ENDPOINTS};
use crate::delivery::{dead_letters, queue_size};
use crate::ledger::{Balance, Ledger};
use crate::payload;
use crate::server::Server;
use crate::table::figure;

/// After so many events a word is said.
const PORTION: u64 = 100_000;
/// How long attempts under way may take to be settled, and Redis to rewrite its file.
const BOUND: Duration = Duration::from_secs(300);

/// Everything of one queue.
#[derive(Debug)]
pub(super) struct Side {
    /// What it is filled up to.
    depth: u64,
    redis: Redis,
    sidecar: Sidecar,
    endpoints: Vec<String>,
    start: Instant,
    ledger: Arc<Ledger>,
    meter: Arc<Meter>,
    subscriber: Server,
}

impl Side {
    /// Empty, its endpoints paused. Redis takes at most `most_bytes`.
    pub(super) async fn set(depth: u64, most_bytes: u64) -> Self {
        let redis = Redis::start(Persistence::EverySecond).await;
        let setup =
            Setup::on(Store::Redis(redis.url())).env("HOOKGATE_LOG", "warn,hookgate_sidecar::serve=info");
        let sidecar = setup.env("HOOKGATE_MAX_PENDING", &(2 * depth).to_string()).start().await;
        // what flows out between two fillings is sent again
        let ledger = Arc::new(Ledger::new((3 * depth + 1_000_000) as usize, 1));
        let (book, meter) = (Arc::clone(&ledger), Arc::new(Meter::default()));
        let counter = Arc::clone(&meter);
        let subscriber = Server::start(move |endpoint, body| match payload::read(body) {
            Some(stamp) if places::endpoint_of(stamp.number) == endpoint => {
                if book.arrived(stamp.number, 0) {
                    counter.arrived();
                }
            }
            Some(_) | None => book.arrived_unknown(),
        });
        let (subscriber, start) = (subscriber.await, Instant::now());
        let endpoints = create_endpoints(&sidecar, subscriber.address()).await;
        let side = Self { depth, redis, sidecar, endpoints, start, ledger, meter, subscriber };
        side.configure("maxmemory", &most_bytes.to_string()).await;
        side.each_endpoint("pause").await;
        side
    }

    /// `used_memory` of Redis, bytes.
    pub(super) async fn used_memory(&self) -> u64 {
        let info = self.redis.command(&["INFO", "memory"]).await;
        let value = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no used_memory in\n{info}"))
    }

    /// Sends events until its depth is reached, saying how far it is. What is not measured does not wait for the disk.
    pub(super) async fn fill(&self, name: &str) {
        let (began, before) = (Instant::now(), self.ledger.sent());
        let until = before + self.depth.saturating_sub(self.waiting());
        self.configure("appendfsync", "no").await;
        while self.ledger.sent() < until {
            let next = until.min(self.ledger.sent() + PORTION);
            fill::send_until(next, self.sidecar.data(), self.start, &self.ledger).await;
            let rate = (self.ledger.sent() - before) as f64 / began.elapsed().as_secs_f64();
            println!("  {name}: {} of {} waiting, filled at {}/s", self.waiting(), self.depth, figure(rate));
        }
        self.configure("appendfsync", "everysec").await;
    }

    /// Lets deliveries flow until enough have been made to say how fast, and stops them.
    pub(super) async fn flow(&mut self) -> Flow {
        self.at_rest().await;
        self.subscriber.hold(true);
        self.each_endpoint("enable").await;
        let release = || self.subscriber.hold(false);
        let flow = self.meter.measure(&mut self.sidecar, &mut self.redis, release).await;
        self.each_endpoint("pause").await;
        self.balance().await;
        flow
    }

    /// Waits until Redis does nothing of its own accord, such as rewriting its append-only file, and until the disk has
    /// what was written.
    pub(super) async fn at_rest(&self) {
        wait_until("rest of Redis", BOUND, || async {
            let info = self.redis.command(&["INFO", "persistence"]).await;
            let rests = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "rdb_bgsave_in_progress:0"];
            if rests.iter().all(|rest| info.contains(rest)) { Ok(()) } else { Err(info) }
        })
        .await;
        let synced = Command::new("sync").status().await.expect("sync, of coreutils");
        assert!(synced.success(), "{synced}");
    }

    /// The account, once no attempt is under way; after a while as it is.
    pub(super) async fn balance(&self) -> Balance {
        let deadline = Instant::now() + BOUND;
        loop {
            let dead = dead_letters(&self.sidecar).await;
            let balance = self.ledger.balance(queue_size(&self.sidecar).await, dead);
            if balance.is_exact() || Instant::now() >= deadline {
                return balance;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn waiting(&self) -> u64 {
        self.ledger.owed().saturating_sub(self.ledger.delivered())
    }

    async fn each_endpoint(&self, verb: &str) {
        for id in &self.endpoints {
            let answer = self.sidecar.ask("POST", &format!("/v1/endpoints/{id}/{verb}"), None).await;
            assert_eq!(answer.status, 200, "{verb} {id}: {}", answer.text());
        }
    }

    async fn configure(&self, name: &str, value: &str) {
        assert_eq!(self.redis.command(&["CONFIG", "SET", name, value]).await, "OK", "{name} {value}");
    }
}

async fn create_endpoints(sidecar: &Sidecar, subscriber: SocketAddr) -> Vec<String> {
    let mut ids = Vec::new();
    for endpoint in 0..ENDPOINTS {
        let url = format!("http://{subscriber}/{endpoint}");
        let (tenant, types) = (places::tenant(endpoint), [places::event_type(endpoint)]);
        let created = sidecar
            .create_endpoint(
                &json!({ "url": url, "tenant": tenant, "event_types": types, "timeout_ms": 60_000 }),
            )
            .await;
        ids.push(created.get("id").and_then(|id| id.as_str()).expect("an endpoint's id").to_owned());
    }
    ids
}
