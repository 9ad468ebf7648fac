//! What the embedded store promises beyond the suite that every store keeps: bounded memory, deletions in parts, and
//! calls that are cut off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
#![allow(clippy::indexing_slicing, reason = "tests fail loudly")]
#![allow(unreachable_pub, missing_docs, dead_code, reason = "the fixture is shared with another suite")]

mod first_schema;
#[path = "../conformance/fixture.rs"]
mod fixture;

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use hookgate_sidecar::clock::Millis;
use hookgate_sidecar::model::{DeadReason, Endpoint, Event, Status};
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::{Ask, DeliveryFilter, Put, Retention, Store, StoreFault, StoreSettings};

use crate::fixture::*;

/// More than one part of a deletion.
const BACKLOG: usize = 1_200;

fn memory(settings: StoreSettings) -> Embedded {
    Embedded::open(Location::Memory, settings).unwrap()
}

fn file(folder: &Path) -> Embedded {
    file_with(folder, StoreSettings::default())
}

fn file_with(folder: &Path, settings: StoreSettings) -> Embedded {
    Embedded::open(Location::File(folder.join("db")), settings).unwrap()
}

fn large(now: Millis) -> Event {
    Event { payload: vec![7; 64 << 10].into(), ..event(now) }
}

#[tokio::test]
async fn memory_forgets_what_is_finished_before_it_refuses() {
    let store = memory(StoreSettings { memory_bytes: 4 << 20, ..StoreSettings::default() });
    put(&store, &endpoint("a")).await;
    let first = store.accept(&[offer(large(at(0)), &["first"])], at(0)).await.unwrap()[0];
    for ms in 1..=200 {
        store.accept(&[offer(large(at(ms)), &[])], at(ms)).await.unwrap();
        assert!(deliver_all(&store, at(ms)).await > 0, "twelve MiB in all, and none is refused");
    }
    assert_eq!(store.event(&first.id).await.unwrap(), None, "the oldest is forgotten early");
    let again = store.accept(&[offer(large(at(201)), &["first"])], at(201)).await.unwrap()[0];
    assert!(again.duplicate, "but not its key");
}

#[tokio::test]
async fn full_memory_refuses_events_and_settles_what_it_has() {
    let store = memory(StoreSettings { memory_bytes: 2 << 20, ..StoreSettings::default() });
    put(&store, &endpoint("a")).await;
    let mut accepted = 0;
    let refused = loop {
        match store.accept(&[offer(large(at(0)), &[])], at(0)).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "two MiB hold no hundred events of 64 KiB");
    };
    assert_eq!(refused.fault, StoreFault::Full);
    assert!(accepted > 20, "only {accepted} fitted");
    assert_eq!(store.census().await.unwrap().pending, accepted);
    assert_eq!(deliver_all(&store, at(1)).await as u64, accepted, "nothing that was accepted is stuck");
    store.accept(&[offer(large(at(2)), &[])], at(2)).await.unwrap();
}

#[tokio::test]
async fn short_memory_spares_keys_while_their_messages_could_be_replayed() {
    let replay_window = Duration::from_secs(600);
    let store = memory(StoreSettings { memory_bytes: 1 << 20, replay_window, ..StoreSettings::default() });
    put(&store, &endpoint("a")).await;
    store.accept(&[offer(event(at(0)), &["k"])], at(0)).await.unwrap();
    for (ms, known) in [(599_999, true), (600_000, false)] {
        for _ in 0..40 {
            store.accept(&[offer(large(at(ms)), &[])], at(ms)).await.unwrap();
            deliver_all(&store, at(ms)).await;
        }
        let answer = store.accept(&[offer(event(at(ms)), &["k"])], at(ms)).await.unwrap()[0];
        assert_eq!(answer.duplicate, known, "after {ms} ms");
    }
}

#[tokio::test]
async fn a_taking_nobody_waits_for_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path());
    put(&store, &endpoint("a")).await;
    let id = accept_one(&store, at(0)).await;
    let asked = store.take(Ask { now: at(0), room: 10, grace: GRACE, ahead: false });
    assert!(asked.now_or_never().is_none(), "it was asked, and nobody waited");
    assert_eq!(lease(&store, at(0)).await.delivery, id);
}

#[tokio::test]
async fn dropping_it_finishes_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path());
    put(&store, &endpoint("a")).await;
    let offers = [offer(event(at(0)), &[])];
    assert!(store.accept(&offers, at(0)).now_or_never().is_none(), "it was asked, and nobody waited");
    drop(store);
    assert_eq!(leases(&file(folder.path()), at(0), 10).await.len(), 1);
}

/// A store of which an endpoint with a backlog was deleted, by a call that was cut off after its first part.
async fn half_deleted(folder: &Path) -> Embedded {
    let store = file(folder);
    put(&store, &endpoint("doomed")).await;
    accept(&store, BACKLOG, at(0)).await;
    assert!(store.delete_endpoint(&endpoint_id("doomed"), at(1)).now_or_never().is_none());
    assert_eq!(store.endpoint(&endpoint_id("doomed")).await.unwrap(), None);
    let dead = store.census().await.unwrap().dead;
    assert!(0 < dead && dead < BACKLOG as u64, "{dead}");
    store
}

async fn count(store: &Embedded, status: Status) -> usize {
    let filter = DeliveryFilter { status: Some(status), ..DeliveryFilter::default() };
    let (mut sum, mut page) = (0, first(250));
    loop {
        let listed = store.deliveries(&filter, &page).await.unwrap();
        sum += listed.data.len();
        match listed.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return sum,
        }
    }
}

async fn assert_all_dead(store: &Embedded) {
    assert_eq!(count(store, Status::Dead(DeadReason::EndpointDeleted)).await, BACKLOG);
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.dead), (0, BACKLOG as u64));
}

#[tokio::test]
async fn a_deletion_in_parts_is_complete() {
    let store = memory(StoreSettings::default());
    put(&store, &endpoint("doomed")).await;
    accept(&store, BACKLOG, at(0)).await;
    assert!(store.delete_endpoint(&endpoint_id("doomed"), at(1)).await.unwrap());
    assert_all_dead(&store).await;
}

#[tokio::test]
async fn a_deletion_that_was_cut_off_is_finished_by_upkeep() {
    let folder = tempfile::tempdir().unwrap();
    let store = half_deleted(folder.path()).await;
    store.maintain(at(2)).await.unwrap();
    assert_all_dead(&store).await;
}

#[tokio::test]
async fn a_deletion_that_a_restart_cut_off_is_finished_by_upkeep() {
    let folder = tempfile::tempdir().unwrap();
    drop(half_deleted(folder.path()).await);
    let store = file(folder.path());
    assert!(leases(&store, at(2), 10).await.is_empty(), "nothing of it is tried");
    store.maintain(at(2)).await.unwrap();
    assert_all_dead(&store).await;
}

#[tokio::test]
async fn a_name_that_comes_back_brings_no_dead_letter_to_life() {
    let folder = tempfile::tempdir().unwrap();
    let store = half_deleted(folder.path()).await;
    assert!(store.put_endpoint(&endpoint("doomed"), Put::Create).await.unwrap());
    assert_all_dead(&store).await;
    assert!(leases(&store, at(2), 10).await.is_empty());
}

#[tokio::test]
async fn retention_is_caught_up_with_in_one_upkeep() {
    let retention = Duration::from_secs(10);
    let store = memory(StoreSettings { retention: Retention::of(retention), ..StoreSettings::default() });
    put(&store, &Endpoint { event_types: vec!["order.*".parse().unwrap()], ..endpoint("a") }).await;
    accept(&store, BACKLOG, at(0)).await;
    assert_eq!(deliver_all(&store, at(0)).await, BACKLOG);
    let trimmed = store.maintain(at(10_000)).await.unwrap().trimmed;
    assert_eq!(trimmed, 2 * BACKLOG as u64, "deliveries and their events");
    assert_eq!(store.census().await.unwrap().delivered, 0);
}
