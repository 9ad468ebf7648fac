//! When a delivery is tried again. Pure: an answer, a schedule, a moment and a random draw make a [`Next`].

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Millis;
use crate::model::{DeadReason, Failure, Next, Outcome, Retry, Signal};

/// What an attempt brought back, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// What it ended in.
    pub outcome: Outcome,
    /// How long the endpoint asked to be left alone (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// What an attempt at this step of its schedule, from 1, does to its delivery.
///
/// - 2xx: delivered. 410: dead at once, the endpoint wants no more. A status that is not to be tried again: dead at
///   once. Everything else, redirects included, fails.
/// - A failure waits "full jitter": anything between nothing and the step's ceiling, so that deliveries which failed
///   together do not come back together. After 429, 502, 503 and 504 `Retry-After`, at most `longest_hold`, is the
///   least wait.
/// - The failure of the last step makes a dead letter.
/// - `draw`: 64 random bits; 0 is the shortest wait, [`u64::MAX`] the longest.
#[must_use]
pub fn decide(
    reply: Reply,
    step: u32,
    retry: &Retry,
    now: Millis,
    draw: u64,
    longest_hold: Duration,
) -> Next {
    match reply.outcome {
        outcome if outcome.is_success() => Next::Delivered,
        Outcome::Answered(410) => Next::Dead(DeadReason::Gone),
        Outcome::Answered(status) if retry.non_retryable.contains(&status) => Next::Dead(DeadReason::Refused),
        _ if step >= retry.attempts() => Next::Dead(DeadReason::Exhausted),
        Outcome::Answered(_) | Outcome::Failed(_) => {
            let asked_for = asked_for(reply, longest_hold).unwrap_or_default();
            Next::RetryAt(now.plus(jittered(step, retry, draw).max(asked_for)))
        }
    }
}

/// What a reply says of its endpoint. 429, 502, 503, 504 and a timeout say that it has too much to do; the four answers
/// may name the moment until which it wants to be left alone, at most `longest_hold` from now. A 3xx or 4xx that is
/// not to be tried again is about the delivery: the endpoint does its work.
#[must_use]
pub fn signal(reply: Reply, retry: &Retry, now: Millis, longest_hold: Duration) -> Signal {
    match reply.outcome {
        outcome if outcome.is_success() => Signal::Success,
        Outcome::Answered(status) if is_overload(status) => {
            Signal::Overloaded { hold_until: asked_for(reply, longest_hold).map(|wait| now.plus(wait)) }
        }
        Outcome::Answered(status @ ..500) if retry.non_retryable.contains(&status) => Signal::Success,
        Outcome::Failed(Failure::Timeout) => Signal::Overloaded { hold_until: None },
        Outcome::Answered(_) | Outcome::Failed(_) => Signal::Failure,
    }
}

/// RFC 6585 for 429, RFC 9110 for 503; what stands before an overloaded server answers 502 and 504.
const fn is_overload(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The same for an event that is not to be tried from `expires_at` on: a retry that would come too late is none.
#[must_use]
pub fn before(expires_at: Option<Millis>, next: Next) -> Next {
    match (next, expires_at) {
        (Next::RetryAt(moment), Some(expires_at)) if expires_at <= moment => Next::Dead(DeadReason::Expired),
        (next, _) => next,
    }
}

/// Reads a `Retry-After` value: whole seconds, or an HTTP date as seen from `now` (one that has passed asks for
/// nothing). `None` when it is neither.
#[must_use]
pub fn retry_after(value: &str, now: Millis) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Millis::default().plus(date).since(now))
}

fn jittered(step: u32, retry: &Retry, draw: u64) -> Duration {
    let ceiling = retry.ceiling_ms(step);
    let scaled = ((u128::from(ceiling) + 1) * u128::from(draw)) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(ceiling))
}

fn asked_for(reply: Reply, longest_hold: Duration) -> Option<Duration> {
    let overload = matches!(reply.outcome, Outcome::Answered(status) if is_overload(status));
    reply.retry_after.filter(|_| overload).map(|wait| wait.min(longest_hold))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_000_000);
    /// The longest hold of these tests.
    const MOST: Duration = Duration::from_secs(60);

    fn retry() -> Retry {
        Retry { max_attempts: 5, base_ms: 1_000, max_ms: 6_000, ..Retry::default() }
    }

    fn answered(status: u16) -> Reply {
        Reply { outcome: Outcome::Answered(status), retry_after: None }
    }

    fn asking(status: u16, seconds: u64) -> Reply {
        Reply { retry_after: Some(Duration::from_secs(seconds)), ..answered(status) }
    }

    fn in_ms(wait: u64) -> Next {
        Next::RetryAt(Millis(NOW.0 + wait))
    }

    #[test]
    fn a_schedule_keeps_its_promises() {
        let timeout = Reply { outcome: Outcome::Failed(Failure::Timeout), retry_after: None };
        let (none, all) = (0, u64::MAX);
        let table = [
            ("any 2xx delivers", answered(204), 1, none, Next::Delivered),
            ("even as the last attempt", answered(200), 5, none, Next::Delivered),
            ("410 ends it at once", answered(410), 1, all, Next::Dead(DeadReason::Gone)),
            ("a redirect is a failure", answered(301), 1, all, in_ms(1_000)),
            ("jitter reaches down to nothing", answered(500), 1, none, in_ms(0)),
            ("and up to the ceiling", answered(500), 1, all, in_ms(1_000)),
            ("half a draw is half the ceiling", answered(500), 1, 1 << 63, in_ms(500)),
            ("the ceiling doubles", answered(500), 2, all, in_ms(2_000)),
            ("and doubles again", timeout, 3, all, in_ms(4_000)),
            ("but not beyond max_ms", answered(404), 4, all, in_ms(6_000)),
            ("the last failure is dead", timeout, 5, all, Next::Dead(DeadReason::Exhausted)),
            ("and so is any after it", timeout, 6, none, Next::Dead(DeadReason::Exhausted)),
            ("Retry-After is the least wait", asking(429, 3), 1, none, in_ms(3_000)),
            ("on 502, 503 and 504 too", asking(502, 3), 1, none, in_ms(3_000)),
            ("as seldom as it may be sent", asking(504, 3), 1, none, in_ms(3_000)),
            ("and no more than the least", asking(429, 3), 3, all, in_ms(4_000)),
            ("on other answers it says nothing", asking(500, 3), 1, none, in_ms(0)),
            ("a huge one is clamped", asking(503, 99_999_999_999), 1, none, in_ms(60_000)),
        ];
        for (promise, reply, step, draw, expected) in table {
            assert_eq!(decide(reply, step, &retry(), NOW, draw, MOST), expected, "{promise}");
        }
    }

    #[test]
    fn a_schedule_of_its_own_is_followed_and_what_is_final_is_not_tried_again() {
        let own = Retry { schedule_ms: vec![500, 70], non_retryable: vec![400, 404, 503], ..retry() };
        let table = [
            ("the first wait", answered(500), 1, in_ms(500)),
            ("the second", answered(500), 2, in_ms(70)),
            ("there is no third", answered(500), 3, Next::Dead(DeadReason::Exhausted)),
            ("final", answered(404), 1, Next::Dead(DeadReason::Refused)),
            ("even when it may be asked again", asking(503, 3), 1, Next::Dead(DeadReason::Refused)),
            ("410 is its own", answered(410), 1, Next::Dead(DeadReason::Gone)),
            ("others are not", answered(401), 1, in_ms(500)),
        ];
        for (promise, reply, step, expected) in table {
            assert_eq!(decide(reply, step, &own, NOW, u64::MAX, MOST), expected, "{promise}");
        }
        assert_eq!(signal(answered(404), &own, NOW, MOST), Signal::Success, "it is about the delivery");
        assert_eq!(signal(answered(503), &own, NOW, MOST), Signal::Overloaded { hold_until: None });
    }

    #[test]
    fn a_reply_tells_how_its_endpoint_does() {
        let failed = |failure| Reply { outcome: Outcome::Failed(failure), retry_after: None };
        let busy = |hold_until| Signal::Overloaded { hold_until };
        let until = |seconds: u64| Some(Millis(NOW.0 + seconds * 1_000));
        let table = [
            (answered(204), Signal::Success),
            (answered(301), Signal::Failure),
            (answered(410), Signal::Failure),
            (answered(500), Signal::Failure),
            (asking(500, 3), Signal::Failure),
            (answered(429), busy(None)),
            (asking(429, 3), busy(until(3))),
            (asking(502, 3), busy(until(3))),
            (asking(503, 60), busy(until(60))),
            (asking(504, 61), busy(until(60))),
            (failed(Failure::Timeout), busy(None)),
            (failed(Failure::Connect), Signal::Failure),
        ];
        for (reply, expected) in table {
            assert_eq!(signal(reply, &retry(), NOW, MOST), expected, "{reply:?}");
        }
    }

    #[test]
    fn no_retry_is_planned_beyond_the_events_end() {
        let end = Some(Millis(NOW.0 + 1_000));
        let (expired, gone) = (Next::Dead(DeadReason::Expired), Next::Dead(DeadReason::Gone));
        let table = [
            ("one before its end", end, in_ms(999), in_ms(999)),
            ("at its end", end, in_ms(1_000), expired),
            ("without an end", None, in_ms(u64::MAX - NOW.0), in_ms(u64::MAX - NOW.0)),
            ("what is delivered is delivered", Some(Millis(0)), Next::Delivered, Next::Delivered),
            ("and what is dead keeps its reason", Some(Millis(0)), gone, gone),
        ];
        for (promise, end, next, expected) in table {
            assert_eq!(before(end, next), expected, "{promise}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let at = |s: u64| Millis(s * 1_000);
        let table = [
            ("120", at(0), Some(120)),
            ("0", at(0), Some(0)),
            (" 7\t", at(0), Some(7)),
            ("99999999999999999999999999", at(0), Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", at(784_111_770), Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", at(784_111_770), Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", at(784_111_780), Some(0)),
            ("-1", at(0), None),
            ("+1", at(0), None),
            ("1.5", at(0), None),
            ("", at(0), None),
            ("soon", at(0), None),
        ];
        for (text, now, seconds) in table {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_settings_a_wait_stays_under_its_ceiling(
            max_attempts in 0_u32..=u32::MAX, base_ms: u64, max_ms: u64, step: u32, draw: u64, now: u64,
            status in 300_u16..600, wait in proptest::option::of(any::<u64>()),
        ) {
            let retry = Retry { max_attempts, base_ms, max_ms, ..Retry::default() };
            let reply = Reply { outcome: Outcome::Answered(status), retry_after: wait.map(Duration::from_secs) };
            match decide(reply, step, &retry, Millis(now), draw, MOST) {
                Next::RetryAt(at) => prop_assert!(at.0 >= now && at.0 - now <= max_ms.max(60_000)),
                Next::Dead(DeadReason::Gone) => prop_assert_eq!(status, 410),
                Next::Dead(reason) => prop_assert_eq!(reason, DeadReason::Exhausted),
                Next::Delivered => prop_assert!(false, "a failure never delivers"),
            }
        }

        #[test]
        fn no_delivery_outlives_its_attempts(max_attempts in 1_u32..=100, draw: u64) {
            let retry = Retry { max_attempts, ..Retry::default() };
            let dead = |n: &u32| matches!(decide(answered(500), *n, &retry, NOW, draw, MOST), Next::Dead(_));
            prop_assert_eq!((1..).find(dead), Some(max_attempts));
        }
    }
}
