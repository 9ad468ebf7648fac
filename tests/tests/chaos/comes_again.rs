//! What was in flight when its process died or stopped comes again within seconds, not when its lease ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::sidecar::Setup;
use hookgate_e2e::{Answer, Client, Receiver, Redis, Sidecar, Store, wait_until};
use rustix::process::Signal;
use serde_json::json;

use super::chance::say;
use super::producers::event;
use super::scale::rounds;
use super::stage::{drained, metric};

/// Attempts in flight, fewer than a pool's places.
const IN_FLIGHT: usize = 8;
/// From the kill, the restart included. Far below the least a lease lasts, the deadline of an attempt and 15 s.
const SOON: Duration = Duration::from_secs(8);
const BOUND: Duration = Duration::from_secs(30);
/// Long enough that no attempt here ends by it.
const TIMEOUT_MS: u64 = 60_000;
/// Results that came after their lease was somebody else's.
const LATE: &str = "webhook_late_results_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_flight_at_a_kill_comes_again_soon_on_sqlite() {
    comes_again_after_kills("sqlite", Store::File).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_flight_at_a_kill_comes_again_soon_on_redis() {
    let redis = Redis::start(Persistence::Always).await;
    comes_again_after_kills("redis", Store::Redis(redis.url())).await;
}

async fn comes_again_after_kills(store: &str, kept: Store) {
    let (receiver, mut sidecar) = start(kept).await;
    let mut worst = Duration::ZERO;
    for round in 0..rounds(2, 20) {
        put_in_flight(&receiver, &sidecar, round, Answer::Hang).await;
        receiver.answer(Answer::status(200));
        let killed = Instant::now();
        sidecar.kill();
        sidecar.restart().await;
        worst = worst.max(all_again(&receiver, round).await - killed);
        drained(&sidecar).await;
    }
    assert!(worst < SOON, "{worst:?}");
    say(&format!("in flight at a kill, {store}: again after at most {worst:?}, the restart included"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_late_results_of_a_process_that_was_stopped_do_not_count() {
    let redis = Redis::start(Persistence::Always).await;
    let (receiver, mut stopped) = start(Store::Redis(redis.url())).await;
    put_in_flight(&receiver, &stopped, 0, Answer::status(200).after(Duration::from_secs(1))).await;
    receiver.answer(Answer::status(200));
    let since = Instant::now();
    stopped.process().signal(Signal::STOP);
    let other = Setup::on(Store::Redis(redis.url())).start().await;
    let again = all_again(&receiver, 0).await - since;
    drained(&other).await;
    assert_eq!(metric(&stopped_goes_on(&receiver, stopped).await, LATE).await, IN_FLIGHT as u64);
    let rows = other.read("/v1/deliveries?limit=250").await;
    for row in rows["data"].as_array().expect("rows") {
        assert_eq!((&row["status"], &row["attempt_count"]), (&json!("delivered"), &json!(1)), "{row}");
    }
    assert!(again < SOON, "{again:?}");
    say(&format!(
        "in flight at a stop, redis: again at the other sidecar after {again:?}; {IN_FLIGHT} late results not counted"
    ));
}

/// Lets it go on once all its attempts were answered; answers it when it has told of all of them.
async fn stopped_goes_on(receiver: &Receiver, mut stopped: Sidecar) -> Sidecar {
    wait_until("answers to a process that cannot hear them", BOUND, || {
        let answered = receiver.look(|all| all.iter().filter(|one| one.answered.is_some()).count());
        std::future::ready(if answered == 2 * IN_FLIGHT { Ok(()) } else { Err(answered) })
    })
    .await;
    stopped.process().signal(Signal::CONT);
    wait_until("late results", BOUND, || async {
        let late = metric(&stopped, LATE).await;
        if late >= IN_FLIGHT as u64 { Ok(()) } else { Err(late) }
    })
    .await;
    stopped
}

/// A sidecar with one endpoint.
async fn start(store: Store) -> (Receiver, Sidecar) {
    let receiver = Receiver::start().await;
    let sidecar = Setup::on(store).start().await;
    let endpoint = json!({ "url": receiver.url("/hook"), "timeout_ms": TIMEOUT_MS });
    sidecar.create_endpoint(&endpoint).await;
    (receiver, sidecar)
}

/// Puts attempts in flight that are answered so.
async fn put_in_flight(receiver: &Receiver, sidecar: &Sidecar, round: usize, answer: Answer) {
    receiver.answer(answer);
    let arrived = receiver.count();
    for number in 0..IN_FLIGHT {
        let answer = Client::call(sidecar.data(), &event(&format!("{round}-{number}"))).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    receiver.wait_for(arrived + IN_FLIGHT, BOUND).await;
}

/// Waits until everything of this round has arrived twice; when the last did.
async fn all_again(receiver: &Receiver, round: usize) -> Instant {
    wait_until("second arrival of everything in flight", BOUND, || async {
        let arrivals = arrivals(receiver, &format!("{round}-"));
        let again: Vec<Instant> = arrivals.values().filter_map(|times| times.get(1).copied()).collect();
        if again.len() == IN_FLIGHT { Ok(again.into_iter().max().unwrap()) } else { Err(again.len()) }
    })
    .await
}

/// When each event whose key begins so arrived.
fn arrivals(receiver: &Receiver, prefix: &str) -> BTreeMap<String, Vec<Instant>> {
    receiver.look(|received| {
        let mut arrivals = BTreeMap::<String, Vec<Instant>>::new();
        for one in received {
            let key = one.json()["data"]["key"].as_str().expect("a key").to_owned();
            if key.starts_with(prefix) {
                arrivals.entry(key).or_default().push(one.at);
            }
        }
        arrivals
    })
}
