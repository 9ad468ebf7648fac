//! The built `hookgate` binary, started, killed and started again on the same store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Request};
use crate::ports::Port;
use crate::wire::Response;
use crate::{Child, artefacts, wait_until};

/// How long a start may take.
const START_BOUND: Duration = Duration::from_secs(20);

/// The admin key that every sidecar of the suites asks for, unless told otherwise.
pub const API_KEY: &str = "an-api-key-for-the-suites";

/// What the sidecar keeps its work in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// SQLite in memory.
    Memory,
    /// SQLite in a file of the sidecar's own folder.
    File,
    /// Redis at this URL.
    Redis(String),
}

/// A sidecar about to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    store: Store,
    policy: Option<String>,
    key: Option<&'static str>,
    environment: Vec<(String, String)>,
}

/// The sidecar would not start.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its exit code.
    pub code: Option<i32>,
    /// All it said.
    pub log: String,
}

/// A running sidecar. Killed when dropped.
#[derive(Debug)]
pub struct Sidecar {
    setup: Setup,
    process: Child,
    data: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
    _ports: [Port; 2],
}

/// The two addresses of the start-up line.
#[derive(Debug, Clone, Copy)]
struct Listening {
    data: SocketAddr,
    admin: SocketAddr,
}

impl Setup {
    /// On this store; deliveries may go to 127.0.0.0/8.
    #[must_use]
    pub fn on(store: Store) -> Self {
        Self { store, policy: None, key: Some(API_KEY), environment: Vec::new() }
    }

    /// With this policy document.
    #[must_use]
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policy = Some(json.into());
        self
    }

    /// Without an admin key: whoever is on this machine may ask.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    /// Sets a variable of its environment; a later one wins.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not start, showing what it said.
    pub async fn start(self) -> Sidecar {
        self.try_start().await.unwrap_or_else(|refused| panic!("hookgate refused to start: {refused:?}"))
    }

    /// Starts it and waits until it listens or has ended.
    ///
    /// # Errors
    /// When it ended.
    pub async fn try_start(self) -> Result<Sidecar, Refused> {
        let folder = TempDir::with_prefix("hookgate-sidecar-").expect("a folder");
        if let Some(policy) = &self.policy {
            std::fs::write(folder.path().join("policy.json"), policy).expect("a file in an own folder");
        }
        let ports = [Port::reserve(), Port::reserve()];
        let [data, admin] = ports.each_ref().map(Port::address);
        let command = self.command(&folder, Listening { data, admin });
        let mut process = Child::start("hookgate", command, folder.path());
        let Listening { data, admin } = listening(&mut process, 0).await?;
        Ok(Sidecar { setup: self, process, data, admin, folder, _ports: ports })
    }

    fn command(&self, folder: &TempDir, listen: Listening) -> Command {
        let mut command = Command::new(artefacts::hookgate());
        command.env("HOOKGATE_DATA_LISTEN", listen.data.to_string());
        command.env("HOOKGATE_ADMIN_LISTEN", listen.admin.to_string());
        command.env("HOOKGATE_EGRESS_ALLOW", "127.0.0.0/8");
        if let Some(key) = self.key {
            command.env("HOOKGATE_API_KEY", key);
        }
        match &self.store {
            Store::Memory => command.env("HOOKGATE_STORE", "memory"),
            Store::File => command.env("HOOKGATE_STORE", format!("sqlite:{}", file(folder).display())),
            Store::Redis(url) => command.env("REDIS_URL", url),
        };
        if self.policy.is_some() {
            command.env("HOOKGATE_POLICY", folder.path().join("policy.json"));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Sidecar {
    /// Its data listener.
    #[must_use]
    pub fn data(&self) -> SocketAddr {
        self.data
    }

    /// Its admin listener.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process: log, memory, end.
    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// Kills it (SIGKILL) at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same settings, addresses and store, and waits until it listens.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        let said = self.respawn();
        let again = listening(&mut self.process, said).await;
        again.unwrap_or_else(|refused| panic!("hookgate did not come back: {refused:?}"));
    }

    /// The same without waiting, as for killing it while it starts. Answers how long its log was before.
    pub fn respawn(&mut self) -> usize {
        self.process.kill();
        let said = self.process.log().len();
        let before = Listening { data: self.data, admin: self.admin };
        let command = self.setup.command(&self.folder, before);
        self.process = Child::start("hookgate", command, self.folder.path());
        said
    }

    /// Calls the admin API, with the key if it has one.
    pub async fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Response {
        let key = self.setup.key.map(|key| ("authorization", format!("Bearer {key}")));
        // A sidecar without a key answers only to who calls it by a loopback name.
        let request = Request::new(method, target).header("host", self.admin.to_string()).headers(key);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Client::call(self.admin, &request).await
    }

    /// Reads from the admin API.
    ///
    /// # Panics
    /// When the answer is not 200.
    pub async fn read(&self, target: &str) -> Value {
        let answer = self.ask("GET", target, None).await;
        assert_eq!(answer.status, 200, "GET {target}: {}", answer.text());
        answer.json()
    }

    /// Creates an endpoint, answering it with its secret.
    ///
    /// # Panics
    /// When it is not created.
    pub async fn create_endpoint(&self, endpoint: &Value) -> Value {
        let answer = self.ask("POST", "/v1/endpoints", Some(endpoint)).await;
        assert_eq!(answer.status, 201, "POST /v1/endpoints {endpoint}: {}", answer.text());
        answer.json()
    }

    /// The metrics, as text.
    pub async fn metrics(&self) -> String {
        Client::call(self.admin, &Request::get("/metrics")).await.text()
    }
}

/// `POST /v1/events` with the key, ready to be sent to a sidecar or to the gateway in front of it.
#[must_use]
pub fn event(body: &Value) -> Request {
    Request::post("/v1/events").header("authorization", format!("Bearer {API_KEY}")).json(body)
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("hookgate.db")
}

/// Waits for the start-up line behind the first `said` bytes of the log.
async fn listening(process: &mut Child, said: usize) -> Result<Listening, Refused> {
    wait_until("start-up line of hookgate", START_BOUND, || {
        let ended = process.ended();
        let log = process.log();
        let answer = match (log.get(said..).unwrap_or_default().lines().find_map(start_line), ended) {
            (Some(listening), None) => Ok(Ok(listening)),
            (_, Some(status)) => Ok(Err(Refused { code: status.code(), log })),
            (None, None) => Err(log),
        };
        std::future::ready(answer)
    })
    .await
}

/// Reads `{"message":"listening","data":"127.0.0.1:1","admin":"127.0.0.1:2",…}`.
fn start_line(line: &str) -> Option<Listening> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line.get(name).or_else(|| line.pointer(&format!("/fields/{name}")))?.as_str();
    if text("message")? != "listening" {
        return None;
    }
    Some(Listening { data: text("data")?.parse().ok()?, admin: text("admin")?.parse().ok()? })
}
