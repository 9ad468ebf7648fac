//! What a turn does to how an endpoint stands. Pure.

use std::time::Duration;

use crate::clock::Millis;
use crate::model::{DisabledReason, Endpoint};
use crate::registry::disable;
use crate::store::Turn;

/// What changed in how an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is disabled.
    Disabled(DisabledReason),
    /// It began to fail: its breaker opened, for the first time since it recovered.
    Failing {
        /// When one attempt may probe.
        until: Millis,
    },
    /// It recovered.
    Recovered {
        /// Since when it had been failing.
        since: Millis,
    },
}

/// Takes in a turn that was seen at `at`. `patience`: how long an endpoint may fail before it is disabled; `None` is for
/// ever. A turn from before a person enabled it counts for nothing.
pub(super) fn take_in(
    endpoint: &mut Endpoint,
    turn: Turn,
    at: Millis,
    patience: Option<Duration>,
) -> Option<Change> {
    if at < endpoint.standing.enabled_at || !endpoint.accepts() {
        return None;
    }
    match turn {
        Turn::Gone => switch_off(endpoint, DisabledReason::Gone, at),
        Turn::BreakerOpened { .. } if is_overdue(endpoint, turn, at, patience) => {
            switch_off(endpoint, DisabledReason::Failing, at)
        }
        Turn::BreakerOpened { until } if endpoint.standing.failing_since.is_none() => {
            endpoint.standing.failing_since = Some(at);
            Some(Change::Failing { until })
        }
        Turn::BreakerOpened { .. } => None,
        Turn::BreakerClosed => {
            endpoint.standing.failing_since.take().map(|since| Change::Recovered { since })
        }
    }
}

/// Whether this turn is one failure too many for an endpoint that never recovered.
pub(super) fn is_overdue(endpoint: &Endpoint, turn: Turn, at: Millis, patience: Option<Duration>) -> bool {
    let (Turn::BreakerOpened { .. }, Some(patience)) = (turn, patience) else { return false };
    endpoint.standing.failing_since.is_some_and(|since| at.since(since) >= patience)
}

fn switch_off(endpoint: &mut Endpoint, reason: DisabledReason, at: Millis) -> Option<Change> {
    disable(endpoint, reason, at).then_some(Change::Disabled(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Disabled, Standing};
    use crate::registry::Draft;

    const OPENED: Turn = Turn::BreakerOpened { until: Millis(u64::MAX) };
    const PATIENCE: Option<Duration> = Some(Duration::from_millis(100));

    fn endpoint(standing: Standing) -> Endpoint {
        let draft: Draft = serde_json::from_str(r#"{"url":"https://example.com"}"#).unwrap();
        Endpoint { standing, ..draft.endpoint(Millis(0), || 7) }
    }

    fn failing(since: u64) -> Standing {
        Standing { failing_since: Some(Millis(since)), ..Standing::default() }
    }

    fn disabled(reason: DisabledReason, at: u64, before: Standing) -> Standing {
        Standing { disabled: Some(Disabled { reason, at: Millis(at) }), ..before }
    }

    #[test]
    fn a_turn_changes_how_an_endpoint_stands() {
        use DisabledReason::{Failing, Gone, Operator};
        let well = Standing::default();
        let by_hand = disabled(Operator, 5, well);
        let enabled = Standing { enabled_at: Millis(50), ..well };
        let failed = Some(Change::Failing { until: Millis(u64::MAX) });
        let off = |reason| Some(Change::Disabled(reason));
        let since = Some(Change::Recovered { since: Millis(10) });
        let table = [
            ("410 disables at once", well, Turn::Gone, 20, disabled(Gone, 20, well), off(Gone)),
            ("the first opening begins its failing", well, OPENED, 20, failing(20), failed),
            ("later ones keep when it began", failing(10), OPENED, 109, failing(10), None),
            (
                "until it is too long",
                failing(10),
                OPENED,
                110,
                disabled(Failing, 110, failing(10)),
                off(Failing),
            ),
            ("a clock that jumps back is patient", failing(10), OPENED, 5, failing(10), None),
            ("a recovery ends it, however late", failing(10), Turn::BreakerClosed, 999, well, since),
            ("a recovery of a healthy one is none", well, Turn::BreakerClosed, 20, well, None),
            ("the first reason stays", by_hand, Turn::Gone, 20, by_hand, None),
            ("a disabled one does not begin to fail", by_hand, OPENED, 20, by_hand, None),
            ("what was before it was enabled is over", enabled, Turn::Gone, 49, enabled, None),
            ("what came after is not", enabled, Turn::Gone, 50, disabled(Gone, 50, enabled), off(Gone)),
        ];
        for (promise, before, turn, at, after, expected) in table {
            let mut endpoint = endpoint(before);
            assert_eq!(take_in(&mut endpoint, turn, Millis(at), PATIENCE), expected, "{promise}");
            assert_eq!(endpoint.standing, after, "{promise}");
        }
    }

    #[test]
    fn without_a_limit_it_may_fail_for_ever() {
        let mut endpoint = endpoint(failing(10));
        assert_eq!(take_in(&mut endpoint, OPENED, Millis(u64::MAX), None), None);
        assert!(endpoint.accepts());
    }
}
