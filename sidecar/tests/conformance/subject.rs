//! The stores under test, each behind the same two verbs.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hookgate_e2e::Cluster;
use hookgate_sidecar::seal::Seal;
use hookgate_sidecar::store::embedded::{Embedded, Location};
use hookgate_sidecar::store::redis::{RedisSettings, RedisStore};
use hookgate_sidecar::store::{Store, StoreError, StoreSettings};
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

/// A place that outlives the store, and that somebody else may read.
pub trait Kept: Subject {
    /// Opens the store that is there with these keys.
    fn open_sealed(&self, seal: Seal) -> impl Future<Output = Result<Arc<dyn Store>, StoreError>>;

    /// Every byte that is kept.
    fn kept(&self) -> impl Future<Output = Vec<u8>>;
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

impl Kept for File {
    async fn open_sealed(&self, seal: Seal) -> Result<Arc<dyn Store>, StoreError> {
        let location = Location::File(self.0.path().join("hookgate.db"));
        Ok(Arc::new(Embedded::open_sealed(location, StoreSettings::default(), seal)?))
    }

    async fn kept(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
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
        Arc::new(RedisStore::connect(&self.settings().await, settings).unwrap())
    }
}

impl Kept for RedisCluster {
    async fn open_sealed(&self, seal: Seal) -> Result<Arc<dyn Store>, StoreError> {
        let settings = StoreSettings::default();
        Ok(Arc::new(RedisStore::connect_sealed(&self.settings().await, settings, seal)?))
    }

    async fn kept(&self) -> Vec<u8> {
        let mut kept = Vec::new();
        let url = cluster().await.url();
        for node in url.trim_start_matches("redis+cluster://").split(',') {
            kept.extend(hashes(&format!("redis://{node}"), &format!("{}:*", self.0)).await);
        }
        kept
    }
}

impl RedisCluster {
    async fn settings(&self) -> RedisSettings {
        let url = cluster().await.url();
        RedisSettings { namespace: self.0.clone(), pool: 4, ..RedisSettings::at(url) }
    }
}

async fn cluster() -> &'static Cluster {
    // it ends with the process, however that ends
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(Cluster::start).await
}

/// Every hash that this server has under such names: nothing else holds an endpoint's secrets.
async fn hashes(url: &str, names: &str) -> Vec<u8> {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg(names).query_async(&mut connection).await.unwrap();
    let mut kept = Vec::new();
    for key in keys {
        let fields: redis::RedisResult<redis::Value> =
            redis::cmd("HGETALL").arg(key).query_async(&mut connection).await;
        kept.extend(fields.map(|fields| format!("{fields:?}")).unwrap_or_default().into_bytes());
    }
    kept
}

/// The store over a Redis of its own.
pub struct Redis(RedisServer);

impl Redis {
    fn settings(&self) -> RedisSettings {
        RedisSettings { pool: 4, ..RedisSettings::at(self.0.url()) }
    }
}

impl Subject for Redis {
    async fn start() -> Self {
        Self(RedisServer::start().await)
    }

    async fn open(&self, settings: StoreSettings) -> Arc<dyn Store> {
        Arc::new(RedisStore::connect(&self.settings(), settings).unwrap())
    }
}

impl Kept for Redis {
    async fn open_sealed(&self, seal: Seal) -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(RedisStore::connect_sealed(&self.settings(), StoreSettings::default(), seal)?))
    }

    async fn kept(&self) -> Vec<u8> {
        hashes(&self.0.url(), "*").await
    }
}
