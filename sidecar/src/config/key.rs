//! The keys: their names in the file and in the environment, and what they must be. One table for errors and help.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// In the file; empty when it is in the environment only.
    pub name: &'static str,
    /// In the environment.
    pub variable: &'static str,
    /// What it must be, to follow "expected".
    pub expected: &'static str,
    /// What it is for, and its default.
    pub meaning: &'static str,
}

macro_rules! keys {
    ($($id:ident = $name:literal, $variable:literal, $expected:literal, $meaning:literal;)*) => {
        $(pub(super) const $id: Key =
            Key { name: $name, variable: $variable, expected: $expected, meaning: $meaning };)*
        /// Every setting that has a variable, in the order of the reference.
        pub const KEYS: &[Key] = &[$($id),*];
    };
}

keys! {
    CONFIG = "", "HOOKGATE_CONFIG", "a path", "The configuration file (TOML)";
    DATA_LISTEN = "data_listen", "HOOKGATE_DATA_LISTEN", "an address and a port, 127.0.0.1:8700",
        "Where events come in [127.0.0.1:8700]";
    ADMIN_LISTEN = "admin_listen", "HOOKGATE_ADMIN_LISTEN", "an address and a port, 127.0.0.1:8701",
        "Where the API, health and metrics answer [127.0.0.1:8701]";
    API_KEY = "", "HOOKGATE_API_KEY", "1–256 visible ASCII characters without spaces",
        "The API key; without one the API answers on loopback only";
    API_KEY_FILE = "api_key_file", "HOOKGATE_API_KEY_FILE", "a path", "A file that holds the API key, alone";
    SEAL_KEYS = "", "HOOKGATE_SEAL_KEYS", "1–8 keys, each the base64 of 32 bytes, with commas between",
        "Keys that endpoints' secrets are sealed with at rest; the first seals, all open [stored as they are]";
    SEAL_KEYS_FILE = "seal_keys_file", "HOOKGATE_SEAL_KEYS_FILE", "a path", "A file that holds the seal keys, alone";
    REDIS_URL = "", "REDIS_URL",
        "redis://…, redis+unix://…, redis+sentinel://HOST,…/NAME or redis+cluster://HOST,… (rediss… for TLS)",
        "Keep everything in this Redis, Sentinel's primary or cluster";
    REDIS_SENTINEL_PASSWORD = "", "REDIS_SENTINEL_PASSWORD", "a password", "The Sentinels' own password [none]";
    REDIS_CA_FILE = "redis_ca_file", "REDIS_CA_FILE", "a path",
        "Who may vouch for Redis over TLS, PEM [the system's authorities]";
    REDIS_CERT_FILE = "redis_cert_file", "REDIS_CERT_FILE", "a path, beside redis_key_file",
        "Our certificate for Redis, PEM [none]";
    REDIS_KEY_FILE = "redis_key_file", "REDIS_KEY_FILE", "a path, beside redis_cert_file",
        "The key of our certificate, PEM [none]";
    REDIS_WAIT_REPLICAS = "redis_wait_replicas", "REDIS_WAIT_REPLICAS", "a whole number, 0–65535",
        "Replicas that must have an event before its 202 [0]";
    REDIS_WAIT_TIMEOUT_MS = "redis_wait_timeout_ms", "REDIS_WAIT_TIMEOUT_MS", "a whole number, 1–900",
        "How long they may take, milliseconds; then 503 [500]";
    STORE = "store", "HOOKGATE_STORE", "`memory` or `sqlite:PATH`",
        "Without REDIS_URL: memory, or sqlite:PATH [memory]";
    WORKERS = "workers", "HOOKGATE_WORKERS", "a whole number, 1–65535", "Workers that deliver [10, serverless 2]";
    WORKER_ATTEMPTS = "worker_attempts", "HOOKGATE_WORKER_ATTEMPTS", "a whole number, 1–65535",
        "Attempts at once of each worker [8]";
    SLOW_ATTEMPTS = "slow_attempts", "HOOKGATE_SLOW_ATTEMPTS", "a whole number, 0–65535",
        "Attempts at once, beside those, that take longer than 50 ms [2000, serverless 50]";
    POOL = "pool", "HOOKGATE_POOL", "a whole number, 1–65535", "Connections kept [100, serverless 5]";
    EGRESS_ALLOW = "egress_allow", "HOOKGATE_EGRESS_ALLOW", "CIDRs with commas between, 10.0.0.0/8,::1/128",
        "Private networks that deliveries may reach [none]";
    EGRESS_PORTS = "egress_ports", "HOOKGATE_EGRESS_PORTS", "ports with commas between, 443,8443",
        "Ports of public addresses that deliveries may reach [80,443,8080,8443]";
    EGRESS_HTTP = "egress_http", "HOOKGATE_EGRESS_HTTP", "`true` or `false`",
        "Whether deliveries may use http besides https [true]";
    EGRESS_PROXY = "egress_proxy", "HOOKGATE_EGRESS_PROXY",
        "http://, https:// or socks5:// with a host, and perhaps a port and user:password@",
        "The proxy that deliveries leave through [none]";
    EGRESS_NO_PROXY = "egress_no_proxy", "HOOKGATE_EGRESS_NO_PROXY",
        "CIDRs with commas between, 10.0.0.0/8,::1/128", "Addresses reached without the proxy [none]";
    EGRESS_PROXY_RESOLVES = "egress_proxy_resolves", "HOOKGATE_EGRESS_PROXY_RESOLVES", "`true` or `false`",
        "Whether the proxy resolves names, and guards them then [false]";
    TRUSTED_PROXIES = "trusted_proxies", "HOOKGATE_TRUSTED_PROXIES",
        "CIDRs with commas between, 10.0.0.0/8,::1/128",
        "Peers whose X-Forwarded-For is believed [127.0.0.0/8,::1/128]";
    POLICY = "policy", "HOOKGATE_POLICY", "a path", "The policy document (JSON): sources and limits [no sources]";
    MAX_PAYLOAD_BYTES = "max_payload_bytes", "HOOKGATE_MAX_PAYLOAD_BYTES", "a whole number, 1024–67108864",
        "Largest body of a request, bytes [1048576]";
    BUFFER_BYTES = "buffer_bytes", "HOOKGATE_BUFFER_BYTES",
        "a whole number, at least max_payload_bytes, at most 4294967295",
        "All bodies being read at once, bytes [67108864]";
    MAX_CONNECTIONS = "max_connections", "HOOKGATE_MAX_CONNECTIONS", "a whole number, 1–65535",
        "Connections at once on each listener [1024]";
    IDLE_TIMEOUT_MS = "idle_timeout_ms", "HOOKGATE_IDLE_TIMEOUT_MS", "a whole number, 1–4294967295",
        "Idle connection, or slow request head, milliseconds [60000]";
    BODY_TIMEOUT_MS = "body_timeout_ms", "HOOKGATE_BODY_TIMEOUT_MS", "a whole number, 1–4294967295",
        "Slow request body, milliseconds [30000]";
    DRAIN_MS = "drain_ms", "HOOKGATE_DRAIN_MS", "a whole number, 1–4294967295",
        "How long shutdown may take, milliseconds [10000]";
    IDEMPOTENCY_WINDOW_S = "idempotency_window_s", "HOOKGATE_IDEMPOTENCY_WINDOW_S",
        "a whole number, 1–4294967295", "How long an idempotency key is known, seconds [86400]";
    EVENT_TTL_S = "event_ttl_s", "HOOKGATE_EVENT_TTL_S", "a whole number, 0–7776000",
        "How long an event is tried unless it says itself, seconds; 0 for no end [0]";
    MAX_BATCH = "max_batch", "HOOKGATE_MAX_BATCH", "a whole number, 1–1000", "Events in a batch [100]";
    RETENTION_S = "retention_s", "HOOKGATE_RETENTION_S", "a whole number, 1–4294967295",
        "How long what is finished is remembered, seconds [604800]";
    RETENTION_DEAD_LETTERS_S = "retention_dead_letters_s", "HOOKGATE_RETENTION_DEAD_LETTERS_S",
        "a whole number, 1–4294967295", "How long dead letters are remembered, seconds [retention_s]";
    RETENTION_PAYLOADS_S = "retention_payloads_s", "HOOKGATE_RETENTION_PAYLOADS_S",
        "a whole number, 1–4294967295",
        "How long a payload is remembered once all its deliveries are over, seconds [as long as its event]";
    RETENTION_ATTEMPTS_S = "retention_attempts_s", "HOOKGATE_RETENTION_ATTEMPTS_S",
        "a whole number, 1–4294967295",
        "How long attempts are remembered once their delivery is over, seconds [as long as the delivery]";
    MAX_PENDING = "max_pending", "HOOKGATE_MAX_PENDING", "a whole number, 1–4294967295",
        "Deliveries pending at once; beyond it 503 [1000000]";
    MEMORY_BYTES = "memory_bytes", "HOOKGATE_MEMORY_BYTES", "a whole number, 1048576–4294967295",
        "What the memory store may take, bytes; at it 503 [268435456]";
    BREAKER_FAILURES = "breaker_failures", "HOOKGATE_BREAKER_FAILURES", "a whole number, 1–4294967295",
        "Failures in a row that open an endpoint's breaker [5]";
    BREAKER_FAILURE_PERCENT = "breaker_failure_percent", "HOOKGATE_BREAKER_FAILURE_PERCENT",
        "a whole number, 0–100", "Share of failures that opens it, percent; 0 for never [50]";
    BREAKER_MIN_ATTEMPTS = "breaker_min_attempts", "HOOKGATE_BREAKER_MIN_ATTEMPTS",
        "a whole number, 1–4294967295", "Attempts in half a minute for that share to count [20]";
    BREAKER_OPEN_MS = "breaker_open_ms", "HOOKGATE_BREAKER_OPEN_MS", "a whole number, 1–4294967295",
        "How long an open breaker rests at first, milliseconds [30000]";
    BREAKER_MAX_OPEN_MS = "breaker_max_open_ms", "HOOKGATE_BREAKER_MAX_OPEN_MS",
        "a whole number, 1–4294967295", "How long it rests at most, milliseconds [600000]";
    RETRY_PERCENT = "retry_percent", "HOOKGATE_RETRY_PERCENT", "a whole number, 1–99",
        "Most retries among an endpoint's attempts while first attempts wait, percent [50]";
    LONGEST_HOLD_S = "longest_hold_s", "HOOKGATE_LONGEST_HOLD_S", "a whole number, 1–4294967295",
        "How long Retry-After is obeyed at most, seconds [3600]";
    AUTO_DISABLE_AFTER_S = "auto_disable_after_s", "HOOKGATE_AUTO_DISABLE_AFTER_S",
        "a whole number, 0–4294967295",
        "How long an endpoint may do nothing but fail until it is disabled, seconds; 0 for ever [432000]";
    OPERATIONS_TENANT = "operations_tenant", "HOOKGATE_OPERATIONS_TENANT",
        "a tenant: 1–64 of A–Z a–z 0–9 _ - .", "The tenant that is told of endpoints in trouble [nobody]";
    LOG = "log", "HOOKGATE_LOG", "a level or a filter, `info` or `warn,hookgate_sidecar=debug`",
        "Log level or filter [info]";
    ENABLE_METRICS = "enable_metrics", "ENABLE_METRICS", "`true` or `false`", "Whether /metrics answers [true]";
}
