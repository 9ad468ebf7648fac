//! The stores under test, each behind the same two verbs.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hookgate_e2e::Cluster;
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{Store, StoreSettings};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::redis_server::RedisServer;

/// A place where a store can be opened; nobody else uses it.
pub trait Subject: Sized {
    /// A new, empty place.
    fn start() -> impl Future<Output = Self>;

    /// Opens the store that is there. Drop the former one before opening again.
    fn open(&self, settings: StoreSettings) -> impl Future<Output = Arc<dyn Store>>;
}

/// The embedded store in memory: every opening is a new one.
pub struct Memory;

impl Subject for Memory {
    async fn start() -> Self {
        Self
    }

    async fn open(&self, settings: StoreSettings) -> Arc<dyn Store> {
        Arc::new(Embedded::open(Location::Memory, settings).unwrap())
    }
}

/// The embedded store in a file of its own folder.
pub struct File(TempDir);

impl Subject for File {
    async fn start() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self, settings: StoreSettings) -> Arc<dyn Store> {
        let path = self.0.path().join("hookgate.db");
        Arc::new(Embedded::open(Location::File(path), settings).unwrap())
    }
}

/// The store over a cluster that all promises share, each under a name of its own.
pub struct RedisCluster(String);

impl Subject for RedisCluster {
    async fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    async fn open(&self, settings: StoreSettings) -> Arc<dyn Store> {
        // it ends with the process, however that ends
        static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
        let cluster = CLUSTER.get_or_init(Cluster::start).await;
        let redis = RedisSettings { namespace: self.0.clone(), pool: 4, ..RedisSettings::at(cluster.url()) };
        Arc::new(RedisStore::connect(&redis, settings).unwrap())
    }
}

/// The store over a Redis of its own.
pub struct Redis(RedisServer);

impl Subject for Redis {
    async fn start() -> Self {
        Self(RedisServer::start().await)
    }

    async fn open(&self, settings: StoreSettings) -> Arc<dyn Store> {
        Arc::new(
            RedisStore::connect(&RedisSettings { pool: 4, ..RedisSettings::at(self.0.url()) }, settings)
                .unwrap(),
        )
    }
}
