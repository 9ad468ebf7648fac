//! What one run of deliveries came to, as figures.

use std::time::Instant;

use hookgate_e2e::{Redis, Sidecar};
use serde::Serialize;

use crate::ledger::Balance;
use crate::load::Sent;
use crate::scene::Scene;
use crate::spread::Quantiles;
use crate::table::{Table, figure, mib};
use crate::usage::Usage;

/// One run's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    store: &'static str,
    load: &'static str,
    accepted_per_s: f64,
    delivered_per_s: f64,
    /// Deliveries owed, but not yet made when the sending ended.
    backlog: u64,
    answer: Quantiles,
    end_to_end: Quantiles,
    sidecar: Option<Cost>,
    redis: Option<Cost>,
    /// Of the load tool and its receiver.
    tool: Cost,
    /// At a fixed rate: how late the tool itself sent at worst.
    tool_late_ms: f64,
    balance: Balance,
    /// Why connections of the tool ended before their time.
    broken: Vec<String>,
    /// Whether the figures count for nothing.
    pub(crate) is_void: bool,
}

/// What one process cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    cpu_s_per_1000_deliveries: f64,
    peak_rss_kib: u64,
}

/// What every process had used at one moment.
#[derive(Debug)]
pub(crate) struct Costs {
    sidecar: Option<Usage>,
    redis: Option<Usage>,
    tool: Usage,
}

impl Costs {
    /// Of these, and of this process, now.
    pub(crate) fn of(sidecar: Option<&mut Sidecar>, redis: Option<&mut Redis>) -> Self {
        Self {
            sidecar: sidecar.map(|sidecar| Usage::of(sidecar.process().pid())),
            redis: redis.map(|redis| Usage::of(redis.process().pid())),
            tool: Usage::own(),
        }
    }
}

/// All that a run brought, before it becomes figures.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) scene: Scene,
    pub(crate) from: Instant,
    pub(crate) warm: Sent,
    pub(crate) sent: Sent,
    pub(crate) backlog: u64,
    pub(crate) before: Costs,
    pub(crate) after: Costs,
    pub(crate) balance: Balance,
}

impl Measured {
    /// The figures.
    pub(crate) fn figures(self, store: &'static str, load: &'static str) -> Run {
        let arrivals = self.scene.arrivals();
        let cost = |before: Usage, after: Usage| Cost {
            cpu_s_per_1000_deliveries: (after.cpu - before.cpu).as_secs_f64() * 1000.0
                / arrivals.count().max(1) as f64,
            peak_rss_kib: after.peak_rss_kib,
        };
        let costs =
            |before: Option<Usage>, after| before.zip(after).map(|(before, after)| cost(before, after));
        let broken: Vec<String> = self.warm.broken.into_iter().chain(self.sent.broken).collect();
        Run {
            store,
            load,
            accepted_per_s: self.sent.answers.count() as f64 / self.sent.took.as_secs_f64(),
            delivered_per_s: arrivals.per_second(self.from),
            backlog: self.backlog,
            answer: self.sent.answers.quantiles(),
            end_to_end: arrivals.end_to_end(),
            sidecar: costs(self.before.sidecar, self.after.sidecar),
            redis: costs(self.before.redis, self.after.redis),
            tool: cost(self.before.tool, self.after.tool),
            tool_late_ms: self.sent.late.as_secs_f64() * 1000.0,
            balance: self.balance,
            is_void: !self.balance.is_exact() || !broken.is_empty(),
            broken,
        }
    }
}

impl Run {
    /// All runs as a table; the first is the baseline that rates are compared with.
    pub(crate) fn table(runs: &[Self]) -> Table {
        let mut table = Table::new([
            "store, load",
            "accepted/s",
            "delivered/s",
            "of tool",
            "backlog",
            "202 p50 ms",
            "p99",
            "end to end p50 ms",
            "p99",
            "CPU s/1000: sidecar",
            "redis",
            "tool",
            "peak MiB: sidecar",
            "redis",
        ]);
        let baseline = runs.first().map_or(1.0, |run| run.delivered_per_s);
        for run in runs {
            table.row(run.cells(baseline));
        }
        table
    }

    fn cells(&self, baseline: f64) -> [String; 14] {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let cpu = |cost: Option<Cost>| or_dash(cost.map(|cost| figure(cost.cpu_s_per_1000_deliveries)));
        let peak = |cost: Option<Cost>| or_dash(cost.map(|cost| mib(cost.peak_rss_kib)));
        [
            format!("{}, {}{}", self.store, self.load, if self.is_void { " VOID" } else { "" }),
            figure(self.accepted_per_s),
            figure(self.delivered_per_s),
            figure(self.delivered_per_s / baseline),
            self.backlog.to_string(),
            figure(self.answer.p50_ms),
            figure(self.answer.p99_ms),
            figure(self.end_to_end.p50_ms),
            figure(self.end_to_end.p99_ms),
            cpu(self.sidecar),
            cpu(self.redis),
            cpu(Some(self.tool)),
            peak(self.sidecar),
            peak(self.redis),
        ]
    }

    /// The account that was not exact, as a line; `None` when it was.
    pub(crate) fn why_void(&self) -> Option<String> {
        let Self { store, load, balance, broken, .. } = self;
        self.is_void.then(|| format!("  VOID {store}, {load}: {balance} {}\n", broken.join("; ")))
    }
}
