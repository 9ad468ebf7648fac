//! Endpoints over the API: made, changed, switched, rotated, removed; their secrets shown once.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Sidecar, WHSEC};

const URL: &str = "https://example.com/hook";

#[tokio::test]
async fn an_endpoint_is_made_shown_changed_and_removed() {
    let sidecar = Sidecar::start().await;
    let made =
        sidecar.admin(Method::POST, "/v1/endpoints").json(&json!({"url": URL, "id": "mine"})).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.json["secret"].as_str().unwrap().starts_with("whsec_"));
    for (field, value) in [
        ("id", json!("mine")),
        ("tenant", json!("default")),
        ("event_types", json!(["*"])),
        ("enabled", json!(true)),
        ("declared", json!(false)),
        ("rate_limit", Value::Null),
    ] {
        assert_eq!(made.json[field], value, "{field}");
    }
    let again =
        sidecar.admin(Method::POST, "/v1/endpoints").json(&json!({"url": URL, "id": "mine"})).send().await;
    again.problem(409, "already_exists");

    let patch = json!({"event_types": ["order.*"], "rate_limit": 5, "retry": {"max_attempts": 3}});
    let changed = sidecar.admin(Method::PATCH, "/v1/endpoints/mine").json(&patch).send().await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let shown = sidecar.admin(Method::GET, "/v1/endpoints/mine").send().await;
    assert_eq!(shown.json, changed.json);
    assert_eq!((&shown.json["event_types"], &shown.json["rate_limit"]), (&json!(["order.*"]), &json!(5)));
    assert_eq!(shown.json["retry"]["max_attempts"], 3);
    assert_eq!(shown.json["url"], URL, "what a patch does not name stays");

    for (verb, enabled) in [("disable", false), ("enable", true)] {
        let path = format!("/v1/endpoints/mine/{verb}");
        assert_eq!(sidecar.admin(Method::POST, &path).send().await.json["enabled"], enabled, "{verb}");
    }
    assert_eq!(sidecar.admin(Method::DELETE, "/v1/endpoints/mine").send().await.status, 204);
    sidecar.admin(Method::GET, "/v1/endpoints/mine").send().await.problem(404, "not_found");
    sidecar.admin(Method::DELETE, "/v1/endpoints/mine").send().await.problem(404, "not_found");
}

#[tokio::test]
async fn secrets_and_header_values_are_shown_by_no_answer_but_the_one_that_made_them() {
    let sidecar = Sidecar::start().await;
    let draft =
        json!({"url": URL, "id": "mine", "secret": WHSEC, "headers": {"authorization": "value-canary"}});
    let made = sidecar.admin(Method::POST, "/v1/endpoints").json(&draft).send().await;
    assert_eq!(made.json["secret"], WHSEC, "one that is brought along is taken");
    let rotated = sidecar.admin(Method::POST, "/v1/endpoints/mine/rotate-secret").send().await;
    let secret = rotated.json["secret"].as_str().unwrap();
    assert_ne!(secret, WHSEC);
    assert_eq!(rotated.json["live_secrets"], 2, "the one before it signs beside it");

    let asks = [
        sidecar.admin(Method::GET, "/v1/endpoints"),
        sidecar.admin(Method::GET, "/v1/endpoints/mine"),
        sidecar.admin(Method::PATCH, "/v1/endpoints/mine").json(&json!({"description": "d"})),
        sidecar.admin(Method::POST, "/v1/endpoints/mine/disable"),
    ];
    for ask in asks {
        let answer = ask.send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains(r#""headers":["authorization"]"#), "{answer:?}");
        for hidden in [WHSEC, secret, "value-canary", "whsec_"] {
            assert!(!answer.body.contains(hidden), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_an_endpoint_is_refused_by_field() {
    let sidecar = Sidecar::start().await;
    let table = [
        (json!({}), "url"),
        (json!({"url": "ftp://example.com"}), "url"),
        (json!({"url": "http://10.0.0.1/"}), "url"),
        (json!({"url": "http://user:pw-canary@example.com/"}), "url"),
        (json!({"url": format!("http://{}/", sidecar.admin)}), "url"),
        (json!({"url": URL, "event_types": []}), "event_types"),
        (json!({"url": URL, "event_types": ["a b"]}), "event_types[0]"),
        (json!({"url": URL, "timeout_ms": 1}), "timeout_ms"),
        (json!({"url": URL, "max_in_flight": 0}), "max_in_flight"),
        (json!({"url": URL, "retry": {"attempts": 1}}), "retry.attempts"),
        (json!({"url": URL, "headers": {"host": "x"}}), "headers.host"),
        (json!({"url": URL, "headers": {"x-a": "pw-canary\r\nb: c"}}), "headers.x-a"),
        (json!({"url": URL, "secret": "pw-canary"}), "secrets[0]"),
        (json!({"url": URL, "tenant": "no spaces"}), "tenant"),
        (json!({"url": URL, "id": "no spaces"}), "id"),
        (json!({"url": URL, "declared": true}), "declared"),
    ];
    for (draft, field) in table {
        let answer = sidecar.admin(Method::POST, "/v1/endpoints").json(&draft).send().await;
        answer.problem(422, "invalid_field");
        assert_eq!(answer.json["field"], field, "{answer:?}");
        assert!(!answer.body.contains("pw-canary"), "{answer:?}");
    }
    let none = sidecar.admin(Method::GET, "/v1/endpoints").send().await;
    assert_eq!(none.json["data"], json!([]));
}

#[tokio::test]
async fn endpoints_are_listed_in_pages_by_tenant() {
    let sidecar = Sidecar::start().await;
    for (number, tenant) in [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "a")] {
        sidecar.endpoint(&json!({"url": URL, "id": format!("e{number}"), "tenant": tenant})).await;
    }
    for (filter, expected) in [("", 5), ("&tenant=a", 3), ("&tenant=c", 0)] {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/endpoints?limit=2{filter}{cursor}");
            let page = sidecar.admin(Method::GET, &path).send().await.json;
            let rows = page["data"].as_array().unwrap();
            assert!(rows.len() <= 2);
            ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        ids.dedup();
        assert_eq!(ids.len(), expected, "{filter}");
    }
}

#[tokio::test]
async fn declared_endpoints_are_there_and_read_only() {
    let file = format!("[[endpoints]]\nid = 'declared'\nurl = '{URL}'\nsecrets = ['env:ACME']\n");
    let sidecar = Sidecar::with(&[("HOOKGATE_API_KEY", crate::harness::KEY)], &file).await;
    let ready =
        || async { Some(sidecar.admin(Method::GET, "/readyz").send().await).filter(|a| a.status == 200) };
    crate::harness::wait_until("readiness", ready).await;
    let shown = sidecar.admin(Method::GET, "/v1/endpoints/declared").send().await;
    assert_eq!((shown.status, &shown.json["declared"]), (200, &json!(true)), "{shown:?}");
    let asks = [
        sidecar.admin(Method::PATCH, "/v1/endpoints/declared").json(&json!({"enabled": false})),
        sidecar.admin(Method::DELETE, "/v1/endpoints/declared"),
        sidecar.admin(Method::POST, "/v1/endpoints/declared/rotate-secret"),
    ];
    for ask in asks {
        ask.send().await.problem(409, "read_only");
    }
    let unchanged = sidecar.admin(Method::GET, "/v1/endpoints/declared").send().await;
    assert_eq!(unchanged.json, shown.json);
    for (verb, enabled) in [("disable", false), ("enable", true)] {
        let turned = sidecar.admin(Method::POST, &format!("/v1/endpoints/declared/{verb}")).send().await;
        assert_eq!((turned.status, &turned.json["enabled"]), (200, &json!(enabled)), "{turned:?}");
    }
}

#[tokio::test]
async fn an_endpoint_is_paused_disabled_and_enabled() {
    let sidecar = Sidecar::start().await;
    let id = sidecar.endpoint(&json!({"url": URL})).await;
    let table = [
        ("pause", true, true, json!(null)),
        ("disable", false, true, json!("operator")),
        ("disable", false, true, json!("operator")),
        ("enable", true, false, json!(null)),
    ];
    for (verb, enabled, paused, reason) in table {
        let turned = sidecar.admin(Method::POST, &format!("/v1/endpoints/{id}/{verb}")).send().await;
        assert_eq!(turned.status, 200, "{turned:?}");
        let shown = sidecar.admin(Method::GET, &format!("/v1/endpoints/{id}")).send().await.json;
        assert_eq!(
            (&shown["enabled"], &shown["paused"]),
            (&json!(enabled), &json!(paused)),
            "{verb}: {shown}"
        );
        assert_eq!(shown["disabled_reason"], reason, "{verb}: {shown}");
        assert_eq!(shown["disabled_at"].is_string(), !enabled, "{verb}: {shown}");
        let event = json!({"type": "a", "data": 1});
        let accepted = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
        assert_eq!(accepted.json["deliveries"], i32::from(enabled), "{verb}");
    }
}

#[tokio::test]
async fn a_filter_is_shown_changed_and_refused_with_its_place() {
    let sidecar = Sidecar::start().await;
    let filter = json!({"data": {"amount": [{"numeric": [">=", 100]}]}});
    let url = "https://example.com/hook";
    let id = sidecar.endpoint(&json!({"url": url, "filter": filter})).await;
    let path = format!("/v1/endpoints/{id}");
    assert_eq!(sidecar.admin(Method::GET, &path).send().await.json["filter"], filter);
    let send = async |amount: u32| {
        let event = json!({"type": "a", "data": {"amount": amount}});
        let answer = sidecar.data(Method::POST, "/v1/events").key().json(&event).send().await;
        answer.json["deliveries"].clone()
    };
    assert_eq!((send(99).await, send(100).await), (json!(0), json!(1)));
    let removed = sidecar.admin(Method::PATCH, &path).json(&json!({"filter": null})).send().await;
    assert_eq!((removed.status, &removed.json["filter"]), (200, &json!(null)), "{removed:?}");
    assert_eq!(send(99).await, json!(1));

    let table = [
        (json!(1), "filter: invalid type"),
        (json!({"data": {"amount": 1}}), "filter.data.amount: invalid type"),
        (json!({"data": {"amount": [{"numeric": [">", "1"]}]}}), "filter.data.amount[0].numeric[1]: "),
        (json!({"a": [{"like": "x"}]}), "filter.a[0]: expected one of prefix"),
    ];
    for (filter, detail) in table {
        for (method, path) in [(Method::POST, "/v1/endpoints"), (Method::PATCH, &*path)] {
            let draft = json!({"url": url, "filter": filter});
            let answer = sidecar.admin(method, path).json(&draft).send().await;
            assert!(answer.problem(422, "invalid_field").starts_with(detail), "{detail}: {answer:?}");
        }
    }
}
