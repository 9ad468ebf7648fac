//! Puts the rooms together, and takes them apart in order: listeners stop taking, requests under way are answered,
//! attempts end or are given back, the store closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Declared, Loaded, StoreChoice};
use crate::delivery::attempt::{HttpTransport, UnknownScheme};
use crate::delivery::egress::{Egress, EgressError, EgressSettings, OwnListeners};
use crate::delivery::{Pool, PoolSettings};
use crate::entropy;
use crate::http::Shared;
use crate::http::admin::{self, AdminState};
use crate::http::data::{self, BodyLimits, DataState, Door, EventRules};
use crate::http::listener::{self, ListenerSettings};
use crate::operations::Watch;
use crate::operations::notices::{Herald, Notices};
use crate::operations::replays::Replays;
use crate::operations::standing::{Keeper, Turns};
use crate::pressure::Pressure;
use crate::registry::{self, Synced};
use crate::seal::Seal;
use crate::store::embedded::{Embedded, Location};
use crate::store::redis::RedisStore;
use crate::store::{Store, StoreError};
use crate::telemetry::logs::Chain;
use crate::telemetry::metrics::Metrics;

/// Why the process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address}, set by {variable}")]
    Listen {
        /// The variable that sets it.
        variable: &'static str,
        /// Where it would listen.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// Deliveries cannot be made.
    #[error("cannot set up deliveries")]
    Egress(#[from] EgressError),
    /// Deliveries cannot be signed.
    #[error("cannot set up signing")]
    Signing(#[from] UnknownScheme),
    /// Signals cannot be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As asked, within the drain.
    Drained,
    /// At a second signal, at once.
    CutShort,
}

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends it at once; nothing accepted is lost by that.
///
/// # Errors
/// Why it could not begin.
pub async fn until_signalled(loaded: Loaded) -> Result<Ended, ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let stop = CancellationToken::new();
    let running = start(loaded, stop.clone()).await?;
    signals.next().await;
    stop.cancel();
    tokio::select! {
        () = running.end() => Ok(Ended::Drained),
        () = signals.next() => Ok(Ended::CutShort),
    }
}

/// SIGTERM and SIGINT.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// A process that serves.
#[derive(Debug)]
pub struct Running {
    /// Where events come in.
    pub data: SocketAddr,
    /// Where the API answers.
    pub admin: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    drain: Duration,
}

/// Binds the listeners, opens the store and begins to serve, until `stop` is cancelled.
///
/// # Errors
/// Why it could not begin.
pub async fn start(loaded: Loaded, stop: CancellationToken) -> Result<Running, ServeError> {
    let Loaded { config, policy, declared } = loaded;
    let data = bind("HOOKGATE_DATA_LISTEN", config.data_listen).await?;
    let admin = bind("HOOKGATE_ADMIN_LISTEN", config.admin_listen).await?;
    let base = Base::new(&config, &[data.address, admin.address])?;
    let in_step = CancellationToken::new();
    let pressure = Pressure::new(base.metrics.clone());
    let (notices, herald) = base.herald(&config).unzip();
    let (turns, keeper) = base.keeper(&config, notices.clone());
    let watch = Arc::new(Watch { turns, notices });
    let pool = base.pool(&config)?.under(pressure.clone()).seen_by(watch);
    let (shared, door) = (base.shared(&config), Arc::new(Door::new(policy)));
    let state = DataState { shared, door, limits: limits(&config), pressure, rules: rules(&config) };
    let data_router = data::router(state);
    let admin_router = admin::router(base.admin_state(&config, in_step.clone()));

    let tasks = TaskTracker::new();
    let settings = listener_settings(&config);
    tasks.spawn(listener::serve(data.listener, data_router, settings, stop.clone()));
    tasks.spawn(listener::serve(admin.listener, admin_router, settings, stop.clone()));
    tasks.spawn(keep_in_step(base.clone(), declared, in_step, stop.clone()));
    tasks.spawn(pool.run(stop.clone()));
    tasks.spawn(keeper.run());
    herald.into_iter().for_each(|herald| drop(tasks.spawn(herald.run())));
    tasks.spawn(base.replays().run(stop.clone()));
    tasks.close();
    let drain = Duration::from_millis(config.drain_ms.get().into());
    let running = Running { data: data.address, admin: admin.address, tasks, stop, drain };
    announce(&config, &running, base.kind);
    Ok(running)
}

impl Running {
    /// Waits for the stop, then for everything to end, at most as long as the drain may take.
    pub async fn end(self) {
        self.stop.cancelled().await;
        tracing::info!("stopping");
        match timeout(self.drain, self.tasks.wait()).await {
            Ok(()) => tracing::info!("stopped"),
            Err(_elapsed) => tracing::warn!("stopped with work under way; its leases end by themselves"),
        }
    }
}

struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

async fn bind(variable: &'static str, address: SocketAddr) -> Result<Bound, ServeError> {
    let refuse = |source| ServeError::Listen { variable, address, source };
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    Ok(Bound { listener, address })
}

/// What everything stands on.
#[derive(Debug, Clone)]
struct Base {
    store: Arc<dyn Store>,
    kind: &'static str,
    clock: Arc<dyn Clock>,
    egress: EgressSettings,
    metrics: Metrics,
    /// Notified when there is a new replay.
    replay_wake: Arc<Notify>,
    /// Held while an endpoint is read, changed and written back.
    changing: Arc<Mutex<()>>,
}

impl Base {
    fn new(config: &Config, own: &[SocketAddr]) -> Result<Self, ServeError> {
        let (kind, store) = open(config)?;
        let listeners = OwnListeners::default();
        own.iter().for_each(|address| listeners.add(*address));
        let egress = config.egress(listeners);
        Ok(Self {
            store,
            kind,
            clock: Arc::new(SystemClock),
            egress,
            metrics: Metrics::new(),
            replay_wake: Arc::default(),
            changing: Arc::default(),
        })
    }

    fn shared(&self, config: &Config) -> Shared {
        Shared {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            entropy: entropy::system,
            api_key: config.api_key.clone(),
            trusted_proxies: config.trusted_proxies.clone().into(),
        }
    }

    fn admin_state(&self, config: &Config, in_step: CancellationToken) -> AdminState {
        AdminState {
            shared: self.shared(config),
            egress: self.egress.clone(),
            metrics: config.enable_metrics.then(|| self.metrics.clone()),
            store_kind: self.kind,
            in_step,
            changing: Arc::clone(&self.changing),
            replay_wake: Arc::clone(&self.replay_wake),
        }
    }

    fn replays(&self) -> Replays {
        let name = format!("{:032x}", entropy::system());
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Replays::new(store, clock, name, Arc::clone(&self.replay_wake))
    }

    /// `None`: nobody is to be told.
    fn herald(&self, config: &Config) -> Option<(Notices, Herald)> {
        let to = config.operations_tenant.clone()?;
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let [seed, _] = halves(entropy::system());
        Some(Herald::new(store, clock, entropy::system, to, config.idempotency_window() / 2, seed))
    }

    fn keeper(&self, config: &Config, notices: Option<Notices>) -> (Turns, Keeper) {
        let patience = Duration::from_secs(config.auto_disable_after_s.into());
        let patience = Some(patience).filter(|patience| !patience.is_zero());
        let [seed, _] = halves(entropy::system());
        Keeper::new(Arc::clone(&self.store), Arc::clone(&self.changing), patience, notices, seed)
    }

    fn pool(&self, config: &Config) -> Result<Pool, ServeError> {
        let egress = Arc::new(Egress::new(self.egress.clone(), [])?);
        let transport = Arc::new(HttpTransport::new(egress, Arc::clone(&self.clock))?);
        let settings = PoolSettings {
            workers: config.workers(),
            worker_attempts: config.worker_attempts,
            slow_attempts: config.slow_attempts(),
            drain: pool_drain(config),
            longest_hold: Duration::from_secs(config.longest_hold_s.get().into()),
            ..PoolSettings::default()
        };
        let [seed, _] = halves(entropy::system());
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Ok(Pool::new(store, clock, transport, self.metrics.clone(), settings, seed))
    }
}

fn open(config: &Config) -> Result<(&'static str, Arc<dyn Store>), ServeError> {
    let settings = config.store_settings();
    let seal = Seal::new(config.seal_keys.clone(), entropy::system);
    if let Some(redis) = &config.redis {
        return Ok(("redis", Arc::new(RedisStore::connect_sealed(redis, settings, seal)?)));
    }
    Ok(match &config.store {
        StoreChoice::Memory => ("memory", Arc::new(Embedded::open(Location::Memory, settings)?)),
        StoreChoice::File(path) => {
            ("sqlite", Arc::new(Embedded::open_sealed(Location::File(path.clone()), settings, seal)?))
        }
    })
}

/// Attempts get most of the drain; what is left is for settling them.
fn pool_drain(config: &Config) -> Duration {
    Duration::from_millis(config.drain_ms.get().into()).mul_f32(0.8)
}

const fn halves(bits: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bits.to_be_bytes();
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p])]
}

fn limits(config: &Config) -> BodyLimits {
    let body_timeout = Duration::from_millis(config.body_timeout_ms.get().into());
    BodyLimits::new(config.max_payload_bytes, body_timeout, config.buffer_bytes)
}

fn rules(config: &Config) -> EventRules {
    let ttl = Some(Duration::from_secs(config.event_ttl_s.into())).filter(|ttl| !ttl.is_zero());
    EventRules { ttl, max_batch: config.max_batch }
}

fn listener_settings(config: &Config) -> ListenerSettings {
    ListenerSettings {
        max_connections: config.max_connections.get(),
        idle_timeout: Duration::from_millis(config.idle_timeout_ms.get().into()),
    }
}

/// Seals again what is not sealed with the first key, brings the declared endpoints in step, and tries again for as long
/// as the store is away.
async fn keep_in_step(base: Base, declared: Vec<Declared>, done: CancellationToken, stop: CancellationToken) {
    let shortest = Duration::from_millis(100);
    let mut pause = shortest;
    loop {
        match begin(&base, &declared).await {
            Ok((sealed, synced)) => {
                if sealed > 0 {
                    tracing::info!(endpoints = sealed, "endpoints are sealed with the first key");
                }
                let (written, removed) = (synced.written, synced.removed);
                tracing::info!(declared = declared.len(), written, removed, "declared endpoints are in step");
                return done.cancel();
            }
            Err(error) if pause == shortest => {
                tracing::warn!(error = %Chain(&error), "endpoints wait for the store");
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "endpoints still wait"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

async fn begin(base: &Base, declared: &[Declared]) -> Result<(u64, Synced), StoreError> {
    let sealed = base.store.reseal().await?;
    Ok((sealed, registry::sync(&*base.store, declared, base.clock.now()).await?))
}

/// The line that tells a harness, and people, where we are.
fn announce(config: &Config, running: &Running, store: &str) {
    if config.api_key.is_none() {
        tracing::warn!(
            "no API key: whoever can connect to this machine's loopback may use the API, except through a gateway"
        );
    }
    let in_memory = config.redis.is_none() && config.store == StoreChoice::Memory;
    if !in_memory && config.seal_keys.is_empty() {
        tracing::warn!(
            "endpoints' secrets are stored as they are: set HOOKGATE_SEAL_KEYS to seal them (openssl rand -base64 32)"
        );
    }
    if in_memory {
        tracing::warn!(
            "the store is in memory: what is pending is lost when this process ends; set REDIS_URL, or HOOKGATE_STORE \
             to sqlite:PATH"
        );
    }
    tracing::info!(
        data = %running.data,
        admin = %running.admin,
        store,
        workers = config.workers(),
        pool = config.pool(),
        host = config.host.label(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
}
