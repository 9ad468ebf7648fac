//! What a long queue costs: how fast deliveries flow out of a million that wait, against a queue that is almost empty.
//!
//! Two sidecars on two Redis servers (everysec) have the same thousand endpoints of a hundred tenants, and each event is
//! for one endpoint. One side's queue is filled up to a million before every round, the other's up to twenty for each
//! endpoint: about the least at which deliveries, and not whoever sends events, are what limits both. Both are filled
//! through the API while their endpoints are paused. Then, one side after the other, endpoints are enabled while the
//! subscriber holds its answers; it lets go, and the time is taken from the first delivery that counts after that to the
//! last (`flow.rs`). Rounds follow each other at once and take turns in who is first, so that whatever else the machine
//! does hits both alike.

mod fill;
mod flow;
mod places;
mod side;

use std::fs;
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::ledger::Balance;
use crate::table::{Table, figure};
use flow::{Flow, LAST};
use places::ENDPOINTS;
use side::Side;

/// How often both are measured.
const ROUNDS: usize = 5;
/// What the almost empty queue is filled up to: what is measured, and a rest, so that no endpoint runs dry before.
const SHALLOW: u64 = 20 * ENDPOINTS;
/// How long a queue can be asked for.
pub(crate) const PENDING: RangeInclusive<u64> = SHALLOW..=4_000_000;
/// What Redis may take for each delivery that waits, bytes: a bound, far from what it does take.
const MOST_BYTES: u64 = 6 * 1024;
/// What it may take besides.
const MORE_BYTES: u64 = 512 * 1024 * 1024;

const _: () = assert!(LAST + ENDPOINTS <= SHALLOW, "nobody runs dry before the last one that counts");

/// The figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pending: u64,
    /// Of Redis' `used_memory`, after the first filling against before, for each delivery that waits.
    redis_bytes_per_pending: f64,
    shallow: Vec<Flow>,
    deep: Vec<Flow>,
    /// What of the rate is left when the queue is long, over all rounds.
    ratio: f64,
    balances: [Balance; 2],
}

impl Report {
    /// Whether the figures count for nothing.
    pub(crate) fn is_void(&self) -> bool {
        !self.balances.iter().all(Balance::is_exact)
    }

    /// The figures as a table, and both accounts.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new([
            "deliveries waiting",
            "delivered/s",
            "slowest round",
            "fastest",
            "CPU s/1000: sidecar",
            "redis",
        ]);
        for (waiting, flows) in [(SHALLOW, &self.shallow), (self.pending, &self.deep)] {
            table.row(cells(waiting, flows));
        }
        let [shallow, deep] = &self.balances;
        let void = if self.is_void() { "  VOID: an account is not exact\n" } else { "" };
        format!(
            "{table}\n  ratio {}, round by round {}\n  {} bytes of Redis for each delivery that waits\n  \
             {SHALLOW}: {shallow}\n  {}: {deep}\n{void}",
            figure(self.ratio),
            self.ratios().map(figure).collect::<Vec<_>>().join(" "),
            figure(self.redis_bytes_per_pending),
            self.pending,
        )
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        self.deep.iter().zip(&self.shallow).map(|(deep, shallow)| deep.per_s / shallow.per_s)
    }
}

fn cells(waiting: u64, flows: &[Flow]) -> [String; 6] {
    let rates = || flows.iter().map(|flow| flow.per_s);
    let mean = |cost: fn(&Flow) -> f64| flows.iter().map(cost).sum::<f64>() / flows.len() as f64;
    [
        waiting.to_string(),
        figure(overall(flows)),
        figure(rates().fold(f64::INFINITY, f64::min)),
        figure(rates().fold(0.0, f64::max)),
        figure(mean(|flow| flow.sidecar_cpu_s_per_1000)),
        figure(mean(|flow| flow.redis_cpu_s_per_1000)),
    ]
}

/// So many a second when all rounds, each of as many deliveries, are one.
fn overall(flows: &[Flow]) -> f64 {
    flows.len() as f64 / flows.iter().map(|flow| flow.per_s.recip()).sum::<f64>()
}

/// Measures it, with so many deliveries waiting.
///
/// # Panics
/// When this machine has not the memory for it.
pub(crate) async fn measure(pending: u64) -> Report {
    let most_bytes = pending * MOST_BYTES + MORE_BYTES;
    let available = available_bytes();
    // twice: a rewrite of the append-only file may copy every page that changes meanwhile
    assert!(
        available > 2 * most_bytes,
        "{pending} pending may take {most_bytes} bytes twice, of {available}"
    );
    let [mut shallow, mut deep] =
        [Side::set(SHALLOW, most_bytes).await, Side::set(pending, most_bytes).await];
    let empty = deep.used_memory().await;
    deep.fill("first").await;
    deep.at_rest().await;
    let used = deep.used_memory().await.saturating_sub(empty);

    let (mut shallow_flows, mut deep_flows) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("round {} of {ROUNDS}", round + 1);
        let mut both = [(&mut shallow, &mut shallow_flows), (&mut deep, &mut deep_flows)];
        both.rotate_left(round % 2);
        for (side, flows) in both {
            side.fill(&name).await;
            flows.push(side.flow().await);
        }
    }
    let balances = [shallow.balance().await, deep.balance().await];
    Report {
        pending,
        redis_bytes_per_pending: used as f64 / pending as f64,
        ratio: overall(&deep_flows) / overall(&shallow_flows),
        shallow: shallow_flows,
        deep: deep_flows,
        balances,
    }
}

/// What this machine could give without swapping, by the kernel's estimate.
fn available_bytes() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")).expect("MemAvailable");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib * 1024
}
