//! The real binary's whole log of a busy run: one JSON object a line, and nothing in it that must not be there.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::harness::{Ask, KEY, POLICY, Subscriber, WHSEC, signed};

/// The binary, until it is stopped or dropped.
struct Binary {
    child: Child,
    output: BufReader<ChildStdout>,
    log: String,
    data: SocketAddr,
    admin: SocketAddr,
}

impl Binary {
    async fn start(folder: &std::path::Path) -> Self {
        std::fs::write(folder.join("policy.json"), POLICY).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hookgate"))
            .env_clear()
            .envs([
                ("HOOKGATE_DATA_LISTEN", "127.0.0.1:0"),
                ("HOOKGATE_ADMIN_LISTEN", "127.0.0.1:0"),
                ("HOOKGATE_EGRESS_ALLOW", "127.0.0.0/8"),
                ("HOOKGATE_API_KEY", KEY),
                ("HOOKGATE_LOG", "trace"),
                ("ACME", WHSEC),
                ("FORM", "a secret of this test"),
            ])
            .env("HOOKGATE_POLICY", folder.join("policy.json"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut log = String::new();
        let listening = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).await.unwrap(), 0, "ended after {log}");
            log.push_str(&line);
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                break line;
            }
        };
        let address = |name: &str| listening[name].as_str().unwrap().parse().unwrap();
        let (data, admin) = (address("data"), address("admin"));
        Self { child, output, log, data, admin }
    }

    /// Stops it by SIGTERM; the whole log.
    async fn stop(mut self) -> String {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        let ended = async {
            self.output.read_to_string(&mut self.log).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log);
        self.log
    }
}

/// Asks for about everything, with a canary in every place that must not be logged.
async fn busy_run(binary: &Binary, subscriber: &Subscriber) {
    let admin = |method, path: &str| Ask::new(binary.admin, method, path).key();
    let draft = json!({"url": subscriber.url, "id": "e", "tenant": "acme", "headers": {"authorization": "canary-value"},
        "retry": {"max_attempts": 2, "base_ms": 1, "max_ms": 1}});
    assert_eq!(admin(Method::POST, "/v1/endpoints").json(&draft).send().await.status, 201);
    send_events(binary).await;
    subscriber.received(4).await;
    assert_eq!(admin(Method::GET, "/v1/deliveries?tenant=canary-query").send().await.status, 200);
    assert_eq!(admin(Method::POST, "/v1/endpoints/e/rotate-secret").send().await.status, 200);
}

async fn send_events(binary: &Binary) {
    let event = json!({"type": "a", "data": "canary-body", "tenant": "acme", "id": "canary-id"}).to_string();
    let (one, key) = ("/v1/events", format!("Bearer {KEY}"));
    let table = [
        ("/v1/events?q=canary-query", key.as_str(), event.as_str(), 202),
        (one, &key, &event, 202),
        (one, "Bearer canary-key", &event, 401),
        (one, &key, "{canary-body", 400),
    ];
    for (path, authorization, body, status) in table {
        let ask = Ask::new(binary.data, Method::POST, path).header("authorization", authorization).body(body);
        assert_eq!(ask.send().await.status, status, "{path} {body}");
    }
    let body = br#"{"type":"a","c":"canary-body"}"#;
    for (from_now_s, status) in [(0, 202), (-1000, 401)] {
        let ask = Ask::new(binary.data, Method::POST, "/in/acme").header("user-agent", "agent-of-the-test");
        let headers = signed("standard-webhooks", WHSEC, "msg_1", from_now_s, body);
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        assert_eq!(ask.body(body).send().await.status, status);
    }
}

#[tokio::test]
async fn a_busy_run_logs_no_secret_body_signature_or_query() {
    let folder = tempfile::tempdir().unwrap();
    let subscriber = Subscriber::start(&[500]).await;
    let binary = Binary::start(folder.path()).await;
    busy_run(&binary, &subscriber).await;
    let log = binary.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert!(requests.len() >= 9, "{log}");
    for field in ["request_id", "method", "path", "client_ip", "status", "duration_ms", "listener"] {
        assert!(requests.iter().all(|line| !line[field].is_null()), "{field} is missing somewhere in {log}");
    }
    let refused = requests.iter().find(|line| line["because"] == "timestamp_too_old").unwrap();
    assert_eq!((&refused["path"], &refused["user_agent"]), (&json!("/in/acme"), &json!("agent-of-the-test")));

    let signature = subscriber.got()[0].headers["webhook-signature"].to_str().unwrap().to_owned();
    let (_, mac) = signature.split_once(',').unwrap();
    let secret = WHSEC.trim_start_matches("whsec_");
    for hidden in ["canary", KEY, "whsec_", secret, "a secret of this test", mac, "v1,"] {
        assert!(!log.contains(hidden), "{hidden} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_taken_port_and_a_bad_setting_are_clear_errors() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let table = [
        ("HOOKGATE_DATA_LISTEN", address.as_str(), 1, address.as_str()),
        ("HOOKGATE_WORKERS", "none", 2, "expected a whole number"),
        ("HOOKGATE_CONFIG", "/nowhere/hookgate.toml", 2, "/nowhere/hookgate.toml"),
    ];
    for (variable, value, code, expected) in table {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command
            .env_clear()
            .env("HOOKGATE_ADMIN_LISTEN", "127.0.0.1:0")
            .env(variable, value)
            .kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(variable) && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn check_reads_everything_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.json"), POLICY).unwrap();
    for (secret, code) in [(WHSEC, 0), ("not a secret", 2)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.arg("check").env_clear().env("HOOKGATE_POLICY", folder.path().join("policy.json"));
        command.env("ACME", secret).env("FORM", "a secret of this test").kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}
