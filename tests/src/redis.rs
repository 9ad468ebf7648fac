//! A real `redis-server` on a free port: killed and started again on what it wrote.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ports::Port;
use crate::{Child, artefacts, wait_until};

/// How long a start may take.
const START_BOUND: Duration = Duration::from_secs(20);

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

/// A server of its own, with a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Redis {
    persistence: Persistence,
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
        loop {
            let folder = TempDir::with_prefix("hookgate-redis-").expect("a folder");
            let port = Port::reserve();
            let process = spawn(port.number(), persistence, &folder);
            let mut redis = Self { persistence, process, folder, port };
            if redis.came_up().await {
                return redis;
            }
        }
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

    /// Starts it again, on the same port and folder, and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.port.number(), self.persistence, &self.folder);
        assert!(self.came_up().await, "the port {} was taken meanwhile", self.port.number());
    }

    /// Sends one command and reads its answer, which must be one line or one bulk string; answers it without the
    /// protocol's frame (`+PONG` is `PONG`).
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn command(&self, words: &[&str]) -> String {
        ask(self.address(), words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Waits for `PONG`, and that it was this process that said so; `false` when the port was taken.
    async fn came_up(&mut self) -> bool {
        let address = self.address();
        let process = &mut self.process;
        let itself = format!("process_id:{}\r\n", process.pid());
        wait_until("answer of the Redis just started", START_BOUND, || {
            let (ended, itself) = (process.ended().map(|_| process.log()), itself.clone());
            async move {
                match ended {
                    Some(log) if log.contains("Address already in use") => return Ok(false),
                    Some(log) => panic!("redis-server ended:\n{log}"),
                    None => {}
                }
                let answer = ask(address, &["PING"]).await;
                let info = ask(address, &["INFO", "server"]).await.unwrap_or_default();
                match answer {
                    Ok(answer) if answer == "PONG" && info.contains(&itself) => Ok(true),
                    other => Err(other),
                }
            }
        })
        .await
    }
}

fn spawn(port: u16, persistence: Persistence, folder: &TempDir) -> Child {
    let (append, fsync) = match persistence {
        Persistence::None => ("no", "no"),
        Persistence::Always => ("yes", "always"),
        Persistence::EverySecond => ("yes", "everysec"),
    };
    let port = port.to_string();
    let mut command = Command::new(artefacts::redis_server());
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
    command.args(["--appendonly", append, "--appendfsync", fsync]).arg("--dir").arg(folder.path());
    Child::start("redis", command, folder.path())
}

async fn ask(address: SocketAddr, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(text) = unframed(&String::from_utf8_lossy(&answer)) {
            return Ok(text);
        }
    }
}

/// The answer without its frame, once it is whole.
fn unframed(answer: &str) -> Option<String> {
    let (line, rest) = answer.split_once("\r\n")?;
    let Some(length) = line.strip_prefix('$') else {
        return Some(line.trim_start_matches(['+', ':']).to_owned());
    };
    match length.parse::<usize>() {
        Ok(length) => rest.get(..length).map(str::to_owned),
        Err(_) => Some("nil".to_owned()),
    }
}
