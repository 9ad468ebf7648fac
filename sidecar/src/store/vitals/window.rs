//! Successes and failures of the last half minute or so, in four numbers: the present window and the one before. Pure.

use crate::clock::Millis;

/// Attempts counted by when they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Window {
    began: Millis,
    good: u32,
    bad: u32,
    good_before: u32,
    bad_before: u32,
}

impl Window {
    /// How long one window is, milliseconds. Two are looked at, so that what counts is 15 to 30 seconds old at most.
    const MS: u64 = 15_000;

    /// Counts one attempt.
    pub(super) fn count(&mut self, success: bool, now: Millis) {
        self.turn(now);
        let counter = if success { &mut self.good } else { &mut self.bad };
        *counter = counter.saturating_add(1);
    }

    /// Whether at least `percent` of at least `least` attempts failed.
    pub(super) fn fails(self, percent: u8, least: u32) -> bool {
        let bad = u64::from(self.bad).saturating_add(self.bad_before.into());
        let all = bad.saturating_add(self.good.into()).saturating_add(self.good_before.into());
        all >= u64::from(least) && bad.saturating_mul(100) >= all.saturating_mul(percent.into())
    }

    fn turn(&mut self, now: Millis) {
        let age = now.0.saturating_sub(self.began.0);
        if age >= 2 * Self::MS {
            *self = Self { began: now, ..Self::default() };
        } else if age >= Self::MS {
            let began = Millis(self.began.0.saturating_add(Self::MS));
            *self = Self { began, good_before: self.good, bad_before: self.bad, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_over_two_windows_and_forgotten_after_them() {
        type Attempts = &'static [(u64, bool)];
        let table: [(&str, Attempts, bool); 6] = [
            ("too few", &[(0, false), (1, false), (2, false)], false),
            ("enough, half of them", &[(0, false), (1, true), (2, false), (3, true)], true),
            ("enough, fewer than half", &[(0, false), (1, true), (2, true), (3, true)], false),
            ("the window before counts", &[(0, false), (1, false), (14_999, true), (15_000, true)], true),
            (
                "the one before that does not",
                &[(0, false), (1, false), (20_000, true), (30_000, true)],
                false,
            ),
            ("a long silence forgets all", &[(0, false), (1, false), (2, false), (90_000, false)], false),
        ];
        for (promise, attempts, expected) in table {
            let mut window = Window::default();
            for (ms, success) in attempts {
                window.count(*success, Millis(1_000_000 + ms));
            }
            assert_eq!(window.fails(50, 4), expected, "{promise}");
        }
    }
}
