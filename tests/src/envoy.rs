//! A real Envoy, started from a rendered copy of the very bootstrap files that ship.
//!
//! Rendering replaces ports by free ones and the filter's path by the built one, and nothing else unless the test says
//! so with [`Setup::edit`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Request};
use crate::{Child, artefacts, wait_until};

/// How long a start may take.
const START_BOUND: Duration = Duration::from_secs(30);

/// The three ports of a shipped bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Where the gateway listens; 0 takes a free one.
    pub listener: u16,
    /// Where Envoy's own admin listens; 0 takes a free one.
    pub admin: u16,
    /// Where the sidecar's data listener is.
    pub sidecar: u16,
}

/// What the files say.
const SHIPPED: Ports = Ports { listener: 8000, admin: 9901, sidecar: 8700 };

/// An Envoy about to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    yaml: String,
    environment: Vec<(String, String)>,
    concurrency: u16,
    wrapper: Vec<String>,
}

/// Envoy would not start.
#[derive(Debug, Clone)]
pub struct Refused {
    /// All it said.
    pub log: String,
}

/// A running Envoy. Killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    admin: SocketAddr,
    listener: SocketAddr,
    _folder: TempDir,
}

impl Setup {
    /// From a bootstrap of this repository, `envoy/envoy.yaml`, in front of `upstream`, on free ports, with the built
    /// filter.
    ///
    /// # Panics
    /// When the file, the filter, or a port to be replaced is not there.
    #[must_use]
    pub fn shipped(file: &str, upstream: SocketAddr) -> Self {
        Self::shipped_on(file, Ports { listener: 0, admin: 0, sidecar: upstream.port() })
    }

    /// The same on chosen ports.
    ///
    /// # Panics
    /// When the file, the filter, or a port to be replaced is not there.
    #[must_use]
    pub fn shipped_on(file: &str, ports: Ports) -> Self {
        let path = artefacts::root().join(file);
        let yaml = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let wanted = [
            (SHIPPED.listener, "LISTENER", ports.listener),
            (SHIPPED.admin, "ADMIN", ports.admin),
            (SHIPPED.sidecar, "SIDECAR", ports.sidecar),
        ];
        let filter = format!("\"{}\"", artefacts::filter_wasm().display());
        let setup = Self::yaml(yaml).edit("\"hookgate_filter.wasm\"", &filter);
        // By way of names, so that a wanted port that is also a shipped one is not replaced again.
        let named =
            wanted.iter().fold(setup, |setup, (shipped, name, _)| setup.edit(&port(shipped), &port(name)));
        wanted.iter().fold(named, |setup, (_, name, port_wanted)| setup.edit(&port(name), &port(port_wanted)))
    }

    /// From any bootstrap, as it is. Its ports should be 0.
    #[must_use]
    pub fn yaml(yaml: impl Into<String>) -> Self {
        Self { yaml: yaml.into(), environment: Vec::new(), concurrency: 1, wrapper: Vec::new() }
    }

    /// Replaces a text in the bootstrap, everywhere.
    ///
    /// # Panics
    /// When it is not there: an edit that does nothing hides a mistake.
    #[must_use]
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        assert!(self.yaml.contains(from), "nothing to edit: no {from:?} in\n{}", self.yaml);
        self.yaml = self.yaml.replace(from, to);
        self
    }

    /// Sets a variable of Envoy's environment (its secrets).
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How many workers; one unless told otherwise.
    #[must_use]
    pub fn concurrency(mut self, workers: u16) -> Self {
        self.concurrency = workers;
        self
    }

    /// Starts it through another program: `["faketime", "-f", "+1d"]`.
    #[must_use]
    pub fn under(mut self, program: &[&str]) -> Self {
        self.wrapper = program.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// The bootstrap as it will be used.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.yaml
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start, showing what it said.
    pub async fn start(&self) -> Envoy {
        self.try_start().await.unwrap_or_else(|refused| panic!("Envoy refused to start:\n{}", refused.log))
    }

    /// Starts it and waits until it is ready or has ended.
    ///
    /// # Errors
    /// When it ended.
    pub async fn try_start(&self) -> Result<Envoy, Refused> {
        let folder = self.folder();
        let admin_file = folder.path().join("admin");
        let mut command = self.command(&folder);
        command.args(["--disable-hot-restart", "--concurrency", &self.concurrency.to_string()]);
        command.arg("--admin-address-path").arg(&admin_file).args(["-l", "warning"]);
        let mut process = Child::start("envoy", command, folder.path());
        let admin = wait_until("readiness of Envoy", START_BOUND, || {
            let ended = process.ended().map(|_| Refused { log: process.log() });
            let admin_file = &admin_file;
            async move {
                match ended {
                    Some(refused) => Ok(Err(refused)),
                    None => ready(admin_file).await.map(Ok),
                }
            }
        })
        .await?;
        let listener = listener(admin).await;
        Ok(Envoy { process, admin, listener, _folder: folder })
    }

    /// Lets Envoy check the bootstrap without listening (`--mode validate`).
    ///
    /// # Panics
    /// When Envoy cannot be run.
    #[must_use]
    pub fn validate(&self) -> Output {
        let folder = self.folder();
        let mut command = self.command(&folder);
        command.args(["--mode", "validate", "-l", "warning"]).output().expect("Envoy runs")
    }

    fn folder(&self) -> TempDir {
        let folder = TempDir::with_prefix("hookgate-envoy-").expect("a folder");
        fs::write(folder.path().join("envoy.yaml"), &self.yaml).expect("a file in an own folder");
        folder
    }

    fn command(&self, folder: &TempDir) -> Command {
        let mut words = self.wrapper.iter().map(PathBuf::from).chain([artefacts::envoy()]);
        let mut command = Command::new(words.next().expect("Envoy at least"));
        command.args(words).arg("-c").arg(folder.path().join("envoy.yaml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Envoy {
    /// Its first listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener
    }

    /// Its admin address.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process: log, memory, end.
    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// Its counters and gauges whose name contains `filter`.
    pub async fn stats(&self, filter: &str) -> BTreeMap<String, u64> {
        let answer = Client::call(self.admin, &Request::get("/stats?type=All&format=text")).await;
        let lines = answer.text();
        let pairs = lines.lines().filter_map(|line| line.split_once(": "));
        pairs
            .filter(|(name, _)| name.contains(filter))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// One counter or gauge; 0 when nothing has touched it yet.
    pub async fn stat(&self, name: &str) -> u64 {
        self.stats(name).await.get(name).copied().unwrap_or(0)
    }

    /// `/stats/prometheus`, as text.
    pub async fn prometheus(&self) -> String {
        Client::call(self.admin, &Request::get("/stats/prometheus")).await.text()
    }
}

fn port(value: impl Display) -> String {
    format!("port_value: {value}")
}

/// The admin address, once `/ready` answers 200.
async fn ready(admin_file: &Path) -> Result<SocketAddr, String> {
    let text = fs::read_to_string(admin_file).map_err(|error| error.to_string())?;
    let admin: SocketAddr = text.trim().parse().map_err(|error| format!("admin file: {text:?}: {error}"))?;
    let mut client = Client::try_connect(admin).await.map_err(|error| error.to_string())?;
    match client.send(&Request::get("/ready")).await {
        Ok(answer) if answer.status == 200 => Ok(admin),
        other => Err(format!("{other:?}")),
    }
}

async fn listener(admin: SocketAddr) -> SocketAddr {
    let listeners = Client::call(admin, &Request::get("/listeners?format=json")).await.json();
    let socket =
        listeners.pointer("/listener_statuses/0/local_address/socket_address").unwrap_or(&Value::Null);
    let part = |name: &str| socket.get(name).map(|value| value.to_string().replace('"', ""));
    let address =
        format!("{}:{}", part("address").unwrap_or_default(), part("port_value").unwrap_or_default());
    address.parse().unwrap_or_else(|_| panic!("no listener in {listeners}"))
}
