//! Other people's published packages sign what we accept and verify what we deliver.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookgate_e2e::receiver::Received;
use hookgate_e2e::stack::{DEMO_SECRET, Kept, Mode, STRIPE_SECRET, Stack};
use hookgate_e2e::{Receiver, artefacts};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(60);

#[tokio::test]
async fn published_packages_sign_what_we_accept_and_verify_what_we_deliver() {
    let (stack, receiver) = (Stack::start(Mode::Stream, Kept::Memory).await, Receiver::start().await);
    let endpoint = stack.sidecar.create_endpoint(&json!({ "url": receiver.url("/") })).await;
    let gateway = format!("http://{}", stack.envoy.address());
    let sent = python(&["send", &gateway, DEMO_SECRET, STRIPE_SECRET], "").await;
    let statuses = ["standardwebhooks", "standardwebhooks, altered", "stripe", "stripe, altered"]
        .map(|name| sent[name]["status"].as_u64());
    assert_eq!(statuses, [Some(202), Some(401), Some(202), Some(401)], "{sent}");

    let received = receiver.wait_for(2, BOUND).await;
    let deliveries: Vec<Value> = received.iter().map(as_json).collect();
    let secret = endpoint["secret"].as_str().expect("a secret");
    let verdict = python(&["verify", secret], &Value::from(deliveries).to_string()).await;
    assert_eq!(verdict, json!({ "verified": 2 }));
}

fn as_json(received: &Received) -> Value {
    let headers: BTreeMap<&str, &str> =
        received.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
    json!({ "headers": headers, "body": STANDARD.encode(&received.body) })
}

/// Runs the script with the packages of deps.lock and answers the JSON it prints.
async fn python(words: &[&str], input: &str) -> Value {
    let mut command = Command::new("python3");
    command.arg(artefacts::root().join("tests/python/independent.py")).args(words);
    command.env("PYTHONPATH", artefacts::python_packages()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().expect("python3");
    process.stdin.take().expect("a pipe").write_all(input.as_bytes()).await.expect("a script that reads");
    let output =
        timeout(BOUND, process.wait_with_output()).await.expect("an end in time").expect("an output");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON from the script")
}
