//! From when and until when an event may be tried: what it asks for, or what the settings say.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::time::Moment;
use crate::clock::Millis;

/// Farthest ahead an event may be put off: 30 days.
const MOST_AHEAD: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest an event may be tried after it is first due: 90 days.
const MOST_TTL: Duration = Duration::from_secs(90 * 24 * 3600);

/// What an event asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) deliver_at: Option<Moment>,
    pub(super) ttl_s: Option<NonZeroU32>,
    pub(super) expires_at: Option<Moment>,
}

/// What it gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) deliver_at: Option<Millis>,
    pub(super) expires_at: Option<Millis>,
}

/// A field that cannot be granted, and why.
pub(super) type Denied = (&'static str, &'static str);

impl Wish {
    /// The terms of an event that arrives at `now`. `ttl`: how long after it is first due an event that does not say
    /// may be tried.
    pub(super) fn grant(self, now: Millis, ttl: Option<Duration>) -> Result<Terms, Denied> {
        let deliver_at = self.deliver_at.map(|Moment(moment)| moment);
        if deliver_at.is_some_and(|moment| moment > now.plus(MOST_AHEAD)) {
            return Err(("deliver_at", "expected a moment at most 30 days ahead"));
        }
        let due = deliver_at.map_or(now, |moment| moment.max(now));
        Ok(Terms { deliver_at, expires_at: self.end(due, ttl)? })
    }

    fn end(self, due: Millis, ttl: Option<Duration>) -> Result<Option<Millis>, Denied> {
        match (self.ttl_s, self.expires_at) {
            (Some(_), Some(_)) => Err(("ttl_s", "expected either this or expires_at")),
            (Some(ttl_s), None) => match Duration::from_secs(ttl_s.get().into()) {
                ttl if ttl <= MOST_TTL => Ok(Some(due.plus(ttl))),
                _ => Err(("ttl_s", "expected 1–7776000 seconds")),
            },
            (None, Some(Moment(end))) if end <= due => {
                Err(("expires_at", "expected a moment after now and after deliver_at"))
            }
            (None, Some(Moment(end))) if end > due.plus(MOST_TTL) => {
                Err(("expires_at", "expected a moment at most 90 days after it is first due"))
            }
            (None, Some(Moment(end))) => Ok(Some(end)),
            (None, None) => Ok(ttl.map(|ttl| due.plus(ttl))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);
    const DAY: u64 = 24 * 3_600_000;

    fn after(ms: u64) -> Option<Moment> {
        Some(Moment(Millis(NOW.0 + ms)))
    }

    fn granted(deliver_at: Option<u64>, expires_at: Option<u64>) -> Result<Terms, Denied> {
        let moment = |ms: u64| Millis(NOW.0 + ms);
        Ok(Terms { deliver_at: deliver_at.map(moment), expires_at: expires_at.map(moment) })
    }

    #[test]
    fn a_wish_is_granted_within_its_bounds() {
        let (none, setting) = (None, Some(Duration::from_secs(60)));
        let at = |deliver_at| Wish { deliver_at, ..Wish::default() };
        let until = |expires_at| Wish { expires_at, ..Wish::default() };
        let ttl = |seconds| Wish { ttl_s: NonZeroU32::new(seconds), ..Wish::default() };
        let late = Wish { deliver_at: after(5_000), ..ttl(2) };
        let table = [
            ("nothing is asked for", Wish::default(), none, granted(None, None)),
            ("the setting is for who asks nothing", Wish::default(), setting, granted(None, Some(60_000))),
            ("and begins when it is due", at(after(5_000)), setting, granted(Some(5_000), Some(65_000))),
            ("thirty days ahead", at(after(30 * DAY)), none, granted(Some(30 * DAY), None)),
            ("no more", at(after(30 * DAY + 1)), none, Err(("deliver_at", ""))),
            ("a time to live", ttl(2), setting, granted(None, Some(2_000))),
            ("begins when it is due", late, none, granted(Some(5_000), Some(7_000))),
            ("ninety days", ttl(7_776_000), none, granted(None, Some(90 * DAY))),
            ("no longer", ttl(7_776_001), none, Err(("ttl_s", ""))),
            ("an end", until(after(1)), setting, granted(None, Some(1))),
            ("that is over", until(after(0)), none, Err(("expires_at", ""))),
            (
                "at its beginning",
                Wish { deliver_at: after(9), ..until(after(9)) },
                none,
                Err(("expires_at", "")),
            ),
            ("too far off", until(after(90 * DAY + 1)), none, Err(("expires_at", ""))),
            ("both", Wish { expires_at: after(9), ..ttl(1) }, none, Err(("ttl_s", ""))),
        ];
        for (promise, wish, ttl, expected) in table {
            let field_only = |(field, _): Denied| (field, "");
            assert_eq!(wish.grant(NOW, ttl).map_err(field_only), expected, "{promise}");
        }
        let past = at(Some(Moment(Millis(0)))).grant(NOW, setting).unwrap();
        assert_eq!(past.expires_at, Some(Millis(NOW.0 + 60_000)), "a moment that has passed is now");
    }
}
