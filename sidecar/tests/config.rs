//! Settings: what they are without any, who wins, and that a refusal names the place and never shows a value.

#![expect(clippy::unwrap_used, reason = "a harness fails loudly")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use hookgate_sidecar::config::{ConfigError, Host, KEYS, Loaded, StoreChoice, Surroundings, load};
use hookgate_sidecar::delivery::egress::OwnListeners;
use hookgate_sidecar::model::{Auth, Secret};
use hookgate_sidecar::seal::SealKey;

/// A secret in the wrong place: no refusal may show it.
const CANARY: &str = "canary-5f2e";
/// A sound signing secret.
const WHSEC: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

/// A machine: its variables and its files.
#[derive(Default)]
struct Machine {
    variables: BTreeMap<&'static str, String>,
    files: BTreeMap<&'static str, String>,
}

impl Machine {
    fn with(variables: &[(&'static str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { variables, ..Self::default() }
    }

    fn file(mut self, path: &'static str, text: &str) -> Self {
        self.files.insert(path, text.to_owned());
        self
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        let variable = |name: &str| self.variables.get(name).cloned();
        let read = |path: &Path| {
            let path = path.to_str().unwrap();
            self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        load(None, &Surroundings { variable: &variable, read: &read })
    }

    fn refusal(&self) -> String {
        let refusal = self.load().unwrap_err();
        format!("{refusal} {refusal:?}")
    }
}

/// A machine with this configuration file.
fn file(text: &str) -> Machine {
    Machine::with(&[("HOOKGATE_CONFIG", "etc/hookgate.toml")]).file("etc/hookgate.toml", text)
}

#[test]
fn nothing_set_is_a_configuration_that_works() {
    let Loaded { config, policy, declared } = Machine::default().load().unwrap();
    assert_eq!(config.data_listen.to_string(), "127.0.0.1:8700");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:8701");
    assert_eq!(config.store, StoreChoice::Memory);
    assert_eq!((config.workers().get(), config.pool().get()), (10, 100));
    assert!(config.enable_metrics && config.api_key.is_none() && config.redis.is_none());
    assert!(policy.sources().is_empty() && declared.is_empty());
}

#[test]
fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
    let mut machine =
        file("workers = 3\npool = 7\nenable_metrics = false\nstore = 'sqlite:data/hookgate.db'");
    machine.variables.insert("HOOKGATE_WORKERS", "4".to_owned());
    machine.variables.insert("HOOKGATE_POOL", String::new());
    let config = machine.load().unwrap().config;
    assert_eq!((config.workers().get(), config.pool().get()), (4, 7), "an empty variable is unset");
    assert!(!config.enable_metrics);
    assert_eq!(config.store, StoreChoice::File("etc/data/hookgate.db".into()), "relative to the file");
}

#[test]
fn a_serverless_host_is_known_by_its_signs_and_gets_smaller_pools() {
    let table = [
        ("AWS_LAMBDA_FUNCTION_NAME", Host::Lambda),
        ("FUNCTION_APP", Host::AzureFunctions),
        ("FUNCTIONS_WORKER_RUNTIME", Host::AzureFunctions),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", Host::AzureFunctions),
        ("FUNCTION_NAME", Host::GoogleCloud),
        ("FUNCTION_TARGET", Host::GoogleCloud),
        ("K_SERVICE", Host::GoogleCloud),
    ];
    for (sign, host) in table {
        let config = Machine::with(&[(sign, "x")]).load().unwrap().config;
        assert_eq!((config.host, config.workers().get(), config.pool().get()), (host, 2, 5), "{sign}");
        let config = Machine::with(&[(sign, "x"), ("HOOKGATE_WORKERS", "9")]).load().unwrap().config;
        assert_eq!(config.workers().get(), 9, "{sign} does not win over a setting");
    }
}

#[test]
fn the_store_is_what_the_environment_says() {
    let table = [
        (&[] as &[(&str, &str)], StoreChoice::Memory, false),
        (&[("HOOKGATE_STORE", "memory")], StoreChoice::Memory, false),
        (&[("HOOKGATE_STORE", "sqlite:/var/h.db")], StoreChoice::File("/var/h.db".into()), false),
        (&[("REDIS_URL", "redis://:pw@r:6379/0")], StoreChoice::Memory, true),
    ];
    for (variables, store, redis) in table {
        let config = Machine::with(variables).load().unwrap().config;
        assert_eq!((&config.store, config.redis.is_some()), (&store, redis), "{variables:?}");
        assert!(!format!("{config:?}").contains("pw"), "a password is not shown");
    }
}

#[test]
fn redis_gets_its_files_and_passwords_and_what_an_accept_waits_for() {
    let machine = |variables: &[(&'static str, &str)]| {
        let url = [("REDIS_URL", "rediss+sentinel://u:pw@h/main")];
        Machine::with(&[&url, variables].concat()).file("c.pem", "").file("k.pem", "")
    };
    let variables =
        [("REDIS_SENTINEL_PASSWORD", "own"), ("REDIS_WAIT_REPLICAS", "2"), ("HOOKGATE_POOL", "7")];
    let config = machine(&variables).load().unwrap().config;
    let redis = config.redis.as_ref().unwrap();
    assert_eq!((redis.pool, redis.sentinel_password.as_deref()), (7, Some("own")));
    assert_eq!(redis.wait.unwrap().replicas, 2);
    assert!(!format!("{config:?}").contains("own") && !format!("{config:?}").contains("pw"));
    assert!(machine(&[]).load().unwrap().config.redis.unwrap().wait.is_none());
    let table = [
        (("REDIS_CERT_FILE", "c.pem"), "redis_key_file (REDIS_KEY_FILE): expected"),
        (("REDIS_KEY_FILE", "k.pem"), "redis_cert_file (REDIS_CERT_FILE): expected"),
        (("REDIS_CA_FILE", "none.pem"), "none.pem (from redis_ca_file, REDIS_CA_FILE): "),
    ];
    for (variable, expected) in table {
        let refusal = machine(&[variable]).refusal();
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn a_bad_variable_is_named_and_its_value_not_shown() {
    let free_text = [
        "HOOKGATE_CONFIG",
        "HOOKGATE_API_KEY",
        "HOOKGATE_API_KEY_FILE",
        "HOOKGATE_SEAL_KEYS_FILE",
        "HOOKGATE_POLICY",
        "HOOKGATE_LOG",
        "HOOKGATE_OPERATIONS_TENANT",
        "REDIS_SENTINEL_PASSWORD",
        "REDIS_CA_FILE",
        "REDIS_CERT_FILE",
        "REDIS_KEY_FILE",
    ];
    let judged = KEYS.iter().map(|key| key.variable).filter(|variable| !free_text.contains(variable));
    for variable in judged {
        let refusal = Machine::with(&[(variable, CANARY)]).refusal();
        assert!(refusal.contains(variable) && !refusal.contains(CANARY), "{refusal}");
    }
    let out_of_range = [
        ("HOOKGATE_API_KEY", "with a space"),
        ("HOOKGATE_LOG", "a=b=c"),
        ("HOOKGATE_WORKERS", "0"),
        ("HOOKGATE_WORKERS", "65536"),
        ("HOOKGATE_MAX_PAYLOAD_BYTES", "1023"),
        ("HOOKGATE_MAX_PAYLOAD_BYTES", "67108865"),
        ("HOOKGATE_BUFFER_BYTES", "1048575"),
        ("HOOKGATE_MEMORY_BYTES", "1048575"),
        ("HOOKGATE_EVENT_TTL_S", "7776001"),
        ("HOOKGATE_OPERATIONS_TENANT", "with a space"),
        ("HOOKGATE_MAX_BATCH", "0"),
        ("HOOKGATE_MAX_BATCH", "1001"),
        ("REDIS_URL", "redis+sentinel://without-a-name"),
        ("REDIS_URL", "redis+cluster://h/1"),
        ("REDIS_WAIT_REPLICAS", "65536"),
        ("REDIS_WAIT_TIMEOUT_MS", "0"),
        ("REDIS_WAIT_TIMEOUT_MS", "901"),
    ];
    for (variable, value) in out_of_range {
        let refusal = Machine::with(&[(variable, value)]).load().unwrap_err().to_string();
        assert!(refusal.contains(variable), "{refusal}");
    }
}

#[test]
fn a_bad_file_is_refused_with_line_column_and_key() {
    let table = [
        (
            "workers = 3\nworkerz = 4",
            "etc/hookgate.toml:2:1: workerz: unknown field `workerz`, expected one of",
        ),
        ("workers = 0", "etc/hookgate.toml:1:11: workers: invalid value"),
        ("workers = 'canary-5f2e'", "etc/hookgate.toml:1:11: workers: invalid type: string, expected"),
        ("pool = 1\n\nworkers =", "etc/hookgate.toml:3:10: .: "),
        ("store = 'redis'", "etc/hookgate.toml:1:9: store: expected `memory` or `sqlite:PATH`"),
        ("egress_allow = ['10.0.0.0/8', 'canary-5f2e']", "etc/hookgate.toml:1:16: egress_allow: entry 2"),
        (
            "egress_proxy = 'canary-5f2e'",
            "etc/hookgate.toml:1:16: egress_proxy: expected http://, https:// or",
        ),
        (
            "egress_proxy = 'http://user:canary-5f2e@proxy.example'",
            "etc/hookgate.toml:1:16: egress_proxy: user and password belong in HOOKGATE_EGRESS_PROXY",
        ),
        ("api_key = 'canary-5f2e'", "etc/hookgate.toml:1:1: api_key: unknown field `api_key`"),
        (
            "[[endpoints]]\nid = 'a'\nurl = 'https://x'",
            "etc/hookgate.toml:1:1: endpoints[0]: missing field `secrets`",
        ),
        ("[[endpoints]]\nid = 'a b'", "etc/hookgate.toml:2:6: endpoints[0].id: expected an endpoint id"),
    ];
    for (text, expected) in table {
        let refusal = file(text).refusal();
        assert!(refusal.starts_with(expected), "expected {expected}\n     got {refusal}");
        assert!(!refusal.contains(CANARY), "{refusal}");
    }
    let refusal = Machine::with(&[("HOOKGATE_CONFIG", "none.toml")]).refusal();
    assert!(refusal.starts_with("none.toml (from --config or HOOKGATE_CONFIG): "), "{refusal}");
}

#[test]
fn the_api_key_comes_from_the_environment_or_a_file_of_its_own() {
    let from_file = file("api_key_file = 'key'").file("etc/key", "file-key\n").load().unwrap().config;
    assert!(from_file.api_key.as_ref().unwrap().is(b"file-key"), "one line end is no part of it");
    let mut both = file("api_key_file = 'key'").file("etc/key", "file-key");
    both.variables.insert("HOOKGATE_API_KEY", "env-key".to_owned());
    let both = both.load().unwrap().config;
    assert!(both.api_key.as_ref().unwrap().is(b"env-key"));
    assert!(!format!("{both:?}").contains("env-key"), "a key is not shown");
    for text in ["", "\n", "two\nlines", "canary-5f2e with spaces"] {
        let refusal = file("api_key_file = 'key'").file("etc/key", text).refusal();
        assert!(refusal.starts_with("etc/key (from api_key_file"), "{refusal}");
        assert!(!refusal.contains(CANARY), "{refusal}");
    }
}

#[test]
fn a_proxy_is_named_in_the_file_and_its_login_in_the_environment_only() {
    let text =
        "egress_proxy = 'socks5://10.0.0.1'\negress_no_proxy = ['10.0.0.0/8']\negress_proxy_resolves = true";
    let mut machine = file(text);
    let egress = |machine: &Machine| machine.load().unwrap().config.egress(OwnListeners::default());
    let proxy = egress(&machine).proxy.unwrap();
    assert!(proxy.resolves && proxy.bypass.contains("10.1.2.3".parse().unwrap()) && !proxy.url.has_login());
    machine.variables.insert("HOOKGATE_EGRESS_PROXY", format!("http://user:{CANARY}@proxy.example"));
    let settings = egress(&machine);
    assert!(settings.proxy.as_ref().unwrap().url.has_login());
    assert!(!format!("{settings:?}").contains(CANARY), "a login is not shown");
    assert_eq!(egress(&Machine::default()).proxy, None);
    assert_eq!(egress(&Machine::with(&[("HOOKGATE_POOL", "7")])).kept, 7);
    let refusal = Machine::with(&[("HOOKGATE_EGRESS_PROXY", "ftp://canary-5f2e")]).refusal();
    assert!(refusal.contains("HOOKGATE_EGRESS_PROXY") && !refusal.contains(CANARY), "{refusal}");
}

#[test]
fn whoever_can_be_reached_needs_a_key() {
    let open = r#"{"version":1,"passthrough":["/v1/events"]}"#;
    let signed = r#"{"version":1,"sources":[{"name":"a","scheme":"standard-webhooks","secrets":["env:A"]}]}"#;
    let everywhere = [(open, true), (signed, true)];
    let nowhere = [(open, false), (signed, false)];
    let table = [
        ("all on loopback", "127.0.0.1:0", "[::1]:0", None, everywhere),
        ("admin in the open", "127.0.0.1:0", "0.0.0.0:0", None, nowhere),
        ("admin in the open, with a key", "127.0.0.1:0", "0.0.0.0:0", Some("k"), everywhere),
        ("data in the open", "0.0.0.0:0", "127.0.0.1:0", None, [(open, false), (signed, true)]),
        ("data on a private address", "10.0.0.1:0", "127.0.0.1:0", None, [(open, false), (signed, true)]),
        ("all in the open, with a key", "[::]:0", "[::]:0", Some("k"), everywhere),
    ];
    for (promise, data, admin, key, outcomes) in table {
        for (policy, starts) in outcomes {
            let listen = [("HOOKGATE_DATA_LISTEN", data), ("HOOKGATE_ADMIN_LISTEN", admin)];
            let rest = [("HOOKGATE_POLICY", "p.json"), ("A", WHSEC), ("HOOKGATE_API_KEY", key.unwrap_or(""))];
            let variables: Vec<_> = listen.into_iter().chain(rest).collect();
            let loaded = Machine::with(&variables).file("p.json", policy).load();
            assert_eq!(loaded.is_ok(), starts, "{promise} under {policy}: {:?}", loaded.err());
        }
    }
}

#[test]
fn a_policy_is_read_with_the_environments_secrets_and_refused_with_its_place() {
    let policy = r#"{"version":1,"sources":[{"name":"a","scheme":"standard-webhooks","secrets":["env:A"]}]}"#;
    let machine =
        |secret: &str| Machine::with(&[("HOOKGATE_POLICY", "p.json"), ("A", secret)]).file("p.json", policy);
    assert_eq!(machine(WHSEC).load().unwrap().policy.sources().len(), 1);
    for secret in ["", CANARY, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n"] {
        let refusal = machine(secret).refusal();
        assert!(refusal.starts_with("p.json (from policy, HOOKGATE_POLICY)"), "{refusal}");
        assert!(refusal.contains("sources[0].secrets[0]") && !refusal.contains(CANARY), "{refusal}");
    }
}

#[test]
fn a_message_is_remembered_for_as_long_as_it_stays_fresh() {
    let machine = |tolerance_s: u32, window_s: &str| {
        let policy = format!(
            r#"{{"version":1,"sources":[{{"name":"a","scheme":"stripe","secrets":["env:A"],"tolerance_s":{tolerance_s}}}]}}"#
        );
        let variables =
            [("HOOKGATE_POLICY", "p.json"), ("A", "x"), ("HOOKGATE_IDEMPOTENCY_WINDOW_S", window_s)];
        Machine::with(&variables).file("p.json", &policy)
    };
    let table = [
        ("what a window is for: both sides of the tolerance, and a minute", 300, "660", None),
        ("a second less", 300, "659", Some("660 s")),
        ("a wide tolerance needs a wide window", 43_200, "86400", Some("86460 s")),
        ("the default window covers hours", 42_000, "", None),
    ];
    for (promise, tolerance_s, window_s, refused) in table {
        let loaded = machine(tolerance_s, window_s).load();
        match (loaded, refused) {
            (Ok(loaded), None) => {
                let expected = std::time::Duration::from_secs((2 * u64::from(tolerance_s) + 60).max(660));
                assert_eq!(loaded.config.store_settings().replay_window, expected, "{promise}");
            }
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{promise}: {error}"),
            (loaded, _) => panic!("{promise}: {loaded:?}"),
        }
    }
}

const BILLING: &str = r#"
[[endpoints]]
id = "billing"
url = "https://billing.example.com/hook"
event_types = ["invoice.*"]
tenant = "acme"
secrets = ["env:BILLING"]
headers = { X-Plain = "plain", Authorization = "env:BILLING_AUTH" }
max_in_flight = 3
retry = { max_attempts = 4 }
"#;

fn with_billing(text: &str) -> Machine {
    let mut machine = file(text);
    machine.variables.insert("BILLING", WHSEC.to_owned());
    machine.variables.insert("BILLING_AUTH", "Bearer t".to_owned());
    machine
}

#[test]
fn declared_endpoints_take_their_secrets_from_the_environment() {
    let declared = with_billing(BILLING).load().unwrap().declared;
    let endpoint = &declared[0].0;
    assert_eq!((endpoint.id.as_str(), endpoint.tenant.as_str()), ("billing", "acme"));
    assert!(endpoint.declared && endpoint.enabled);
    assert_eq!(endpoint.headers.get("authorization").map(String::as_str), Some("Bearer t"));
    assert_eq!((endpoint.retry.max_attempts, endpoint.max_in_flight.get()), (4, 3));
}

#[test]
fn declared_credentials_are_references_too() {
    let auth = |auth: &str| {
        let text = BILLING.replace("Authorization = \"env:BILLING_AUTH\"", "X-B = \"b\"");
        let mut machine = with_billing(&format!("{text}auth = {auth}\n"));
        machine.variables.insert("TOKEN", CANARY.to_owned());
        machine
    };
    let declared = auth("{ type = 'bearer', token = 'env:TOKEN' }").load().unwrap().declared;
    assert_eq!(declared[0].0.auth, Some(Auth::Bearer { token: Secret(CANARY.to_owned()) }));
    for (refused, expected) in [
        (
            "{ type = 'bearer', token = 'canary-5f2e' }",
            "endpoints[0].auth.token: expected a reference, env:NAME",
        ),
        (
            "{ type = 'basic', username = 'a:b', password = 'env:TOKEN' }",
            "endpoints[0].auth.username: expected 1–256 bytes",
        ),
        (
            "{ type = 'oauth2', token_url = 'http://10.0.0.1/', client_id = 'c', client_secret = 'env:TOKEN' }",
            "endpoints[0].auth.token_url: deliveries may not go",
        ),
    ] {
        let refusal = auth(refused).refusal();
        assert!(refusal.starts_with(expected) && !refusal.contains(CANARY), "{refusal}");
    }
}

#[test]
fn a_bad_declared_endpoint_is_named_with_its_field() {
    let table = [
        ("env:BILLING\"]", "env:NONE\"]", "endpoints[0].secrets[0]: NONE is not set in the environment"),
        ("env:BILLING\"]", "canary-5f2e\"]", "endpoints[0].secrets[0]: expected a reference, env:NAME"),
        ("env:BILLING\"]", "env:BILLING_AUTH\"]", "endpoints[0].secrets[0]: expected whsec_"),
        ("env:BILLING_AUTH", "env:NONE", "endpoints[0].headers.Authorization: NONE is not set"),
        ("X-Plain", "Host", "endpoints[0].headers.host: this header is set by the gateway"),
        ("https://billing.example.com", "http://127.0.0.1:9", "endpoints[0].url: deliveries may not go"),
        ("max_attempts = 4", "max_attempts = 0", "endpoints[0].retry.max_attempts: expected 1–100"),
    ];
    for (from, to, expected) in table {
        let refusal = with_billing(&BILLING.replace(from, to)).refusal();
        assert!(refusal.starts_with(expected) && !refusal.contains(CANARY), "{refusal}");
    }
    let refusal = with_billing(&BILLING.repeat(2)).refusal();
    assert!(refusal.starts_with("endpoints[1].id: another endpoint has it"), "{refusal}");
}

#[test]
fn seal_keys_come_from_the_environment_or_a_file_and_are_never_shown() {
    let key = |byte: u8| base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    let id = |byte: u8| SealKey::new(&[byte; 32]).unwrap().id().to_owned();
    let table = [
        ("one", key(1), Some(vec![id(1)])),
        ("the first seals", format!("{}, {}", key(2), key(1)), Some(vec![id(2), id(1)])),
        ("eight", vec![key(1); 8].join(","), Some(vec![id(1); 8])),
        ("nine", vec![key(1); 9].join(","), None),
        ("an empty one", format!("{},", key(1)), None),
        ("a short one", key(1).replace("AQEB", ""), None),
        ("no base64", CANARY.to_owned(), None),
    ];
    for (promise, text, expected) in table {
        let mut variable = file("");
        variable.variables.insert("HOOKGATE_SEAL_KEYS", text.clone());
        let mut in_file = file("seal_keys_file = 'seal-keys'");
        in_file.files.insert("etc/seal-keys", format!("{text}\n"));
        for machine in [variable, in_file] {
            let Some(ids) = &expected else {
                let refusal = machine.refusal();
                assert!(
                    refusal.contains("base64 of 32 bytes") && !refusal.contains(CANARY),
                    "{promise}: {refusal}"
                );
                continue;
            };
            let config = machine.load().unwrap().config;
            assert_eq!(
                &config.seal_keys.iter().map(|key| key.id().to_owned()).collect::<Vec<_>>(),
                ids,
                "{promise}"
            );
            assert!(!format!("{config:?}").contains(&key(1)), "{promise}");
        }
    }
    assert!(file("").load().unwrap().config.seal_keys.is_empty());
}

#[test]
fn every_key_of_the_file_is_in_the_reference() {
    let refusal = file("not_a_key = 1").load().unwrap_err().to_string();
    let (_, names) = refusal.split_once("expected one of ").unwrap();
    let names: Vec<_> = names.split(", ").map(|name| name.trim_matches('`')).collect();
    for name in names.iter().filter(|name| **name != "endpoints") {
        assert!(KEYS.iter().any(|key| key.name == *name), "{name} has no variable");
    }
    for key in KEYS.iter().filter(|key| !key.name.is_empty()) {
        assert!(names.contains(&key.name), "{} is no key of the file", key.name);
    }
}
