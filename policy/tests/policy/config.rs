//! Policies as operators write them: what they mean when little is said, and what is refused under which path.

use hookgate_policy::{EventTypeRule, Gateway, Host, Mode, Policy, RateLimit};
use serde_json::{Value, json};

use crate::support::{changed, document, policy, read};

#[test]
fn what_is_not_said_has_a_default() {
    let policy = policy(&document());
    assert_eq!(policy.gateway(), Gateway { mode: Mode::Stream, host: Host::Envoy });
    let source = policy.source("acme").unwrap();
    assert_eq!(source.path(), "/in/acme");
    assert_eq!(source.methods(), ["POST"]);
    assert_eq!(source.tenant(), "default");
    assert_eq!(source.tolerance_s(), 300);
    assert_eq!(source.max_body_bytes(), 1_048_576);
    assert_eq!(source.rate_limit(), None);
    assert_eq!(source.event_type(), &EventTypeRule::Json("/type".to_owned()));
    assert_eq!(policy.sources().len(), 1);
    assert!(policy.source("other").is_none());
}

#[test]
fn everything_can_be_said() {
    let document = json!({
        "version": 1,
        "gateway": {"mode": "hold", "host": "kong"},
        "max_body_bytes": 65_536,
        "rate_limit": {"requests": 100, "window_s": 60, "burst": 20},
        "rate_limit_headers": "ietf",
        "security_headers": false,
        "trust_request_id": false,
        "passthrough": ["/v1/events", "/v1/events/batch"],
        "sources": [{
            "name": "acme", "path": "/hooks/acme", "methods": ["POST", "PUT"], "scheme": "github",
            "secrets": ["env:ACME", "env:OTHER"], "max_body_bytes": 1024, "tenant": "Acme.1",
            "rate_limit": {"requests": 5, "window_s": 1}, "event_type": {"fixed": "push"},
        }],
    });
    let policy = policy(&document);
    assert_eq!(policy.gateway(), Gateway { mode: Mode::Hold, host: Host::Kong });
    let source = policy.source("acme").unwrap();
    assert_eq!((source.path(), source.tenant(), source.max_body_bytes()), ("/hooks/acme", "Acme.1", 1_024));
    assert_eq!(source.rate_limit(), Some(RateLimit { requests: 5, window_s: 1, burst: 5 }));
    assert_eq!(source.event_type(), &EventTypeRule::Fixed("push".to_owned()));
}

#[test]
fn a_preset_knows_where_its_events_name_their_type() {
    for (preset, rule) in [
        ("github", EventTypeRule::Header("x-github-event".to_owned())),
        ("stripe", EventTypeRule::Json("/type".to_owned())),
    ] {
        let policy = policy(&changed("/sources/0/scheme", json!(preset)));
        assert_eq!(policy.source("acme").unwrap().event_type(), &rule, "{preset}");
    }
    let policy = policy(&changed("/sources/0/event_type", json!({"header": "X-Event"})));
    assert_eq!(policy.source("acme").unwrap().event_type(), &EventTypeRule::Header("x-event".to_owned()));
}

/// Whatever of these is taken, or complained about elsewhere, is a failure.
fn assert_refused(table: &[(Value, &str)]) {
    for (document, path) in table {
        match read(document) {
            Ok(_) => panic!("taken: {document}"),
            Err(error) => assert_eq!(error.path, *path, "{error}"),
        }
    }
}

#[test]
fn a_document_that_cannot_be_is_refused_where_it_is_wrong() {
    assert_refused(&[
        (json!([]), "."),
        (json!({"sources": []}), "."),
        (json!({"version": 1}), "."),
        (json!({"version": "1", "sources": []}), "version"),
        (json!({"version": 2, "new_in_2": true}), "version"),
        (changed("/colour", json!("red")), "colour"),
        (changed("/gateway", json!({"mode": "fast"})), "gateway.mode"),
        (changed("/gateway", json!({"modes": "hold"})), "gateway.modes"),
        (changed("/max_body_bytes", json!(0)), "max_body_bytes"),
        (changed("/max_body_bytes", json!(67_108_865)), "max_body_bytes"),
        (changed("/max_body_bytes", json!(-1)), "max_body_bytes"),
        (changed("/rate_limit", json!({"requests": 0, "window_s": 60})), "rate_limit.requests"),
        (changed("/rate_limit", json!({"requests": 1, "window_s": 0})), "rate_limit.window_s"),
        (changed("/rate_limit", json!({"requests": 1, "window_s": 1, "burst": 0})), "rate_limit.burst"),
        (changed("/rate_limit", json!({"requests": 1, "window": 1})), "rate_limit.window"),
        (changed("/rate_limit_headers", json!("all")), "rate_limit_headers"),
        (changed("/passthrough", json!(["v1"])), "passthrough[0]"),
        (changed("/passthrough", json!(["/a", "/a"])), "passthrough[1]"),
        (changed("/passthrough", json!(["/in/acme"])), "passthrough[0]"),
    ]);
}

#[test]
fn a_source_that_cannot_be_is_refused_where_it_is_wrong() {
    let source = |field: &str, value: Value| changed(&format!("/sources/0/{field}"), value);
    assert_refused(&[
        (source("name", json!("Acme")), "sources[0].name"),
        (source("name", json!("")), "sources[0].name"),
        (source("name", json!("passthrough")), "sources[0].name"),
        (source("path", json!("in/acme")), "sources[0].path"),
        (source("path", json!("/in/acme?x")), "sources[0].path"),
        (source("path", json!("/in/a cme")), "sources[0].path"),
        (source("methods", json!([])), "sources[0].methods"),
        (source("methods", json!(["POST", "post"])), "sources[0].methods[1]"),
        (source("methods", json!(["CONNECT"])), "sources[0].methods[0]"),
        (source("scheme", json!("strip")), "sources[0].scheme"),
        (source("scheme", json!(7)), "sources[0].scheme"),
        (source("secret", json!("x")), "sources[0].secret"),
        (source("tolerance_s", json!(0)), "sources[0].tolerance_s"),
        (source("tolerance_s", json!(86_401)), "sources[0].tolerance_s"),
        (source("max_body_bytes", json!(0)), "sources[0].max_body_bytes"),
        (source("rate_limit", json!({"requests": 0, "window_s": 1})), "sources[0].rate_limit.requests"),
        (source("tenant", json!("a/b")), "sources[0].tenant"),
        (source("event_type", json!({"json": "type"})), "sources[0].event_type"),
        (source("event_type", json!({"header": "x event"})), "sources[0].event_type"),
        (source("event_type", json!({"fixed": ""})), "sources[0].event_type"),
        (source("event_type", json!({"body": ""})), "sources[0].event_type"),
    ]);
}

#[test]
fn two_sources_that_cannot_be_told_apart_are_refused() {
    let second = |second: Value| {
        let mut document = document();
        document["sources"].as_array_mut().unwrap().push(second);
        document
    };
    let secrets = json!(["env:ACME"]);
    assert!(read(&second(json!({"name": "b", "scheme": "github", "secrets": secrets}))).is_ok());
    assert_refused(&[
        (
            second(json!({"name": "acme", "path": "/b", "scheme": "stripe", "secrets": secrets})),
            "sources[1].name",
        ),
        (
            second(json!({"name": "b", "path": "/in/acme", "scheme": "stripe", "secrets": secrets})),
            "sources[1].path",
        ),
        (
            second(json!({"name": "b", "scheme": "github", "secrets": secrets, "tolerance_s": 5})),
            "sources[1].tolerance_s",
        ),
    ]);
}

#[test]
fn secrets_are_refused_without_being_shown() {
    let table = [
        (json!([]), "sources[0].secrets"),
        (json!(["env:ACME", "env:ACME", "env:ACME", "env:ACME", "env:ACME"]), "sources[0].secrets"),
        (json!("whsec_hunter2"), "sources[0].secrets"),
        (json!(["whsec_hunter2"]), "sources[0].secrets[0]"),
        (json!(["env:ACME", "env:whsec_hunter2="]), "sources[0].secrets[1]"),
        (json!(["env:"]), "sources[0].secrets[0]"),
        (json!(["env:1A"]), "sources[0].secrets[0]"),
        (json!([{"hunter2": 1}]), "sources[0].secrets[0]"),
        (json!(["env:hunter2"]), "sources[0].secrets[0]"),
        (json!(["env:ACME", "env:MISSING"]), "sources[0].secrets[1]"),
        (json!(["env:EMPTY"]), "sources[0].secrets[0]"),
        (json!(["env:NEWLINE"]), "sources[0].secrets[0]"),
        (json!(["env:TEXT"]), "sources[0].secrets[0]"),
    ];
    for (secrets, path) in table {
        let error = read(&changed("/sources/0/secrets", secrets)).unwrap_err();
        assert_eq!(error.path, path, "{error}");
        for secret in ["hunter2", "not base64!", crate::support::SECRET] {
            assert!(!error.to_string().contains(secret), "{error}");
        }
    }
}

#[test]
fn a_custom_scheme_must_fit_together() {
    let good = json!({
        "algorithm": "hmac-sha256",
        "secret": {"encoding": "base64", "prefix": "whsec_"},
        "signature": {"header": "X-Sig", "items": ",", "tag": "v1=", "encoding": "hex"},
        "timestamp": {"item": "t=", "unit": "s", "tolerance": 60},
        "id": {"header": "X-Id", "signed": true},
        "signed": "{id}.{timestamp}.{body}",
        "replay": "id",
    });
    assert!(read(&changed("/sources/0/scheme", good.clone())).is_ok());
    let table = [
        ("/algorithm", json!("ed25519"), ".algorithm"),
        ("/secret/encoding", json!("base32"), ".secret.encoding"),
        ("/signature/header", json!("X_Sig"), ""),
        ("/signature/items", json!("|"), ".signature.items"),
        ("/signature/items", Value::Null, ""),
        ("/signature/tag", json!(""), ""),
        ("/signature/tag", json!("t"), ""),
        ("/timestamp/item", json!(""), ""),
        ("/timestamp/header", json!("X-Time"), ""),
        ("/timestamp/unit", json!("us"), ".timestamp.unit"),
        ("/timestamp/tolerance", json!(0), ""),
        ("/timestamp/json", json!("/t"), ".timestamp.json"),
        ("/timestamp", Value::Null, ""),
        ("/id/header", json!("x-sig"), ""),
        ("/id/signed", json!(false), ""),
        ("/id", Value::Null, ""),
        ("/signed", json!("{timestamp}.{body}"), ""),
        ("/signed", json!("{id}{timestamp}.{body}"), ""),
        ("/replay", json!("never"), ".replay"),
    ];
    for (pointer, value, path) in table {
        let mut scheme = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        scheme.pointer_mut(parent).unwrap()[key] = value;
        match read(&changed("/sources/0/scheme", scheme)) {
            Ok(_) => panic!("taken: {pointer}"),
            Err(error) => assert_eq!(error.path, format!("sources[0].scheme{path}"), "{pointer}: {error}"),
        }
    }
}

#[test]
fn only_one_whole_json_document_is_a_policy() {
    let text = document().to_string();
    let table = [
        String::new(),
        text.replacen('}', "", 1),
        format!("{text}{text}"),
        text.replacen("\"version\":1", "\"version\":1,\"version\":1", 1),
        format!("{text}{}", " ".repeat(1 << 20)),
    ];
    for text in table {
        assert!(Policy::from_json(text.as_bytes(), &mut |_| Some("whsec_c2VjcmV0".to_owned())).is_err());
    }
    assert!(Policy::from_json(b"\xff", &mut |_| None).is_err());
}
