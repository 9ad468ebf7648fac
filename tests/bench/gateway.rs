//! What the filter costs at the gateway: requests a second, and Envoy's CPU for each, beside no filter and one that does
//! nothing.
//!
//! The three Envoys run the shipped bootstrap but for their filter, without an access log and with a rate limit that
//! nobody reaches, in front of a receiver that answers at once. They take turns in short rounds, so that whatever else
//! the machine does hits all of them alike.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hookgate_e2e::Envoy;
use hookgate_e2e::envoy::Setup;
use hookgate_policy::Scheme;
use serde::Serialize;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::load::Connection;
use crate::noop;
use crate::server::Server;
use crate::table::{Table, figure};
use crate::usage::Usage;

const ROUNDS: u32 = 10;
const CONNECTIONS: usize = 8;
const BODIES: [usize; 3] = [0, 1024, 16 * 1024];
const FILTERS: [&str; 3] = ["none", "no-op", "hookgate"];
const SECRET: &str = "whsec_aG9va2dhdGUtYmVuY2gtaG9va2dhdGUtYmVuY2g=";

/// The figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    connections: usize,
    rounds: u32,
    figures: Vec<Figure>,
    tool_cpu_s: f64,
    wall_s: f64,
}

/// One filter's, for one size of body.
#[derive(Debug, Clone, Default, Serialize)]
struct Figure {
    filter: &'static str,
    body_bytes: usize,
    requests: u64,
    /// Not answered 200: any voids the figure.
    wrong: u64,
    requests_per_s: f64,
    envoy_cpu_us_per_request: f64,
    /// The last, as a multiple of that without a filter.
    cpu_ratio: f64,
}

impl Figure {
    fn is_void(&self) -> bool {
        self.wrong > 0 || self.requests == 0
    }
}

impl Report {
    /// Whether an answer was wrong.
    pub(crate) fn is_void(&self) -> bool {
        self.figures.iter().any(Figure::is_void)
    }

    /// The figures as a table.
    pub(crate) fn table(&self) -> String {
        let mut table =
            Table::new(["body, filter", "requests/s", "Envoy CPU µs/request", "of none", "wrong"]);
        for row in &self.figures {
            let void = if row.is_void() { " VOID" } else { "" };
            table.row([
                format!("{} B, {}{void}", row.body_bytes, row.filter),
                figure(row.requests_per_s),
                figure(row.envoy_cpu_us_per_request),
                figure(row.cpu_ratio),
                row.wrong.to_string(),
            ]);
        }
        let (cpu, wall) = (figure(self.tool_cpu_s), figure(self.wall_s));
        format!("{table}\n  the load tool and the receiver used {cpu} s of CPU in {wall} s\n")
    }
}

/// Measures it all; each figure for `span`, in rounds.
pub(crate) async fn measure(span: Duration) -> Report {
    let upstream = Server::start(|_, _| ()).await;
    let folder = TempDir::with_prefix("hookgate-noop-").expect("a folder");
    let mut envoys = Vec::new();
    for filter in FILTERS {
        envoys.push(bootstrap(filter, upstream.address(), &folder).start().await);
    }
    let mut tallies = [[Tally::default(); FILTERS.len()]; BODIES.len()];
    let (from, before) = (Instant::now(), Usage::own());
    // The first round only warms up.
    for round in 0..=ROUNDS {
        for (body_bytes, tallies) in BODIES.into_iter().zip(&mut tallies) {
            for (envoy, tally) in envoys.iter_mut().zip(tallies) {
                let slice = hammer(envoy, body_bytes, span / ROUNDS).await;
                if round > 0 {
                    tally.add(slice);
                }
            }
        }
    }
    Report {
        connections: CONNECTIONS,
        rounds: ROUNDS,
        figures: BODIES
            .into_iter()
            .zip(tallies)
            .flat_map(|(bytes, tallies)| figures(bytes, tallies))
            .collect(),
        tool_cpu_s: (Usage::own().cpu - before.cpu).as_secs_f64(),
        wall_s: from.elapsed().as_secs_f64(),
    }
}

/// What some rounds came to.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u64,
    wrong: u64,
    took: Duration,
    cpu: Duration,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.wrong += other.wrong;
        self.took += other.took;
        self.cpu += other.cpu;
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }
}

fn figures(body_bytes: usize, tallies: [Tally; FILTERS.len()]) -> impl Iterator<Item = Figure> {
    let [alone, ..] = tallies;
    FILTERS.into_iter().zip(tallies).map(move |(filter, tally)| Figure {
        filter,
        body_bytes,
        requests: tally.requests,
        wrong: tally.wrong,
        requests_per_s: tally.requests as f64 / tally.took.as_secs_f64(),
        envoy_cpu_us_per_request: tally.cpu_us(),
        cpu_ratio: tally.cpu_us() / alone.cpu_us(),
    })
}

/// One round: every connection sends one signed message over and over.
async fn hammer(envoy: &mut Envoy, body_bytes: usize, span: Duration) -> Tally {
    let message = Message::signed(envoy.address(), body_bytes);
    let before = Usage::of(envoy.process().pid());
    let from = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(message.clone().send_until(from + span));
    }
    let mut tally = Tally::default();
    for (requests, wrong) in tasks.join_all().await {
        tally.requests += requests;
        tally.wrong += wrong;
    }
    tally.took = from.elapsed();
    tally.cpu = Usage::of(envoy.process().pid()).cpu - before.cpu;
    tally
}

/// A message that the policy lets in; the filter does not remember that it came before.
#[derive(Debug, Clone)]
struct Message {
    address: SocketAddr,
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn signed(address: SocketAddr, body_bytes: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        let scheme = Scheme::preset("standard-webhooks").expect("a preset");
        let key = scheme.key(SECRET).expect("a secret");
        let body = vec![b'x'; body_bytes];
        let mut head =
            format!("POST /in/demo HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
        for (name, value) in scheme.sign(&[key], "msg_bench", now, &body) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("content-length: ");
        Self { address, head, body }
    }

    /// Sends until `until`; answers how many were answered 200, and how many were not.
    async fn send_until(self, until: Instant) -> (u64, u64) {
        let (mut right, mut wrong) = (0, 0);
        let Ok(mut connection) = Connection::open(self.address).await else { return (0, 1) };
        while Instant::now() < until {
            match connection.post(&self.head, &self.body).await {
                Ok(200) => right += 1,
                Ok(_) => wrong += 1,
                Err(_) => return (right, wrong + 1),
            }
        }
        (right, wrong)
    }
}

/// The shipped bootstrap with another filter, or none.
fn bootstrap(filter: &str, upstream: SocketAddr, folder: &TempDir) -> Setup {
    let shipped = Setup::shipped("envoy/envoy.yaml", upstream);
    let quiet = without(shipped.bootstrap(), "access_log:", "http_filters:");
    let setup = match filter {
        "none" => Setup::yaml(without(&quiet, "- name: hookgate", "- name: envoy.filters.http.router")),
        "no-op" => {
            let path = folder.path().join("noop.wasm");
            fs::write(&path, noop::wasm()).expect("a file in an own folder");
            Setup::yaml(quiet).edit(
                &hookgate_e2e::artefacts::filter_wasm().display().to_string(),
                &path.display().to_string(),
            )
        }
        _ => Setup::yaml(quiet).edit(
            r#""rate_limit": { "requests": 20, "window_s": 10, "burst": 20 }"#,
            r#""rate_limit": { "requests": 1000000, "window_s": 1, "burst": 1000000 }"#,
        ),
    };
    ["DEMO", "STRIPE", "GITHUB", "SEED"]
        .into_iter()
        .fold(setup, |setup, source| setup.env(&format!("HOOKGATE_SECRET_{source}"), SECRET))
}

/// The text without the lines from the one that begins (after blanks) with `from` to before the one with `until`.
fn without(yaml: &str, from: &str, until: &str) -> String {
    let mut is_cut = false;
    let mut cuts = 0;
    let kept = yaml.lines().filter(|line| {
        let text = line.trim_start();
        if text.starts_with(from) {
            (is_cut, cuts) = (true, cuts + 1);
        } else if text.starts_with(until) {
            is_cut = false;
        }
        !is_cut
    });
    let kept = kept.flat_map(|line| [line, "\n"]).collect();
    assert_eq!((cuts, is_cut), (1, false), "one {from:?} before {until:?} in\n{yaml}");
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_out_of_a_bootstrap_up_to_the_next() {
        let yaml = "filters:\n  - name: a\n    x: 1\n  - name: b\n    y: 2\n";
        assert_eq!(without(yaml, "- name: a", "- name: b"), "filters:\n  - name: b\n    y: 2\n");
    }

    #[test]
    #[should_panic(expected = "one \"- name: c\"")]
    fn a_cut_that_finds_nothing_is_a_mistake() {
        without("filters:\n  - name: a\n", "- name: c", "- name: b");
    }
}
