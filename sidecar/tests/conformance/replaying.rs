//! What a replay's steps promise: each is done once, wholly or not at all, and counts what it did.

use hookgate_sidecar::model::{
    DeadReason, DeliveryId, Endpoint, Next, Replay, ReplayId, ReplayOf, ReplayState, Status, Wanted,
};
use hookgate_sidecar::store::{Again, Page, ReplayFilter, Store, StoreFault, StoreSettings};

use crate::fixture::*;
use crate::subject::Subject;

fn replay_of(name: &str, ms: u64) -> Replay {
    let wanted = Wanted {
        tenant: tenant(name),
        endpoint: None,
        of: ReplayOf::Dead,
        event_types: Vec::new(),
        since: None,
        until: at(ms),
        limit: 1_000,
    };
    Replay::new(ReplayId::fresh(at(ms), entropy(), &tenant(name)), wanted, at(ms))
}

pub fn replay() -> Replay {
    replay_of("default", 0)
}

async fn step(store: &dyn Store, replay: &Replay, work: &[Again], ms: u64) -> Option<Replay> {
    store.advance(replay, work, at(ms)).await.unwrap()
}

/// A dead letter of the endpoint `a`.
async fn dead_letter(store: &dyn Store, ms: u64) -> DeliveryId {
    let id = accept_one(store, at(ms)).await;
    let lease = lease(store, at(ms)).await;
    settle(store, attempted(&lease, at(ms), BAD, Next::Dead(DeadReason::Exhausted)), at(ms)).await;
    id
}

pub async fn a_step_is_done_by_who_knew_the_one_before_it(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let id = dead_letter(&*store, 0).await;
    let new = replay();
    let first = step(&*store, &new, &[], 1).await.unwrap();
    assert_eq!((first.version, first.replayed, first.updated_at), (1, 0, at(1)));
    assert_eq!(step(&*store, &new, &[], 2).await, None, "it is there");
    let next =
        Replay { cursor: Some("somewhere".to_owned()), runner: Some("me".to_owned()), ..first.clone() };
    hush(&*store, at(2)).await;
    let second = step(&*store, &next, &[Again::Retry(id)], 3).await.unwrap();
    woken(&*store, "a replay").await;
    assert_eq!((second.version, second.replayed, second.failed), (2, 1, 0));
    assert_eq!(store.replay(&new.id).await.unwrap(), Some(second.clone()), "what was answered is kept");
    assert_pending(&*store, id, 1, at(3), "made due").await;
    let lease = lease(&*store, at(3)).await;
    assert_eq!((lease.attempt, lease.step), (2, 1), "with a fresh schedule");
    settle(&*store, attempted(&lease, at(4), BAD, Next::Dead(DeadReason::Exhausted)), at(4)).await;
    assert_eq!(step(&*store, &next, &[Again::Retry(id)], 5).await, None, "the same step once more");
    assert!(matches!(delivery(&*store, id).await.status, Status::Dead(_)), "is not done twice");
    assert_eq!(store.replay(&new.id).await.unwrap(), Some(second));
}

pub async fn a_step_makes_due_what_is_finished_and_counts_the_rest(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let dead = dead_letter(&*store, 0).await;
    let delivered = accept_one(&*store, at(1)).await;
    assert_eq!(deliver_all(&*store, at(1)).await, 1);
    let in_attempt = accept_one(&*store, at(2)).await;
    let held = lease(&*store, at(2)).await;
    let unknown = DeliveryId::fresh(at(0), entropy(), &tenant("default"));
    put(&*store, &Endpoint { tenant: tenant("other"), ..endpoint("foreign") }).await;
    let work = [dead, delivered, dead, in_attempt, unknown].map(Again::Retry);
    let done = step(&*store, &replay(), &work, 3).await.unwrap();
    assert_eq!(
        (done.replayed, done.failed),
        (2, 3),
        "none twice, none in an attempt, none that is not there"
    );
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), (3, 0, 0));
    assert_eq!(deliver_all(&*store, at(3)).await, 2);
    settle(&*store, succeeded(&held, at(4)), at(4)).await;
    let foreign = step(&*store, &replay_of("other", 0), &[Again::Retry(dead)], 5).await.unwrap();
    assert_eq!((foreign.replayed, foreign.failed), (0, 1), "what is another tenant's");
    store.delete_endpoint(&endpoint_id("a"), at(6)).await.unwrap();
    let gone = step(&*store, &replay(), &[Again::Retry(dead)], 7).await.unwrap();
    assert_eq!((gone.replayed, gone.failed), (0, 1), "there is nowhere to send it");
}

pub async fn an_event_is_sent_at_last_to_who_never_got_it_once(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let unwanted = accept(&*store, 1, at(0)).await[0].id;
    put(&*store, &endpoint("a")).await;
    let known = accept(&*store, 1, at(1)).await[0].id;
    let foreign = store.accept(&[offer(event_of("other", at(2)), &[])], at(2)).await.unwrap()[0].id;
    put(&*store, &endpoint("b")).await;
    put(&*store, &Endpoint { enabled: false, ..endpoint("c") }).await;
    let send = |event, name: &str| Again::Send { event, endpoint: endpoint_id(name) };
    let work = [
        send(unwanted, "a"),
        send(unwanted, "b"),
        send(unwanted, "a"),
        send(known, "a"),
        send(known, "b"),
        send(foreign, "a"),
        send(known, "none"),
    ];
    let first = step(&*store, &replay(), &work, 10).await.unwrap();
    assert_eq!((first.replayed, first.failed), (3, 2), "what is there is not counted");
    let mut limited = replay();
    limited.wanted.limit = 1;
    let done = step(&*store, &limited, &[send(known, "a"), send(known, "c"), send(unwanted, "c")], 11)
        .await
        .unwrap();
    assert_eq!((done.replayed, done.failed), (1, 0), "no more than the limit, of what is not there");
    let again = step(&*store, &replay(), &work, 11).await.unwrap();
    assert_eq!((again.replayed, again.failed), (0, 2), "another replay finds them there");
    for (event, expected) in [(unwanted, 2), (known, 3), (foreign, 0)] {
        let listed = deliveries_of(&*store, event).await;
        assert_eq!(listed.len(), expected);
        assert!(listed.is_sorted_by(|one, other| one.id > other.id), "newest first: {listed:?}");
    }
    let made = deliveries_of(&*store, unwanted).await.remove(0);
    assert_eq!((made.attempts, made.created_at, made.next_attempt_at), (0, at(0), Some(at(10))));
    store.maintain(at(1_000_000_000_000)).await.unwrap();
    assert!(store.event(&unwanted).await.unwrap().is_some(), "it is wanted now");
    assert_eq!(deliver_all(&*store, at(1_000_000_000_000)).await, 4);
    for _ in 0..3 {
        store.maintain(at(3_000_000_000_000)).await.unwrap();
    }
    assert_eq!(store.event(&unwanted).await.unwrap(), None, "and goes with its deliveries");
}

pub async fn a_step_that_finds_no_room_does_nothing(subject: &impl Subject) {
    let store = subject.open(StoreSettings { max_pending: 2, ..StoreSettings::default() }).await;
    put(&*store, &endpoint("a")).await;
    let dead = [dead_letter(&*store, 0).await, dead_letter(&*store, 1).await];
    accept(&*store, 1, at(2)).await;
    let (new, work) = (replay(), dead.map(Again::Retry));
    let refused = store.advance(&new, &work, at(3)).await.unwrap_err();
    assert_eq!((refused.operation, refused.fault), ("advance", StoreFault::Full));
    assert_eq!(store.replay(&new.id).await.unwrap(), None, "nothing is kept of it");
    assert_eq!(store.census().await.unwrap().dead, 2, "nothing is due");
    assert_eq!(deliver_all(&*store, at(4)).await, 1);
    assert_eq!(step(&*store, &new, &work, 5).await.unwrap().replayed, 2, "the limit itself can be reached");
}

pub async fn replays_are_listed_until_they_are_old(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let mut kept = Vec::new();
    for (ms, name) in [(0, "default"), (1, "other"), (2, "default"), (3, "other"), (4, "default")] {
        kept.push(step(&*store, &replay_of(name, ms), &[], ms).await.unwrap());
    }
    kept.reverse();
    let done = step(&*store, &Replay { state: ReplayState::Done, ..kept[0].clone() }, &[], 9).await.unwrap();
    kept[0] = done;
    let others = |name: &str| kept.iter().filter(|one| one.wanted.tenant == tenant(name)).count();
    let table = [
        ("all", None, false, 5),
        ("one tenant's", Some("other"), false, others("other")),
        ("running", None, true, 4),
        ("a tenant's running", Some("default"), true, 2),
        ("nobody's", Some("nobody"), false, 0),
    ];
    for (what, whose, running, expected) in table {
        let filter = ReplayFilter { tenant: whose.map(tenant), running };
        for limit in [1, 2, 250] {
            let seen = all(&*store, &filter, limit).await;
            assert_eq!(seen.len(), expected, "{what} by {limit}");
            assert!(kept.iter().filter(|one| seen.contains(one)).eq(seen.iter()), "{what}: newest first");
        }
    }
    let foreign = Page { cursor: Some("dlv_".to_owned()), limit: 1 };
    let refused = store.replays(&ReplayFilter::default(), &foreign).await.unwrap_err();
    assert_eq!(refused.fault, StoreFault::BadCursor);
    store.maintain(at(1_000_000_000_000)).await.unwrap();
    assert_eq!(all(&*store, &ReplayFilter::default(), 250).await, kept[1..], "what runs is never forgotten");
}

async fn all(store: &dyn Store, filter: &ReplayFilter, limit: u16) -> Vec<Replay> {
    let (mut seen, mut page) = (Vec::new(), first(limit));
    loop {
        let listed = store.replays(filter, &page).await.unwrap();
        seen.extend(listed.data);
        match listed.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return seen,
        }
    }
}
