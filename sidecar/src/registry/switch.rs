//! Turning an endpoint off and on: by a person, or because of how it answers. Pure.

use crate::clock::Millis;
use crate::model::{Disabled, DisabledReason, Endpoint, Standing};

/// It gets no new events and its pending deliveries wait, until a person enables it. One that is disabled already
/// keeps its reason; answers whether it was not.
pub fn disable(endpoint: &mut Endpoint, reason: DisabledReason, now: Millis) -> bool {
    if !endpoint.accepts() {
        return false;
    }
    endpoint.standing.disabled = Some(Disabled { reason, at: now });
    endpoint.updated_at = now;
    true
}

/// It gets new events, and all that waits is due; earlier failures are forgotten, an open breaker closes. `false`: its
/// declaration keeps it disabled.
pub fn enable(endpoint: &mut Endpoint, now: Millis) -> bool {
    endpoint.enabled |= !endpoint.declared;
    endpoint.standing = Standing { enabled_at: now, ..Standing::default() };
    endpoint.updated_at = now;
    endpoint.enabled
}

/// It gets new events and none is tried, until a person enables it.
pub const fn pause(endpoint: &mut Endpoint, now: Millis) {
    endpoint.standing.paused = true;
    endpoint.updated_at = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(declared: bool, enabled: bool) -> Endpoint {
        let draft: super::super::Draft = serde_json::from_str(r#"{"url":"https://example.com"}"#).unwrap();
        Endpoint { declared, enabled, ..draft.endpoint(Millis(1), || 7) }
    }

    #[test]
    fn the_first_reason_stays_until_a_person_enables() {
        let mut endpoint = endpoint(false, true);
        assert!(disable(&mut endpoint, DisabledReason::Gone, Millis(2)));
        assert!(!disable(&mut endpoint, DisabledReason::Operator, Millis(3)));
        let gone = Some(Disabled { reason: DisabledReason::Gone, at: Millis(2) });
        assert_eq!((endpoint.standing.disabled, endpoint.accepts()), (gone, false));
        assert!(enable(&mut endpoint, Millis(4)));
        assert!(endpoint.is_tried());
        assert_eq!(endpoint.standing.enabled_at, Millis(4));
    }

    #[test]
    fn a_paused_endpoint_gets_events_and_is_not_tried() {
        let mut endpoint = endpoint(false, true);
        pause(&mut endpoint, Millis(2));
        assert!(endpoint.accepts() && !endpoint.is_tried());
        assert!(enable(&mut endpoint, Millis(3)) && endpoint.is_tried());
    }

    #[test]
    fn only_a_declaration_enables_what_it_disables() {
        for (declared, expected) in [(true, false), (false, true)] {
            let mut endpoint = endpoint(declared, false);
            assert_eq!(enable(&mut endpoint, Millis(2)), expected);
            assert_eq!(endpoint.accepts(), expected);
        }
    }
}
