//! Rate limits as clients feel them, over counters that a host keeps.

use std::net::IpAddr;

use hookgate_policy::{Counters, CountersError, Next, Policy, Reason, Refusal, Shard, UnixMicros};
use serde_json::{Value, json};

use crate::support::{Memory, NOW, Request, changed, policy};

/// Two a minute, both at once.
fn two_a_minute() -> Value {
    changed("/rate_limit", json!({"requests": 2, "window_s": 60}))
}

fn ask(policy: &Policy, request: &Request, counters: &mut impl Counters) -> Result<(), Refusal> {
    match request.begin(policy, counters).next {
        Next::Refuse(refusal) => Err(refusal),
        Next::Pass | Next::Verify(_) => Ok(()),
    }
}

fn from(client: &str) -> Request {
    Request { client: client.parse().ok(), ..Request::signed() }
}

fn later(seconds: u64) -> Request {
    Request { now: UnixMicros(NOW.0 + seconds * 1_000_000), ..Request::signed() }
}

const LIMITED: Reason = Reason::RateLimited;

#[test]
fn a_client_over_its_limit_is_told_when_to_come_back() {
    let (policy, mut counters) = (policy(&two_a_minute()), Memory::default());
    assert_eq!(ask(&policy, &later(0), &mut counters), Ok(()));
    assert_eq!(ask(&policy, &later(1), &mut counters), Ok(()));
    assert_eq!(ask(&policy, &later(1), &mut counters), Err(Refusal::after(LIMITED, 29)));
    assert_eq!(ask(&policy, &later(29), &mut counters), Err(Refusal::after(LIMITED, 1)));
    assert_eq!(ask(&policy, &later(30), &mut counters), Ok(()));
}

#[test]
fn each_client_has_its_own_limit() {
    let (policy, mut counters) = (policy(&two_a_minute()), Memory::default());
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "unknown"] {
        for passes in [true, true, false] {
            assert_eq!(ask(&policy, &from(client), &mut counters).is_ok(), passes, "{client}");
        }
    }
    assert!(ask(&policy, &from("2001:db8::2"), &mut counters).is_err(), "the same /64");
}

#[test]
fn forged_requests_count_and_unknown_paths_do_not() {
    let (policy, mut counters) = (policy(&two_a_minute()), Memory::default());
    let unknown = Request { target: "/x".to_owned(), ..Request::signed() };
    let forged = Request::signed().replacing("webhook-signature", "v1,AA==");
    for _ in 0..3 {
        assert_eq!(ask(&policy, &unknown, &mut counters), Err(Refusal::new(Reason::UnknownSource)));
    }
    for _ in 0..2 {
        assert_eq!(ask(&policy, &forged, &mut counters), Err(Refusal::new(Reason::BadSignature)));
    }
    assert_eq!(ask(&policy, &Request::signed(), &mut counters).unwrap_err().reason, LIMITED);
}

#[test]
fn a_refused_request_leaves_no_trace() {
    let (policy, mut counters) = (policy(&two_a_minute()), Memory::default());
    while ask(&policy, &Request::signed(), &mut counters).is_ok() {}
    let before = counters.shards.clone();
    assert!(ask(&policy, &Request::signed(), &mut counters).is_err());
    assert_eq!(counters.shards, before);
}

#[test]
fn a_source_may_have_its_own_limit_or_none() {
    let mut document = two_a_minute();
    let table = [
        ("the policy's", Value::Null, 2),
        ("its own", json!({"requests": 9, "window_s": 60, "burst": 3}), 3),
    ];
    for (promise, limit, passes) in table {
        if !limit.is_null() {
            document["sources"][0]["rate_limit"] = limit;
        }
        let (policy, mut counters) = (policy(&document), Memory::default());
        let passed = (0..10).filter(|_| ask(&policy, &Request::signed(), &mut counters).is_ok()).count();
        assert_eq!(passed, passes, "{promise}");
    }
    document["sources"][0]["rate_limit"] = Value::Null;
    let (policy, mut counters) = (policy(&document), Memory::default());
    assert!((0..10).all(|_| ask(&policy, &Request::signed(), &mut counters).is_ok()), "none");
    assert_eq!(counters.swaps, 0);
}

#[test]
fn passed_through_paths_share_a_limit_of_their_own() {
    let mut document = two_a_minute();
    document["passthrough"] = json!(["/a", "/b"]);
    let (policy, mut counters) = (policy(&document), Memory::default());
    let to = |path: &str| Request { target: path.to_owned(), ..Request::signed() };
    for (path, passes) in [("/a", true), ("/b", true), ("/a", false), ("/in/acme", true)] {
        assert_eq!(ask(&policy, &to(path), &mut counters).is_ok(), passes, "{path}");
    }
}

#[test]
fn a_lost_race_is_tried_again_but_not_for_ever() {
    let policy = policy(&two_a_minute());
    for (races, outcome) in [(7, Ok(())), (8, Err(Refusal::after(Reason::Host, 1)))] {
        let mut counters = Memory { races, ..Memory::default() };
        assert_eq!(ask(&policy, &Request::signed(), &mut counters), outcome, "{races} lost races");
        assert_eq!(counters.swaps, 8);
    }
}

#[test]
fn a_host_without_counters_refuses_rather_than_guesses() {
    struct Broken;
    impl Counters for Broken {
        fn load(&mut self, _shard: u16) -> Result<Shard, CountersError> {
            Err(CountersError)
        }
        fn swap(&mut self, _shard: u16, _bytes: &[u8], _version: u32) -> Result<bool, CountersError> {
            Err(CountersError)
        }
    }
    let mut missing = Memory { shards: Vec::new(), ..Memory::default() };
    let policy = policy(&two_a_minute());
    let host = Err(Refusal::after(Reason::Host, 1));
    assert_eq!(ask(&policy, &Request::signed(), &mut Broken), host);
    assert_eq!(ask(&policy, &Request::signed(), &mut missing), host);
}

#[test]
fn garbage_in_the_shards_is_no_limit_and_no_harm() {
    let policy = policy(&two_a_minute());
    for bytes in [vec![0xff; 1_025], vec![0xff; 17], vec![1; 3]] {
        let shard = Shard { bytes, version: 9 };
        let mut counters = Memory { shards: vec![shard; 256], ..Memory::default() };
        let passed = (0..4).filter(|_| ask(&policy, &Request::signed(), &mut counters).is_ok()).count();
        assert_eq!(passed, 2);
    }
}

#[test]
fn going_back_in_time_is_stricter_but_a_wrong_year_heals() {
    let policy = policy(&two_a_minute());
    let at = |seconds: u64| Request { now: UnixMicros(seconds * 1_000_000), ..Request::signed() };
    let limited = |before: u64, after: u64| {
        let mut counters = Memory::default();
        assert!(
            (0..2).all(|_| ask(&policy, &at(before), &mut counters).err().map(|r| r.reason) != Some(LIMITED))
        );
        ask(&policy, &at(after), &mut counters).is_err_and(|refusal| refusal.reason == LIMITED)
    };
    let now = NOW.seconds();
    assert!(limited(now, now - 3_600), "an hour back");
    assert!(limited(now + 86_000, now), "nearly a day back");
    assert!(!limited(now + 31_536_000, now), "a clock that was a year ahead for a moment locks nobody out");
}

#[test]
fn a_flood_from_everywhere_keeps_its_bounds() {
    let (policy, mut counters) = (policy(&two_a_minute()), Memory::default());
    for client in 0..30_000_u32 {
        let request = Request {
            client: Some(IpAddr::V4(client.into())),
            target: "/in/acme".to_owned(),
            ..Request::of(Vec::new())
        };
        assert_eq!(ask(&policy, &request, &mut counters).unwrap_err().reason, Reason::MissingHeader);
    }
    assert!(counters.shards.iter().all(|shard| shard.bytes.len() == 1_024));
}
