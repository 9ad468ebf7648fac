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
async fn a_rotation_says_how_long_the_old_secret_signs() {
    let sidecar = Sidecar::start().await;
    sidecar.endpoint(&json!({"url": URL, "id": "mine"})).await;
    let rotate =
        |body: Value| sidecar.admin(Method::POST, "/v1/endpoints/mine/rotate-secret").json(&body).send();
    let with_grace = rotate(json!({"grace_s": 3600})).await.json;
    assert_eq!(with_grace["live_secrets"], 2);
    assert!(with_grace["next_expiry_at"].is_string(), "{with_grace}");
    let at_once = rotate(json!({"grace_s": 0, "secret": WHSEC})).await.json;
    assert_eq!((&at_once["live_secrets"], &at_once["secret"]), (&json!(1), &json!(WHSEC)));
    assert_eq!(at_once["next_expiry_at"], Value::Null);
    for (body, field) in [
        (json!({"grace_s": 604_801}), "grace_s"),
        (json!({"grace_s": -1}), "grace_s"),
        (json!({"secret": "pw-canary"}), "secret"),
        (json!({"secret": "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="}), "secret"),
        (json!({"grace": 1}), "grace"),
    ] {
        let answer = rotate(body).await;
        answer.problem(422, "invalid_field");
        assert_eq!(answer.json["field"], field, "{answer:?}");
        assert!(!answer.body.contains("canary"), "{answer:?}");
    }
}

#[tokio::test]
async fn of_an_asymmetric_endpoint_the_public_key_is_shown_and_the_private_one_never() {
    let sidecar = Sidecar::start().await;
    let create = |body: Value| sidecar.admin(Method::POST, "/v1/endpoints").json(&body).send();
    let made = create(json!({"url": URL, "id": "mine", "signing": ["v1a"]})).await;
    assert_eq!((made.status, &made.json["secret"]), (201, &Value::Null), "{made:?}");
    let public = made.json["public_keys"].clone();
    assert!(public[0].as_str().unwrap().starts_with("whpk_"), "{made:?}");
    let rotated = sidecar.admin(Method::POST, "/v1/endpoints/mine/rotate-secret").send().await;
    assert_eq!(rotated.json["public_keys"][1], public[0], "both are verified with meanwhile");
    let patch = json!({"signing": ["v1", "v1a"]});
    let both = sidecar.admin(Method::PATCH, "/v1/endpoints/mine").json(&patch).send().await;
    assert!(both.json["secret"].as_str().unwrap().starts_with("whsec_"), "made when it is first needed");
    assert_eq!((&both.json["signing"], &both.json["live_secrets"]), (&json!(["v1", "v1a"]), &json!(3)));
    for answer in [made, rotated, both] {
        assert!(!answer.body.contains("whsk_"), "{answer:?}");
    }
    let brought = json!({"url": URL, "secret": "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="});
    let brought = create(brought).await;
    assert_eq!(brought.json["signing"], json!(["v1a"]), "{brought:?}");
    assert_eq!(brought.json["public_keys"], json!(["whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="]));
}

#[tokio::test]
async fn credentials_are_taken_and_never_shown() {
    let sidecar = Sidecar::start().await;
    let auths = [
        json!({"type": "bearer", "token": "auth-canary"}),
        json!({"type": "basic", "username": "us", "password": "auth-canary"}),
        json!({"type": "oauth2", "token_url": "https://id.example.com/token", "client_id": "us",
            "client_secret": "auth-canary"}),
    ];
    for auth in auths {
        let id = sidecar.endpoint(&json!({"url": URL, "auth": auth})).await;
        let path = format!("/v1/endpoints/{id}");
        let shown = sidecar.admin(Method::GET, &path).send().await;
        assert_eq!(shown.json["auth"]["type"], auth["type"]);
        assert!(shown.body.contains('…') && !shown.body.contains("canary"), "{shown:?}");
        let back = json!({"auth": shown.json["auth"]});
        sidecar.admin(Method::PATCH, &path).json(&back).send().await.problem(422, "invalid_field");
        let none = sidecar.admin(Method::PATCH, &path).json(&json!({"auth": null})).send().await;
        assert_eq!(none.json["auth"], Value::Null, "{none:?}");
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap().pem();
    let pair = json!({"certificate_pem": certificate, "key_pem": key.serialize_pem()});
    let id = sidecar.endpoint(&json!({"url": URL, "client_certificate": pair})).await;
    let shown = sidecar.admin(Method::GET, &format!("/v1/endpoints/{id}")).send().await;
    assert_eq!(shown.json["client_certificate"], json!({"certificate_pem": certificate, "key_pem": "…"}));
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
        (json!({"url": URL, "ordering": "fifo"}), "ordering"),
        (json!({"url": URL, "retry": {"attempts": 1}}), "retry.attempts"),
        (json!({"url": URL, "headers": {"host": "x"}}), "headers.host"),
        (json!({"url": URL, "headers": {"x-a": "pw-canary\r\nb: c"}}), "headers.x-a"),
        (json!({"url": URL, "secret": "pw-canary"}), "secrets[0]"),
        (json!({"url": URL, "secret": "whsk_pw-canary"}), "secrets[0]"),
        (json!({"url": URL, "signing": []}), "signing"),
        (json!({"url": URL, "signing": ["v2"]}), "signing[0]"),
        (json!({"url": URL, "auth": {"type": "bearer", "token": "pw canary\n"}}), "auth.token"),
        (
            json!({"url": URL, "auth": {"type": "bearer", "token": "t"}, "headers": {"authorization": "x"}}),
            "auth",
        ),
        (json!({"url": URL, "auth": {"type": "bearer", "token": {"pw-canary": 1}}}), "auth"),
        (
            json!({"url": URL, "auth": {"type": "oauth2", "token_url": "http://10.0.0.1/", "client_id": "c",
                "client_secret": "pw-canary"}}),
            "auth.token_url",
        ),
        (
            json!({"url": URL, "client_certificate": {"certificate_pem": "pw-canary", "key_pem": "pw-canary"}}),
            "client_certificate.certificate_pem",
        ),
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
