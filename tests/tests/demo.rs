//! The guided tour keeps its own promises: it walks, names a taken port, stays up, and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails loudly"
)]

use std::future::ready;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use hookgate_e2e::{Child, wait_until};
use rustix::process::Signal;
use tempfile::TempDir;

/// A whole tour, its starts and waits included.
const TOUR_BOUND: Duration = Duration::from_secs(90);
/// How long the stop may take.
const STOP_BOUND: Duration = Duration::from_secs(10);

const FREE_PORTS: [&str; 8] =
    ["--envoy-port", "0", "--data-port", "0", "--admin-port", "0", "--envoy-admin-port", "0"];

fn start(folder: &TempDir, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate-demo"));
    command.args(args);
    Child::start("demo", command, folder.path())
}

/// The text behind `name` on a line of the tour's introduction.
fn address(log: &str, name: &str) -> SocketAddr {
    let line = log.lines().find(|line| line.trim_start().starts_with(name)).expect("an introduction");
    let (_, url) = line.split_once("http://").expect("a URL");
    url.split_whitespace().next().and_then(|text| text.parse().ok()).expect("an address")
}

#[tokio::test]
async fn the_tour_holds_its_claims_in_both_modes() {
    for mode in [&[][..], &["--hold"]] {
        let folder = TempDir::new().unwrap();
        let mut demo = start(&folder, &[&FREE_PORTS[..], &["--once"], mode].concat());
        let ended = demo.end(TOUR_BOUND).await;
        let log = demo.log();
        assert_eq!(ended.code(), Some(0), "{mode:?}: {log}");
        assert!(log.contains("Every claim held"), "{log}");
        assert!(!log.contains('\x1b'), "no colours where there is no terminal: {log}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag_before_anything_starts() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let folder = TempDir::new().unwrap();
    let mut demo = start(
        &folder,
        &["--envoy-port", "0", "--data-port", "0", "--envoy-admin-port", "0", "--admin-port", &port],
    );
    let ended = demo.end(STOP_BOUND).await;
    let log = demo.log();
    assert_eq!(ended.code(), Some(2), "{log}");
    assert!(log.contains(&port) && log.contains("--admin-port"), "{log}");
    assert!(!log.contains("Envoy"), "nothing was started: {log}");
}

#[tokio::test]
async fn it_stays_up_for_an_event_signed_by_hand_and_stops_everything_on_ctrl_c() {
    let folder = TempDir::new().unwrap();
    let mut demo = start(&folder, &FREE_PORTS);
    let log = wait_until("invitation to stop", TOUR_BOUND, || {
        assert!(demo.ended().is_none(), "{}", demo.log());
        let log = demo.log();
        ready(if log.contains("Ctrl-C") { Ok(log) } else { Err(log) })
    })
    .await;
    let parts = [address(&log, "Envoy"), address(&log, "sidecar")];
    paste(&log);
    demo.signal(Signal::INT);
    let ended = demo.end(STOP_BOUND).await;
    assert_eq!(ended.code(), Some(0), "{}", demo.log());
    for part in parts {
        TcpStream::connect(part).expect_err("nobody listens any more");
    }
}

/// Runs the lines that the tour invites to paste: `curl -i` shows a 202.
fn paste(log: &str) {
    let has = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if !has("curl")
        || !Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success())
    {
        assert_ne!(std::env::var_os("CI").as_deref(), Some("true".as_ref()), "curl and openssl are needed");
        return eprintln!("SKIPPED: no curl or no openssl, the lines to paste were not tried");
    }
    let (_, lines) = log.split_once("An event of your own").expect("an invitation");
    let (_, lines) = lines.split_once('\n').expect("lines");
    let (lines, _) = lines.split_once("Ctrl-C").expect("an end");
    let output = Command::new("sh").arg("-c").arg(lines).output().expect("a shell");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}\n{}", String::from_utf8_lossy(&output.stderr));
}
