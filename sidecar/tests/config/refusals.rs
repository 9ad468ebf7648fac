//! What is refused: with the place that is wrong, and without what stands there.

use std::time::Duration;

use hookgate_sidecar::config::KEYS;
use hookgate_sidecar::store::Retention;

use crate::machine::{CANARY, Machine, WHSEC, file};

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
fn a_part_is_remembered_no_longer_than_the_whole() {
    let days = |days: u64| Duration::from_secs(86_400 * days);
    let of = |finished, dead_letters, payloads: Option<u64>, attempts: Option<u64>| Retention {
        finished: days(finished),
        dead_letters: days(dead_letters),
        payloads: payloads.map(days),
        attempts: attempts.map(days),
    };
    let both = "the longer of retention_s (HOOKGATE_RETENTION_S) and retention_dead_letters_s \
                (HOOKGATE_RETENTION_DEAD_LETTERS_S)";
    let table = [
        ("the default", "", Ok(of(7, 7, None, None))),
        ("dead letters follow the main one", "retention_s = 86400", Ok(of(1, 1, None, None))),
        ("or have their own", "retention_dead_letters_s = 2592000", Ok(of(7, 30, None, None))),
        ("a shorter one too", "retention_dead_letters_s = 86400", Ok(of(7, 1, None, None))),
        (
            "a part as long as the longer",
            "retention_s = 86400\nretention_payloads_s = 604800\nretention_dead_letters_s = 604800\n\
             retention_attempts_s = 86400",
            Ok(of(1, 7, Some(7), Some(1))),
        ),
        (
            "a second longer",
            "retention_payloads_s = 604801",
            Err("retention_payloads_s (HOOKGATE_RETENTION_PAYLOADS_S)"),
        ),
        (
            "attempts as well",
            "retention_attempts_s = 604801",
            Err("retention_attempts_s (HOOKGATE_RETENTION_ATTEMPTS_S)"),
        ),
    ];
    for (promise, text, expected) in table {
        match (file(text).load(), expected) {
            (Ok(loaded), Ok(retention)) => {
                assert_eq!(loaded.config.store_settings().retention, retention, "{promise}");
            }
            (Err(error), Err(part)) => {
                let error = error.to_string();
                assert!(error.starts_with(part) && error.contains(both), "{promise}: {error}");
            }
            (loaded, _) => panic!("{promise}: {loaded:?}"),
        }
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
                let expected = Duration::from_secs((2 * u64::from(tolerance_s) + 60).max(660));
                assert_eq!(loaded.config.store_settings().replay_window, expected, "{promise}");
            }
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{promise}: {error}"),
            (loaded, _) => panic!("{promise}: {loaded:?}"),
        }
    }
}
