//! Whose leases are whose: each process beats, and what a silent one holds goes back within seconds, long before its
//! leases would end. One that was only stopped for a while loses its leases too; its late results are not counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::fault::failed;
use super::keys::Place;
use super::link::Again;
use super::{Millis, Shared, StoreError, scripts};
use crate::clock::Stopwatch;

/// How often a process says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// Silent for so long, by Redis' clock, a process is suspected.
const SILENT: Duration = Duration::from_millis(1_250);
/// Suspected for so long, by our clock, and not heard of since, it is gone. Two clocks and two looks: neither a clock
/// that jumps nor a Redis that was away makes the living look dead.
const SUSPECTED: Duration = Duration::from_millis(1_250);

/// Processes not heard of lately: their last beat, and since when we have known.
#[derive(Debug, Default)]
struct Suspects(BTreeMap<String, (u64, Duration)>);

impl Suspects {
    /// Takes in who is silent, and since which beat; answers who is gone. One who was heard of again is forgotten.
    fn look(&mut self, silent: Vec<(String, u64)>, now: Duration) -> Vec<String> {
        let before = std::mem::take(&mut self.0);
        for (owner, beat) in silent {
            let known = before.get(&owner).filter(|(known, _)| *known == beat);
            self.0.insert(owner, (beat, known.map_or(now, |(_, since)| *since)));
        }
        let gone = self.0.iter().filter(|(_, (_, since))| now.saturating_sub(*since) >= SUSPECTED);
        gone.map(|(owner, _)| owner.clone()).collect()
    }
}

/// The other processes, as of the last beat.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Those that are gone, until [`Shared::evict`] has taken their leases back.
    gone: Mutex<BTreeSet<String>>,
    /// Whether there is none; one that comes says so.
    none: AtomicBool,
}

impl Others {
    /// Whether nobody else needs to be told of work.
    pub(super) fn none(&self) -> bool {
        self.none.load(Ordering::Relaxed)
    }

    /// Somebody else was heard.
    pub(super) fn heard(&self) {
        self.none.store(false, Ordering::Relaxed);
    }

    fn gone(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Beats until stopped, and looks for those who do not. Whether anybody else is there is known from the beats, and at
/// once from a newcomer's first word: it is said on the channel for news.
pub(super) async fn beat(shared: Arc<Shared>, stop: CancellationToken) {
    let beating = async {
        let (mut suspects, mut ticks, watch) = (Suspects::default(), interval(BEAT), Stopwatch::start());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let beat = shared.beat().await;
            shared.others.none.store(beat.as_ref().is_ok_and(|(owners, _)| *owners == 1), Ordering::Relaxed);
            match beat {
                Ok((_, silent)) => {
                    *shared.others.gone() = suspects.look(silent, watch.elapsed()).into_iter().collect();
                }
                Err(error) => tracing::debug!(%error, "no beat"),
            }
        }
    };
    let stopped: Option<()> = stop.run_until_cancelled(beating).await;
    debug_assert!(stopped.is_none(), "beating has no other end");
}

impl Shared {
    async fn beat(&self) -> Result<(u64, Vec<(String, u64)>), StoreError> {
        const OPERATION: &str = "beat";
        self.open(OPERATION).await?;
        self.introduce(OPERATION).await
    }

    /// Says that this process lives, for the first time before it leases anything: else nobody would miss it. Answers
    /// how many processes there are, this one with them, and the silent ones with their last beat.
    pub(super) async fn introduce(
        &self,
        operation: &'static str,
    ) -> Result<(u64, Vec<(String, u64)>), StoreError> {
        let mut call = scripts::BEAT.prepare_invoke();
        call.key(self.keys.owners()).arg(&self.origin).arg(SILENT.as_millis().to_string());
        call.arg(self.keys.channel());
        self.link.run(Place::Layout, &call, Again::Safe).await.map_err(failed(operation))
    }

    /// Takes everything back from those who are gone; answers how many leases. One of them that fails does not keep the
    /// others.
    pub(super) async fn evict(&self, now: Millis) -> Result<u64, StoreError> {
        let gone = self.others.gone().clone();
        let mut evicted = Ok(0_u64);
        for owner in gone {
            let leases = self.evict_and_forget(&owner, now).await;
            evicted = evicted.and_then(|sum| Ok(sum.saturating_add(leases?)));
        }
        evicted
    }

    async fn evict_and_forget(&self, owner: &str, now: Millis) -> Result<u64, StoreError> {
        let leases = self.evict_one(owner, now).await?;
        // forgotten only now, so that a failure before is made good the next time
        let forget = redis::cmd("ZREM").arg(self.keys.owners()).arg(owner).take();
        self.link.ask::<u64>(Place::Layout, forget).await.map_err(failed("evict"))?;
        if leases > 0 {
            tracing::warn!(owner, leases, "a process is gone; what it was delivering is due again");
        }
        Ok(leases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_stays_silent_is_gone() {
        type Look<'a> = (&'a str, &'a [(&'a str, u64)], u64, &'a [&'a str]);
        let table: [Look<'_>; 7] = [
            ("a first look only suspects", &[("a", 1), ("b", 1)], 0, &[]),
            ("so does a second one that comes early", &[("a", 1), ("b", 1)], 1_249, &[]),
            (
                "silent for long enough is gone; another beat is a sign of life",
                &[("a", 1), ("b", 2)],
                1_250,
                &["a"],
            ),
            ("whoever is not silent is forgotten", &[("b", 2)], 2_000, &[]),
            ("and so begins anew", &[("a", 1), ("b", 2)], 2_499, &[]),
            ("an eviction that failed is made good", &[("b", 2)], 2_500, &["b"]),
            ("for as long as it takes", &[("b", 2)], 9_000, &["b"]),
        ];
        let mut suspects = Suspects::default();
        for (promise, silent, ms, gone) in table {
            let silent = silent.iter().map(|(name, beat)| ((*name).to_owned(), *beat)).collect();
            assert_eq!(suspects.look(silent, Duration::from_millis(ms)), gone, "{promise}");
        }
    }
}
