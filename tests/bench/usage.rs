//! What a process costs, by the kernel's word.

use std::fs;
use std::time::Duration;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time, to a clock tick (10 ms on Linux).
    pub(crate) cpu: Duration,
    /// Resident memory now, KiB.
    pub(crate) rss_kib: u64,
    /// The most resident memory ever, KiB.
    pub(crate) peak_rss_kib: u64,
}

impl Usage {
    /// Of the process `pid`.
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let status = read("status");
        let kib =
            |name| status_kib(&status, name).unwrap_or_else(|| panic!("no {name} in /proc/{pid}/status"));
        let ticks = stat_ticks(&read("stat")).unwrap_or_else(|| panic!("no times in /proc/{pid}/stat"));
        Self {
            cpu: Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64),
            rss_kib: kib("VmRSS:"),
            peak_rss_kib: kib("VmHWM:"),
        }
    }

    /// Of this process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }
}

/// `utime` + `stime` of `/proc/PID/stat` (proc(5)): the 14th and 15th field, counted behind the name, which may hold
/// anything.
fn stat_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + system)
}

fn status_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 34 8 0 0 20 0 3 0 999 1 2 3";
        assert_eq!(stat_ticks(stat), Some(42));
        assert_eq!(stat_ticks("12 (a"), None);
    }

    #[test]
    fn this_process_uses_memory_and_never_more_than_its_peak() {
        let usage = Usage::own();
        assert!(usage.rss_kib > 0 && usage.rss_kib <= usage.peak_rss_kib, "{usage:?}");
    }
}
