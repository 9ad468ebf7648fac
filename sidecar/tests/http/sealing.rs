//! Seal keys as an operator has them: set, changed, taken away too early.

use std::path::Path;

use hookgate_sidecar::config::{Loaded, Surroundings, load};
use hookgate_sidecar::seal::{Seal, SealKey};
use hookgate_sidecar::serve::{Running, start};
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::{Store, StoreSettings};
use hookgate_sidecar::telemetry::logs::Chain;
use http::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Ask, WHSEC, wait_until};

/// Base64 of 32 times one byte.
const OLD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn loaded(folder: &Path, keys: &str) -> Loaded {
    let store = format!("sqlite:{}", folder.join("db").display());
    let variable = |name: &str| match name {
        "HOOKGATE_DATA_LISTEN" | "HOOKGATE_ADMIN_LISTEN" => Some("127.0.0.1:0".to_owned()),
        "HOOKGATE_STORE" => Some(store.clone()),
        "HOOKGATE_SEAL_KEYS" => Some(keys.to_owned()),
        _ => None,
    };
    let read = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    load(None, &Surroundings { variable: &variable, read: &read }).unwrap()
}

/// Starts, creates an endpoint if there is none, waits until it is ready, and ends.
async fn run(folder: &Path, keys: &str) {
    let stop = CancellationToken::new();
    let running = start(loaded(folder, keys), stop.clone()).await.unwrap();
    let Running { admin, .. } = running;
    let draft = json!({"url": "https://example.com", "id": "e", "secret": WHSEC});
    Ask::new(admin, Method::POST, "/v1/endpoints").json(&draft).send().await;
    let ready = || async {
        Some(Ask::new(admin, Method::GET, "/readyz").send().await).filter(|answer| answer.status == 200)
    };
    wait_until("readiness", ready).await;
    let shown = Ask::new(admin, Method::GET, "/v1/endpoints/e").send().await;
    assert_eq!((shown.status, &shown.json["live_secrets"]), (200, &json!(1)), "{shown:?}");
    stop.cancel();
    running.end().await;
}

fn kept(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap();
    let bytes: Vec<u8> = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_key_is_set_and_changed_by_starting_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = WHSEC.strip_prefix("whsec_").unwrap();
    run(folder.path(), "").await;
    assert!(kept(folder.path()).contains(secret), "without a key it is kept as it is");
    for keys in [OLD.to_owned(), format!("{NEW},{OLD}"), NEW.to_owned()] {
        run(folder.path(), &keys).await;
        assert!(!kept(folder.path()).contains(secret));
    }
}

#[tokio::test]
async fn a_start_without_a_key_that_is_needed_is_refused_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let key: SealKey = OLD.parse().unwrap();
    let (id, seal) = (key.id().to_owned(), Seal::new(vec![key], hookgate_sidecar::entropy::system));
    let location = Location::File(folder.path().join("db"));
    let store = Embedded::open_sealed(location, StoreSettings::default(), seal).unwrap();
    let draft = json!({"url": "https://example.com", "id": "mine"});
    let draft: hookgate_sidecar::registry::Draft = serde_json::from_value(draft).unwrap();
    let endpoint = draft.endpoint(hookgate_sidecar::clock::Millis(1), hookgate_sidecar::entropy::system);
    assert!(store.put_endpoint(&endpoint, hookgate_sidecar::store::Put::Create).await.unwrap());
    drop(store);
    for keys in ["", NEW] {
        let refused = start(loaded(folder.path(), keys), CancellationToken::new()).await.unwrap_err();
        let said = Chain(&refused).to_string();
        assert!(said.contains("the endpoint mine") && said.contains(&id), "{said}");
    }
    start(loaded(folder.path(), &format!("{NEW},{OLD}")), CancellationToken::new()).await.unwrap();
}
