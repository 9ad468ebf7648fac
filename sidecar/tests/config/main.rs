//! Settings: what they are without any, who wins, and that a refusal names the place and never shows a value.

#![allow(clippy::unwrap_used, reason = "a harness fails loudly")]
#![allow(unreachable_pub, reason = "shared by the files of this suite")]

mod declared;
mod machine;
mod refusals;
mod secrets;

use hookgate_sidecar::config::{Host, KEYS, Loaded, StoreChoice};

use machine::{Machine, file};

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
