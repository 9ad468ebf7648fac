//! What accept promises: once, to whom it belongs, all or nothing, to the byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{Endpoint, Event};
use hookgate_sidecar::store::{DeliveryFilter, EventFilter, StoreFault, StoreSettings};

use tokio::task::JoinSet;

use crate::fixture::*;
use crate::subject::Subject;

pub async fn a_known_key_answers_the_first_result(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let first = store.accept(&[offer(event(at(0)), &["k1", "k2"])], at(0)).await.unwrap()[0];
    assert!(!first.duplicate && first.deliveries == 1, "{first:?}");
    put(&*store, &endpoint("b")).await;
    let table = [
        ("its first key", event(at(1)), vec!["k1"], true),
        ("its last key", event(at(1)), vec!["k2"], true),
        ("one known key among new ones", event(at(1)), vec!["k3", "k2", "k4"], true),
        ("a key that begins like a known one", event(at(1)), vec!["k"], false),
        ("no key at all", event(at(1)), vec![], false),
        ("another tenant's same key", event_of("other", at(1)), vec!["k1"], false),
    ];
    for (promise, event, keys, duplicate) in table {
        let id = event.id;
        let answer = store.accept(&[offer(event, &keys)], at(1)).await.unwrap()[0];
        assert_eq!(answer.duplicate, duplicate, "{promise}");
        assert_eq!(answer.id, if duplicate { first.id } else { id }, "{promise}");
        assert_eq!(
            answer.deliveries == 1,
            duplicate,
            "{promise}: a duplicate has the first one's deliveries"
        );
        assert_eq!(
            store.event(&id).await.unwrap().is_some(),
            !duplicate,
            "{promise}: a duplicate is not written"
        );
    }
}

pub async fn a_duplicate_inside_one_batch_counts_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let offers = [
        offer(event(at(0)), &["same"]),
        offer(event(at(0)), &["other"]),
        offer(event(at(0)), &["fresh", "same"]),
    ];
    let answers = store.accept(&offers, at(0)).await.unwrap();
    let duplicates: Vec<bool> = answers.iter().map(|answer| answer.duplicate).collect();
    assert_eq!(duplicates, [false, false, true]);
    assert_eq!(answers[2].id, answers[0].id, "the first one's result");
    assert_eq!(answers[2].deliveries, 1);
    assert_eq!(store.census().await.unwrap().pending, 2);
}

pub async fn a_batch_over_max_pending_writes_nothing(subject: &impl Subject) {
    let store = subject.open(StoreSettings { max_pending: 3, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 1, at(0)).await;
    let batch = [offer(event(at(1)), &["k1"]), offer(event(at(1)), &["k2"]), offer(event(at(1)), &["k3"])];
    let refused = store.accept(&batch, at(1)).await.unwrap_err();
    assert_eq!((refused.operation, refused.fault), ("accept", StoreFault::Full));
    assert_eq!(store.census().await.unwrap().pending, 1);
    for offer in &batch {
        assert_eq!(store.event(&offer.event.id).await.unwrap(), None, "no event is written");
    }
    let answers = store.accept(&batch[..2], at(1)).await.unwrap();
    assert!(answers.iter().all(|answer| !answer.duplicate), "no key was remembered: {answers:?}");
    assert_eq!(store.census().await.unwrap().pending, 3, "the limit itself can be reached");
    let known = store.accept(&batch[..1], at(2)).await.unwrap();
    assert!(known[0].duplicate, "a full store still knows what it has");
}

pub async fn room_comes_back_with_every_finished_delivery(subject: &impl Subject) {
    let store = subject.open(StoreSettings { max_pending: 2, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 2, at(0)).await;
    assert_eq!(store.accept(&[offer(event(at(1)), &[])], at(1)).await.unwrap_err().fault, StoreFault::Full);
    let leases = leases(&*store, at(1), 1).await;
    settle(&*store, succeeded(&leases[0], at(1)), at(1)).await;
    accept(&*store, 1, at(2)).await;
    assert_eq!(store.accept(&[offer(event(at(3)), &[])], at(3)).await.unwrap_err().fault, StoreFault::Full);
}

pub async fn an_event_goes_to_the_matching_endpoints_of_its_tenant(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let globs = |globs: &[&str]| globs.iter().map(|glob| glob.parse().unwrap()).collect::<Vec<_>>();
    let endpoints = [
        ("all", Endpoint { event_types: globs(&["*"]), ..endpoint("all") }, true),
        ("orders", Endpoint { event_types: globs(&["user.*", "order.*"]), ..endpoint("orders") }, true),
        ("users", Endpoint { event_types: globs(&["user.*"]), ..endpoint("users") }, false),
        ("disabled", Endpoint { enabled: false, ..endpoint("disabled") }, false),
        ("foreign", Endpoint { tenant: tenant("other"), ..endpoint("foreign") }, false),
    ];
    for (_, endpoint, _) in &endpoints {
        put(&*store, endpoint).await;
    }
    let answer = accept(&*store, 1, at(0)).await[0];
    assert_eq!(answer.deliveries, 2);
    let deliveries = deliveries_of(&*store, answer.id).await;
    for (name, endpoint, expected) in &endpoints {
        let got = deliveries.iter().filter(|delivery| delivery.endpoint_id == endpoint.id).count();
        assert_eq!(got, usize::from(*expected), "{name}");
    }
    let foreign = store.accept(&[offer(event_of("other", at(0)), &[])], at(0)).await.unwrap()[0];
    assert_eq!(deliveries_of(&*store, foreign.id).await[0].endpoint_id, endpoint_id("foreign"));
}

pub async fn an_endpoint_with_a_filter_gets_what_fits_it(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let filter = |json: &str| Some(serde_json::from_str(json).unwrap());
    let large = Endpoint { filter: filter(r#"{"n":[{"numeric":[">",5]}]}"#), ..endpoint("large") };
    let not_x = Endpoint { filter: filter(r#"{"$not":{"x":[{"exists":true}]}}"#), ..endpoint("not-x") };
    for endpoint in [&large, &not_x] {
        put(&*store, endpoint).await;
        assert_eq!(store.endpoint(&endpoint.id).await.unwrap().as_ref(), Some(endpoint), "kept as it is");
    }
    put(&*store, &endpoint("all")).await;
    let table = [
        ("one that fits both", r#"{"n":6}"#, vec!["all", "large", "not-x"]),
        ("one that fits one", r#"{"n":6,"x":null}"#, vec!["all", "large"]),
        ("one that fits the other", r#"{"n":5}"#, vec!["all", "not-x"]),
        ("what is no JSON fits no filter", r#"{"n":6} and more"#, vec!["all"]),
        ("nor does nothing", "", vec!["all"]),
    ];
    let events = table.each_ref().map(|(_, payload, _)| Event { payload: (*payload).into(), ..event(at(0)) });
    let offers: Vec<_> = events.into_iter().map(|event| offer(event, &[])).collect();
    let answers = store.accept(&offers, at(0)).await.unwrap();
    for ((what, _, expected), answer) in table.iter().zip(answers) {
        let deliveries = deliveries_of(&*store, answer.id).await;
        let mut names: Vec<&str> = deliveries.iter().map(|one| one.endpoint_id.as_str()).collect();
        names.sort_unstable();
        assert_eq!(&names, expected, "{what}");
        assert_eq!(answer.deliveries as usize, expected.len(), "{what}");
    }
}

pub async fn one_event_for_a_thousand_endpoints_is_all_or_nothing(subject: &impl Subject) {
    let store = subject.open(StoreSettings { max_pending: 1_999, ..StoreSettings::default() }).await;
    put_thousand(&store).await;
    let first = store.accept(&[offer(event(at(0)), &["k"])], at(0)).await.unwrap()[0];
    assert_eq!((first.deliveries, first.duplicate), (1_000, false));
    let refused = offer(event(at(1)), &["other"]);
    let refusal = store.accept(std::slice::from_ref(&refused), at(1)).await.unwrap_err();
    assert_eq!(refusal.fault, StoreFault::Full, "there is room for 999 of them");
    assert_eq!(store.census().await.unwrap().pending, 1_000);
    assert_eq!(store.event(&refused.event.id).await.unwrap(), None);
    let again = store.accept(&[offer(event(at(2)), &["k"])], at(2)).await.unwrap()[0];
    assert_eq!((again.id, again.deliveries, again.duplicate), (first.id, 1_000, true));
    assert_each_gets_one(&*store, at(3)).await;
}

pub async fn an_event_nobody_wants_is_kept_and_known(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let answer = store.accept(&[offer(event(at(0)), &["k"])], at(0)).await.unwrap()[0];
    assert_eq!((answer.deliveries, answer.duplicate), (0, false));
    assert!(store.event(&answer.id).await.unwrap().is_some());
    let again = store.accept(&[offer(event(at(1)), &["k"])], at(1)).await.unwrap()[0];
    assert_eq!((again.id, again.deliveries, again.duplicate), (answer.id, 0, true));
}

pub async fn an_idempotency_window_ends(subject: &impl Subject) {
    let window = Duration::from_secs(10);
    let store = subject.open(StoreSettings { idempotency_window: window, ..StoreSettings::default() }).await;
    let table = [
        ("new", 0, false),
        ("one before its end", 9_999, true),
        ("at its end", 10_000, false),
        ("the new one is remembered in turn", 10_001, true),
        ("one before its end in turn", 19_999, true),
        ("until it ends", 20_000, false),
    ];
    for (key, upkeep) in [("never trimmed", false), ("trimmed", true)] {
        let mut ids = Vec::new();
        for (promise, ms, duplicate) in table {
            if upkeep {
                store.maintain(at(ms)).await.unwrap();
            }
            let answer = store.accept(&[offer(event(at(ms)), &[key])], at(ms)).await.unwrap()[0];
            assert_eq!(answer.duplicate, duplicate, "{key}: {promise}");
            ids.push(answer.id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 3, "{key}: a duplicate is the first one, and each new one is new");
    }
}

pub async fn of_two_known_keys_the_first_named_answers(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let offers = [offer(event(at(0)), &["a"]), offer(event(at(0)), &["b"])];
    let first = store.accept(&offers, at(0)).await.unwrap();
    for (keys, which) in [(["a", "b"], 0), (["b", "a"], 1)] {
        let answer = store.accept(&[offer(event(at(1)), &keys)], at(1)).await.unwrap()[0];
        assert_eq!((answer.id, answer.duplicate), (first[which].id, true), "{keys:?}");
    }
}

pub async fn one_key_offered_at_once_by_many_is_accepted_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.accept(&[offer(event(at(0)), &["same"])], at(0)).await.unwrap()[0] });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    assert!(answers.iter().all(|answer| answer.id == answers[0].id && answer.deliveries == 1));
    assert_eq!(store.census().await.unwrap().pending, 1);
}

pub async fn accepts_at_once_are_each_answered_for_themselves(subject: &impl Subject) {
    const ROOM: u64 = 30;
    let store = subject.open(StoreSettings { max_pending: ROOM, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    let mut tasks = JoinSet::new();
    for number in 0..24 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let offers: Vec<_> = (0..=number % 4).map(|_| offer(event(at(number)), &[])).collect();
            let answers = store.accept(&offers, at(number)).await;
            (offers, answers)
        });
    }
    let (mut accepted, mut least_refused) = (0, u64::MAX);
    for (offers, answers) in tasks.join_all().await {
        let own: Vec<_> = offers.iter().map(|offer| offer.event.id).collect();
        match answers {
            Ok(answers) => {
                accepted += own.len() as u64;
                assert_eq!(answers.iter().map(|answer| answer.id).collect::<Vec<_>>(), own);
                assert!(answers.iter().all(|answer| answer.deliveries == 1 && !answer.duplicate));
            }
            Err(error) => {
                assert_eq!(error.fault, StoreFault::Full);
                least_refused = least_refused.min(own.len() as u64);
                assert_eq!(
                    store.event(&own[0]).await.unwrap(),
                    None,
                    "nothing of a refused batch is written"
                );
            }
        }
    }
    assert_eq!(store.census().await.unwrap().pending, accepted);
    assert!(
        (ROOM - accepted) < least_refused,
        "{accepted} accepted, and {least_refused} refused for want of room"
    );
}

pub async fn every_byte_and_field_of_an_event_is_kept(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let table = [
        ("empty", Bytes::new()),
        ("text", Bytes::from_static("{\"a\":\"é\"}".as_bytes())),
        ("every byte, NUL and broken UTF-8", (0..=255_u8).collect()),
        ("one MiB", (0..1 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect()),
    ];
    for (what, payload) in table {
        let sent = Event {
            payload,
            content_type: "application/octet-stream; x=\"é\"".to_owned(),
            source: Some("acme".to_owned()),
            request_id: "req-é".to_owned(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            deliver_at: Some(at(6)),
            ordering_key: Some("é = \u{1f980}".parse().unwrap()),
            expires_at: Some(at(8)),
            ..event(at(7))
        };
        store.accept(&[offer(sent.clone(), &[])], at(7)).await.unwrap();
        assert_eq!(store.event(&sent.id).await.unwrap().as_ref(), Some(&sent), "{what}, looked up");
        let lease = lease(&*store, at(7)).await;
        assert_eq!(*lease.event, sent, "{what}, leased");
        settle(&*store, succeeded(&lease, at(7)), at(7)).await;
    }
    let listed = store.events(&EventFilter::default(), &first(10)).await.unwrap();
    assert_eq!(listed.data.len(), 4, "listed");
}

pub async fn an_accept_wakes_who_waits(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    assert_eq!(take(&*store, at(0), 1).await.next, None, "nothing will be due by itself");
    hush(&*store, at(0)).await;
    accept(&*store, 1, at(1)).await;
    woken(&*store, "an accept").await;
    assert_eq!(leases(&*store, at(1), 1).await.len(), 1);
    let listed = store.deliveries(&DeliveryFilter::default(), &first(10)).await.unwrap();
    assert_eq!(listed.data.len(), 1);
}

/// An event that is not to be delivered before `at(ms)`.
fn scheduled(now: Millis, ms: u64) -> Event {
    Event { deliver_at: Some(at(ms)), ..event(now) }
}

pub async fn a_scheduled_event_waits_for_its_moment(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let table = [
        ("a moment ahead", 5_000, 5_000),
        ("a moment that has passed is now", 99, 100),
        ("this very moment", 100, 100),
    ];
    for (what, ms, due) in table {
        let answer = store.accept(&[offer(scheduled(at(100), ms), &[])], at(100)).await.unwrap()[0];
        assert_eq!((answer.deliveries, answer.duplicate), (1, false), "{what}");
        let id = deliveries_of(&*store, answer.id).await[0].id;
        assert_pending(&*store, id, 0, at(due), what).await;
        assert_eq!(store.census().await.unwrap().pending, 1, "{what}: it is pending all the while");
        if due > 100 {
            let early = take(&*store, at(due - 1), 10).await;
            assert!(early.leases.is_empty(), "{what}: one before its moment");
            assert_eq!(early.next, Some(at(due)), "{what}: when to look again");
        }
        let lease = lease(&*store, at(due)).await;
        assert_eq!((lease.delivery, lease.attempt), (id, 1), "{what}");
        settle(&*store, succeeded(&lease, at(due)), at(due)).await;
    }
}

pub async fn a_scheduled_event_is_overtaken_by_what_is_due(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let batch = [300, 200, 0, 400].map(|ms| offer(scheduled(at(0), ms), &[]));
    store.accept(&batch, at(0)).await.unwrap();
    accept(&*store, 1, at(1)).await;
    let mut moments = Vec::new();
    for ms in [1, 250, 1_000] {
        for lease in leases(&*store, at(ms), 10).await {
            moments.push((ms, lease.event.deliver_at));
            settle(&*store, succeeded(&lease, at(ms)), at(ms)).await;
        }
    }
    let planned = |ms| Some(at(ms));
    let expected =
        [(1, planned(0)), (1, None), (250, planned(200)), (1_000, planned(300)), (1_000, planned(400))];
    assert_eq!(moments, expected);
}

pub async fn a_scheduled_event_wakes_who_would_sleep_through_it(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    for (what, ms) in [("would sleep for ever", 9_000), ("would sleep too long", 4_000)] {
        take(&*store, at(0), 1).await;
        hush(&*store, at(0)).await;
        store.accept(&[offer(scheduled(at(0), ms), &[])], at(0)).await.unwrap();
        woken(&*store, what).await;
        let told = take(&*store, at(0), 1).await;
        assert_eq!((told.leases.len(), told.next), (0, Some(at(ms))), "{what}");
    }
}

pub async fn a_scheduled_delivery_can_be_sent_at_once_by_hand(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let answer = store.accept(&[offer(scheduled(at(0), 9_000), &[])], at(0)).await.unwrap()[0];
    let id = deliveries_of(&*store, answer.id).await[0].id;
    store.retry(&id, at(1)).await.unwrap().unwrap();
    let lease = lease(&*store, at(1)).await;
    settle(&*store, succeeded(&lease, at(2)), at(2)).await;
    assert!(leases(&*store, at(9_000), 10).await.is_empty(), "and not once more at its moment");
}
