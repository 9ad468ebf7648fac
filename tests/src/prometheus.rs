//! A real Prometheus that scrapes what a test points it at, and `promtool`.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Request};
use crate::{Child, artefacts, wait_until};

/// How long a start may take.
const START_BOUND: Duration = Duration::from_secs(20);

/// A running Prometheus. Killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    _process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target`'s `/metrics` every second. The first sample comes 5–6 s later.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn scraping(target: SocketAddr) -> Self {
        let folder = TempDir::with_prefix("hookgate-prometheus-").expect("a folder");
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, scrape_config(target)).expect("a file in an own folder");
        let mut command = Command::new(artefacts::prometheus());
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        let mut process = Child::start("prometheus", command, folder.path());
        let address = wait_until("readiness of Prometheus", START_BOUND, || {
            assert!(process.ended().is_none(), "prometheus ended:\n{}", process.log());
            ready(process.log())
        })
        .await;
        Self { _process: process, address, _folder: folder }
    }

    /// The result of a query: `[{"metric": {…}, "value": [at, "1"]}, …]`.
    ///
    /// # Panics
    /// When Prometheus refuses it.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer =
            Client::call(self.address, &Request::get(&format!("/api/v1/query?query={encoded}"))).await;
        let result = answer.json().pointer("/data/result").and_then(Value::as_array).cloned();
        result.unwrap_or_else(|| panic!("{query}: {}", answer.text()))
    }
}

/// Runs `promtool check metrics` over a scrape.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn check_metrics(text: &str) -> Output {
    let mut command = Command::new(artefacts::promtool());
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("promtool runs");
    process.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    process.wait_with_output().expect("promtool ends")
}

fn scrape_config(target: SocketAddr) -> String {
    format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: hookgate\n    static_configs: \
         [{{ targets: [\"{target}\"] }}]\n"
    )
}

/// The address in the log line `… msg="Listening on" address=127.0.0.1:PORT`, once `/-/ready` answers 200.
async fn ready(log: String) -> Result<SocketAddr, String> {
    let line = log.lines().find(|line| line.contains("Listening on"));
    let words = line.and_then(|line| line.split("address=").nth(1));
    let Some(Ok(address)) = words.and_then(|words| words.split_whitespace().next()).map(str::parse) else {
        return Err(log);
    };
    let mut client = Client::try_connect(address).await.map_err(|error| error.to_string())?;
    match client.send(&Request::get("/-/ready")).await {
        Ok(answer) if answer.status == 200 => Ok(address),
        other => Err(format!("{other:?}")),
    }
}
