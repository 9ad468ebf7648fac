//! The way of an event from the producer to the subscriber, on every store: rate, latency, CPU, memory, and the account.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::sidecar::{API_KEY, Setup};
use hookgate_e2e::{Redis, Sidecar, Store};
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;

use crate::ledger::{Balance, Ledger};
use crate::load::{Load, Pace, Sent, nanos};
use crate::payload;
use crate::server::Server;
use crate::spread::{Quantiles, Spread};
use crate::table::{Table, figure, mib};
use crate::usage::Usage;

const CONNECTIONS: u32 = 32;
const STEADY_PER_SECOND: u32 = 200;
const BODY_BYTES: usize = 1024;
/// Sent before anything is measured: connections are made, caches and allocators are warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long what was accepted may take to be delivered once the sending ended.
const DRAIN_BOUND: Duration = Duration::from_secs(30);

/// What the sidecar keeps its work in, and what a 202 therefore waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Memory,
    File,
    EverySecond,
    Always,
}

impl Kept {
    const ALL: [Self; 4] = [Self::Memory, Self::File, Self::EverySecond, Self::Always];

    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "embedded, memory",
            Self::File => "embedded, file",
            Self::EverySecond => "redis everysec",
            Self::Always => "redis always",
        }
    }

    const fn waits_for(self) -> &'static str {
        match self {
            Self::Memory => "nothing durable: a crash of the sidecar loses it",
            Self::File => "the disk (SQLite WAL, synchronous FULL)",
            Self::EverySecond => "Redis' memory; the disk follows within a second",
            Self::Always => "the disk (Redis AOF, appendfsync always)",
        }
    }

    async fn redis(self) -> Option<Redis> {
        match self {
            Self::Memory | Self::File => None,
            Self::EverySecond => Some(Redis::start(Persistence::EverySecond).await),
            Self::Always => Some(Redis::start(Persistence::Always).await),
        }
    }

    fn store(self, redis: Option<&Redis>) -> Store {
        match (self, redis) {
            (_, Some(redis)) => Store::Redis(redis.url()),
            (Self::File, None) => Store::File,
            (Self::Memory | Self::EverySecond | Self::Always, None) => Store::Memory,
        }
    }
}

/// One run's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    store: &'static str,
    waits_for: &'static str,
    load: String,
    accepted_per_s: f64,
    delivered_per_s: f64,
    /// Accepted, not yet delivered when the sending ended.
    backlog: u64,
    answer: Quantiles,
    end_to_end: Quantiles,
    sidecar_cpu_s_per_1000: f64,
    redis_cpu_s_per_1000: Option<f64>,
    tool_cpu_s_per_1000: f64,
    sidecar_peak_rss_kib: u64,
    redis_peak_rss_kib: Option<u64>,
    /// At a fixed rate: how late the tool itself sent at worst.
    tool_late_ms: f64,
    balance: Balance,
    broken: Vec<String>,
    is_void: bool,
}

/// The load tool straight to its receiver, then every store, steadily and saturated.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    connections: u32,
    body_bytes: usize,
    runs: Vec<Run>,
}

impl Report {
    /// Whether any run's account was not exact.
    pub(crate) fn is_void(&self) -> bool {
        self.runs.iter().any(|run| run.is_void)
    }
}

/// Measures it all.
pub(crate) async fn measure(span: Duration) -> Report {
    let mut runs = vec![baseline(span).await];
    for kept in Kept::ALL {
        for pace in [Pace::PerSecond(STEADY_PER_SECOND), Pace::Saturation] {
            runs.push(through_sidecar(kept, pace, span).await);
        }
    }
    Report { connections: CONNECTIONS, body_bytes: BODY_BYTES, runs }
}

/// Who counts at the receiver, and from which event on it is measured.
#[derive(Debug)]
struct Scene {
    start: Instant,
    ledger: Arc<Ledger>,
    arrivals: Arc<Mutex<Arrivals>>,
    receiver: Server,
}

#[derive(Debug)]
struct Arrivals {
    /// Earlier events are the warm-up's.
    measured_from: u64,
    end_to_end: Spread,
    last: Option<Instant>,
}

impl Arrivals {
    fn from_event(number: u64) -> Self {
        Self { measured_from: number, end_to_end: Spread::new(), last: None }
    }
}

impl Scene {
    async fn set() -> Self {
        let (start, ledger) = (Instant::now(), Arc::new(Ledger::new()));
        let arrivals = Arc::new(Mutex::new(Arrivals::from_event(0)));
        let (book, counted) = (Arc::clone(&ledger), Arc::clone(&arrivals));
        let receive = move |body: &[u8]| {
            let now = Instant::now();
            let Some(stamp) = payload::read(body) else { return book.arrived_unknown() };
            let is_first = book.arrived(stamp.number);
            let mut arrivals = counted.lock().unwrap_or_else(PoisonError::into_inner);
            if is_first && stamp.number >= arrivals.measured_from {
                let took = nanos(now - start).saturating_sub(stamp.sent_ns);
                arrivals.end_to_end.record(Duration::from_nanos(took));
                arrivals.last = Some(now);
            }
        };
        let receiver = Server::start(receive).await;
        Self { start, ledger, arrivals, receiver }
    }

    fn load(&self, address: std::net::SocketAddr) -> Load {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\ncontent-length: "
        );
        let ledger = Arc::clone(&self.ledger);
        Load { address, head, size: BODY_BYTES, connections: CONNECTIONS, start: self.start, ledger }
    }

    /// From now on it is measured.
    fn measure(&self) {
        let warm = self.ledger.balance(0, 0).sent;
        *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner) = Arrivals::from_event(warm);
    }

    fn arrivals(&self) -> (Quantiles, u64, Option<Instant>) {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        (arrivals.end_to_end.quantiles(), arrivals.end_to_end.count(), arrivals.last)
    }
}

async fn baseline(span: Duration) -> Run {
    let scene = Scene::set().await;
    let load = scene.load(scene.receiver.address());
    let warm = load.send(Pace::Saturation, WARM_UP).await;
    scene.measure();
    let (from, before) = (Instant::now(), Usage::own());
    let sent = load.send(Pace::Saturation, span).await;
    let spent = Spent { sidecar: Duration::ZERO, redis: None, tool: Usage::own().cpu - before.cpu };
    let balance = scene.ledger.balance(0, 0);
    let run = Measured { scene: &scene, from, warm, sent, backlog: 0, spent, balance };
    run.figures("the load tool alone", "", Pace::Saturation)
}

async fn through_sidecar(kept: Kept, pace: Pace, span: Duration) -> Run {
    let mut redis = kept.redis().await;
    let mut sidecar = Setup::on(kept.store(redis.as_ref())).start().await;
    let scene = Scene::set().await;
    let endpoint =
        json!({ "url": format!("http://{}/", scene.receiver.address()), "event_types": ["bench.*"] });
    sidecar.create_endpoint(&endpoint).await;
    let load = scene.load(sidecar.data());
    let warm = load.send(pace, WARM_UP).await;
    drained(&scene, &sidecar).await;
    scene.measure();
    let (from, before) = (Instant::now(), Costs::of(&mut sidecar, redis.as_mut()));
    let sent = load.send(pace, span).await;
    let backlog = scene.ledger.accepted().saturating_sub(scene.ledger.delivered());
    let balance = drained(&scene, &sidecar).await;
    let after = Costs::of(&mut sidecar, redis.as_mut());
    let spent = after.since(&before);
    let run = Measured { scene: &scene, from, warm, sent, backlog, spent, balance };
    Run {
        sidecar_peak_rss_kib: after.sidecar.peak_rss_kib,
        redis_peak_rss_kib: after.redis.map(|usage| usage.peak_rss_kib),
        ..run.figures(kept.name(), kept.waits_for(), pace)
    }
}

/// Waits until the account is exact with nothing pending, at most [`DRAIN_BOUND`]; answers the account as it then is.
async fn drained(scene: &Scene, sidecar: &Sidecar) -> Balance {
    let deadline = Instant::now() + DRAIN_BOUND;
    loop {
        let (pending, dead) = (queue_size(sidecar).await, dead_letters(sidecar).await);
        let balance = scene.ledger.balance(pending, dead);
        if (pending == 0 && balance.is_exact()) || Instant::now() > deadline {
            return balance;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// `webhook_queue_size`.
async fn queue_size(sidecar: &Sidecar) -> u64 {
    let metrics = sidecar.metrics().await;
    let value = metrics.lines().find_map(|line| line.strip_prefix("webhook_queue_size "));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("no webhook_queue_size in\n{metrics}"))
}

/// How many dead letters there are, over all pages.
async fn dead_letters(sidecar: &Sidecar) -> u64 {
    let (mut count, mut target) = (0, "/v1/dead-letters?limit=100".to_owned());
    loop {
        let page = sidecar.read(&target).await;
        count += page.get("data").and_then(|data| data.as_array()).map_or(0, |data| data.len() as u64);
        match page.get("next_cursor").and_then(|cursor| cursor.as_str()) {
            Some(cursor) => target = format!("/v1/dead-letters?limit=100&cursor={cursor}"),
            None => return count,
        }
    }
}

/// What every process had used at one moment.
#[derive(Debug)]
struct Costs {
    sidecar: Usage,
    redis: Option<Usage>,
    tool: Usage,
}

/// The CPU time used between two moments.
#[derive(Debug)]
struct Spent {
    sidecar: Duration,
    redis: Option<Duration>,
    tool: Duration,
}

impl Costs {
    fn of(sidecar: &mut Sidecar, redis: Option<&mut Redis>) -> Self {
        let redis = redis.map(|redis| Usage::of(redis.process().pid()));
        Self { sidecar: Usage::of(sidecar.process().pid()), redis, tool: Usage::own() }
    }

    fn since(&self, before: &Self) -> Spent {
        Spent {
            sidecar: self.sidecar.cpu - before.sidecar.cpu,
            redis: self.redis.zip(before.redis).map(|(after, before)| after.cpu - before.cpu),
            tool: self.tool.cpu - before.tool.cpu,
        }
    }
}

/// All that one run brought, before it becomes figures.
#[derive(Debug)]
struct Measured<'a> {
    scene: &'a Scene,
    from: Instant,
    warm: Sent,
    sent: Sent,
    backlog: u64,
    spent: Spent,
    balance: Balance,
}

impl Measured<'_> {
    fn figures(self, store: &'static str, waits_for: &'static str, pace: Pace) -> Run {
        let (end_to_end, delivered, last) = self.scene.arrivals();
        let until_last = last.map_or(Duration::ZERO, |last| last - self.from);
        let per_1000 = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / delivered.max(1) as f64;
        let broken: Vec<String> = self.warm.broken.into_iter().chain(self.sent.broken).collect();
        Run {
            store,
            waits_for,
            load: match pace {
                Pace::Saturation => "saturation".to_owned(),
                Pace::PerSecond(rate) => format!("{rate}/s"),
            },
            accepted_per_s: self.sent.answers.count() as f64 / self.sent.took.as_secs_f64(),
            delivered_per_s: delivered as f64 / until_last.as_secs_f64().max(f64::MIN_POSITIVE),
            backlog: self.backlog,
            answer: self.sent.answers.quantiles(),
            end_to_end,
            sidecar_cpu_s_per_1000: per_1000(self.spent.sidecar),
            redis_cpu_s_per_1000: self.spent.redis.map(per_1000),
            tool_cpu_s_per_1000: per_1000(self.spent.tool),
            sidecar_peak_rss_kib: 0,
            redis_peak_rss_kib: None,
            tool_late_ms: self.sent.late.as_secs_f64() * 1000.0,
            balance: self.balance,
            is_void: !self.balance.is_exact() || !broken.is_empty(),
            broken,
        }
    }
}

/// The figures as a table, and every account that was not exact.
pub(crate) fn table(report: &Report) -> String {
    let mut table = Table::new([
        "store, load",
        "accepted/s",
        "delivered/s",
        "backlog",
        "202 p50",
        "p99 ms",
        "end to end p50",
        "p99 ms",
        "CPU s/1000: sidecar",
        "redis",
        "tool",
        "peak MiB: sidecar",
        "redis",
        "of baseline",
    ]);
    let baseline = report.runs.first().map_or(1.0, |run| run.delivered_per_s);
    for run in &report.runs {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.row([
            format!("{}, {}{}", run.store, run.load, if run.is_void { " VOID" } else { "" }),
            figure(run.accepted_per_s),
            figure(run.delivered_per_s),
            run.backlog.to_string(),
            figure(run.answer.p50_ms),
            figure(run.answer.p99_ms),
            figure(run.end_to_end.p50_ms),
            figure(run.end_to_end.p99_ms),
            figure(run.sidecar_cpu_s_per_1000),
            or_dash(run.redis_cpu_s_per_1000.map(figure)),
            figure(run.tool_cpu_s_per_1000),
            mib(run.sidecar_peak_rss_kib),
            or_dash(run.redis_peak_rss_kib.map(mib)),
            figure(run.delivered_per_s / baseline),
        ]);
    }
    let durability =
        Kept::ALL.map(|kept| format!("  {}: a 202 waits for {}\n", kept.name(), kept.waits_for()));
    let void = report.runs.iter().filter(|run| run.is_void).map(|run| {
        format!("  VOID {}, {}: {} {}\n", run.store, run.load, run.balance, run.broken.join("; "))
    });
    format!("{table}\n{}{}", durability.concat(), void.collect::<String>())
}
