//! Moments as the API shows and reads them: RFC 3339.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Millis;

/// RFC 3339 in UTC, `2026-11-24T13:46:29.123Z`. A moment beyond year 9999 becomes its end.
pub(crate) fn rfc3339(moment: Millis) -> String {
    let millis = i64::try_from(moment.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_string()
}

/// A moment that is shown and read as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Millis);

/// A text that is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a moment like 2026-11-24T13:46:29Z, not before 1970")]
pub(super) struct NoMoment;

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let moment = text.parse::<Timestamp>().ok().ok_or(NoMoment)?;
        u64::try_from(moment.as_millisecond()).map(|millis| Self(Millis(millis))).ok().ok_or(NoMoment)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
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

    #[test]
    fn a_moment_is_read_with_any_offset_and_nothing_else_is() {
        let table = [
            ("2025-11-24T16:00:00.123Z", Some(1_764_000_000_123)),
            ("2025-11-24T17:00:00.123+01:00", Some(1_764_000_000_123)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59Z", None),
            ("2025-11-24T16:00:00", None),
            ("2025-11-24", None),
            ("1764000000123", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Moment>().ok().map(|moment| moment.0.0), expected, "{text}");
        }
    }
}
