//! What happens to Redis, and what must not happen to what was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hookgate_sidecar::model::EventId;
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{Store, StoreFault, StoreSettings};
use redis::cmd;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::*;
use crate::redis_server::{RedisServer, wait_until};
use crate::{assert_delivers, listening, store, store_with, try_accept};

/// Longer than any call takes when it fails at once, shorter than a wait for anything.
const AT_ONCE: Duration = Duration::from_millis(900);

#[tokio::test]
async fn a_script_flush_heals_by_itself() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "before").await;
    server.command(cmd("SCRIPT").arg("FLUSH").to_owned()).await.unwrap();
    assert_delivers(&store, 1, "after").await;
}

#[tokio::test]
async fn a_lost_connection_heals_by_itself() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    for ms in 0..10 {
        for kind in ["normal", "pubsub"] {
            server.command(cmd("CLIENT").arg("KILL").arg("TYPE").arg(kind).to_owned()).await.unwrap();
        }
        wait_until("answer", async || store.ping().await.is_ok()).await;
        assert_delivers(&store, ms, "over a new connection").await;
    }
}

#[tokio::test]
async fn while_redis_is_away_an_accept_fails_at_once_and_then_works_again() {
    let mut server = RedisServer::start().await;
    let store = store(&server);
    server.kill();
    for what in ["never there", "asked again"] {
        let answer = timeout(AT_ONCE, try_accept(&store, 0)).await.expect(what);
        assert_eq!(answer, Err(StoreFault::Unavailable), "{what}");
    }
    server.start_again().await;
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 1, "there").await;
    server.kill();
    for what in ["gone", "still gone"] {
        let answer = timeout(AT_ONCE, try_accept(&store, 2)).await.expect(what);
        assert_eq!(answer, Err(StoreFault::Unavailable), "{what}");
        assert_eq!(store.ping().await.unwrap_err().fault, StoreFault::Unavailable, "{what}");
    }
    server.start_again().await;
    assert_delivers(&store, 3, "back, and the first accept already works").await;
}

#[tokio::test]
async fn a_frozen_redis_costs_one_bounded_wait_however_many_ask() {
    let server = RedisServer::start().await;
    let (used, fresh) = (store(&server), store(&server));
    put(&used, &endpoint("a")).await;
    server.freeze(true);
    let asked = join_all([&used, &fresh].into_iter().cycle().take(40).map(|store| try_accept(store, 0)));
    let answers = timeout(Duration::from_secs(8), asked).await.expect("they do not wait for each other");
    assert!(answers.iter().all(|answer| *answer == Err(StoreFault::Unavailable)), "{answers:?}");
    server.freeze(false);
    for store in [&used, &fresh] {
        wait_until("answer", async || store.ping().await.is_ok()).await;
    }
    deliver_all(&used, at(1)).await;
    assert_delivers(&fresh, 2, "it goes on").await;
}

#[tokio::test]
async fn once_redis_is_known_to_be_silent_an_accept_is_refused_at_once() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    server.freeze(true);
    let found_out = timeout(Duration::from_millis(1_500), try_accept(&store, 0)).await;
    assert_eq!(found_out.expect("a producer has little patience"), Err(StoreFault::Unavailable));
    for ms in 1..6 {
        let known = timeout(Duration::from_millis(400), try_accept(&store, ms)).await;
        assert_eq!(known.expect("nobody queues behind a connection"), Err(StoreFault::Unavailable));
    }
    server.freeze(false);
    wait_until("answer", async || store.ping().await.is_ok()).await;
    deliver_all(&store, at(7)).await;
    assert_delivers(&store, 8, "it goes on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_killed_redis() {
    let mut server = RedisServer::start().await;
    let store = Arc::new(store(&server));
    put(&*store, &endpoint("a")).await;
    let mut answered = Vec::new();
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let mut producers = JoinSet::new();
        for _ in 0..4 {
            producers.spawn(produce(Arc::clone(&store), Arc::clone(&stop)));
        }
        let enough = (round + 1) * 50;
        wait_until("load", async || store.census().await.is_ok_and(|census| census.pending >= enough)).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        answered.extend(producers.join_all().await.concat());
        server.start_again().await;
    }
    for id in &answered {
        assert!(store.event(id).await.unwrap().is_some(), "{id} was answered");
        assert_eq!(deliveries_of(&*store, *id).await.len(), 1);
    }
    let delivered = deliver_all(&*store, at(9)).await;
    assert!(delivered >= answered.len(), "{delivered} of {}", answered.len());
    assert_eq!(store.census().await.unwrap().pending, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_out_cut_off_by_a_kill_is_there_as_a_whole_or_not_at_all() {
    let mut server = RedisServer::start().await;
    let store: Arc<dyn Store> = Arc::new(store(&server));
    put_thousand(&store).await;
    for round in 0..10 {
        let now = at(round * 100_000);
        let key = format!("round {round}");
        let (cut, again) = (offer(event(now), &[&key]), offer(event(now), &[&key]));
        let (mut accepting, process) = (JoinSet::new(), Arc::clone(&store));
        accepting.spawn(async move { process.accept(&[cut], now).await.map(|answers| answers[0]) });
        // the moment of the fault: from before the script begins until after it ended
        tokio::time::sleep(Duration::from_millis(2 * round)).await;
        server.kill();
        let answer = accepting.join_next().await.unwrap().unwrap();
        server.start_again().await;
        wait_until("answer", async || store.ping().await.is_ok()).await;
        let pending = store.census().await.unwrap().pending;
        assert!(pending == 1_000 || (pending == 0 && answer.is_err()), "{pending} pending after {answer:?}");
        let retried = store.accept(&[again], now).await.unwrap()[0];
        assert_eq!((retried.deliveries, retried.duplicate), (1_000, pending == 1_000), "round {round}");
        assert_each_gets_one(&*store, now).await;
    }
}

/// Accepts until stopped; answers what was answered.
async fn produce(store: Arc<RedisStore>, stop: Arc<AtomicBool>) -> Vec<EventId> {
    let mut answered = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        answered.extend(try_accept(&*store, 0).await);
    }
    answered
}

#[tokio::test]
async fn after_a_flush_nothing_that_is_answered_is_lost() {
    let server = RedisServer::start().await;
    let (store, replica) = (store(&server), store(&server));
    put(&store, &endpoint("a")).await;
    accept(&store, 1, at(0)).await;
    let lost = lease(&store, at(0)).await;
    accept(&replica, 1, at(0)).await;
    assert_eq!((store.losses(), replica.losses()), (0, 0));
    for (process, ms) in [(&store, 1), (&replica, 2), (&store, 3)] {
        server.command(cmd("FLUSHALL")).await.unwrap();
        assert_delivers(process, ms, "the endpoints are there again").await;
    }
    assert_eq!(
        store.settle(&[succeeded(&lost, at(4))], at(4)).await.unwrap().settled,
        [hookgate_sidecar::store::Settled::LeaseLost]
    );
    server.command(cmd("FLUSHALL")).await.unwrap();
    store.ping().await.unwrap();
    let census = replica.census().await.unwrap();
    assert_eq!(
        (census.pending, census.endpoints.len()),
        (0, 1),
        "a look finds the loss before an accept does"
    );
    replica.ping().await.unwrap();
    assert!(store.losses() >= 1 && replica.losses() >= 1, "each process tells");
}

#[tokio::test]
async fn a_process_that_only_heard_of_an_endpoint_writes_it_again() {
    let server = RedisServer::start().await;
    let (store, replica) = (store(&server), store(&server));
    listening(&server, 2).await;
    put(&store, &endpoint("a")).await;
    wait_until("endpoint read by who heard of it", async || {
        let statistics = server.command(cmd("INFO").arg("commandstats").to_owned()).await;
        format!("{statistics:?}").contains("cmdstat_hgetall")
    })
    .await;
    drop(store);
    server.command(cmd("FLUSHALL")).await.unwrap();
    assert_delivers(&replica, 1, "the endpoint is there again").await;
}

#[tokio::test]
async fn a_full_redis_refuses_events_and_still_delivers_what_it_has() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    accept(&store, 3, at(0)).await;
    let set = |bytes: &str| cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).to_owned();
    server.command(set("1")).await.unwrap();
    let before = store.census().await.unwrap();
    assert_eq!(try_accept(&store, 1).await, Err(StoreFault::Full));
    assert_eq!(store.ping().await.unwrap_err().fault, StoreFault::Full);
    assert_eq!(store.census().await.unwrap(), before, "nothing is half done");
    assert_eq!(deliver_all(&store, at(2)).await, 3);
    assert!(store.maintain(at(3)).await.is_ok());
    server.command(set("0")).await.unwrap();
    assert_delivers(&store, 4, "room again").await;
}

#[tokio::test]
async fn a_demoted_redis_is_away_not_broken() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    let follow = |host: &str, port: &str| cmd("REPLICAOF").arg(host).arg(port).to_owned();
    server.command(follow("127.0.0.1", "1")).await.unwrap();
    assert_eq!(try_accept(&store, 0).await, Err(StoreFault::Unavailable));
    assert_eq!(store.ping().await.unwrap_err().fault, StoreFault::Unavailable);
    server.command(follow("NO", "ONE")).await.unwrap();
    assert_delivers(&store, 1, "promoted").await;
}

#[tokio::test]
async fn data_that_is_laid_out_otherwise_is_refused() {
    let table = [("a newer schema", "schema", "3"), ("other shards", "shards", "64")];
    let server = RedisServer::start().await;
    for (what, field, value) in table {
        server.command(cmd("FLUSHALL")).await.unwrap();
        server.command(cmd("HSET").arg("hg:layout").arg(field).arg(value).to_owned()).await.unwrap();
        let store = store(&server);
        assert_eq!(try_accept(&store, 0).await, Err(StoreFault::Broken), "{what}");
        assert_eq!(store.ping().await.unwrap_err().fault, StoreFault::Broken, "{what}");
    }
    let scripted = RedisServer::start().await;
    let store = store(&scripted);
    put(&store, &endpoint("a")).await;
    scripted.command(cmd("SET").arg("hg:{13}:2:events").arg("x").to_owned()).await.unwrap();
    assert_eq!(try_accept(&store, 0).await, Err(StoreFault::Broken), "a key of another type");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_showing_it() {
    for url in ["", "secret", "http://user:secret@localhost", "redis://:secret@[::1"] {
        let error = RedisStore::connect(&RedisSettings::at(url), StoreSettings::default()).unwrap_err();
        assert_eq!(error.fault, StoreFault::Broken, "{url}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let server = RedisServer::start().await;
    assert!(!format!("{:?}", store_with(&server, StoreSettings::default()).unwrap()).contains("whsec"));
}

#[tokio::test]
async fn what_a_call_leased_that_was_cut_off_goes_back_long_before_its_end() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "so that Redis knows the scripts").await;
    assert!(take_and_wait(&store, at(0), 10).await.is_empty());
    for cut_off in ["an accept that leases for who waits", "a take"] {
        let now = at(1);
        server.freeze(true);
        let moment = Duration::from_millis(100);
        match cut_off {
            "a take" => assert!(timeout(moment, take(&store, now, 10)).await.is_err(), "{cut_off}"),
            _ => assert!(timeout(moment, try_accept(&store, 1)).await.is_err(), "{cut_off}"),
        }
        server.freeze(false);
        let leased = async || store.census().await.is_ok_and(|census| census.endpoints[0].in_flight == 1);
        wait_until("do what it was asked", leased).await;
        assert_eq!(store.maintain(now).await.unwrap().reclaimed, 1, "{cut_off}");
        assert_eq!(store.census().await.unwrap().endpoints[0].in_flight, 0, "{cut_off}");
    }
    let lease = lease(&store, at(2)).await;
    assert_eq!((lease.attempt, lease.step), (1, 1), "no attempt was made");
    settle(&store, succeeded(&lease, at(3)), at(3)).await;
    assert_eq!(store.maintain(at(4)).await.unwrap().reclaimed, 0);
}

#[tokio::test]
async fn who_waits_to_be_accepted_is_not_cut_off_with_the_one_under_way() {
    let (server, moment) = (RedisServer::start().await, Duration::from_millis(100));
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "so that Redis knows the scripts").await;
    server.freeze(true);
    let mut first = Box::pin(try_accept(&store, 1));
    assert!(timeout(moment, &mut first).await.is_err(), "it is under way");
    let mut others = join_all((0..5).map(|_| try_accept(&store, 1)));
    assert!(timeout(moment, &mut others).await.is_err(), "they wait for it");
    drop(first);
    server.freeze(false);
    assert!(others.await.iter().all(Result::is_ok));
    assert!((5..=6).contains(&store.census().await.unwrap().pending), "the first may have been done");
}

#[tokio::test]
async fn what_arrives_while_another_is_accepted_goes_in_one_script() {
    const MANY: usize = 40;
    let (server, moment) = (RedisServer::start().await, Duration::from_millis(100));
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "so that Redis knows the scripts").await;
    let scripts = async || {
        let told = server.command(cmd("INFO").arg("commandstats").to_owned()).await.unwrap();
        let told: String = redis::from_redis_value(told).unwrap();
        let calls = told.split_once("cmdstat_evalsha:calls=").unwrap().1.split(',').next().unwrap();
        calls.parse::<usize>().unwrap()
    };
    let before = scripts().await;
    server.freeze(true);
    let mut all = join_all((0..MANY).map(|_| try_accept(&store, 1)));
    assert!(timeout(moment, &mut all).await.is_err(), "one is under way, the others wait for it");
    server.freeze(false);
    assert!(all.await.iter().all(Result::is_ok));
    let made = scripts().await - before;
    assert!(made < MANY / 2, "{made} scripts for {MANY} accepts; two, and what upkeep makes meanwhile");
}

#[tokio::test]
async fn nobody_waits_to_be_accepted_longer_than_it_may_take() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "so that Redis knows the scripts").await;
    server.freeze(true);
    let all = join_all((0..300).map(|_| try_accept(&store, 1)));
    let answers = timeout(Duration::from_millis(1_900), all).await.expect("in one patience, not in turn");
    assert_eq!(answers, [Err(StoreFault::Unavailable); 300]);
    server.freeze(false);
    wait_until("answer again", async || try_accept(&store, 2).await.is_ok()).await;
}

#[tokio::test]
async fn what_a_take_had_in_hand_that_was_cut_off_goes_back_too() {
    let server = RedisServer::start().await;
    let store = store(&server);
    put(&store, &endpoint("a")).await;
    assert_delivers(&store, 0, "so that Redis knows the scripts").await;
    assert!(take_and_wait(&store, at(0), 1).await.is_empty());
    accept(&store, 1, at(1)).await;
    accept(&store, 1, at(1)).await;
    let in_flight = async || store.census().await.map(|census| census.endpoints[0].in_flight);
    assert_eq!(in_flight().await.unwrap(), 1, "one is leased for who waits, there was no room for two");
    server.freeze(true);
    assert!(timeout(Duration::from_millis(100), take(&store, at(2), 10)).await.is_err());
    server.freeze(false);
    wait_until("lease the other", async || in_flight().await.is_ok_and(|leases| leases == 2)).await;
    assert_eq!(store.maintain(at(3)).await.unwrap().reclaimed, 2);
    assert_eq!(leases(&store, at(3), 10).await.len(), 2);
}
