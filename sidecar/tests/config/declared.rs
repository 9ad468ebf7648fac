//! Endpoints that the file declares: their secrets are references, and a bad one is named with its field.

use hookgate_sidecar::model::{Auth, Ordering, Secret};

use crate::machine::{CANARY, Machine, WHSEC, file};

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
    assert_eq!(endpoint.ordering, Ordering::None, "unless it is asked for");
    let declared = with_billing(&format!("{BILLING}ordering = 'key'\n")).load().unwrap().declared;
    assert_eq!(declared[0].0.ordering, Ordering::Key);
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
        (
            "tenant = \"acme\"",
            "ordering = 'all'",
            "etc/hookgate.toml:6:12: endpoints[0].ordering: unknown variant",
        ),
        ("max_attempts = 4", "max_attempts = 0", "endpoints[0].retry.max_attempts: expected 1–100"),
    ];
    for (from, to, expected) in table {
        let refusal = with_billing(&BILLING.replace(from, to)).refusal();
        assert!(refusal.starts_with(expected) && !refusal.contains(CANARY), "{refusal}");
    }
    let refusal = with_billing(&BILLING.repeat(2)).refusal();
    assert!(refusal.starts_with("endpoints[1].id: another endpoint has it"), "{refusal}");
}
