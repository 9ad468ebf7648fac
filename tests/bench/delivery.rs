//! The way of an event from the producer to the subscriber, on every store: rate, latency, CPU, memory, and the account.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use hookgate_e2e::redis::Persistence;
use hookgate_e2e::sidecar::Setup;
use hookgate_e2e::{Redis, Sidecar, Store};
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;

use crate::args::Args;
use crate::ledger::Balance;
use crate::plan::Plan;
use crate::run::{Costs, Measured, Run};
use crate::scene::{BODY_BYTES, CONNECTIONS, Scene};
use crate::table::figure;

/// How long what was accepted may take to be delivered once the sending ended.
const DRAIN_BOUND: Duration = Duration::from_secs(60);

/// What the sidecar keeps its work in, and what a 202 therefore waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// SQLite in memory
    Memory,
    /// SQLite in a file
    File,
    /// Redis, synced to disk every second
    #[value(name = "redis-everysec")]
    EverySecond,
    /// Redis, synced to disk at every write
    #[value(name = "redis-always")]
    Always,
}

impl Kept {
    const ALL: [Self; 4] = [Self::Memory, Self::File, Self::EverySecond, Self::Always];

    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "embedded, memory",
            Self::File => "embedded, file",
            Self::EverySecond => "redis everysec",
            Self::Always => "redis always",
        }
    }

    const fn waits_for(self) -> &'static str {
        match self {
            Self::Memory => "nothing durable: a crash of the sidecar loses it",
            Self::File => "the disk (SQLite WAL, synchronous FULL)",
            Self::EverySecond => "Redis' memory; the disk follows within a second",
            Self::Always => "the disk (Redis AOF, appendfsync always)",
        }
    }

    async fn redis(self) -> Option<Redis> {
        match self {
            Self::Memory | Self::File => None,
            Self::EverySecond => Some(Redis::start(Persistence::EverySecond).await),
            Self::Always => Some(Redis::start(Persistence::Always).await),
        }
    }

    fn store(self, redis: Option<&Redis>) -> Store {
        match (self, redis) {
            (_, Some(redis)) => Store::Redis(redis.url()),
            (Self::File, None) => Store::File,
            (Self::Memory | Self::EverySecond | Self::Always, None) => Store::Memory,
        }
    }
}

/// The load tool straight to its receiver, then every store, steadily and saturated.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    connections: u32,
    body_bytes: usize,
    runs: Vec<Run>,
}

impl Report {
    /// Whether any run's account was not exact.
    pub(crate) fn is_void(&self) -> bool {
        self.runs.iter().any(|run| run.is_void)
    }

    /// The figures as a table, what each store promises, and every account that was not exact.
    pub(crate) fn table(&self) -> String {
        let table = Run::table(&self.runs);
        let promises =
            Kept::ALL.map(|kept| format!("  {}: a 202 waits for {}\n", kept.name(), kept.waits_for()));
        let void: String = self.runs.iter().filter_map(Run::why_void).collect();
        let late = figure(self.runs.iter().map(|run| run.tool_late_ms).fold(0.0, f64::max));
        format!("{table}\n{}  at 200/s the tool itself was at most {late} ms late\n{void}", promises.concat())
    }
}

/// Measures it all; every run has a store and a sidecar of its own.
pub(crate) async fn measure(args: &Args) -> Report {
    let mut runs = vec![baseline(args.span()).await];
    for kept in Kept::ALL.into_iter().filter(|kept| args.wants_store(*kept)) {
        for plan in Plan::all(args.span()).into_iter().filter(|plan| args.wants_load(plan.name)) {
            runs.push(through_sidecar(kept, plan).await);
        }
    }
    Report { connections: CONNECTIONS, body_bytes: BODY_BYTES, runs }
}

/// The load tool straight to its receiver: what the tool itself could carry.
async fn baseline(span: Duration) -> Run {
    let plan = Plan::saturation(span);
    let scene = Scene::set(plan.events, plan.endpoints).await;
    let load = scene.load(scene.receiver().address());
    let warm = load.send(plan.pace, plan.warm_up).await;
    scene.measure();
    let (from, before) = (Instant::now(), Costs::of(None, None));
    let sent = load.send(plan.pace, plan.span).await;
    let (after, balance) = (Costs::of(None, None), scene.ledger().balance(0, 0));
    Measured { scene, from, warm, sent, backlog: 0, before, after, balance }
        .figures("no store, tool alone", plan.name)
}

async fn through_sidecar(kept: Kept, plan: Plan) -> Run {
    let mut redis = kept.redis().await;
    let mut sidecar = Setup::on(kept.store(redis.as_ref())).start().await;
    let scene = Scene::set(plan.events, plan.endpoints).await;
    for endpoint in 0..plan.endpoints {
        let url = format!("http://{}/{endpoint}", scene.receiver().address());
        sidecar.create_endpoint(&json!({ "url": url, "timeout_ms": 60_000 })).await;
    }
    let load = scene.load(sidecar.data());
    let warm = load.send(plan.pace, plan.warm_up).await;
    if scene.ledger().sent() > 0 {
        drained(&scene, &sidecar).await;
    }
    scene.measure();
    scene.receiver().hold(plan.is_held);
    let (mut from, mut before) = (Instant::now(), Costs::of(Some(&mut sidecar), redis.as_mut()));
    let sent = load.send(plan.pace, plan.span).await;
    let backlog = scene.ledger().owed().saturating_sub(scene.ledger().delivered());
    if plan.is_held {
        (from, before) = (Instant::now(), Costs::of(Some(&mut sidecar), redis.as_mut()));
        scene.receiver().hold(false);
    }
    let balance = drained(&scene, &sidecar).await;
    let after = Costs::of(Some(&mut sidecar), redis.as_mut());
    Measured { scene, from, warm, sent, backlog, before, after, balance }.figures(kept.name(), plan.name)
}

/// Waits until all that was accepted has arrived and the sidecar says so too, at most [`DRAIN_BOUND`]; answers the
/// account as it then is.
async fn drained(scene: &Scene, sidecar: &Sidecar) -> Balance {
    let deadline = Instant::now() + DRAIN_BOUND;
    // By the own account first: asking the sidecar costs it what is being measured.
    while scene.ledger().delivered() < scene.ledger().owed() && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
    loop {
        let balance = scene.ledger().balance(queue_size(sidecar).await, dead_letters(sidecar).await);
        if (balance.pending == 0 && balance.is_exact()) || Instant::now() >= deadline {
            return balance;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// `webhook_queue_size`.
pub(crate) async fn queue_size(sidecar: &Sidecar) -> u64 {
    let metrics = sidecar.metrics().await;
    let value = metrics.lines().find_map(|line| line.strip_prefix("webhook_queue_size "));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("no webhook_queue_size in\n{metrics}"))
}

/// How many dead letters there are, over all pages.
pub(crate) async fn dead_letters(sidecar: &Sidecar) -> u64 {
    let (mut count, mut target) = (0, "/v1/dead-letters?limit=100".to_owned());
    loop {
        let page = sidecar.read(&target).await;
        count += page.get("data").and_then(|data| data.as_array()).map_or(0, |data| data.len() as u64);
        match page.get("next_cursor").and_then(|cursor| cursor.as_str()) {
            Some(cursor) => target = format!("/v1/dead-letters?limit=100&cursor={cursor}"),
            None => return count,
        }
    }
}
