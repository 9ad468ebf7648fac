//! What a store that outlives its process promises of secrets: with keys, none is kept in the clear.

use hookgate_sidecar::entropy;
use hookgate_sidecar::model::{Auth, ClientCertificate, Endpoint, Secret};
use hookgate_sidecar::seal::{Seal, SealKey};
use hookgate_sidecar::store::{Ask, Store, StoreFault};

use crate::fixture::*;
use crate::subject::Kept;

/// What nobody who reads the data may find.
const CANARIES: [&str; 4] = ["c2VjcmV0LXNlY3JldC1zZWNyZXQ", "canary-header", "canary-token", "canary-key"];

fn seal(keys: &[u8]) -> Seal {
    Seal::new(keys.iter().map(|byte| SealKey::new(&[*byte; 32]).unwrap()).collect(), entropy::system)
}

fn secretive(name: &str) -> Endpoint {
    Endpoint {
        headers: [("x-key".to_owned(), "canary-header".to_owned())].into(),
        auth: Some(Auth::Bearer { token: Secret("canary-token".to_owned()) }),
        client_certificate: Some(ClientCertificate {
            certificate_pem: "certificate".to_owned(),
            key_pem: Secret("canary-key".to_owned()),
        }),
        ..endpoint(name)
    }
}

fn found(kept: &[u8]) -> Vec<&'static str> {
    let holds = |canary: &str| kept.windows(canary.len()).any(|some| some == canary.as_bytes());
    CANARIES.into_iter().filter(|canary| holds(canary)).collect()
}

async fn stands(store: &dyn Store, name: &str, promise: &str) {
    let kept = store.endpoint(&endpoint_id(name)).await.unwrap();
    assert_eq!(kept, Some(secretive(name)), "{promise}");
}

pub async fn secrets_are_kept_sealed_and_attempts_have_them(subject: &impl Kept) {
    let store = subject.open_sealed(seal(&[1])).await.unwrap();
    put(&*store, &secretive("a")).await;
    accept(&*store, 2, at(0)).await;
    assert_eq!(*leases(&*store, at(0), 1).await[0].endpoint, secretive("a"));
    assert_eq!(found(&subject.kept().await), [""; 0]);
    drop(store);
    let store = subject.open_sealed(seal(&[1])).await.unwrap();
    stands(&*store, "a", "opened again").await;
    assert_eq!(*leases(&*store, at(1), 1).await[0].endpoint, secretive("a"));
    assert_eq!(store.reseal().await.unwrap(), 0, "there is nothing to do");
}

pub async fn a_new_first_key_seals_everything_again(subject: &impl Kept) {
    let names = ["a", "b", "c"];
    let store = subject.open_sealed(Seal::default()).await.unwrap();
    for name in names {
        put(&*store, &secretive(name)).await;
    }
    assert_eq!(store.reseal().await.unwrap(), 0, "without a key there is nothing to do");
    assert_eq!(found(&subject.kept().await), CANARIES, "in the clear, where this looks");
    drop(store);
    for (promise, keys, count) in [
        ("from the clear", &[1_u8][..], 3),
        ("by a new key before the old one", &[2, 1], 3),
        ("without the old one", &[2], 0),
        ("from an older key among others", &[3, 1, 2], 3),
    ] {
        let store = subject.open_sealed(seal(keys)).await.unwrap();
        assert_eq!(store.reseal().await.unwrap(), count, "{promise}");
        assert_eq!(store.reseal().await.unwrap(), 0, "{promise}, once");
        assert_eq!(found(&subject.kept().await), [""; 0], "{promise}");
        for name in names {
            stands(&*store, name, promise).await;
        }
    }
}

pub async fn a_key_that_is_missing_is_named_and_may_come_back(subject: &impl Kept) {
    let store = subject.open_sealed(seal(&[1])).await.unwrap();
    put(&*store, &secretive("a")).await;
    let id = accept_one(&*store, at(0)).await;
    drop(store);
    for keys in [&[][..], &[2]] {
        let error = match subject.open_sealed(seal(keys)).await {
            Err(error) => error,
            Ok(store) => {
                assert!(store.ping().await.is_err(), "its health tells");
                store.take(Ask { now: at(0), room: 10, grace: GRACE, ahead: false }).await.unwrap_err()
            }
        };
        assert_eq!(error.fault, StoreFault::Unavailable, "{error:?}");
        let why = error.source.unwrap().to_string();
        assert!(
            why.contains("the endpoint a") && why.contains(SealKey::new(&[1; 32]).unwrap().id()),
            "{why}"
        );
    }
    let store = subject.open_sealed(seal(&[1])).await.unwrap();
    store.maintain(lease_end(0)).await.unwrap();
    let lease = lease(&*store, lease_end(0)).await;
    assert_eq!((lease.delivery, lease.attempt), (id, 1), "it waited, and nothing was counted");
}
