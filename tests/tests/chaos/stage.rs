//! What every run stands on: the subscriber, its endpoints, the faults so far, and the account at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hookgate_e2e::sidecar::Setup;
use hookgate_e2e::{Client, Receiver, Sidecar, Store, wait_until};
use serde_json::{Value, json};

use super::account::{Account, Arrival, Delivery, End, Facts, Fault, Row};
use super::chance::{Chance, say};
use super::producers::{self, Books, Producers};
use super::subscriber::{self, ATTEMPTS};

/// Ids of the endpoints; their paths are the same.
const ENDPOINTS: [&str; 2] = ["a", "b"];
/// Attempts at once of every sidecar here.
const WORKERS: usize = 10;
/// An attempt that began so long ago and was not answered has nobody who waits for it.
const ABANDONED: Duration = Duration::from_secs(1);
/// How long nothing may move once all faults are over: leases of which nobody was told last longest, an attempt's
/// deadline and 15 s.
const BOUND: Duration = Duration::from_secs(60);

/// A subscriber with two endpoints, and what was done to the rest.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    pub(crate) chance: Chance,
    pub(crate) receiver: Receiver,
    faults: Vec<Fault>,
    emptied: Vec<Fault>,
    taken_back: bool,
}

impl Stage {
    /// For the run `name`, with attempts that take `pause`.
    pub(crate) async fn set(name: &'static str, pause: Duration) -> Self {
        let (chance, receiver) = (Chance::of(name), Receiver::start().await);
        let drawn = chance.clone();
        receiver.answer_by(move |number, request| subscriber::answer(&drawn, number, request, pause));
        Self { name, chance, receiver, faults: Vec::new(), emptied: Vec::new(), taken_back: false }
    }

    /// Its faults take back what a server had alone, of which nobody was answered 202.
    pub(crate) fn takes_back(mut self) -> Self {
        self.taken_back = true;
        self
    }

    /// A sidecar on this store.
    pub(crate) async fn sidecar(&self, store: &Store) -> Sidecar {
        self.setup(store).start().await
    }

    /// The same, about to be started. An attempt holds its worker however long it takes, so that no more are under way than
    /// there are workers; its breaker does not open for what chance does to attempts, however many fail.
    pub(crate) fn setup(&self, store: &Store) -> Setup {
        let setup = Setup::on(store.clone())
            .env("HOOKGATE_WORKERS", &WORKERS.to_string())
            .env("HOOKGATE_WORKER_ATTEMPTS", "1");
        setup
            .env("HOOKGATE_SLOW_ATTEMPTS", "0")
            .env("HOOKGATE_BREAKER_FAILURES", "1000")
            .env("HOOKGATE_BREAKER_FAILURE_PERCENT", "0")
            .env("HOOKGATE_LOG", "warn,hookgate_sidecar::serve=info")
    }

    /// Creates the endpoints. A killed process' leases hold places there until they are taken back: enough for
    /// several kills.
    pub(crate) async fn create_endpoints(&self, sidecar: &Sidecar) {
        for id in ENDPOINTS {
            let retry = json!({ "max_attempts": ATTEMPTS, "base_ms": 20, "max_ms": 200 });
            let url = self.receiver.url(&format!("/{id}"));
            let endpoint =
                json!({ "id": id, "url": url, "timeout_ms": 2000, "max_in_flight": 100, "retry": retry });
            sidecar.create_endpoint(&endpoint).await;
        }
    }

    /// A random moment under load: some events were accepted since, and some attempt was begun.
    pub(crate) async fn moment(&mut self, producers: &Producers) {
        let arrived = self.receiver.count();
        producers.accept(usize::try_from(1 + self.chance.below(80)).unwrap()).await;
        self.receiver.wait_for(arrived + 1, BOUND).await;
        self.chance.pause(Duration::from_millis(10)).await;
    }

    /// A moment at which more attempts are under way than one sidecar makes at once: of two, each has some.
    pub(crate) async fn busy_moment(&mut self, producers: &Producers) {
        self.moment(producers).await;
        wait_until("attempts at both sidecars", BOUND, || {
            let now = Instant::now();
            let under_way = self.receiver.look(|all| {
                all.iter()
                    .rev()
                    .take_while(|one| now - one.at < ABANDONED)
                    .filter(|one| one.answered.is_none())
                    .count()
            });
            std::future::ready(if under_way > WORKERS { Ok(()) } else { Err(under_way) })
        })
        .await;
    }

    /// A fault that began then is over.
    pub(crate) fn fault(&mut self, began: Instant) {
        self.faults.push(Fault { began, over: Instant::now() });
    }

    /// The store was emptied, beginning then.
    pub(crate) fn emptied(&mut self, began: Instant) {
        self.emptied.push(Fault { began, over: Instant::now() });
    }

    /// Ends the producers, waits until nothing is pending, and draws up the account by the ledger of `sidecar`, which
    /// must be exact. It is printed with `remark`.
    pub(crate) async fn settle(self, producers: Producers, sidecar: &Sidecar, remark: &str) -> Account {
        let books = producers.end().await;
        assert_eq!(books.refused, [], "{}: only 202 and 503 are answers", self.name);
        drained(sidecar).await;
        if self.emptied.is_empty() {
            assert_first_answers(sidecar, &books).await;
        }
        let account = Account::of(&self.facts(&books, rows(sidecar).await));
        account.assert_exact();
        let (unanswered, put_off) = (books.unanswered, books.put_off);
        say(&format!(
            "{}: {account}; requests unanswered {unanswered}, put off {put_off}{remark}",
            self.name
        ));
        account
    }

    fn facts(&self, books: &Books, rows: Vec<Row>) -> Facts {
        let accepted = books.accepted.values().map(|told| (told.event.clone(), told.begun)).collect();
        Facts {
            accepted,
            endpoints: ENDPOINTS.map(str::to_owned).into(),
            rows,
            arrivals: self.arrivals(),
            faults: self.faults.clone(),
            emptied: self.emptied.clone(),
            taken_back: if self.taken_back { books.unanswered + books.put_off } else { 0 },
            places: WORKERS,
            most_attempts: ATTEMPTS,
        }
    }

    fn arrivals(&self) -> BTreeMap<Delivery, Vec<Arrival>> {
        self.receiver.look(|received| {
            let mut arrivals = BTreeMap::<Delivery, Vec<Arrival>>::new();
            for one in received {
                let event = one.header("webhook-id").expect("a webhook-id").to_owned();
                let delivery = (event, one.target.trim_start_matches('/').to_owned());
                arrivals.entry(delivery).or_default().push(Arrival { at: one.at, answered: one.answered });
            }
            arrivals
        })
    }
}

/// Waits until nothing is pending, by the sidecar's own sum: on a busy machine for long, but never without progress.
pub(crate) async fn drained(sidecar: &Sidecar) {
    let mut pending = u64::MAX;
    while pending > 0 {
        pending = wait_until("fewer deliveries pending", BOUND, || async {
            let now = metric(sidecar, "webhook_queue_size").await;
            if now < pending { Ok(now) } else { Err(now) }
        })
        .await;
    }
}

/// One figure of the metrics. One with labels is 0 until it has counted something; one without is always there.
pub(crate) async fn metric(sidecar: &Sidecar, name: &str) -> u64 {
    let metrics = sidecar.metrics().await;
    match metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')) {
        Some(value) => value.trim().parse().unwrap_or_else(|error| panic!("{name} {value}: {error}")),
        None if name.ends_with('}') => 0,
        None => panic!("no {name} in\n{metrics}"),
    }
}

/// Whoever was answered 202 and sends again all the same is told the first answer.
async fn assert_first_answers(sidecar: &Sidecar, books: &Books) {
    let mut client = Client::connect(sidecar.data()).await;
    for (key, first) in books.accepted.iter().step_by(books.accepted.len() / 20 + 1) {
        let answer = client.send(&producers::event(key)).await.expect("an answer");
        assert_eq!(answer.json()["id"], first.event.as_str(), "{key} is known: {answer:?}");
    }
}

/// The sidecar's own ledger, page by page.
async fn rows(sidecar: &Sidecar) -> Vec<Row> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = sidecar.read(&format!("/v1/deliveries?limit=250{cursor}")).await;
        rows.extend(page["data"].as_array().expect("rows").iter().map(row));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn row(json: &Value) -> Row {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let end = match json["status"].as_str() {
        Some("pending") => End::Pending,
        Some("delivered") => End::Delivered,
        _ => End::Dead(text("dead_reason")),
    };
    let attempts = json["attempt_count"].as_u64().and_then(|count| usize::try_from(count).ok());
    let attempts = attempts.unwrap_or_else(|| panic!("no attempts in {json}"));
    Row { delivery: (text("event_id"), text("endpoint_id")), end, attempts }
}
