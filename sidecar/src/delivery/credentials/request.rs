//! One request for a token (RFC 6749, section 4.4), through the same guard as every attempt, and what its answer says.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::state::Granted;
use super::{basic, sensitive};
use crate::delivery::attempt::AGENT;
use crate::delivery::egress::Egress;
use crate::model::{ClientAuth, OAuth2};

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Longest token, bytes.
const MAX_TOKEN: usize = 16 << 10;
/// How long a token is good whose server does not say.
const UNSAID: u64 = 300;
/// How long it is believed to be at most: a day.
const LONGEST: u64 = 86_400;

/// Asks for a token. The error is for the operator's log: it holds no URL, nothing secret and nothing that the server
/// wrote.
pub(super) async fn fetch(egress: &Egress, client: &OAuth2) -> Result<Granted, String> {
    let to = egress.check(&client.token_url);
    let to = to.map_err(|refusal| format!("the token URL was refused: {}", refusal.label()))?;
    let headers = headers(client).ok_or("the client's name and secret are no header")?;
    let sent = egress.post(None, &to, headers, Bytes::from(form(client))).await;
    let mut answer = sent.map_err(|error| format!("{}: {}", error.failure.label(), error.detail))?;
    if !answer.status().is_success() {
        return Err(format!("its server answered {}", answer.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_broken| "its server's answer broke off")? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err("its server's answer is too long".to_owned());
        }
    }
    read(&body).map_err(str::to_owned)
}

fn headers(client: &OAuth2) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if client.client_auth == ClientAuth::Basic {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let both = basic(&encoded(&client.client_id), &encoded(&client.client_secret.0));
        headers.insert(AUTHORIZATION, sensitive(&both)?);
    }
    Some(headers)
}

fn form(client: &OAuth2) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !client.scopes.is_empty() {
        form.append_pair("scope", &client.scopes.join(" "));
    }
    if let Some(audience) = &client.audience {
        form.append_pair("audience", audience);
    }
    if client.client_auth == ClientAuth::Body {
        form.append_pair("client_id", &client.client_id);
        form.append_pair("client_secret", &client.client_secret.0);
    }
    form.finish()
}

/// What a token server answers; it may say more.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

fn read(body: &[u8]) -> Result<Granted, &'static str> {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Err("its server's answer is not access_token, token_type and expires_in in JSON");
    };
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err("its server gives tokens of another type than bearer");
    }
    let token = Some(&answer.access_token).filter(|token| (1..=MAX_TOKEN).contains(&token.len()));
    let sound = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
    let value = sound.and_then(|token| sensitive(&format!("Bearer {token}")));
    let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(UNSAID).min(LONGEST));
    Ok(Granted { value: value.ok_or("its server gave a token that is no header")?, lifetime })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client(client_auth: &str) -> OAuth2 {
        serde_json::from_value(json!({"token_url": "https://id.example/token", "client_id": "a b",
            "client_secret": "s:&c", "scopes": ["x", "y:z"], "audience": "u&v", "client_auth": client_auth}))
        .unwrap()
    }

    #[test]
    fn a_client_says_who_it_is_in_the_header_or_in_the_form() {
        let asked = "grant_type=client_credentials&scope=x+y%3Az&audience=u%26v";
        let in_header = client("basic");
        assert_eq!(form(&in_header), asked);
        // base64 of `a+b:s%3A%26c`: each part is form-encoded first
        assert_eq!(headers(&in_header).unwrap()[AUTHORIZATION], "Basic YStiOnMlM0ElMjZj");
        let in_form = client("body");
        assert_eq!(form(&in_form), format!("{asked}&client_id=a+b&client_secret=s%3A%26c"));
        assert!(!headers(&in_form).unwrap().contains_key(AUTHORIZATION));
    }

    #[test]
    fn an_answer_is_a_bearer_token_or_nothing() {
        let token =
            |text: &str, seconds| Some((HeaderValue::from_str(text).unwrap(), Duration::from_secs(seconds)));
        let table = [
            (
                "as it should be",
                json!({"access_token": "t", "token_type": "Bearer", "expires_in": 60}),
                token("Bearer t", 60),
            ),
            (
                "and more",
                json!({"access_token": "t", "token_type": "bearer", "scope": "x"}),
                token("Bearer t", 300),
            ),
            (
                "for years",
                json!({"access_token": "t", "token_type": "bearer", "expires_in": u64::MAX}),
                token("Bearer t", 86_400),
            ),
            ("another type", json!({"access_token": "t", "token_type": "mac"}), None),
            ("no token", json!({"token_type": "bearer"}), None),
            ("an empty one", json!({"access_token": "", "token_type": "bearer"}), None),
            ("two lines", json!({"access_token": "t\r\nx: y", "token_type": "bearer"}), None),
            ("a vast one", json!({"access_token": "t".repeat(16_385), "token_type": "bearer"}), None),
            ("an error", json!({"error": "invalid_client"}), None),
            ("no object", json!([]), None),
        ];
        for (promise, answer, expected) in table {
            let granted = read(answer.to_string().as_bytes()).ok();
            assert_eq!(granted.map(|granted| (granted.value, granted.lifetime)), expected, "{promise}");
        }
        assert!(read(b"<html>").is_err());
    }
}
