//! Several processes over one Redis: nobody does twice what another did, and each hears of the other.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;
use hookgate_sidecar::model::{DeliveryId, Endpoint, Event, Next, Ordering};
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{Settled, Settlement, Store, StoreSettings};

use tokio::task::JoinSet;

use crate::fixture::*;
use crate::redis_server::{RedisServer, wait_until};
use crate::{listening, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_lease_one_delivery_twice() {
    let server = RedisServer::start().await;
    let processes = [Arc::new(store(&server)), Arc::new(store(&server))];
    for name in ["a", "b", "c"] {
        put(&*processes[0], &endpoint(name)).await;
    }
    put(&*processes[0], &Endpoint { tenant: tenant("t1"), ..endpoint("d") }).await;
    for process in &processes {
        accept(&**process, 100, at(0)).await;
        let foreign: Vec<_> = (0..50).map(|_| offer(event_of("t1", at(0)), &[])).collect();
        process.accept(&foreign, at(0)).await.unwrap();
    }
    let mut workers = JoinSet::new();
    for n in 0..8 {
        workers.spawn(work(Arc::clone(&processes[n % 2])));
    }
    let done: Vec<DeliveryId> = workers.join_all().await.concat();
    let distinct: HashSet<&DeliveryId> = done.iter().collect();
    assert_eq!((done.len(), distinct.len()), (700, 700));
    let census = processes[1].census().await.unwrap();
    assert_eq!((census.pending, census.delivered), (0, 700));
}

/// Takes and settles until there is nothing left; answers what it delivered.
async fn work(store: Arc<RedisStore>) -> Vec<DeliveryId> {
    let mut done = Vec::new();
    loop {
        let leases = leases(&*store, at(1), 7).await;
        if leases.is_empty() {
            return done;
        }
        let settlements: Vec<Settlement> = leases.iter().map(|lease| succeeded(lease, at(1))).collect();
        let settled = store.settle(&settlements, at(1)).await.unwrap().settled;
        assert!(settled.iter().all(|settled| *settled == Settled::Recorded));
        done.extend(leases.iter().map(|lease| lease.delivery));
    }
}

#[tokio::test]
async fn what_one_process_accepts_wakes_another() {
    let server = RedisServer::start().await;
    let (here, there) = (store(&server), store(&server));
    put(&here, &endpoint("a")).await;
    // an event gets through once `there` listens; before that a look at everything would find it
    listening(&server, 2).await;
    take(&there, at(0), 10).await;
    hush(&there, at(0)).await;
    assert_eq!(take(&there, at(0), 10).await.next, None);
    // news begin once `here` has heard of `there`
    wait_until("wake by another's accept", async || {
        accept(&here, 1, at(1)).await;
        deliver_all(&here, at(1)).await;
        there.wake().notified().now_or_never().is_some()
    })
    .await;
    accept(&here, 1, at(1)).await;
    let lease = lease(&there, at(1)).await;
    assert_eq!(settle(&there, succeeded(&lease, at(1)), at(1)).await, Settled::Recorded);

    hush(&there, at(1)).await;
    let scheduled = Event { deliver_at: Some(at(9_000)), ..event(at(1)) };
    here.accept(&[offer(scheduled, &[])], at(1)).await.unwrap();
    woken(&there, "another's scheduled event").await;
    assert_eq!(take(&there, at(1), 10).await.next, Some(at(9_000)), "its very moment is known");
}

#[tokio::test]
async fn endpoints_changed_by_one_process_count_for_another_at_once() {
    let server = RedisServer::start().await;
    let (here, there) = (store(&server), store(&server));
    put(&here, &endpoint("a")).await;
    assert_eq!(accept(&there, 1, at(0)).await[0].deliveries, 1);
    put(&here, &endpoint("b")).await;
    assert_eq!(accept(&there, 1, at(1)).await[0].deliveries, 2, "a new one");
    put(&here, &Endpoint { enabled: false, ..endpoint("a") }).await;
    assert_eq!(accept(&there, 1, at(2)).await[0].deliveries, 1, "a disabled one");
    here.delete_endpoint(&endpoint_id("b"), at(3)).await.unwrap();
    assert_eq!(accept(&there, 1, at(3)).await[0].deliveries, 0, "a deleted one");
    put(&here, &Endpoint { url: "https://new.example/".to_owned(), ..endpoint("a") }).await;
    let leases = leases(&there, at(4), 10).await;
    assert_eq!(leases.len(), 2);
    assert!(leases.iter().all(|lease| lease.endpoint.url == "https://new.example/"), "leases show what is");
}

#[tokio::test]
async fn what_a_process_that_is_gone_had_leased_is_due_again_long_before_its_leases_end() {
    let server = RedisServer::start().await;
    let (alive, gone, heir) = (store(&server), store(&server), store(&server));
    put(&heir, &endpoint("a")).await;
    accept(&heir, 2, at(0)).await;
    let kept = leases(&alive, at(0), 1).await.remove(0);
    let lost = leases(&gone, at(0), 1).await.remove(0);
    let late = succeeded(&lost, at(2));
    drop(gone);
    let mut reclaimed = 0;
    wait_until("lease taken back", async || {
        reclaimed += heir.maintain(at(1)).await.unwrap().reclaimed;
        reclaimed > 0
    })
    .await;
    let again = leases(&heir, at(1), 10).await;
    assert_eq!(again.iter().map(|lease| lease.delivery).collect::<Vec<_>>(), [lost.delivery]);
    assert_eq!((reclaimed, again[0].attempt), (1, 1), "it alone, and no attempt is counted");
    assert_eq!(settle(&alive, late, at(2)).await, Settled::LeaseLost, "what it says later does not count");
    assert_eq!(
        settle(&alive, succeeded(&kept, at(2)), at(2)).await,
        Settled::Recorded,
        "the living keep theirs"
    );
    assert_eq!(settle(&heir, succeeded(&again[0], at(2)), at(2)).await, Settled::Recorded);
}

#[tokio::test]
async fn a_head_of_a_process_that_is_gone_goes_before_who_stands_behind_it() {
    let server = RedisServer::start().await;
    let (gone, heir) = (store(&server), store(&server));
    put(&heir, &Endpoint { ordering: Ordering::Endpoint, ..endpoint("a") }).await;
    accept(&heir, 2, at(0)).await;
    let lost = lease(&gone, at(0)).await;
    assert!(leases(&heir, at(0), 10).await.is_empty(), "processes share a line");
    drop(gone);
    wait_until("lease taken back", async || heir.maintain(at(1)).await.unwrap().reclaimed > 0).await;
    let again = lease(&heir, at(1)).await;
    assert_eq!(again.delivery, lost.delivery);
    settle(&heir, succeeded(&again, at(1)), at(1)).await;
    assert_ne!(lease(&heir, at(1)).await.delivery, lost.delivery);
}

#[tokio::test]
async fn an_empty_line_leaves_nothing_behind() {
    let server = RedisServer::start().await;
    let store = store(&server);
    let lines = async || {
        let keys = server.command(redis::cmd("KEYS").arg("*line:*").to_owned()).await.unwrap();
        redis::from_redis_value::<Vec<String>>(keys).unwrap().len()
    };
    for (name, ordering) in [("a", Ordering::Endpoint), ("b", Ordering::Key), ("c", Ordering::None)] {
        put(&store, &Endpoint { ordering, ..endpoint(name) }).await;
    }
    for key in ["x", "y", "x"] {
        let event = Event { ordering_key: Some(key.parse().unwrap()), ..event(at(0)) };
        store.accept(&[offer(event, &[])], at(0)).await.unwrap();
    }
    assert_eq!(lines().await, 3, "one of the endpoint, two of keys, none where nobody waits");
    assert_eq!(deliver_all(&store, at(0)).await, 9);
    assert_eq!(lines().await, 0);
    assert!(store.census().await.unwrap().endpoints.iter().all(|health| health.pending == 0));
}

#[tokio::test]
async fn a_probe_of_a_process_that_is_gone_does_not_hold_the_breaker() {
    let server = RedisServer::start().await;
    let (gone, heir) = (store(&server), store(&server));
    put(&heir, &endpoint("a")).await;
    accept(&heir, 10, at(0)).await;
    let open_ms = StoreSettings::default().breaker.open_ms;
    for lease in leases(&heir, at(0), 5).await {
        settle(&heir, failed(&lease, at(0), Next::RetryAt(at(1))), at(0)).await;
    }
    assert_eq!(leases(&gone, at(open_ms), 10).await.len(), 1, "the probe");
    drop(gone);
    wait_until("lease taken back", async || heir.maintain(at(open_ms)).await.unwrap().reclaimed > 0).await;
    assert_eq!(leases(&heir, at(open_ms), 10).await.len(), 1, "another probe may go at once");
}

#[tokio::test]
async fn deployments_under_other_names_do_not_see_each_other() {
    let server = RedisServer::start().await;
    let [one, two] = ["one", "two"].map(|name| {
        let redis = RedisSettings { namespace: name.to_owned(), ..RedisSettings::at(server.url()) };
        RedisStore::connect(&redis, StoreSettings::default()).unwrap()
    });
    put(&one, &endpoint("a")).await;
    accept(&one, 3, at(0)).await;
    assert_eq!(two.endpoint(&endpoint_id("a")).await.unwrap(), None);
    assert!(leases(&two, at(0), 10).await.is_empty());
    assert_eq!(two.census().await.unwrap().pending, 0);
    assert_eq!(leases(&one, at(0), 10).await.len(), 3);
}
