//! The bounds of what an endpoint is authorised by.

use url::Url;

use super::limits::{Invalid, within};
use crate::delivery::egress::{EgressSettings, InvalidIdentity, check_identity, check_url};
use crate::model::{Auth, ClientCertificate, Endpoint, MASK, OAuth2, Secret};

const MAX_NAME: usize = 256;
const MAX_SECRET: usize = 1024;
const MAX_TOKEN: usize = 4096;
const MAX_SCOPES: usize = 32;
const MAX_URL: usize = 2048;
const MAX_CERTIFICATE: usize = 64 << 10;
const MAX_KEY: usize = 16 << 10;

/// Where attempts and the requests for their tokens go: asked of the egress guard.
///
/// # Errors
/// `url` or `auth.token_url`.
pub fn check_urls(endpoint: &Endpoint, egress: &EgressSettings) -> Result<(), Invalid> {
    let ask = |field: &str, url: &str| {
        check_url(url, egress).map(drop).map_err(|refusal| Invalid::new(field, refusal.to_string()))
    };
    ask("url", &endpoint.url)?;
    match &endpoint.auth {
        Some(Auth::OAuth2(client)) => ask("auth.token_url", &client.token_url),
        Some(Auth::Bearer { .. } | Auth::Basic { .. }) | None => Ok(()),
    }
}

pub(super) fn check_credentials(endpoint: &Endpoint) -> Result<(), Invalid> {
    if let Some(auth) = &endpoint.auth {
        let alone = !endpoint.headers.contains_key("authorization");
        within(alone, "auth", "no header authorization beside it")?;
        check_auth(auth)?;
    }
    endpoint.client_certificate.as_ref().map_or(Ok(()), |certificate| {
        let https = Url::parse(&endpoint.url).is_ok_and(|url| url.scheme() == "https");
        within(https, "client_certificate", "a url with https")?;
        check_certificate(certificate)
    })
}

fn check_auth(auth: &Auth) -> Result<(), Invalid> {
    match auth {
        Auth::Bearer { token } => {
            let sound = sized(&token.0, MAX_TOKEN) && token.0.bytes().all(|byte| byte.is_ascii_graphic());
            within(sound, "auth.token", "1–4096 visible ASCII characters")
        }
        Auth::Basic { username, password } => {
            let sound = text(username, MAX_NAME) && !username.contains(':');
            within(sound, "auth.username", "1–256 bytes without a colon or control characters")?;
            secret("auth.password", password)
        }
        Auth::OAuth2(client) => check_client(client),
    }
}

fn check_client(client: &OAuth2) -> Result<(), Invalid> {
    within(client.token_url.len() <= MAX_URL, "auth.token_url", "at most 2048 bytes")?;
    within(text(&client.client_id, MAX_NAME), "auth.client_id", "1–256 bytes without control characters")?;
    secret("auth.client_secret", &client.client_secret)?;
    within(client.scopes.len() <= MAX_SCOPES, "auth.scopes", "at most 32")?;
    for (index, scope) in client.scopes.iter().enumerate() {
        let sound = sized(scope, MAX_NAME)
            && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        within(sound, &format!("auth.scopes[{index}]"), "1–256 visible ASCII characters but \" and \\")?;
    }
    let audience = client.audience.as_deref().is_none_or(|audience| text(audience, MAX_SECRET));
    within(audience, "auth.audience", "1–1024 bytes without control characters")
}

fn check_certificate(certificate: &ClientCertificate) -> Result<(), Invalid> {
    let (chain, key) = ("client_certificate.certificate_pem", "client_certificate.key_pem");
    within(certificate.certificate_pem.len() <= MAX_CERTIFICATE, chain, "at most 65536 bytes")?;
    within(certificate.key_pem.0.len() <= MAX_KEY, key, "at most 16384 bytes")?;
    check_identity(certificate).map_err(|invalid| {
        let field = match invalid {
            InvalidIdentity::Certificate => chain,
            InvalidIdentity::Key | InvalidIdentity::Mismatch => key,
        };
        Invalid::new(field, invalid.to_string())
    })
}

/// A secret text, and not what stands where one is not shown.
fn secret(field: &str, secret: &Secret) -> Result<(), Invalid> {
    let sound = text(&secret.0, MAX_SECRET) && secret.0 != MASK;
    within(sound, field, "1–1024 bytes without control characters")
}

fn text(text: &str, most: usize) -> bool {
    sized(text, most) && !text.chars().any(char::is_control)
}

fn sized(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Millis;
    use crate::registry::{Draft, check};

    fn verdict(change: &Value) -> Result<(), String> {
        let mut draft = json!({"url": "https://example.com"});
        let fields = change.as_object().unwrap().iter();
        fields.for_each(|(name, value)| draft[name] = value.clone());
        let endpoint = serde_json::from_value::<Draft>(draft).unwrap().endpoint(Millis(1), || 7);
        check(&endpoint)
            .and_then(|()| check_urls(&endpoint, &EgressSettings::default()))
            .map_err(|invalid| invalid.field)
    }

    fn client(change: &Value) -> Value {
        let mut client = json!({"type": "oauth2", "token_url": "https://id.example.com/token", "client_id": "c",
            "client_secret": "s", "scopes": ["a", "b:c"], "audience": "x"});
        change.as_object().unwrap().iter().for_each(|(name, value)| client[name] = value.clone());
        json!({"auth": client})
    }

    #[test]
    fn sound_credentials_are_taken() {
        for sound in [
            json!({"auth": {"type": "bearer", "token": "t".repeat(4096)}}),
            json!({"auth": {"type": "basic", "username": "ü", "password": "pä$$: wörd"}}),
            client(&json!({})),
            client(&json!({"client_auth": "body", "scopes": [], "audience": null})),
        ] {
            assert_eq!(verdict(&sound), Ok(()), "{sound}");
        }
    }

    #[test]
    fn every_bound_names_its_field() {
        let table = [
            (json!({"auth": {"type": "bearer", "token": ""}}), "auth.token"),
            (json!({"auth": {"type": "bearer", "token": "a b"}}), "auth.token"),
            (json!({"auth": {"type": "bearer", "token": MASK}}), "auth.token"),
            (json!({"auth": {"type": "bearer", "token": "t".repeat(4097)}}), "auth.token"),
            (json!({"auth": {"type": "bearer", "token": "t"}, "headers": {"Authorization": "x"}}), "auth"),
            (json!({"auth": {"type": "basic", "username": "a:b", "password": "p"}}), "auth.username"),
            (json!({"auth": {"type": "basic", "username": "a", "password": "p\r\n"}}), "auth.password"),
            (json!({"auth": {"type": "basic", "username": "a", "password": MASK}}), "auth.password"),
            (client(&json!({"token_url": "https://10.0.0.1/"})), "auth.token_url"),
            (client(&json!({"token_url": "ftp://example.com/"})), "auth.token_url"),
            (
                client(&json!({"token_url": format!("https://example.com/{}", "t".repeat(2048))})),
                "auth.token_url",
            ),
            (client(&json!({"client_id": ""})), "auth.client_id"),
            (client(&json!({"client_secret": "s".repeat(1025)})), "auth.client_secret"),
            (client(&json!({"client_secret": MASK})), "auth.client_secret"),
            (client(&json!({"scopes": vec!["a"; 33]})), "auth.scopes"),
            (client(&json!({"scopes": ["a", "b c"]})), "auth.scopes[1]"),
            (client(&json!({"audience": ""})), "auth.audience"),
        ];
        for (change, field) in table {
            assert_eq!(verdict(&change), Err(field.to_owned()), "{change}");
        }
    }

    #[test]
    fn a_client_certificate_is_checked_with_its_key_and_its_url() {
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::new([]).unwrap().self_signed(&key).unwrap().pem();
        let pair = |pem: &str, key: &str| json!({"certificate_pem": pem, "key_pem": key});
        let (key, other) = (key.serialize_pem(), KeyPair::generate().unwrap().serialize_pem());
        let table = [
            (json!({"client_certificate": pair(&pem, &key)}), Ok(())),
            (
                json!({"client_certificate": pair(&pem, &key), "url": "http://example.com"}),
                Err("client_certificate"),
            ),
            (json!({"client_certificate": pair("", &key)}), Err("client_certificate.certificate_pem")),
            (
                json!({"client_certificate": pair(&pem.repeat(200), &key)}),
                Err("client_certificate.certificate_pem"),
            ),
            (json!({"client_certificate": pair(&pem, &other)}), Err("client_certificate.key_pem")),
            (json!({"client_certificate": pair(&pem, MASK)}), Err("client_certificate.key_pem")),
            (
                json!({"client_certificate": pair(&pem, &"k".repeat(20_000))}),
                Err("client_certificate.key_pem"),
            ),
        ];
        for (change, expected) in table {
            assert_eq!(verdict(&change), expected.map_err(str::to_owned), "{change}");
        }
    }
}
