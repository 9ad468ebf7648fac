//! Timestamps of messages: one strict syntax, one window, on 64-bit numbers that never wrap.

use serde::Deserialize;

use crate::{Reason, UnixMicros};

/// What a timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Unit {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Millis,
}

impl Unit {
    const fn per_second(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Millis => 1_000,
        }
    }

    /// The most digits a timestamp may have: enough for the next 29,000 years.
    const fn digits(self) -> usize {
        match self {
            Self::Seconds => 12,
            Self::Millis => 15,
        }
    }

    const fn of(self, now: UnixMicros) -> u64 {
        match self {
            Self::Seconds => now.seconds(),
            Self::Millis => now.0 / 1_000,
        }
    }

    /// `seconds` as a message writes them.
    pub(super) fn write(self, seconds: u64) -> String {
        seconds.saturating_mul(self.per_second()).to_string()
    }
}

/// A message's timestamp, with the unit it counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp {
    value: u64,
    unit: Unit,
}

impl Timestamp {
    /// Reads `[1-9][0-9]*`, at most as many digits as the unit allows.
    pub(super) fn parse(text: &[u8], unit: Unit) -> Result<Self, Reason> {
        let well_formed = matches!(text, [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit))
            && text.len() <= unit.digits();
        let digits = if well_formed { str::from_utf8(text).ok() } else { None };
        let value = digits.and_then(|digits| digits.parse().ok()).ok_or(Reason::MalformedTimestamp)?;
        Ok(Self { value, unit })
    }

    /// Whether it lies within `tolerance_s` of `now`, both ways, the edges included.
    pub(crate) const fn judge(self, tolerance_s: u64, now: UnixMicros) -> Result<(), Reason> {
        let now = self.unit.of(now);
        let tolerance = tolerance_s.saturating_mul(self.unit.per_second());
        if self.value < now.saturating_sub(tolerance) {
            return Err(Reason::TimestampTooOld);
        }
        if self.value > now.saturating_add(tolerance) {
            return Err(Reason::TimestampInFuture);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_timestamps() {
        let good = ["1", "1760000000", "999999999999"];
        let bad = [
            "",
            "0",
            "01760000000",
            "+1760000000",
            "-1",
            "1760000000.5",
            "1e9",
            "0x68e77f00",
            "1_7",
            " 1",
            "1 ",
            "1760000000abc",
            "1000000000000",
            "99999999999999999999",
            "١٧٦٠٠٠٠٠٠٠",
        ];
        for text in good {
            assert!(Timestamp::parse(text.as_bytes(), Unit::Seconds).is_ok(), "{text}");
        }
        for text in bad {
            assert_eq!(
                Timestamp::parse(text.as_bytes(), Unit::Seconds),
                Err(Reason::MalformedTimestamp),
                "{text}"
            );
        }
        assert!(Timestamp::parse(b"1760000000000", Unit::Millis).is_ok());
    }

    #[test]
    fn the_window_is_inclusive_both_ways_and_never_wraps() {
        let (now, max) = (1_760_000_000, u64::MAX);
        let table = [
            (now, now, 300, Ok(())),
            (now - 300, now, 300, Ok(())),
            (now - 301, now, 300, Err(Reason::TimestampTooOld)),
            (now + 300, now, 300, Ok(())),
            (now + 301, now, 300, Err(Reason::TimestampInFuture)),
            (now + (1 << 32), now, 300, Err(Reason::TimestampInFuture)),
            (1, now, 300, Err(Reason::TimestampTooOld)),
            (300, 0, 300, Ok(())),
            (301, 0, 300, Err(Reason::TimestampInFuture)),
            (max / 1_000_000, max / 1_000_000, max, Ok(())),
        ];
        for (value, now, tolerance_s, verdict) in table {
            let now = UnixMicros(now.saturating_mul(1_000_000));
            let timestamp = Timestamp { value, unit: Unit::Seconds };
            assert_eq!(timestamp.judge(tolerance_s, now), verdict, "{value} at {now:?}");
        }
    }

    #[test]
    fn milliseconds_are_compared_as_milliseconds() {
        let now = UnixMicros(1_760_000_000_500_000);
        let at = |value| Timestamp { value, unit: Unit::Millis }.judge(60, now);
        assert_eq!(at(1_759_999_940_500), Ok(()));
        assert_eq!(at(1_759_999_940_499), Err(Reason::TimestampTooOld));
        assert_eq!(at(1_760_000_060_500), Ok(()));
        assert_eq!(at(1_760_000_060_501), Err(Reason::TimestampInFuture));
    }
}
