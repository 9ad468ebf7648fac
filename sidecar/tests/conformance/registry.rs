//! What the registry promises: puts that say what they found, and deletions that strand nothing.

use hookgate_sidecar::model::{DeadReason, Endpoint, Status};
use hookgate_sidecar::store::{Page, Put, Settled, StoreSettings};

use crate::fixture::*;
use crate::subject::Subject;

pub async fn a_put_demands_what_it_says(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let versions: Vec<Endpoint> =
        (0..5).map(|n| Endpoint { description: format!("version {n}"), ..endpoint("a") }).collect();
    let table = [
        ("nothing to replace", Put::Replace, &versions[0], false, None),
        ("created", Put::Create, &versions[1], true, Some(&versions[1])),
        ("it is there already", Put::Create, &versions[2], false, Some(&versions[1])),
        ("replaced", Put::Replace, &versions[3], true, Some(&versions[3])),
        ("either", Put::Upsert, &versions[4], true, Some(&versions[4])),
    ];
    for (promise, put, version, done, kept) in table {
        assert_eq!(store.put_endpoint(version, put).await.unwrap(), done, "{promise}");
        assert_eq!(store.endpoint(&version.id).await.unwrap().as_ref(), kept, "{promise}");
    }
    accept(&*store, 1, at(0)).await;
    assert_eq!(*lease(&*store, at(0)).await.endpoint, versions[4], "an attempt is made as it is now");
}

pub async fn another_tenants_endpoint_cannot_be_put(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    for put in [Put::Create, Put::Replace, Put::Upsert] {
        let foreign = Endpoint { tenant: tenant("other"), ..endpoint("a") };
        assert!(!store.put_endpoint(&foreign, put).await.unwrap(), "{put:?}");
        assert_eq!(store.endpoint(&endpoint_id("a")).await.unwrap(), Some(endpoint("a")), "{put:?}");
    }
}

pub async fn endpoints_are_paged_completely(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    let mut expected = Vec::new();
    for n in 0..7 {
        let mine = endpoint(&format!("e{n}"));
        put(&*store, &mine).await;
        put(&*store, &Endpoint { tenant: tenant("other"), ..endpoint(&format!("o{n}")) }).await;
        expected.push(mine.id);
    }
    for (whose, sum) in [(Some(tenant("default")), 7), (Some(tenant("nobody")), 0), (None, 14)] {
        let mut seen = Vec::new();
        let mut page = Page { cursor: None, limit: 3 };
        loop {
            let listed = store.endpoints(whose.as_ref(), &page).await.unwrap();
            assert!(listed.data.len() <= 3);
            seen.extend(listed.data.into_iter().map(|endpoint| endpoint.id));
            let Some(cursor) = listed.next_cursor else { break };
            page.cursor = Some(cursor);
        }
        assert_eq!(seen.len(), sum, "{whose:?}");
        assert!(seen.is_sorted_by(|a, b| a < b), "by id, none twice: {seen:?}");
        assert!(sum != 7 || seen == expected);
    }
}

pub async fn a_deleted_endpoint_leaves_dead_letters(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("doomed")).await;
    let done = accept_one(&*store, at(0)).await;
    assert_eq!(deliver_all(&*store, at(0)).await, 1);
    let tried = accept_one(&*store, at(1)).await;
    let lease = lease(&*store, at(1)).await;
    let waiting = accept_one(&*store, at(2)).await;
    assert!(store.delete_endpoint(&endpoint_id("doomed"), at(3)).await.unwrap());
    assert!(!store.delete_endpoint(&endpoint_id("doomed"), at(3)).await.unwrap(), "it is gone");
    assert_eq!(store.endpoint(&endpoint_id("doomed")).await.unwrap(), None);
    assert_eq!(delivery(&*store, done).await.status, Status::Delivered, "what was delivered stays so");
    for (what, id) in [("in an attempt", tried), ("waiting", waiting)] {
        let dead = delivery(&*store, id).await;
        assert_eq!(dead.status, Status::Dead(DeadReason::EndpointDeleted), "{what}");
        assert_eq!((&dead.endpoint_id, dead.updated_at), (&endpoint_id("doomed"), at(3)), "{what}");
        let retried = store.retry(&id, at(4)).await.unwrap();
        assert_eq!(retried, Some(dead), "{what}: there is nowhere to retry it");
    }
    assert_eq!(settle(&*store, succeeded(&lease, at(4)), at(4)).await, Settled::LeaseLost);
    let far = take(&*store, at(1_000_000), 10).await;
    assert!(far.leases.is_empty() && far.next.is_none(), "{far:?}");
    assert_eq!(accept(&*store, 1, at(5)).await[0].deliveries, 0);
}

pub async fn a_deleted_endpoints_name_can_be_used_again(subject: &impl Subject) {
    let store = subject.open(StoreSettings::default()).await;
    put(&*store, &endpoint("a")).await;
    let old = accept_one(&*store, at(0)).await;
    store.delete_endpoint(&endpoint_id("a"), at(1)).await.unwrap();
    let foreign = Endpoint { tenant: tenant("other"), ..endpoint("a") };
    assert!(store.put_endpoint(&foreign, Put::Create).await.unwrap());
    let dead = store.retry(&old, at(2)).await.unwrap().unwrap();
    assert!(matches!(dead.status, Status::Dead(_)), "never to another tenant's endpoint: {dead:?}");
    store.delete_endpoint(&endpoint_id("a"), at(3)).await.unwrap();
    assert!(store.put_endpoint(&endpoint("a"), Put::Create).await.unwrap());
    assert!(leases(&*store, at(4), 10).await.is_empty(), "dead letters stay dead");
    store.retry(&old, at(5)).await.unwrap();
    assert_eq!(lease(&*store, at(5)).await.delivery, old, "until somebody retries them");
}
