//! Keys and logins: where they may come from, who needs one, and that none is ever shown.

use base64::Engine as _;
use hookgate_sidecar::delivery::egress::OwnListeners;
use hookgate_sidecar::seal::SealKey;

use crate::machine::{CANARY, Machine, WHSEC, file};

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
