//! Moments as the API shows them.

use jiff::Timestamp;

use crate::clock::Millis;

/// RFC 3339 in UTC, `2026-11-24T13:46:29.123Z`. A moment beyond year 9999 becomes its end.
pub(super) fn rfc3339(moment: Millis) -> String {
    let millis = i64::try_from(moment.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_utc() {
        assert_eq!(rfc3339(Millis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Millis(1_764_000_000_123)), "2025-11-24T16:00:00.123Z");
        assert!(rfc3339(Millis(u64::MAX)).starts_with("9999-12-"));
    }
}
