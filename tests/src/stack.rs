//! The whole path as it is deployed: Envoy with the filter, the sidecar behind it, one policy for both doors.

use std::fs;

use crate::redis::Persistence;
use crate::{Envoy, Redis, Sidecar, Store, artefacts, envoy, sidecar};

/// How the outer door holds a message until its verdict: the two bootstraps that ship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `envoy/envoy.yaml`.
    Stream,
    /// `envoy/envoy-hold.yaml`.
    Hold,
}

/// What the inner door keeps its work in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// SQLite in memory.
    Memory,
    /// SQLite in a file.
    File,
    /// A Redis of its own that writes each command to the disk.
    Redis,
}

/// The secret of the shipped policy's source `demo` (Standard Webhooks).
pub const DEMO_SECRET: &str = "whsec_ZGVtby1zZWNyZXQtZm9yLXRoZS1zdWl0ZXMtb25seS4=";
/// The secret of `stripe`.
pub const STRIPE_SECRET: &str = "whsec_stripe-secret-for-the-suites-only";
/// The secret of `github`.
pub const GITHUB_SECRET: &str = "github-secret-for-the-suites-only";
/// The secret of `seed` (`X-Webhook-Signature`).
pub const SEED_SECRET: &str = "whsec_c2VlZC1zZWNyZXQtZm9yLXRoZS1zdWl0ZXMtb25seS4=";

/// What the shipped policy's `env:` references find.
pub const SECRETS: [(&str, &str); 4] = [
    ("HOOKGATE_SECRET_DEMO", DEMO_SECRET),
    ("HOOKGATE_SECRET_STRIPE", STRIPE_SECRET),
    ("HOOKGATE_SECRET_GITHUB", GITHUB_SECRET),
    ("HOOKGATE_SECRET_SEED", SEED_SECRET),
];

/// Envoy, sidecar and store, each its own. Killed when dropped, from the outside in.
#[derive(Debug)]
pub struct Stack {
    /// The outer door.
    pub envoy: Envoy,
    /// The inner door.
    pub sidecar: Sidecar,
    /// The store, when it is a process.
    pub redis: Option<Redis>,
}

impl Stack {
    /// Starts all of it with the shipped policy.
    ///
    /// # Panics
    /// When a part does not come up.
    pub async fn start(mode: Mode, kept: Kept) -> Self {
        let (sidecar, redis) = start_sidecar(kept).await;
        Self { envoy: start_envoy(mode, &sidecar).await, sidecar, redis }
    }

    /// The same on a store in memory, with a sidecar that has no API key.
    ///
    /// # Panics
    /// When a part does not come up.
    pub async fn start_without_key(mode: Mode) -> Self {
        let sidecar = with_the_shipped_policy(sidecar::Setup::on(Store::Memory)).without_key().start().await;
        Self { envoy: start_envoy(mode, &sidecar).await, sidecar, redis: None }
    }
}

async fn start_envoy(mode: Mode, sidecar: &Sidecar) -> Envoy {
    let file = match mode {
        Mode::Stream => "envoy/envoy.yaml",
        Mode::Hold => "envoy/envoy-hold.yaml",
    };
    let setup = envoy::Setup::shipped(file, sidecar.data());
    SECRETS.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start().await
}

fn with_the_shipped_policy(setup: sidecar::Setup) -> sidecar::Setup {
    let policy = fs::read_to_string(artefacts::root().join("envoy/policy.json")).expect("the shipped policy");
    SECRETS.iter().fold(setup.policy(policy), |setup, (name, value)| setup.env(name, value))
}

/// The store, and its process when it is one.
pub async fn store_of(kept: Kept) -> (Store, Option<Redis>) {
    match kept {
        Kept::Memory => (Store::Memory, None),
        Kept::File => (Store::File, None),
        Kept::Redis => {
            let redis = Redis::start(Persistence::Always).await;
            (Store::Redis(redis.url()), Some(redis))
        }
    }
}

/// Starts a sidecar with the shipped policy and the store it needs.
pub async fn start_sidecar(kept: Kept) -> (Sidecar, Option<Redis>) {
    let (store, redis) = store_of(kept).await;
    (with_the_shipped_policy(sidecar::Setup::on(store)).start().await, redis)
}
