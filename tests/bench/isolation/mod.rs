//! What an endpoint that hangs costs the others.
//!
//! Two sidecars on two stores get the same events at the same moments, so that whatever else the machine does hits
//! both alike; only at one of them an endpoint hangs. What is compared is the way of the events for all others.

mod side;

use std::time::Duration;

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Redis, Store};
use serde::Serialize;

use crate::spread::Quantiles;
use crate::table::{Table, figure};
use side::{Seen, Side};

/// What is sent, and what hangs. Endpoint 0 is the one that may hang; every second event is for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    name: &'static str,
    endpoints: u64,
    /// Whether endpoint 0 belongs to another tenant than all others.
    is_apart: bool,
    per_second: u32,
    hang: Duration,
}

const SCENES: [Scene; 3] = [
    Scene {
        name: "1 of 100 endpoints, 30 s",
        endpoints: 100,
        is_apart: false,
        per_second: 200,
        hang: Duration::from_secs(30),
    },
    Scene {
        name: "1 of 2 endpoints, 10 s",
        endpoints: 2,
        is_apart: false,
        per_second: 200,
        hang: Duration::from_secs(10),
    },
    Scene {
        name: "another tenant's, 30 s",
        endpoints: 2,
        is_apart: true,
        per_second: 200,
        hang: Duration::from_secs(30),
    },
];

/// The figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    runs: Vec<Run>,
}

/// One scene on one store.
#[derive(Debug, Serialize)]
struct Run {
    store: &'static str,
    hangs: &'static str,
    per_second: u32,
    /// Of the events for all others, from before each was sent to its receipt.
    without: Quantiles,
    with: Quantiles,
    p99_ratio: f64,
    /// The most events for the others that were sent and had not arrived.
    queue_without: u64,
    queue_with: u64,
    /// Of those that never arrived: they count as if they had at the end.
    missing: u64,
    /// Why the figures count for nothing.
    broken: Vec<String>,
}

impl Report {
    /// Whether any run counts for nothing.
    pub(crate) fn is_void(&self) -> bool {
        self.runs.iter().any(|run| !run.broken.is_empty())
    }

    /// The figures as a table.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new([
            "store, what hangs",
            "events/s",
            "others' p50 ms without",
            "with",
            "p99 without",
            "with",
            "ratio",
            "most waiting without",
            "with",
            "never arrived",
        ]);
        for run in &self.runs {
            table.row(run.cells());
        }
        let void: String = self.runs.iter().filter_map(Run::why_void).collect();
        format!("{table}\n{void}")
    }
}

impl Run {
    fn of(store: &'static str, scene: Scene, without: Seen, with: Seen) -> Self {
        let broken = without.broken.into_iter().chain(with.broken).collect();
        let (queue_without, queue_with) = (without.most_waiting, with.most_waiting);
        let missing = without.missing + with.missing;
        let (without, with) = (without.others.quantiles(), with.others.quantiles());
        let p99_ratio = with.p99_ms / without.p99_ms;
        let (hangs, per_second) = (scene.name, scene.per_second);
        Self {
            store,
            hangs,
            per_second,
            without,
            with,
            p99_ratio,
            queue_without,
            queue_with,
            missing,
            broken,
        }
    }

    fn cells(&self) -> [String; 10] {
        let void = if self.broken.is_empty() { "" } else { " VOID" };
        [
            format!("{}, {}{void}", self.store, self.hangs),
            self.per_second.to_string(),
            figure(self.without.p50_ms),
            figure(self.with.p50_ms),
            figure(self.without.p99_ms),
            figure(self.with.p99_ms),
            figure(self.p99_ratio),
            self.queue_without.to_string(),
            self.queue_with.to_string(),
            self.missing.to_string(),
        ]
    }

    fn why_void(&self) -> Option<String> {
        let words = || format!("  VOID {}, {}: {}\n", self.store, self.hangs, self.broken.join("; "));
        (!self.broken.is_empty()).then(words)
    }
}

/// Measures it all.
pub(crate) async fn measure(span: Duration) -> Report {
    let mut runs = Vec::new();
    for scene in SCENES {
        runs.push(in_memory(scene, span).await);
        runs.push(on_redis(scene, span).await);
    }
    Report { runs }
}

async fn in_memory(scene: Scene, span: Duration) -> Run {
    let stores = [Store::Memory, Store::Memory];
    compare("embedded, memory", scene, stores, span).await
}

async fn on_redis(scene: Scene, span: Duration) -> Run {
    let servers =
        [Redis::start(Persistence::EverySecond).await, Redis::start(Persistence::EverySecond).await];
    let stores = servers.each_ref().map(|redis| Store::Redis(redis.url()));
    compare("redis everysec", scene, stores, span).await
}

async fn compare(store: &'static str, scene: Scene, stores: [Store; 2], span: Duration) -> Run {
    let [one, other] = stores;
    let well = Side::set(scene, one, false).await;
    let ill = Side::set(scene, other, true).await;
    let (without, with) = tokio::join!(well.measure(span), ill.measure(span));
    Run::of(store, scene, without, with)
}
