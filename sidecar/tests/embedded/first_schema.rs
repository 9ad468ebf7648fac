//! A file that the first version wrote, opened by this one: nothing is lost, every sum is exact.

use std::path::Path;

use hookgate_sidecar::model::{DeadReason, DeliveryId, EventId, Status};
use hookgate_sidecar::store::{EventFilter, Retention, Store, StoreSettings};
use rusqlite::{Connection, params};
use serde_json::json;

use crate::fixture::*;
use crate::{file, file_with};

/// `HKGT`
const APPLICATION: i32 = 0x484b_4754;

fn moment(ms: u64) -> i64 {
    i64::try_from(at(ms).0).unwrap()
}

/// An event with one delivery; `state`, attempts, due.
fn delivery_of_first_schema(file: &Connection, (state, attempts, due): (i64, u32, u64)) -> DeliveryId {
    let tenant = tenant("default");
    let (event, id) =
        (EventId::fresh(at(0), entropy(), &tenant), DeliveryId::fresh(at(0), entropy(), &tenant));
    let insert = "INSERT INTO events (id, tenant, event_type, content_type, request_id, accepted_at, deliveries, payload) \
                  VALUES (?1, 'default', 'order.created', 'application/json', 'req-1', ?2, 1, x'7b7d')";
    file.execute(insert, params![event.as_bytes(), moment(0)]).unwrap();
    let seq = file.last_insert_rowid();
    let insert = "INSERT INTO deliveries VALUES (?1, ?2, 1, ?3, ?4, ?4, ?5, ?6)";
    file.execute(insert, params![id.as_bytes(), seq, state, attempts, moment(due), moment(0)]).unwrap();
    for number in 1..=attempts {
        let insert = "INSERT INTO attempts VALUES (?1, ?2, ?3, 9, 500, 'no')";
        file.execute(insert, params![id.as_bytes(), number, moment(0)]).unwrap();
    }
    id
}

/// As the first version left it: a first attempt and a retry pending, one delivered, one dead, a known key.
fn first_schema(path: &Path) -> (DeliveryId, DeliveryId, DeliveryId) {
    let file = Connection::open(path).unwrap();
    file.execute_batch(include_str!("../../src/store/embedded/schema/1.sql")).unwrap();
    file.pragma_update(None, "application_id", APPLICATION).unwrap();
    file.pragma_update(None, "user_version", 1).unwrap();
    let body = json!({
        "id": "a", "tenant": "default", "url": "https://a.example/", "event_types": ["*"],
        "secrets": ["whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="], "headers": {}, "max_in_flight": 10, "rate_limit": null,
        "timeout_ms": 1000, "retry": {"max_attempts": 15, "base_ms": 5000, "max_ms": 43_200_000}, "enabled": true,
        "declared": false, "description": "", "created_at": at(0), "updated_at": at(0),
    });
    let insert = "INSERT INTO endpoints VALUES (1, 'a', 'default', ?1)";
    file.execute(insert, [body.to_string()]).unwrap();
    let first = delivery_of_first_schema(&file, (0, 0, 0));
    let retry = delivery_of_first_schema(&file, (0, 3, 60_000));
    delivery_of_first_schema(&file, (1, 1, 0));
    let dead = delivery_of_first_schema(&file, (2, 2, 0));
    file.execute("UPDATE sums SET delivered = 1, dead = 1", []).unwrap();
    let known = EventId::fresh(at(0), entropy(), &tenant("default"));
    let insert = "INSERT INTO keys VALUES (?1, ?2, 1, ?3)";
    file.execute(insert, params![b"default\0k", known.as_bytes(), moment(1_000_000)]).unwrap();
    (first, retry, dead)
}

async fn assert_sums(store: &dyn Store, sums: (u64, u64, u64)) {
    let census = store.census().await.unwrap();
    assert_eq!((census.pending, census.delivered, census.dead), sums);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_delivered_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (first_attempt, retry, dead) = first_schema(&folder.path().join("db"));
    let store = file(folder.path());
    assert_sums(&store, (2, 1, 1)).await;
    assert!(store.accept(&[offer(event(at(1)), &["k"])], at(1)).await.unwrap()[0].duplicate, "a known key");
    for (ms, id, attempt) in [(1, first_attempt, 1), (60_000, retry, 4)] {
        let lease = lease(&store, at(ms)).await;
        assert_eq!((lease.delivery, lease.attempt, lease.step), (id, attempt, attempt));
        assert_eq!(&*lease.event.payload, b"{}");
        settle(&store, succeeded(&lease, at(ms)), at(ms)).await;
    }
    assert_sums(&store, (0, 3, 1)).await;
    assert_eq!(store.attempts(&retry).await.unwrap().len(), 4);
    assert_eq!(delivery(&store, dead).await.status, Status::Dead(DeadReason::Exhausted));
    store.retry(&dead, at(60_001)).await.unwrap().unwrap();
    assert_eq!(deliver_all(&store, at(60_001)).await, 1, "what was dead can be sent again");
    assert_eq!(store.events(&EventFilter::default(), &first(250)).await.unwrap().data.len(), 4);
    drop(store);
    let retention = Retention::of(std::time::Duration::from_secs(1));
    let store = file_with(folder.path(), StoreSettings { retention, ..StoreSettings::default() });
    maintain_fully(&store, at(61_001)).await;
    assert_sums(&store, (0, 0, 0)).await;
}
