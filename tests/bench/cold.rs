//! The sidecar at its start and at rest: spawn to ready, memory, sizes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use hookgate_e2e::redis::Persistence;
use hookgate_e2e::{Child, Redis, artefacts};
use serde::Serialize;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::spread::{Quantiles, Spread};
use crate::table::{Table, figure, mib};
use crate::usage::Usage;

/// How often each start is measured.
const STARTS: usize = 15;
/// When a sidecar that was asked nothing is at rest.
const REST: Duration = Duration::from_secs(5);
/// How long a start may take at most.
const START_BOUND: Duration = Duration::from_secs(20);

/// The figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    starts: Vec<Start>,
    binary_bytes: u64,
    wasm_bytes: u64,
}

impl Report {
    /// The figures as a table.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new(["store", "ready p50", "max ms", "idle MiB", "idle CPU ms in 5 s"]);
        for start in &self.starts {
            table.row([
                start.store.to_owned(),
                figure(start.ready.p50_ms),
                figure(start.ready.max_ms),
                mib(start.idle_rss_kib),
                figure(start.idle_cpu_ms),
            ]);
        }
        let (binary, wasm) = (mib(self.binary_bytes / 1024), figure(self.wasm_bytes as f64 / 1024.0));
        format!("{table}\n  binary {binary} MiB, filter {wasm} KiB\n")
    }
}

/// One store's.
#[derive(Debug, Serialize)]
struct Start {
    store: &'static str,
    /// From spawn to the first 200 of `/readyz`.
    ready: Quantiles,
    /// After five seconds without a request but those of `/readyz`.
    idle_rss_kib: u64,
    /// CPU time used in these five seconds.
    idle_cpu_ms: f64,
}

/// Measures it all.
pub(crate) async fn measure() -> Report {
    let redis = Redis::start(Persistence::Always).await;
    let stores = [
        ("embedded, memory", "HOOKGATE_STORE", "memory".to_owned()),
        ("embedded, file", "HOOKGATE_STORE", "sqlite:hookgate.db".to_owned()),
        ("redis", "REDIS_URL", redis.url()),
    ];
    let mut starts = Vec::new();
    for (store, variable, value) in stores {
        starts.push(start(store, variable, &value).await);
    }
    let size = |path: std::path::PathBuf| std::fs::metadata(&path).expect("a built file").len();
    Report { starts, binary_bytes: size(artefacts::hookgate()), wasm_bytes: size(artefacts::filter_wasm()) }
}

async fn start(store: &'static str, variable: &str, value: &str) -> Start {
    let mut ready = Spread::new();
    let mut last = None;
    for _ in 0..STARTS {
        drop(last.take());
        let (sidecar, took) = Started::new(variable, value).await;
        ready.record(took);
        last = Some(sidecar);
    }
    let sidecar = last.expect("at least one start");
    let before = Usage::of(sidecar.process.pid());
    sleep(REST).await;
    let after = Usage::of(sidecar.process.pid());
    let idle_cpu_ms = (after.cpu - before.cpu).as_secs_f64() * 1000.0;
    Start { store, ready: ready.quantiles(), idle_rss_kib: after.rss_kib, idle_cpu_ms }
}

/// A sidecar that is ready, in a folder of its own.
#[derive(Debug)]
struct Started {
    process: Child,
    _folder: TempDir,
}

impl Started {
    /// Starts one and answers how long it took to be ready.
    async fn new(variable: &str, value: &str) -> (Self, Duration) {
        let folder = TempDir::with_prefix("hookgate-cold-").expect("a folder");
        let admin = free_address();
        let mut command = Command::new(artefacts::hookgate());
        command.env("HOOKGATE_DATA_LISTEN", "127.0.0.1:0").env("HOOKGATE_ADMIN_LISTEN", admin.to_string());
        command.env(variable, value);
        let spawned = Instant::now();
        let process = Child::start("hookgate", command, folder.path());
        while !is_ready(admin).await {
            assert!(spawned.elapsed() < START_BOUND, "not ready after {START_BOUND:?}: {}", process.log());
            sleep(Duration::from_millis(1)).await;
        }
        (Self { process, _folder: folder }, spawned.elapsed())
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound address")
}

/// Whether `/readyz` answers 200.
async fn is_ready(admin: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<_, std::io::Error>(status.ends_with(b" 200"))
    };
    ask.await.unwrap_or(false)
}
