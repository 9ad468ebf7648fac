//! Real Redis servers on free ports: killed, frozen, and started again on what they wrote. One alone, with replicas,
//! with TLS, under Sentinels ([`Sentinel`]), or as a cluster ([`Cluster`]).

mod cluster;
mod resp;
mod sentinel;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

pub use self::cluster::Cluster;
pub use self::sentinel::Sentinel;
pub use self::tls::TlsRedis;
use crate::ports::Port;
use crate::{Child, artefacts, wait_until};

/// How long a start may take, and any change of roles.
const BOUND: Duration = Duration::from_secs(30);

/// What Redis writes to disk before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: for tests where only speed counts.
    None,
    /// Each command, to the disk (`appendfsync always`): an answered write survives.
    Always,
    /// Once a second (`appendfsync everysec`): the last second may be lost.
    EverySecond,
}

impl Persistence {
    fn arguments(self) -> Vec<String> {
        let (append, fsync) = match self {
            Self::None => ("no", "no"),
            Self::Always => ("yes", "always"),
            Self::EverySecond => ("yes", "everysec"),
        };
        owned(&[
            "--save",
            "",
            "--appendonly",
            append,
            "--appendfsync",
            fsync,
            "--repl-diskless-sync-delay",
            "0",
        ])
    }
}

/// A server of its own, with a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Redis {
    binary: PathBuf,
    arguments: Vec<String>,
    process: Child,
    folder: TempDir,
    port: Port,
}

impl Redis {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(persistence: Persistence) -> Self {
        Self::start_with(persistence.arguments()).await
    }

    /// Starts one with these arguments besides its port and folder.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_with(arguments: Vec<String>) -> Self {
        Self::start_binary(artefacts::redis_server(), arguments).await
    }

    async fn start_binary(binary: PathBuf, arguments: Vec<String>) -> Self {
        loop {
            let mut redis = Self::spawn(binary.clone(), Port::reserve(), folder(), arguments.clone());
            if redis.came_up().await {
                return redis;
            }
        }
    }

    /// Starts a replica of this one and waits until it has everything.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_replica(&self) -> Self {
        let mut arguments = Persistence::Always.arguments();
        arguments.extend(["--replicaof".to_owned(), format!("127.0.0.1 {}", self.port.number())]);
        let replica = Self::start_with(arguments).await;
        replica.info_says("replication", "master_link_status:up").await;
        replica
    }

    fn spawn(binary: PathBuf, port: Port, folder: TempDir, arguments: Vec<String>) -> Self {
        let process = spawn(&binary, port.number(), &arguments, &folder);
        Self { binary, arguments, process, folder, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// Kills it (SIGKILL); nothing is written any more.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Lets it neither answer nor hang up, or lets it go on.
    pub fn freeze(&mut self, frozen: bool) {
        self.process.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Starts it again, on the same port and folder, and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&self.binary, self.port.number(), &self.arguments, &self.folder);
        assert!(self.came_up().await, "the port {} was taken meanwhile", self.port.number());
    }

    /// Sends one command and reads its answer, which must be one line or one bulk string; answers it without the
    /// protocol's frame (`+PONG` is `PONG`).
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn command(&self, words: &[&str]) -> String {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    async fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        resp::ask(self.address(), words).await
    }

    /// Whether it answers, as a primary.
    async fn is_primary(&self) -> bool {
        let info = self.try_command(&["INFO", "replication"]).await;
        info.is_ok_and(|info| info.contains("role:master"))
    }

    /// Waits until a section of its `INFO` holds this.
    async fn info_says(&self, section: &str, text: &str) {
        wait_until(&format!("{text} of {}", self.address()), BOUND, || async {
            let info = self.try_command(&["INFO", section]).await.map_err(|error| error.to_string())?;
            if info.contains(text) { Ok(()) } else { Err(info) }
        })
        .await;
    }

    /// Waits for `PONG`, and that it was this process that said so; `false` when the port was taken.
    async fn came_up(&mut self) -> bool {
        let address = self.address();
        let process = &mut self.process;
        let itself = format!("process_id:{}\r\n", process.pid());
        wait_until("answer of the Redis just started", BOUND, || {
            let (ended, itself) = (process.ended().map(|_| process.log()), itself.clone());
            async move {
                match ended {
                    Some(log) if log.contains("Address already in use") => return Ok(false),
                    Some(log) => panic!("redis-server ended:\n{log}"),
                    None => {}
                }
                let answer = resp::ask(address, &["PING"]).await;
                let info = resp::ask(address, &["INFO", "server"]).await.unwrap_or_default();
                match answer {
                    Ok(answer) if answer == "PONG" && info.contains(&itself) => Ok(true),
                    other => Err(other),
                }
            }
        })
        .await
    }
}

fn folder() -> TempDir {
    TempDir::with_prefix("hookgate-redis-").expect("a folder")
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn spawn(binary: &Path, port: u16, arguments: &[String], folder: &TempDir) -> Child {
    let mut command = Command::new(binary);
    command.args(arguments).args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
    command.arg("--dir").arg(folder.path());
    Child::start("redis", command, folder.path())
}
