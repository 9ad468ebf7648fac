//! How fast the door may go, decided at every turn from what was seen since the last one. Pure.
//!
//! The signal is a standing queue, as in `CoDel` (RFC 8289): nearly all first attempts waited longer than a target, over
//! two turns, so that a burst counts for nothing; and more is owed than the workers have at hand, so that a machine on
//! which everything takes long is not taken for one that is outrun. The answer is a pace: what deliveries keep up with,
//! less what brings the wait down again, never less than half of what came; then back to what deliveries kept up with,
//! and a little more at every quiet turn, until it binds nobody.

use std::time::Duration;

/// What first attempts may wait before deliveries count as behind.
pub(super) const TARGET: Duration = Duration::from_millis(10);
/// The time between two turns.
pub(super) const TURN: Duration = Duration::from_millis(50);
/// Fewer attempts in a turn say nothing.
const LEAST: u32 = 8;
/// Turns behind before the door yields.
const PATIENCE: u32 = 2;
/// Turns in which nobody had to wait before the door is free again.
const QUIET: u32 = 20;
/// How soon a wait that is too long shall be worked off.
const WORK_OFF: Duration = Duration::from_millis(200);
/// A wait so much above the target halves the pace.
const STEEP: Duration = Duration::from_millis(100);
/// How much faster at a quiet turn.
const RISE: f64 = 1.03;
/// Never slower, requests a second.
const SLOWEST: f64 = 20.0;

/// What was seen in one turn.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    /// How long it was.
    pub(super) span: Duration,
    /// First attempts that began.
    pub(super) begun: u32,
    /// Those of them whose wait can only be our own doing.
    pub(super) judged: u32,
    /// Those of these that waited longer than [`TARGET`].
    pub(super) late: u32,
    /// Whether more deliveries wait for their first attempt than the workers have at hand.
    pub(super) stands: bool,
    /// What all judged ones waited.
    pub(super) waited: Duration,
    /// Requests that were accepted.
    pub(super) requests: u32,
    /// Deliveries that they brought.
    pub(super) brought: u32,
    /// Whether the door made any of them wait.
    pub(super) held: bool,
}

impl Seen {
    fn is_behind(&self) -> bool {
        self.stands && self.judged >= LEAST && self.late.saturating_mul(4) >= self.judged.saturating_mul(3)
    }

    /// Requests a second; `None` when there were none.
    fn rate(&self) -> Option<f64> {
        let seconds = self.span.as_secs_f64();
        (self.requests > 0 && seconds > 0.0).then(|| f64::from(self.requests) / seconds)
    }

    /// How much longer than the target the judged ones waited on average.
    fn excess(&self) -> Duration {
        self.waited.checked_div(self.judged).unwrap_or_default().saturating_sub(TARGET)
    }

    /// What follows from a turn behind, in which so many requests a second came.
    fn cut(&self, rate: f64) -> Pacer {
        let excess = self.excess();
        let kept_up = if self.brought == 0 { 1.0 } else { f64::from(self.begun) / f64::from(self.brought) };
        let full = rate * kept_up;
        let as_drained = full * (1.0 - excess.div_duration_f64(WORK_OFF).min(0.5));
        let by_step = rate * (1.0 - excess.div_duration_f64(STEEP).clamp(0.05, 0.5));
        Pacer::Paced { pace: as_drained.max(by_step).max(SLOWEST), full, quiet: 0 }
    }
}

/// The door's pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pacer {
    /// As fast as requests come.
    Free {
        /// Turns behind, in a row.
        behind: u32,
    },
    /// So many requests a second.
    Paced {
        /// Requests a second.
        pace: f64,
        /// What deliveries kept up with when they were behind, requests a second.
        full: f64,
        /// Turns without anybody waiting, in a row.
        quiet: u32,
    },
}

impl Pacer {
    /// One that has seen nothing.
    pub(super) const fn new() -> Self {
        Self::Free { behind: 0 }
    }

    /// Requests a second; `None`: as fast as they come.
    pub(super) const fn pace(self) -> Option<f64> {
        match self {
            Self::Free { .. } => None,
            Self::Paced { pace, .. } => Some(pace),
        }
    }

    /// What follows from one turn.
    pub(super) fn turn(self, seen: &Seen) -> Self {
        match self {
            Self::Free { .. } if !seen.is_behind() => Self::new(),
            Self::Free { behind } if behind + 1 < PATIENCE => Self::Free { behind: behind + 1 },
            Self::Free { behind } => seen.rate().map_or(Self::Free { behind }, |rate| seen.cut(rate)),
            Self::Paced { pace, .. } if seen.is_behind() => {
                seen.rate().map_or(self, |rate| seen.cut(rate.min(pace)))
            }
            Self::Paced { quiet, .. } if !seen.held && quiet + 1 >= QUIET => Self::new(),
            Self::Paced { pace, full, quiet } => {
                let quiet = if seen.held { 0 } else { quiet + 1 };
                Self::Paced { pace: (pace * RISE).max((pace + full) / 2.0), full, quiet }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn in which 800 requests came and 400 deliveries began, each after 30 ms.
    const BEHIND: Seen = Seen {
        span: TURN,
        begun: 400,
        judged: 400,
        late: 400,
        stands: true,
        waited: Duration::from_secs(12),
        requests: 800,
        brought: 800,
        held: false,
    };
    const CALM: Seen = Seen { late: 0, waited: Duration::ZERO, ..BEHIND };

    fn after(turns: &[Seen]) -> Pacer {
        turns.iter().fold(Pacer::new(), |pacer, seen| pacer.turn(seen))
    }

    #[test]
    fn the_door_yields_to_a_standing_queue_only() {
        let few = Seen { judged: 7, late: 7, ..BEHIND };
        let table: [(&str, &[Seen], bool); 9] = [
            ("nothing seen", &[Seen::default()], false),
            ("a burst", &[BEHIND, CALM, BEHIND, CALM], false),
            ("two turns behind", &[BEHIND, BEHIND], true),
            ("three in four late", &[Seen { late: 300, ..BEHIND }; 2], true),
            ("less than that", &[Seen { late: 299, ..BEHIND }; 2], false),
            ("late, but no queue", &[Seen { stands: false, ..BEHIND }; 2], false),
            ("too few to tell", &[few; 2], false),
            ("waits that are not our doing", &[Seen { judged: 0, late: 0, ..BEHIND }; 2], false),
            ("nobody comes: there is nothing to slow", &[Seen { requests: 0, ..BEHIND }; 2], false),
        ];
        for (promise, turns, yields) in table {
            assert_eq!(after(turns).pace().is_some(), yields, "{promise}");
        }
    }

    #[test]
    fn the_pace_is_what_deliveries_keep_up_with_and_less_the_longer_they_wait() {
        let waiting = |ms: u64| Seen { waited: Duration::from_millis(400 * ms), ..BEHIND };
        let replicas = Seen { begun: 100, ..waiting(30) };
        let table = [
            ("barely late: nearly what came", waiting(11), 15_200.0),
            ("20 ms too long", waiting(30), 12_800.0),
            ("far too long: half of what came, which is what is drained", waiting(1_000), 8_000.0),
            ("others deliver what we bring: never cut by more than the step", replicas, 12_800.0),
            ("one request makes many deliveries", Seen { brought: 80_000, ..waiting(1_000) }, 8_000.0),
        ];
        for (promise, seen, expected) in table {
            let pace = after(&[seen, seen]).pace().unwrap();
            assert!((pace - expected).abs() < 1.0, "{promise}: {pace}");
        }
    }

    #[test]
    fn a_pace_rises_until_it_binds_nobody_and_then_ends() {
        let yielding = after(&[BEHIND, BEHIND]);
        let held = Seen { held: true, ..CALM };
        let risen = |pacer: Pacer| pacer.turn(&held).pace().unwrap() / pacer.pace().unwrap();
        assert!((risen(yielding) - RISE).abs() < 1e-9, "above what was kept up with");
        let deep = Pacer::Paced { pace: 100.0, full: 300.0, quiet: 0 };
        assert!((risen(deep) - 2.0).abs() < 1e-9, "below it: half of the way back");
        let mut pacer = (0..QUIET - 1).fold(yielding, |pacer, _| pacer.turn(&CALM));
        assert!(pacer.turn(&held).turn(&CALM).pace().is_some(), "somebody waited: counted anew");
        pacer = pacer.turn(&CALM);
        assert_eq!(pacer, Pacer::new());
    }

    #[test]
    fn the_slowest_pace_still_goes() {
        let hopeless = Seen { begun: 8, judged: 8, late: 8, waited: Duration::from_secs(80), ..BEHIND };
        let pacer = (0..1_000).fold(Pacer::new(), |pacer, _| pacer.turn(&Seen { requests: 1, ..hopeless }));
        assert!((pacer.pace().unwrap() - SLOWEST).abs() < 1e-9);
    }
}
