//! What is known of one client's token, and what to do when one is needed. Pure: `now` is passed in.

use std::time::Duration;

use http::HeaderValue;

use crate::clock::Millis;

/// A token as its server gave it: ready for the header, and how long it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) value: HeaderValue,
    pub(super) lifetime: Duration,
}

/// What to do for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Take this one.
    Use(HeaderValue),
    /// Ask the server.
    Fetch,
    /// Fail as the server failed last.
    Fail(String),
}

#[derive(Debug)]
struct Held {
    value: HeaderValue,
    got_at: Millis,
    good_until: Millis,
}

#[derive(Debug)]
struct Rest {
    until: Millis,
    why: String,
}

/// One client's token and its server's mood.
#[derive(Debug, Default)]
pub(super) struct State {
    held: Option<Held>,
    rest: Option<Rest>,
    failures: u32,
}

impl State {
    /// A token is not used in the last so much of its life, nor in the second half of a short one: it must still be
    /// good when the request arrives.
    const MARGIN: Duration = Duration::from_secs(60);
    /// A token younger than this is not fetched anew because an endpoint refuses it: the next would be no better, and
    /// an endpoint that refuses all must not make us ask with every attempt.
    const YOUNG: Duration = Duration::from_secs(10);
    /// The first rest after a failure; doubled with each one that follows.
    const FIRST_REST: Duration = Duration::from_secs(1);
    /// The longest.
    const LONGEST_REST: Duration = Duration::from_secs(60);

    /// What to do now.
    pub(super) fn step(&self, now: Millis) -> Step {
        if let Some(held) = self.held.as_ref().filter(|held| now < held.good_until) {
            return Step::Use(held.value.clone());
        }
        match &self.rest {
            // A rest that seems longer than any is one from before the clock went back.
            Some(rest) if now < rest.until && rest.until.since(now) <= Self::LONGEST_REST => {
                Step::Fail(rest.why.clone())
            }
            Some(_) | None => Step::Fetch,
        }
    }

    /// The server gave a token.
    pub(super) fn granted(&mut self, granted: Granted, now: Millis) {
        let margin = Self::MARGIN.min(granted.lifetime / 2);
        let good_until = now.plus(granted.lifetime.saturating_sub(margin));
        let held = Held { value: granted.value, got_at: now, good_until };
        *self = Self { held: Some(held), rest: None, failures: 0 };
    }

    /// The server gave none.
    pub(super) fn failed(&mut self, why: String, now: Millis) {
        let doubled = 2_u32.saturating_pow(self.failures);
        let rest = Self::FIRST_REST.saturating_mul(doubled).min(Self::LONGEST_REST);
        let rest = Rest { until: now.plus(rest), why };
        *self = Self { held: None, rest: Some(rest), failures: self.failures.saturating_add(1) };
    }

    /// An endpoint refused this value: it is given up, if it is the one held and old enough. Answers whether asking for
    /// another one makes sense.
    pub(super) fn refused(&mut self, value: &HeaderValue, now: Millis) -> bool {
        let Some(held) = self.held.as_ref().filter(|held| held.value == value) else { return true };
        if now.since(held.got_at) < Self::YOUNG {
            return false;
        }
        self.held = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FETCH: Step = Step::Fetch;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn take(text: &'static str) -> Step {
        Step::Use(value(text))
    }

    fn granted(lifetime_s: u64) -> State {
        let mut state = State::default();
        let lifetime = Duration::from_secs(lifetime_s);
        state.granted(Granted { value: value("a"), lifetime }, Millis(1_000_000));
        state
    }

    fn s(seconds: u64) -> Millis {
        Millis(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        assert_eq!(State::default().step(s(0)), FETCH);
        for (lifetime, used, fetched) in [(3_600, 3_539, 3_540), (300, 239, 240), (60, 29, 30), (1, 0, 1)] {
            let state = granted(lifetime);
            assert_eq!(state.step(s(used)), take("a"), "{lifetime}");
            assert_eq!(state.step(s(fetched)), FETCH, "{lifetime}");
        }
        assert_eq!(granted(0).step(s(0)), FETCH, "one that is over at once is not kept");
    }

    #[test]
    fn a_server_that_fails_rests_for_longer_each_time() {
        let (mut state, mut now) = (State::default(), 0);
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(state.step(s(now)), FETCH);
            state.failed(format!("after {now}"), s(now));
            assert_eq!(state.step(Millis(s(now + rest).0 - 1)), Step::Fail(format!("after {now}")));
            now += rest;
        }
        assert_eq!(state.step(Millis(0)), FETCH, "a clock that went back does not make it rest for ever");
        state.granted(Granted { value: value("b"), lifetime: Duration::from_secs(3_600) }, s(now));
        assert_eq!(state.step(s(now)), take("b"));
        state.failed(String::new(), s(now));
        assert_eq!(state.step(s(now + 1)), FETCH, "a success makes patient again");
    }

    #[test]
    fn a_refused_token_is_given_up_once_and_not_when_it_is_new() {
        for (promise, refused, at, worth, then) in [
            ("a new one is no worse than the next", "a", 9, false, take("a")),
            ("an old one is fetched anew", "a", 10, true, FETCH),
            (
                "of many who were refused the first fetches, the others take what it got",
                "old",
                0,
                true,
                take("a"),
            ),
        ] {
            let mut state = granted(3_600);
            assert_eq!(state.refused(&value(refused), s(at)), worth, "{promise}");
            assert_eq!(state.step(s(at)), then, "{promise}");
        }
        assert!(State::default().refused(&value("a"), s(0)));
    }
}
