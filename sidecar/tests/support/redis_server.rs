//! A real redis-server of a test's own: on a socket in a folder of its own, with an append-only file that is synced
//! before every answer. It ends with the test.

use std::ffi::OsString;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Longest wait for it to answer.
const BOUND: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    pub async fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts one with these options of redis-server.
    pub async fn start_with(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { folder: tempfile::tempdir().unwrap(), options, child: None };
        server.start_again().await;
        server
    }

    /// Starts it over the data that the last one left.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(binary())
            .args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket", "socket", "--dir"])
            .arg(self.folder.path())
            .args(&self.options)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{:?}: {error}; install redis-server, or name one in HOOKGATE_REDIS_SERVER", binary())
            });
        self.child = Some(child);
        let mut seen = String::new();
        let answers = async {
            loop {
                match self.command(redis::cmd("PING")).await {
                    Ok(_) => return,
                    Err(error) => seen = error.to_string(),
                }
                pause().await;
            }
        };
        if tokio::time::timeout(BOUND, answers).await.is_err() {
            panic!("redis-server does not answer: {seen}\n{}", self.log());
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Lets it neither answer nor hang up, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let child = self.child.as_ref().expect("it runs");
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap().success());
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("socket").display())
    }

    /// One command, over a connection of its own.
    pub async fn command(&self, command: redis::Cmd) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "a test finds its tools")]
    let named = std::env::var_os("HOOKGATE_REDIS_SERVER");
    named.unwrap_or_else(|| "redis-server".into())
}

/// Looks until `look` is true, for a bounded time.
pub async fn wait_until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looks = async {
        while !look().await {
            pause().await;
        }
    };
    assert!(tokio::time::timeout(BOUND, looks).await.is_ok(), "no {what} in {BOUND:?}");
}

/// Between two looks of a bounded wait.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
