//! A configuration that cannot be refuses the start and names the field; the shipped ones are valid.

use std::net::{Ipv4Addr, SocketAddr};

use hookgate_e2e::artefacts;
use hookgate_e2e::envoy::Setup;

use crate::door::{Mode, with_secrets};

fn shipped(mode: Mode) -> Setup {
    Setup::shipped(mode.file(), SocketAddr::from((Ipv4Addr::LOCALHOST, 9)))
}

/// The bootstrap with another policy in it.
fn with_policy(policy: &str) -> Setup {
    with_secrets(shipped(Mode::Stream).with_policy(policy))
}

#[tokio::test]
async fn a_policy_that_cannot_be_refuses_the_start_and_names_the_field() {
    let source = r#""sources":[{"name":"demo","scheme":"github","secrets":["env:HOOKGATE_SECRET_DEMO"]}]"#;
    let table = [
        ("empty", String::new(), "empty"),
        ("blank", " \n ".to_owned(), "empty"),
        ("no JSON", "version: 1".to_owned(), "policy refused"),
        ("no version", format!("{{{source}}}"), "version"),
        ("another version", format!(r#"{{"version":2,{source}}}"#), "version"),
        ("an unknown field", format!(r#"{{"version":1,"colour":"red",{source}}}"#), "colour"),
        ("an unknown mode", format!(r#"{{"version":1,"gateway":{{"mode":"x"}},{source}}}"#), "gateway.mode"),
        (
            "a secret that no variable holds",
            format!(r#"{{"version":1,{source}}}"#).replace("SECRET_DEMO", "NOT_THERE"),
            "sources[0].secrets[0]",
        ),
    ];
    for (what, policy, named) in table {
        let refused =
            with_policy(&policy).try_start().await.err().unwrap_or_else(|| panic!("{what}: started"));
        assert!(refused.log.contains(named), "{what}: no {named:?} in\n{}", refused.log);
        assert!(!refused.log.contains("whsec_"), "{what}: {}", refused.log);
    }
    assert!(!with_policy("{}").validate().status.success(), "--mode validate looks as well");
    with_policy(&format!(r#"{{"version":1,{source}}}"#)).start().await;
}

#[tokio::test]
async fn a_secret_that_envoy_was_not_given_refuses_the_start() {
    for mode in Mode::BOTH {
        let refused = shipped(mode).try_start().await.expect_err("a start");
        assert!(refused.log.contains("sources[0].secrets[0]"), "{}", refused.log);
    }
}

#[test]
fn the_shipped_bootstraps_are_valid_and_carry_the_shipped_policy() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let file = std::fs::read_to_string(artefacts::root().join("envoy/policy.json")).expect("the policy");
    for (mode, name) in [(Mode::Stream, "stream"), (Mode::Hold, "hold")] {
        let setup = with_secrets(shipped(mode));
        let checked = setup.validate();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let mut expected = json(&file);
        expected["gateway"]["mode"] = name.into();
        assert_eq!(json(setup.policy()), expected, "{name}");
        assert!(setup.bootstrap().contains("failure_policy: FAIL_RELOAD"), "{name}");
        assert!(!setup.bootstrap().contains("failure_policy: FAIL_OPEN"), "{name}");
    }
}
