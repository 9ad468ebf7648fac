//! Settings: a TOML file under the environment. Read once, at start, into a value that cannot be wrong.
//!
//! Every key has a variable, and the variable wins; an empty variable counts as unset. Secrets never stand in the
//! file: they come from the environment, or from a file of their own.

mod check;
mod declared;
mod env;
mod error;
mod file;
mod host;
mod key;
mod network;
mod policy;
mod secret;
mod store;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookgate_policy::Policy;
use ipnet::IpNet;
use serde::Deserialize;

use crate::delivery::egress::{AllowList, EgressProxy, EgressSettings, OwnListeners, ProxyUrl};
use crate::model::Tenant;
use crate::seal::SealKey;
use crate::store::redis::RedisSettings;

pub use declared::{Declared, DeclaredEndpoint};
pub use env::{Surroundings, system_variable};
pub use error::ConfigError;
pub use host::Host;
pub use key::{KEYS, Key};
pub use secret::{ApiKey, Hidden};
pub use store::StoreChoice;

/// Everything that can be set. The comments are the reference; every default works.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where events come in. Port 0 takes a free one. `HOOKGATE_DATA_LISTEN`, default `127.0.0.1:8700`.
    pub data_listen: SocketAddr,
    /// Where the API, health and metrics answer. `HOOKGATE_ADMIN_LISTEN`, default `127.0.0.1:8701`.
    pub admin_listen: SocketAddr,
    /// A file that holds the API key, alone. `HOOKGATE_API_KEY_FILE`. The key itself: `HOOKGATE_API_KEY` only.
    pub api_key_file: Option<PathBuf>,
    /// A file that holds the seal keys, alone. `HOOKGATE_SEAL_KEYS_FILE`. The keys themselves: `HOOKGATE_SEAL_KEYS` only.
    pub seal_keys_file: Option<PathBuf>,
    /// `memory` or `sqlite:PATH`. `HOOKGATE_STORE`, default `memory`. `REDIS_URL` wins over both.
    pub store: StoreChoice,
    /// Who may vouch for Redis over TLS, PEM. `REDIS_CA_FILE`, default the system's authorities.
    pub redis_ca_file: Option<PathBuf>,
    /// Our certificate for a Redis that asks for one, PEM. `REDIS_CERT_FILE`; with it `redis_key_file`.
    pub redis_cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM. `REDIS_KEY_FILE`.
    pub redis_key_file: Option<PathBuf>,
    /// Replicas of Redis that must have an event before it is answered 202. `REDIS_WAIT_REPLICAS`, default 0. With too
    /// few in time the answer is 503, though the event may stay: a producer that sends an idempotency key is safe.
    pub redis_wait_replicas: u16,
    /// How long they may take, milliseconds, 1–900. `REDIS_WAIT_TIMEOUT_MS`, default 500.
    pub redis_wait_timeout_ms: NonZeroU16,
    /// Workers that deliver, 1–65535. `HOOKGATE_WORKERS`, default 10, serverless 2.
    pub workers: Option<NonZeroU16>,
    /// Attempts that each worker has under way at once, at endpoints that answer promptly, 1–65535.
    /// `HOOKGATE_WORKER_ATTEMPTS`, default 8.
    pub worker_attempts: NonZeroU16,
    /// Attempts at once, beside those, that have taken longer than 50 ms, 0–65535. `HOOKGATE_SLOW_ATTEMPTS`, default
    /// 2000, serverless 50.
    pub slow_attempts: Option<u16>,
    /// Connections kept to the store's server and to endpoints, 1–65535. `HOOKGATE_POOL`, default 100, serverless 5.
    pub pool: Option<NonZeroU16>,
    /// Private networks that deliveries may reach all the same, CIDRs. `HOOKGATE_EGRESS_ALLOW`, comma-separated.
    #[serde(deserialize_with = "network::allow_list")]
    pub egress_allow: AllowList,
    /// Ports of public addresses that deliveries may reach. `HOOKGATE_EGRESS_PORTS`, default 80, 443, 8080, 8443.
    pub egress_ports: Vec<NonZeroU16>,
    /// Whether deliveries may use `http` besides `https`. `HOOKGATE_EGRESS_HTTP`, default true.
    pub egress_http: bool,
    /// The proxy that deliveries leave through: `http://`, `https://` or `socks5://`, a host, perhaps a port.
    /// `HOOKGATE_EGRESS_PROXY`; only there it may hold `user:password@`. Names are resolved and addresses checked here,
    /// and the proxy is asked for an address, by `CONNECT` also for plain `http`. `HTTP_PROXY` and its like are ignored.
    #[serde(deserialize_with = "network::proxy")]
    pub egress_proxy: Option<ProxyUrl>,
    /// Addresses that deliveries reach without the proxy, CIDRs. `HOOKGATE_EGRESS_NO_PROXY`, comma-separated.
    #[serde(deserialize_with = "network::allow_list")]
    pub egress_no_proxy: AllowList,
    /// Whether the proxy resolves names: then it, and not we, guards against names that lead into private networks.
    /// `HOOKGATE_EGRESS_PROXY_RESOLVES`, default false.
    pub egress_proxy_resolves: bool,
    /// Peers whose `X-Forwarded-For` is believed, CIDRs. `HOOKGATE_TRUSTED_PROXIES`, default loopback.
    pub trusted_proxies: Vec<IpNet>,
    /// The policy document, JSON. `HOOKGATE_POLICY`; without one, no sources: only the API brings events.
    pub policy: Option<PathBuf>,
    /// Largest body of a request, bytes, 1 KiB–64 MiB. `HOOKGATE_MAX_PAYLOAD_BYTES`, default 1 MiB.
    pub max_payload_bytes: u32,
    /// All bodies being read at once, bytes; beyond it 503. `HOOKGATE_BUFFER_BYTES`, default 64 MiB.
    pub buffer_bytes: u32,
    /// Connections at once on each listener; more wait in the kernel. `HOOKGATE_MAX_CONNECTIONS`, default 1024.
    pub max_connections: NonZeroU16,
    /// How long a connection may be idle or take to send a request's head, milliseconds.
    /// `HOOKGATE_IDLE_TIMEOUT_MS`, default 60 000.
    pub idle_timeout_ms: NonZeroU32,
    /// How long a request's body may take, milliseconds. `HOOKGATE_BODY_TIMEOUT_MS`, default 30 000.
    pub body_timeout_ms: NonZeroU32,
    /// How long shutdown may take, milliseconds. `HOOKGATE_DRAIN_MS`, default 10 000.
    pub drain_ms: NonZeroU32,
    /// How long an idempotency key is known, seconds. `HOOKGATE_IDEMPOTENCY_WINDOW_S`, default 86 400 (24 h).
    pub idempotency_window_s: NonZeroU32,
    /// How long after it is first due an event is tried that does not say itself, seconds, 0–7 776 000 (90 d); what is
    /// not delivered by then is a dead letter. `HOOKGATE_EVENT_TTL_S`, default 0: no end but that of its schedule.
    pub event_ttl_s: u32,
    /// Events in a batch, 1–1000. `HOOKGATE_MAX_BATCH`, default 100.
    pub max_batch: NonZeroU16,
    /// How long what is finished is remembered, seconds. `HOOKGATE_RETENTION_S`, default 604 800 (7 d).
    pub retention_s: NonZeroU32,
    /// How long dead letters are remembered, seconds. `HOOKGATE_RETENTION_DEAD_LETTERS_S`, default `retention_s`.
    pub retention_dead_letters_s: Option<NonZeroU32>,
    /// How long the payload of an event is remembered once the last of its deliveries is over, seconds. After it the
    /// event is still listed, and cannot be sent again. `HOOKGATE_RETENTION_PAYLOADS_S`, default: as long as the event.
    pub retention_payloads_s: Option<NonZeroU32>,
    /// How long the attempts of a delivery that is over are remembered, with the answers in them, seconds.
    /// `HOOKGATE_RETENTION_ATTEMPTS_S`, default: as long as the delivery.
    pub retention_attempts_s: Option<NonZeroU32>,
    /// Deliveries pending at once; beyond it 503. `HOOKGATE_MAX_PENDING`, default 1 000 000.
    pub max_pending: NonZeroU32,
    /// What the memory store may take, bytes, at least 1 MiB; at it 503. `HOOKGATE_MEMORY_BYTES`, default 256 MiB.
    pub memory_bytes: u32,
    /// Failed attempts in a row that open an endpoint's breaker. `HOOKGATE_BREAKER_FAILURES`, default 5.
    pub breaker_failures: NonZeroU32,
    /// Share of the last half minute's attempts, percent, whose failure opens a breaker; 0 for never.
    /// `HOOKGATE_BREAKER_FAILURE_PERCENT`, default 50.
    pub breaker_failure_percent: u8,
    /// How many attempts there must be for that share to count. `HOOKGATE_BREAKER_MIN_ATTEMPTS`, default 20.
    pub breaker_min_attempts: NonZeroU32,
    /// How long an open breaker rests at first, milliseconds. `HOOKGATE_BREAKER_OPEN_MS`, default 30 000.
    pub breaker_open_ms: NonZeroU32,
    /// How long it rests at most, milliseconds: each opening is twice as long as the one before, until it was closed
    /// for as long as this. `HOOKGATE_BREAKER_MAX_OPEN_MS`, default 600 000, never less than `breaker_open_ms`.
    pub breaker_max_open_ms: NonZeroU32,
    /// Most of an endpoint's attempts that are retries while first attempts wait, percent, 1–99.
    /// `HOOKGATE_RETRY_PERCENT`, default 50.
    pub retry_percent: u8,
    /// The longest time for which an endpoint is left alone because it asks for it (`Retry-After`), seconds.
    /// `HOOKGATE_LONGEST_HOLD_S`, default 3600.
    pub longest_hold_s: NonZeroU32,
    /// How long an endpoint may do nothing but fail before it is disabled, seconds; 0 for ever.
    /// `HOOKGATE_AUTO_DISABLE_AFTER_S`, default 432 000 (5 d).
    pub auto_disable_after_s: u32,
    /// The tenant whose endpoints are told what becomes of all others, by `hookgate.…` events.
    /// `HOOKGATE_OPERATIONS_TENANT`; without one, nobody is.
    pub operations_tenant: Option<Tenant>,
    /// Log level or filter: `info`, `warn,hookgate_sidecar=debug`. `HOOKGATE_LOG`, default `info`.
    pub log: String,
    /// Whether `/metrics` answers. `ENABLE_METRICS`, default true.
    pub enable_metrics: bool,
    /// Endpoints kept in step with this file at every start; read-only in the API. In the file only.
    pub endpoints: Vec<DeclaredEndpoint>,
    /// Redis, when `REDIS_URL` says so, with the files and passwords that belong to it.
    #[serde(skip)]
    pub redis: Option<RedisSettings>,
    /// The API key, when there is one.
    #[serde(skip)]
    pub api_key: Option<ApiKey>,
    /// What endpoints' secrets are sealed with at rest, newest first; none to keep them as they are.
    #[serde(skip)]
    pub seal_keys: Vec<SealKey>,
    /// How long a signed message that was accepted could be sent again and still be fresh; follows from the policy.
    #[serde(skip)]
    pub replay_window: Duration,
    /// Where we run.
    #[serde(skip)]
    pub host: Host,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            data_listen: SocketAddr::new(loopback, 8700),
            admin_listen: SocketAddr::new(loopback, 8701),
            api_key_file: None,
            seal_keys_file: None,
            store: StoreChoice::Memory,
            redis_ca_file: None,
            redis_cert_file: None,
            redis_key_file: None,
            redis_wait_replicas: 0,
            redis_wait_timeout_ms: at_least_one_16(500),
            workers: None,
            worker_attempts: at_least_one_16(8),
            slow_attempts: None,
            pool: None,
            egress_allow: AllowList::default(),
            egress_ports: [80, 443, 8080, 8443].map(at_least_one_16).into(),
            egress_http: true,
            egress_proxy: None,
            egress_no_proxy: AllowList::default(),
            egress_proxy_resolves: false,
            trusted_proxies: vec![loopback_v4(), IpAddr::from(std::net::Ipv6Addr::LOCALHOST).into()],
            policy: None,
            max_payload_bytes: 1 << 20,
            buffer_bytes: 64 << 20,
            max_connections: at_least_one_16(1024),
            idle_timeout_ms: at_least_one(60_000),
            body_timeout_ms: at_least_one(30_000),
            drain_ms: at_least_one(10_000),
            idempotency_window_s: at_least_one(86_400),
            event_ttl_s: 0,
            max_batch: at_least_one_16(100),
            retention_s: at_least_one(604_800),
            retention_dead_letters_s: None,
            retention_payloads_s: None,
            retention_attempts_s: None,
            max_pending: at_least_one(1_000_000),
            memory_bytes: 256 << 20,
            breaker_failures: at_least_one(5),
            breaker_failure_percent: 50,
            breaker_min_attempts: at_least_one(20),
            breaker_open_ms: at_least_one(30_000),
            breaker_max_open_ms: at_least_one(600_000),
            retry_percent: 50,
            longest_hold_s: at_least_one(3_600),
            auto_disable_after_s: 432_000,
            operations_tenant: None,
            log: "info".to_owned(),
            enable_metrics: true,
            endpoints: Vec::new(),
            redis: None,
            api_key: None,
            seal_keys: Vec::new(),
            replay_window: crate::store::StoreSettings::default().replay_window,
            host: Host::Server,
        }
    }
}

/// A configuration that was read in full: the settings, and what they refer to.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What the data listener demands.
    pub policy: Policy,
    /// The declared endpoints, secrets resolved.
    pub declared: Vec<Declared>,
}

/// Reads the settings, the policy and the declared endpoints. `path`: the file that the command line names; without
/// it `HOOKGATE_CONFIG` does, or there is none.
///
/// # Errors
/// What is wrong and where; never a variable's value.
pub fn load(path: Option<&Path>, around: &Surroundings<'_>) -> Result<Loaded, ConfigError> {
    let path = path.map(Path::to_owned).or_else(|| around.variable("HOOKGATE_CONFIG").map(PathBuf::from));
    let mut config = path.map_or_else(|| Ok(Config::default()), |path| file::read(&path, around))?;
    env::apply(&mut config, around)?;
    config.host = Host::detect(|name| around.variable(name).is_some());
    config.redis = store::redis(&config, around)?;
    config.api_key = secret::api_key(config.api_key_file.as_deref(), around)?;
    config.seal_keys = secret::seal_keys(config.seal_keys_file.as_deref(), around)?;
    config.check()?;
    config.check_retention()?;
    let policy = policy::read(&config, around)?;
    config.replay_window = policy::replay_window(&policy);
    config.check_replay()?;
    let declared = declared::resolve(&config, around)?;
    config.check_exposure(&policy)?;
    Ok(Loaded { config, policy, declared })
}

impl Config {
    /// Workers that deliver.
    #[must_use]
    pub fn workers(&self) -> NonZeroU16 {
        self.workers.unwrap_or_else(|| at_least_one_16(self.host.sizes().workers))
    }

    /// Attempts that take long, at once, beside those.
    #[must_use]
    pub fn slow_attempts(&self) -> u16 {
        self.slow_attempts.unwrap_or_else(|| self.host.sizes().slow_attempts)
    }

    /// Connections kept.
    #[must_use]
    pub fn pool(&self) -> NonZeroU16 {
        self.pool.unwrap_or_else(|| at_least_one_16(self.host.sizes().pool))
    }

    /// Where deliveries may go. `own`: the listeners, to be filled once they are bound.
    #[must_use]
    pub fn egress(&self, own: OwnListeners) -> EgressSettings {
        let ports = self.egress_ports.iter().map(|port| port.get()).collect();
        let proxy = self.egress_proxy.clone().map(|url| EgressProxy {
            url,
            bypass: self.egress_no_proxy.clone(),
            resolves: self.egress_proxy_resolves,
        });
        let kept = self.pool().get().into();
        let (allow, http) = (self.egress_allow.clone(), self.egress_http);
        EgressSettings { allow, ports, http, own, proxy, kept, ..EgressSettings::default() }
    }

    /// What the store is told.
    #[must_use]
    pub fn store_settings(&self) -> crate::store::StoreSettings {
        crate::store::StoreSettings {
            idempotency_window: self.idempotency_window(),
            replay_window: self.replay_window,
            retention: self.retention(),
            max_pending: self.max_pending.get().into(),
            memory_bytes: self.memory_bytes.into(),
            breaker: crate::store::BreakerSettings {
                failures: self.breaker_failures.get(),
                failure_percent: self.breaker_failure_percent,
                min_attempts: self.breaker_min_attempts.get(),
                open_ms: self.breaker_open_ms.get().into(),
                max_open_ms: self.breaker_max_open_ms.get().into(),
            },
            retry_percent: self.retry_percent,
        }
    }

    fn retention(&self) -> crate::store::Retention {
        let seconds = |s: NonZeroU32| Duration::from_secs(s.get().into());
        crate::store::Retention {
            finished: seconds(self.retention_s),
            dead_letters: seconds(self.retention_dead_letters_s.unwrap_or(self.retention_s)),
            payloads: self.retention_payloads_s.map(seconds),
            attempts: self.retention_attempts_s.map(seconds),
        }
    }

    pub(crate) fn idempotency_window(&self) -> Duration {
        Duration::from_secs(self.idempotency_window_s.get().into())
    }
}

fn loopback_v4() -> IpNet {
    ipnet::Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into()
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn at_least_one_16(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}
