//! What was answered 202 is delivered, through `kill -9` at any moment; twice only what was in flight then.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails loudly and reads the clock"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hookgate_e2e::load::{Ledger, Load, send};
use hookgate_e2e::redis::Persistence;
use hookgate_e2e::sidecar::Setup;
use hookgate_e2e::{Answer, Client, Receiver, Redis, Sidecar, Store, wait_until};
use serde_json::{Value, json};

const KILLS: usize = 20;
const REDIS_KILLS: usize = 5;
const SENDERS: u32 = 4;
const BOUND: Duration = Duration::from_secs(60);

/// What all rounds together sent, and when the process was away.
#[derive(Debug, Default)]
struct Story {
    /// Requests.
    sent: u64,
    /// The event id of every key.
    accepted: BTreeMap<String, String>,
    /// Keys whose first request got no answer, or a 503.
    unanswered: usize,
    /// From the kill until it listened again.
    outages: Vec<(Instant, Instant)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_sidecar_is_killed_on_sqlite() {
    let (receiver, mut sidecar) = start(Store::File).await;
    let mut story = Story::default();
    for round in 0..KILLS {
        kill_under_load(&receiver, &mut sidecar, &mut story, round).await;
    }
    settle_accounts("sqlite", &receiver, &sidecar, &story).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_the_sidecar_is_killed_on_redis() {
    let redis = Redis::start(Persistence::Always).await;
    let (receiver, mut sidecar) = start(Store::Redis(redis.url())).await;
    let mut story = Story::default();
    for round in 0..KILLS {
        kill_under_load(&receiver, &mut sidecar, &mut story, round).await;
    }
    settle_accounts("redis, appendfsync always", &receiver, &sidecar, &story).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_redis_is_killed() {
    let mut redis = Redis::start(Persistence::Always).await;
    let (receiver, sidecar) = start(Store::Redis(redis.url())).await;
    let mut story = Story::default();
    for round in 0..REDIS_KILLS {
        kill_redis_under_load(&mut redis, &sidecar, &mut story, round).await;
    }
    settle_accounts("redis itself, appendfsync always", &receiver, &sidecar, &story).await;
}

async fn start(store: Store) -> (Receiver, Sidecar) {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::status(200).after(Duration::from_millis(5)));
    let sidecar = Setup::on(store).start().await;
    // A killed process' leases hold places at the endpoint until they end: enough of them for every kill.
    let endpoint = json!({ "url": receiver.url("/hook"), "timeout_ms": 1000, "max_in_flight": 1000 });
    sidecar.create_endpoint(&endpoint).await;
    (receiver, sidecar)
}

/// Sends until a random number was accepted and deliveries are under way, kills, starts again, and sends what got no
/// answer once more.
async fn kill_under_load(receiver: &Receiver, sidecar: &mut Sidecar, story: &mut Story, round: usize) {
    let arrived = receiver.count();
    let load = Load::start(sidecar.data(), &format!("round-{round}"), SENDERS);
    accepts(&load, random_below(150)).await;
    receiver.wait_for(arrived + 1, BOUND).await;
    let killed = Instant::now();
    sidecar.kill();
    let ledger = load.end().await;
    sidecar.restart().await;
    story.outages.push((killed, Instant::now()));
    assert_eq!(ledger.refused, [], "nothing was refused");
    story.enter(ledger, sidecar).await;
}

/// The same, but it is Redis that is killed; the sidecar must find it again by itself.
async fn kill_redis_under_load(redis: &mut Redis, sidecar: &Sidecar, story: &mut Story, round: usize) {
    let load = Load::start(sidecar.data(), &format!("redis-round-{round}"), SENDERS);
    accepts(&load, random_below(150)).await;
    let killed = Instant::now();
    redis.kill();
    redis.restart().await;
    story.outages.push((killed, Instant::now()));
    accepts(&load, load.accepted() + 20).await;
    load.stop();
    let ledger = load.end().await;
    assert!(ledger.refused.iter().all(|(_, status)| *status == 503), "{:?}", ledger.refused);
    story.enter(ledger, sidecar).await;
}

async fn accepts(load: &Load, enough: usize) {
    wait_until("events accepted", BOUND, || async {
        let accepted = load.accepted();
        if accepted >= enough { Ok(()) } else { Err(accepted) }
    })
    .await;
}

fn random_below(bound: u64) -> usize {
    usize::try_from(RandomState::new().build_hasher().finish() % bound).unwrap()
}

impl Story {
    /// Enters a round. A sender that got no answer, or a 503, sends again: whether the first one counted is for the
    /// sidecar to know. One that was answered and sends again all the same is told the first answer.
    async fn enter(&mut self, round: Ledger, sidecar: &Sidecar) {
        let again = Mutex::new(Ledger::default());
        let mut client = Client::connect(sidecar.data()).await;
        let unsure = round.unanswered.iter().chain(round.refused.iter().map(|(key, _)| key));
        for key in unsure.chain(round.accepted.keys().take(3)) {
            send(&mut client, key, &again).await.expect("an answer after the restart");
        }
        let again = again.into_inner().unwrap();
        assert_eq!(again.refused, [], "sent again");
        for (key, id) in round.accepted.iter().take(3) {
            assert_eq!(again.accepted.get(key), Some(id), "{key} is known after the restart");
        }
        self.sent += round.sent + again.sent;
        self.unanswered += round.unanswered.len() + round.refused.len();
        self.accepted.extend(round.accepted);
        self.accepted.extend(again.accepted);
    }
}

/// Every accepted event has arrived; one that arrived twice was in flight at a kill.
async fn settle_accounts(store: &str, receiver: &Receiver, sidecar: &Sidecar, story: &Story) {
    let accepted: BTreeSet<&str> = story.accepted.values().map(String::as_str).collect();
    assert_eq!(accepted.len(), story.accepted.len(), "each key has an event of its own");
    let arrivals = wait_until("arrival of every accepted event", BOUND, || async {
        let arrivals = arrivals_at(receiver);
        let missing = accepted.iter().filter(|id| !arrivals.contains_key(**id)).count();
        if missing == 0 { Ok(arrivals) } else { Err(format!("{missing} of {} missing", accepted.len())) }
    })
    .await;
    wait_until("end of every delivery", BOUND, || async {
        let pending =
            deliveries(sidecar).await.into_iter().filter(|one| one["status"] != "delivered").count();
        if pending == 0 { Ok(()) } else { Err(format!("{pending} not delivered")) }
    })
    .await;
    let ledger = deliveries(sidecar).await;
    let (arrived, extra) = check_extra_arrivals(&arrivals_at(receiver), &ledger, story);
    let unknown = arrivals.keys().filter(|id| !accepted.contains(id.as_str())).count();
    assert_eq!(unknown, 0, "nothing arrives that nobody was told of: every unanswered key was sent again");
    assert_eq!(ledger.len(), accepted.len(), "one delivery for one event");
    report(&format!(
        "{store}: kills {}, sent {}, accepted {}, of them sent again {}, arrived {arrived}, twice {extra}, lost 0",
        story.outages.len(),
        story.sent,
        accepted.len(),
        story.unanswered,
    ));
}

/// When each event arrived, by its id.
fn arrivals_at(receiver: &Receiver) -> BTreeMap<String, Vec<Instant>> {
    receiver.look(|received| {
        let mut arrivals = BTreeMap::<String, Vec<Instant>>::new();
        for one in received {
            let id = one.header("webhook-id").expect("a webhook-id").to_owned();
            arrivals.entry(id).or_default().push(one.at);
        }
        arrivals
    })
}

/// The sidecar's own ledger, page by page.
async fn deliveries(sidecar: &Sidecar) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = sidecar.read(&format!("/v1/deliveries?limit=250{cursor}")).await;
        rows.extend(page["data"].as_array().expect("rows").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// An event arrives again only over an outage, and only while the ledger knows of no more than one attempt: the
/// earlier one's result had not been kept. Answers arrivals and extra arrivals.
fn check_extra_arrivals(
    arrivals: &BTreeMap<String, Vec<Instant>>,
    ledger: &[Value],
    story: &Story,
) -> (usize, usize) {
    let recorded: BTreeMap<&str, &Value> = ledger
        .iter()
        .map(|row| (row["event_id"].as_str().expect("an event id"), &row["attempt_count"]))
        .collect();
    let (mut arrived, mut extra) = (0, 0);
    for (id, times) in arrivals {
        arrived += times.len();
        extra += times.len() - 1;
        for two in times.windows(2) {
            let over_an_outage =
                story.outages.iter().any(|(killed, back)| two[0] <= *back && two[1] >= *killed);
            assert!(over_an_outage, "{id} arrived twice while nothing was killed");
        }
        let kept = recorded[id.as_str()];
        assert!(
            times.len() == 1 || *kept == 1,
            "{id} arrived {} times with {kept} attempts kept",
            times.len()
        );
    }
    (arrived, extra)
}

/// Shown also when the test passes: the ledger is what the suite is for.
fn report(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("a standard output");
}
