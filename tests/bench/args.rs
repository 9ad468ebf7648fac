//! What a benchmark can be told on its command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::deep;
use crate::delivery::Kept;

/// Measures Hookgate on this machine: gateway, delivery, isolation, cold start, and by name a deep queue. JSON goes to
/// target/bench.
#[derive(Debug, Clone, Parser)]
#[command(name = "hookgate-bench", version, about, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// How long each figure is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(crate) seconds: u16,

    /// Only these benchmarks (may be given several times); without it all but `deep`, which takes minutes
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Bench>,

    /// Of `delivery` only these stores; all of them without it
    #[arg(long, value_enum)]
    pub(crate) store: Vec<Kept>,

    /// Of `delivery` only the loads whose names begin so (200/s, saturation, backlog, fan-out); all without it
    #[arg(long, value_name = "NAME")]
    pub(crate) load: Vec<String>,

    /// For `deep`: how many deliveries wait. A million takes 4 GB of memory and of disk
    #[arg(long, value_name = "DELIVERIES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(deep::PENDING))]
    pub(crate) pending: u64,
}

/// One benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Requests a second and Envoy's CPU a request: no filter, a filter that does nothing, ours
    Gateway,
    /// Events a second, latency, CPU and memory, on every store
    Delivery,
    /// What an endpoint that hangs costs the others
    Isolation,
    /// Start to ready, memory at rest, sizes
    Cold,
    /// Deliveries a second out of a million that wait in Redis, against an almost empty queue; only by name
    Deep,
}

const AFTER_HELP: &str = "\
With make: make bench ARGS=\"--only delivery --seconds 20\"
One figure: make bench ARGS=\"--only delivery --store memory --load 200/s\"
A deep queue: make bench ARGS=\"--only deep\", or to try it out \"--only deep --pending 100000\"
Absolute figures are this machine's, on this day; compare ratios, and runs of one session.
Exit code: 0 measured, 1 a run was void (its account was not exact, or an answer was wrong).";

impl Args {
    /// Whether a benchmark is wanted.
    pub(crate) fn wants(&self, bench: Bench) -> bool {
        let unnamed = self.only.is_empty() && bench != Bench::Deep;
        unnamed || self.only.contains(&bench)
    }

    /// Whether a store is wanted.
    pub(crate) fn wants_store(&self, store: Kept) -> bool {
        self.store.is_empty() || self.store.contains(&store)
    }

    /// Whether the load of this name is wanted.
    pub(crate) fn wants_load(&self, name: &str) -> bool {
        self.load.is_empty() || self.load.iter().any(|wanted| name.starts_with(wanted.as_str()))
    }

    /// How long each figure is measured.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}
