//! How fast deliveries flow, and what they cost meanwhile: from one that arrives to another.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookgate_e2e::{Redis, Sidecar, wait_until};
use serde::Serialize;

use crate::usage::Usage;

/// The first delivery that counts: those that were held have all been answered by then.
pub(super) const FIRST: u64 = 4_000;
/// The last.
pub(super) const LAST: u64 = 18_000;
/// How long it may take until the last one arrives.
const BOUND: Duration = Duration::from_secs(120);

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Flow {
    pub(super) per_s: f64,
    pub(super) sidecar_cpu_s_per_1000: f64,
    pub(super) redis_cpu_s_per_1000: f64,
}

/// Counts what arrives.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    arrived: u64,
    /// When the first that counts did,
    first: Option<Instant>,
    /// and the last.
    last: Option<Instant>,
}

impl Meter {
    /// A delivery arrived.
    pub(super) fn arrived(&self) {
        let mut count = self.lock();
        count.arrived += 1;
        match count.arrived {
            FIRST => count.first = Some(Instant::now()),
            LAST => count.last = Some(Instant::now()),
            _ => {}
        }
    }

    /// Counts anew from `release` on, until the last that counts has arrived.
    ///
    /// # Panics
    /// When that takes too long.
    pub(super) async fn measure(
        &self,
        sidecar: &mut Sidecar,
        redis: &mut Redis,
        release: impl FnOnce(),
    ) -> Flow {
        let [sidecar, redis] = [sidecar.process().pid(), redis.process().pid()];
        *self.lock() = Count::default();
        release();
        self.until("first delivery that counts", |count| count.first).await;
        let (from, before) = (self.lock().arrived, [Usage::of(sidecar), Usage::of(redis)]);
        self.until("last delivery that counts", |count| count.last).await;
        let (to, after) = (self.lock().arrived, [Usage::of(sidecar), Usage::of(redis)]);
        let cost = |before: Usage, after: Usage| {
            (after.cpu - before.cpu).as_secs_f64() * 1000.0 / (to - from) as f64
        };
        let [(sidecar, sidecar_after), (redis, redis_after)] = [(before[0], after[0]), (before[1], after[1])];
        Flow {
            per_s: (LAST - FIRST) as f64 / self.lock().span().as_secs_f64(),
            sidecar_cpu_s_per_1000: cost(sidecar, sidecar_after),
            redis_cpu_s_per_1000: cost(redis, redis_after),
        }
    }

    async fn until(&self, what: &str, moment: impl Fn(&Count) -> Option<Instant>) {
        wait_until(what, BOUND, || {
            let count = self.lock();
            std::future::ready(moment(&count).map(|_| ()).ok_or(count.arrived))
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn span(&self) -> Duration {
        self.first.zip(self.last).map_or(Duration::ZERO, |(first, last)| last - first)
    }
}
