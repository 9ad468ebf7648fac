//! What is remembered of what is over, part by part, and what is said when it is gone.

use std::time::Duration;

use hookgate_sidecar::model::{
    DeadReason, DeliveryId, EventId, Next, Replay, ReplayId, ReplayOf, Status, Wanted,
};
use hookgate_sidecar::store::{Again, EventFilter, Retention, Store, StoreFault, StoreSettings};

use crate::fixture::*;
use crate::subject::Subject;

/// In whole seconds.
fn retaining(
    finished: u64,
    dead_letters: u64,
    payloads: Option<u64>,
    attempts: Option<u64>,
) -> StoreSettings {
    let seconds = Duration::from_secs;
    let retention = Retention {
        finished: seconds(finished),
        dead_letters: seconds(dead_letters),
        payloads: payloads.map(seconds),
        attempts: attempts.map(seconds),
    };
    StoreSettings { retention, ..StoreSettings::default() }
}

/// One that is delivered or dead at this moment.
async fn ended(store: &dyn Store, ms: u64, dead: bool) -> DeliveryId {
    let id = accept_one(store, at(ms)).await;
    let lease = lease(store, at(ms)).await;
    let (outcome, next) = if dead { (BAD, Next::Dead(DeadReason::Exhausted)) } else { (OK, Next::Delivered) };
    settle(store, attempted(&lease, at(ms), outcome, next), at(ms)).await;
    id
}

async fn is_there(store: &dyn Store, id: DeliveryId) -> bool {
    store.delivery(&id).await.unwrap().is_some()
}

/// How many bytes of its payload are there, and how many are forgotten.
async fn payload(store: &dyn Store, id: EventId) -> (usize, Option<u64>) {
    let event = store.event(&id).await.unwrap().expect("the event is there");
    (event.payload.len(), event.forgotten_bytes)
}

pub async fn dead_letters_have_a_time_of_their_own(subject: &impl Subject) {
    for (dead_for, first_to_go) in [(300, "delivered"), (30, "dead")] {
        let store = subject.open(retaining(100, dead_for, None, None)).await;
        put(&*store, &endpoint("a")).await;
        let dead = ended(&*store, 0, true).await;
        let delivered = ended(&*store, 1, false).await;
        let early = 1_000 * dead_for.min(100);
        maintain_fully(&*store, at(early - 1)).await;
        assert!(is_there(&*store, dead).await && is_there(&*store, delivered).await, "before any time");
        maintain_fully(&*store, at(early + 1)).await;
        let there = (is_there(&*store, dead).await, is_there(&*store, delivered).await);
        assert_eq!(there, (first_to_go != "dead", first_to_go != "delivered"), "{dead_for} s");
        let census = store.census().await.unwrap();
        assert_eq!((census.delivered, census.dead), (u64::from(there.1), u64::from(there.0)), "{dead_for} s");
        let late = 1_000 * dead_for.max(100);
        maintain_fully(&*store, at(late - 1)).await;
        assert!(is_there(&*store, dead).await || is_there(&*store, delivered).await, "{dead_for} s");
        maintain_fully(&*store, at(late + 1)).await;
        let census = store.census().await.unwrap();
        assert_eq!((census.pending, census.delivered, census.dead), (0, 0, 0), "{dead_for} s");
        let events = store.events(&EventFilter::default(), &first(10)).await.unwrap();
        assert!(events.data.is_empty(), "every event goes with its delivery");
        assert!(store.delete_endpoint(&endpoint_id("a"), at(late + 2)).await.unwrap());
    }
}

pub async fn attempts_are_forgotten_before_their_delivery(subject: &impl Subject) {
    let store = subject.open(retaining(100, 100, None, Some(10))).await;
    put(&*store, &endpoint("a")).await;
    let over = ended(&*store, 0, true).await;
    let waiting = accept_one(&*store, at(0)).await;
    settle(&*store, failed(&lease(&*store, at(0)).await, at(0), Next::RetryAt(at(90_000))), at(0)).await;
    maintain_fully(&*store, at(9_999)).await;
    assert_eq!(store.attempts(&over).await.unwrap().len(), 1, "before their time");
    maintain_fully(&*store, at(10_000)).await;
    assert!(store.attempts(&over).await.unwrap().is_empty());
    assert_eq!(delivery(&*store, over).await.attempts, 1, "their number is known");
    assert_eq!(store.attempts(&waiting).await.unwrap().len(), 1, "what is pending keeps its attempts");
    assert_eq!(store.maintain(at(10_000)).await.unwrap().trimmed, 0, "idempotent");
    store.retry(&over, at(20_000)).await.unwrap().unwrap();
    let again = lease(&*store, at(20_000)).await;
    assert_eq!((again.delivery, again.attempt), (over, 2), "what lost its attempts can be tried again");
    settle(&*store, succeeded(&again, at(20_000)), at(20_000)).await;
    maintain_fully(&*store, at(29_999)).await;
    assert_eq!(store.attempts(&over).await.unwrap().len(), 1, "the time counts from the last end");
    maintain_fully(&*store, at(30_000)).await;
    assert!(store.attempts(&over).await.unwrap().is_empty());
}

pub async fn a_payload_is_forgotten_when_all_its_deliveries_are_over_for_long(subject: &impl Subject) {
    let store = subject.open(retaining(100, 100, Some(10), None)).await;
    put(&*store, &endpoint("a")).await;
    put(&*store, &endpoint("b")).await;
    let event = accept(&*store, 1, at(0)).await[0].id;
    let size = payload(&*store, event).await.0;
    let taken = leases(&*store, at(0), 10).await;
    settle(&*store, succeeded(&taken[0], at(0)), at(0)).await;
    settle(&*store, failed(&taken[1], at(0), Next::RetryAt(at(50_000))), at(0)).await;
    maintain_fully(&*store, at(40_000)).await;
    assert_eq!(payload(&*store, event).await, (size, None), "one of its deliveries is pending");
    let last = lease(&*store, at(50_000)).await;
    assert_eq!(last.event.payload.len(), size, "and has what it is to send");
    settle(&*store, succeeded(&last, at(50_000)), at(50_000)).await;
    maintain_fully(&*store, at(59_999)).await;
    assert_eq!(payload(&*store, event).await, (size, None), "one before its time");
    maintain_fully(&*store, at(60_000)).await;
    let gone = (0, Some(u64::try_from(size).unwrap()));
    assert_eq!(payload(&*store, event).await, gone, "and no empty payload in its place");
    let listed = store.events(&EventFilter::default(), &first(10)).await.unwrap().data;
    assert_eq!((listed.len(), listed[0].forgotten_bytes), (1, gone.1), "it is still listed");
    assert_eq!(store.attempts(&last.delivery).await.unwrap().len(), 2, "with its attempts");
    assert_eq!(store.maintain(at(60_000)).await.unwrap().trimmed, 0, "idempotent");
    maintain_fully(&*store, at(150_000)).await;
    assert_eq!(store.event(&event).await.unwrap(), None, "it goes with its deliveries as ever");
}

pub async fn what_lost_its_payload_is_not_sent_again(subject: &impl Subject) {
    let store = subject.open(retaining(100, 100, Some(10), None)).await;
    let unwanted = accept(&*store, 1, at(0)).await[0].id;
    put(&*store, &endpoint("a")).await;
    let (bare, whole) = (ended(&*store, 0, true).await, ended(&*store, 5_000, true).await);
    put(&*store, &endpoint("b")).await;
    maintain_fully(&*store, at(10_000)).await;
    assert!(payload(&*store, unwanted).await.1.is_some(), "nor what nobody wanted");
    let refused = store.retry(&bare, at(10_001)).await.unwrap_err();
    assert_eq!(refused.fault, StoreFault::Forgotten);
    let (of_bare, of_whole) =
        (delivery(&*store, bare).await.event_id, delivery(&*store, whole).await.event_id);
    let send = |event| Again::Send { event, endpoint: endpoint_id("b") };
    let work = [Again::Retry(bare), Again::Retry(whole), send(of_bare), send(of_whole), send(unwanted)];
    let done = store.advance(&replay(), &work, at(10_001)).await.unwrap().unwrap();
    assert_eq!((done.replayed, done.failed), (2, 3), "a replay counts it as failed");
    assert_eq!(delivery(&*store, bare).await.status, Status::Dead(DeadReason::Exhausted));
    let sent = leases(&*store, at(10_001), 10).await;
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|lease| lease.event.id == of_whole && !lease.event.payload.is_empty()));
}

fn replay() -> Replay {
    let wanted = Wanted {
        tenant: tenant("default"),
        endpoint: None,
        of: ReplayOf::Dead,
        event_types: Vec::new(),
        since: None,
        until: at(0),
        limit: 1_000,
    };
    Replay::new(ReplayId::fresh(at(0), entropy(), &tenant("default")), wanted, at(0))
}

pub async fn a_payload_waits_for_what_is_forgotten_before_it(subject: &impl Subject) {
    // what was delivered last is forgotten first: its row never comes to the time of payloads
    let store = subject.open(retaining(20, 300, Some(40), None)).await;
    put(&*store, &endpoint("a")).await;
    put(&*store, &endpoint("b")).await;
    let event = accept(&*store, 1, at(0)).await[0].id;
    let taken = leases(&*store, at(0), 10).await;
    settle(&*store, attempted(&taken[0], at(0), BAD, Next::Dead(DeadReason::Exhausted)), at(0)).await;
    settle(&*store, failed(&taken[1], at(0), Next::RetryAt(at(39_000))), at(0)).await;
    settle(&*store, succeeded(&lease(&*store, at(39_000)).await, at(39_000)), at(39_000)).await;
    maintain_fully(&*store, at(40_000)).await;
    assert_eq!(payload(&*store, event).await.1, None, "one of them ended a second ago");
    maintain_fully(&*store, at(59_000)).await;
    assert_eq!(deliveries_of(&*store, event).await.len(), 1, "that one is forgotten");
    assert!(payload(&*store, event).await.1.is_some(), "and the payload is not kept for it");
}

pub async fn a_clock_that_jumps_back_keeps_nothing_for_longer(subject: &impl Subject) {
    let store = subject.open(retaining(1_000, 1_000, None, Some(10))).await;
    put(&*store, &endpoint("a")).await;
    let first = ended(&*store, 400_000, false).await;
    maintain_fully(&*store, at(500_000)).await;
    assert!(store.attempts(&first).await.unwrap().is_empty());
    let jumped = ended(&*store, 1_000, false).await;
    maintain_fully(&*store, at(1_001)).await;
    assert_eq!(store.attempts(&jumped).await.unwrap().len(), 1);
    maintain_fully(&*store, at(11_000)).await;
    assert!(store.attempts(&jumped).await.unwrap().is_empty(), "it ended before where a walk came to");
}

pub async fn many_that_ended_at_once_are_all_walked(subject: &impl Subject) {
    let store = subject.open(retaining(1_000, 2_000, Some(10), Some(10))).await;
    put(&*store, &endpoint("a")).await;
    accept(&*store, 1_300, at(0)).await;
    assert_eq!(deliver_all(&*store, at(0)).await, 1_300);
    maintain_fully(&*store, at(10_000)).await;
    let listed = store.deliveries(&hookgate_sidecar::store::DeliveryFilter::default(), &first(250)).await;
    for delivery in listed.unwrap().data {
        assert!(store.attempts(&delivery.id).await.unwrap().is_empty());
        assert_eq!(payload(&*store, delivery.event_id).await.0, 0);
    }
    store.maintain(at(1_000_000)).await.unwrap();
    maintain_fully(&*store, at(1_000_000)).await;
    assert_eq!(store.census().await.unwrap().delivered, 0);
}

/// What a store that outlives its process promises besides.
pub async fn what_is_forgotten_stays_so_after_opening_again(subject: &impl Subject) {
    let settings = retaining(100, 200, Some(10), Some(10));
    let store = subject.open(settings).await;
    put(&*store, &endpoint("a")).await;
    let (before, after) = (ended(&*store, 0, true).await, ended(&*store, 5_000, true).await);
    maintain_fully(&*store, at(10_000)).await;
    drop(store);
    let store = subject.open(settings).await;
    let bare = delivery(&*store, before).await.event_id;
    assert!(payload(&*store, bare).await.1.is_some() && store.attempts(&before).await.unwrap().is_empty());
    assert_eq!(store.retry(&before, at(10_001)).await.unwrap_err().fault, StoreFault::Forgotten);
    assert_eq!(store.attempts(&after).await.unwrap().len(), 1);
    maintain_fully(&*store, at(15_000)).await;
    let bare = delivery(&*store, after).await.event_id;
    assert!(payload(&*store, bare).await.1.is_some() && store.attempts(&after).await.unwrap().is_empty());
}
