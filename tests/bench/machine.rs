//! Where and when a report was measured: a figure without this is a rumour.

use std::fs;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// The machine at the start of the benchmarks.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    version: &'static str,
    measured_at_unix_s: u64,
    cores: usize,
    kernel: String,
    /// Over the last minute, before anything of ours ran.
    load_average: f64,
}

impl Machine {
    /// This one, now.
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            measured_at_unix_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("a clock after 1970")
                .as_secs(),
            cores: available_parallelism().map_or(1, NonZeroUsize::get),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: first_number(&read("/proc/loadavg")).expect("a load average"),
        }
    }

    /// What a reader must know before he believes a figure.
    pub(crate) fn remark(&self) -> String {
        let Self { cores, kernel, load_average, .. } = self;
        let busy = if self.is_busy() { "; it is busy with other work, so compare ratios only" } else { "" };
        format!("{cores} cores, Linux {kernel}, load average {load_average}{busy}")
    }

    /// Half a core's work is somebody else's.
    fn is_busy(&self) -> bool {
        self.load_average > 0.5
    }
}

fn first_number(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_says_so() {
        let idle = Machine { load_average: 0.5, ..Machine::now() };
        assert!(!idle.remark().contains("busy"), "{}", idle.remark());
        let busy = Machine { load_average: 0.6, ..idle };
        assert!(busy.remark().contains("busy"), "{}", busy.remark());
    }
}
