//! A configuration that cannot be refuses the start and names the field; the shipped ones are valid.

use std::net::{Ipv4Addr, SocketAddr};

use hookgate_e2e::artefacts;
use hookgate_e2e::envoy::Setup;

use crate::door::{Mode, with_secrets};

/// What follows the policy in a shipped bootstrap.
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";

fn shipped(mode: Mode) -> Setup {
    Setup::shipped(mode.file(), SocketAddr::from((Ipv4Addr::LOCALHOST, 9)))
}

/// The bootstrap with another policy in it.
fn with_policy(policy: &str) -> Setup {
    let setup = shipped(Mode::Stream);
    let (before, rest) = setup.bootstrap().split_once("value: |\n").expect("a policy");
    let (_, after) = rest.split_once(ROUTER).expect("the router");
    let policy = serde_json::to_string(policy).expect("a JSON string, which is a YAML string");
    with_secrets(Setup::yaml(format!("{before}value: {policy}\n{ROUTER}{after}")))
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
        assert!(!with_policy(&policy).validate().status.success(), "{what}: --mode validate");
    }
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
        let (_, rest) = setup.bootstrap().split_once("value: |\n").expect("a policy");
        let (policy, _) = rest.split_once(ROUTER).expect("the router");
        let mut expected = json(&file);
        expected["gateway"]["mode"] = name.into();
        assert_eq!(json(policy), expected, "{name}");
        assert!(setup.bootstrap().contains("failure_policy: FAIL_RELOAD"), "{name}");
        assert!(!setup.bootstrap().contains("failure_policy: FAIL_OPEN"), "{name}");
    }
}
