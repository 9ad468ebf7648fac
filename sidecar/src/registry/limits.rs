//! The bounds of an endpoint, for the API and for declared ones alike.

use std::num::NonZeroU16;

use http::{HeaderName, HeaderValue};

use super::credentials::check_credentials;
use crate::delivery::attempt::{Ed25519Key, is_reserved_header};
use crate::model::{BreakerRules, Endpoint, Retry, SecretKind, SigningSecret};

const MAX_GLOBS: usize = 64;
const MAX_HEADERS: usize = 16;
const MAX_HEADER_VALUE: usize = 4096;
const MAX_DESCRIPTION: usize = 1024;
const MAX_URL: usize = 2048;
const MAX_COUNT: u32 = 1_000_000;
const MAX_WAITS: usize = 99;
const MAX_STATUSES: usize = 64;
/// Secrets of one kind at once.
pub(super) const MAX_SECRETS: usize = 3;
const MAX_WAIT_MS: u64 = 7 * 24 * 3_600_000;

/// A field that cannot be. Never shows its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// `retry.max_attempts`.
    pub field: String,
    /// What was expected.
    pub problem: String,
}

impl Invalid {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Attempts at once, unless the endpoint says otherwise: 64.
#[must_use]
pub fn default_in_flight() -> NonZeroU16 {
    NonZeroU16::new(64).unwrap_or(NonZeroU16::MIN)
}

/// The deadline of an attempt, unless the endpoint says otherwise: 15 s.
#[must_use]
pub const fn default_timeout_ms() -> u32 {
    15_000
}

/// Checks every bound but those of where URLs lead, which is for [`check_urls`](super::check_urls).
///
/// # Errors
/// The first field that is out of bounds.
pub fn check(endpoint: &Endpoint) -> Result<(), Invalid> {
    within(endpoint.url.len() <= MAX_URL, "url", "at most 2048 bytes")?;
    within((1..=MAX_GLOBS).contains(&endpoint.event_types.len()), "event_types", "1–64 patterns")?;
    within((100..=120_000).contains(&endpoint.timeout_ms), "timeout_ms", "100–120000")?;
    within(endpoint.description.len() <= MAX_DESCRIPTION, "description", "at most 1024 bytes")?;
    check_retry(&endpoint.retry)?;
    check_breaker(endpoint.breaker)?;
    check_secrets(endpoint)?;
    check_headers(endpoint)?;
    check_credentials(endpoint)
}

pub(super) fn within(sound: bool, field: &str, expected: &str) -> Result<(), Invalid> {
    if sound { Ok(()) } else { Err(Invalid::new(field, format!("expected {expected}"))) }
}

fn check_retry(retry: &Retry) -> Result<(), Invalid> {
    within((1..=100).contains(&retry.max_attempts), "retry.max_attempts", "1–100")?;
    within((1..=MAX_WAIT_MS).contains(&retry.base_ms), "retry.base_ms", "1–604800000")?;
    let sound = (retry.base_ms..=MAX_WAIT_MS).contains(&retry.max_ms);
    within(sound, "retry.max_ms", "at least base_ms, at most 604800000")?;
    within(retry.schedule_ms.len() <= MAX_WAITS, "retry.schedule_ms", "at most 99 waits")?;
    for (index, wait) in retry.schedule_ms.iter().enumerate() {
        let field = format!("retry.schedule_ms[{index}]");
        within((1..=MAX_WAIT_MS).contains(wait), &field, "1–604800000")?;
    }
    within(retry.non_retryable.len() <= MAX_STATUSES, "retry.non_retryable", "at most 64 statuses")?;
    for (index, status) in retry.non_retryable.iter().enumerate() {
        let field = format!("retry.non_retryable[{index}]");
        within((300..=599).contains(status), &field, "300–599")?;
    }
    Ok(())
}

fn check_breaker(breaker: BreakerRules) -> Result<(), Invalid> {
    let counts = [("breaker.failures", breaker.failures), ("breaker.min_attempts", breaker.min_attempts)];
    for (field, count) in counts {
        within(count.is_none_or(|count| (1..=MAX_COUNT).contains(&count)), field, "1–1000000")?;
    }
    within(breaker.failure_percent.is_none_or(|percent| percent <= 100), "breaker.failure_percent", "0–100")?;
    for (field, ms) in [("breaker.open_ms", breaker.open_ms), ("breaker.max_open_ms", breaker.max_open_ms)] {
        within(ms.is_none_or(|ms| (1..=MAX_WAIT_MS).contains(&ms)), field, "1–604800000")?;
    }
    Ok(())
}

/// Of each kind at most three, and one without an end of each that is used.
fn check_secrets(endpoint: &Endpoint) -> Result<(), Invalid> {
    within(!endpoint.signing.is_empty(), "signing", "at least one of v1, v1a, x-webhook-signature")?;
    for (index, secret) in endpoint.secrets.iter().enumerate() {
        check_secret(&format!("secrets[{index}]"), secret)?;
    }
    for kind in [SecretKind::Symmetric, SecretKind::Ed25519] {
        let mine = || endpoint.secrets.iter().filter(|secret| secret.kind() == kind);
        within(mine().count() <= MAX_SECRETS, "secrets", "at most three of each kind")?;
        let used = endpoint.signing.iter().any(|scheme| scheme.kind() == kind);
        let lasting = mine().any(|secret| secret.expires_at.is_none());
        let expected = format!("a {} secret, which the endpoint's signing needs", kind.prefix());
        within(!used || lasting, "secrets", &expected)?;
    }
    Ok(())
}

pub(super) fn check_secret(field: &str, secret: &SigningSecret) -> Result<(), Invalid> {
    use base64::Engine as _;
    let standard = base64::engine::general_purpose::STANDARD;
    let sound = match secret.kind() {
        SecretKind::Ed25519 => Ed25519Key::parse(&secret.text).is_some(),
        SecretKind::Symmetric => {
            let text = secret.text.0.strip_prefix(SecretKind::Symmetric.prefix());
            let decoded = text.and_then(|text| standard.decode(text).ok());
            decoded.is_some_and(|bytes| (24..=64).contains(&bytes.len()))
        }
    };
    within(sound, field, "whsec_ and base64 of 24–64 bytes, or whsk_ and base64 of an Ed25519 key")
}

fn check_headers(endpoint: &Endpoint) -> Result<(), Invalid> {
    within(endpoint.headers.len() <= MAX_HEADERS, "headers", "at most 16")?;
    for (name, value) in &endpoint.headers {
        let field = || format!("headers.{}", name.chars().take(64).collect::<String>());
        let Ok(parsed) = HeaderName::try_from(name) else {
            return Err(Invalid::new(field(), "expected a header name"));
        };
        if parsed.as_str().starts_with("x-hookgate-") || is_reserved_header(parsed.as_str()) {
            return Err(Invalid::new(field(), "this header is set by the gateway"));
        }
        let sound = value.len() <= MAX_HEADER_VALUE && HeaderValue::from_str(value).is_ok();
        within(sound, &field(), "at most 4096 visible ASCII characters and spaces")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::model::{Ordering, Secret, SigningScheme, Standing, Tenant, default_signing};

    fn good() -> Endpoint {
        Endpoint {
            id: "e".parse().unwrap(),
            tenant: Tenant::default(),
            url: "https://example.com/hook".to_owned(),
            event_types: vec!["*".parse().unwrap()],
            filter: None,
            signing: default_signing(),
            secrets: vec![Secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned()).into()],
            headers: [("authorization".to_owned(), "Bearer x".to_owned())].into(),
            auth: None,
            client_certificate: None,
            max_in_flight: default_in_flight(),
            rate_limit: None,
            ordering: Ordering::None,
            timeout_ms: default_timeout_ms(),
            retry: Retry::default(),
            breaker: BreakerRules::default(),
            enabled: true,
            standing: Standing::default(),
            declared: false,
            description: String::new(),
            created_at: Millis(0),
            updated_at: Millis(0),
        }
    }

    #[test]
    fn an_endpoint_within_its_bounds_is_sound() {
        assert_eq!(check(&good()), Ok(()));
    }

    #[test]
    fn every_bound_names_its_field() {
        type Change = fn(&mut Endpoint);
        let header = |name: &str| [(name.to_owned(), "x".to_owned())].into();
        let table: &[(&str, Change)] = &[
            ("url", |e| e.url = "h".repeat(2049)),
            ("event_types", |e| e.event_types.clear()),
            ("timeout_ms", |e| e.timeout_ms = 99),
            ("timeout_ms", |e| e.timeout_ms = 120_001),
            ("description", |e| e.description = "d".repeat(1025)),
            ("retry.max_attempts", |e| e.retry.max_attempts = 0),
            ("retry.max_attempts", |e| e.retry.max_attempts = 101),
            ("retry.base_ms", |e| e.retry.base_ms = 0),
            ("retry.max_ms", |e| e.retry.max_ms = e.retry.base_ms - 1),
            ("retry.schedule_ms", |e| e.retry.schedule_ms = vec![1; 100]),
            ("retry.schedule_ms[1]", |e| e.retry.schedule_ms = vec![1, 604_800_001]),
            ("retry.non_retryable", |e| e.retry.non_retryable = vec![400; 65]),
            ("retry.non_retryable[0]", |e| e.retry.non_retryable = vec![204]),
            ("breaker.failures", |e| e.breaker.failures = Some(0)),
            ("breaker.min_attempts", |e| e.breaker.min_attempts = Some(1_000_001)),
            ("breaker.failure_percent", |e| e.breaker.failure_percent = Some(101)),
            ("breaker.open_ms", |e| e.breaker.open_ms = Some(0)),
            ("breaker.max_open_ms", |e| e.breaker.max_open_ms = Some(604_800_001)),
            ("secrets", |e| e.secrets.clear()),
            ("secrets", |e| e.secrets = vec![e.secrets[0].clone(); 4]),
            ("secrets", |e| e.signing = [SigningScheme::V1a].into()),
            ("secrets", |e| e.secrets[0].expires_at = Some(Millis(u64::MAX))),
            ("signing", |e| e.signing.clear()),
            ("secrets[1]", |e| e.secrets.push(Secret("whsec_c2hvcnQ=".to_owned()).into())),
            ("secrets[1]", |e| e.secrets.push(Secret("whsk_c2hvcnQ=".to_owned()).into())),
            ("secrets[1]", |e| e.secrets.push(Secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned()).into())),
            ("headers.x-a", |e| e.headers = [("x-a".to_owned(), "a\r\nb: c".to_owned())].into()),
        ];
        for (field, change) in table {
            let mut endpoint = good();
            change(&mut endpoint);
            assert_eq!(check(&endpoint).map_err(|invalid| invalid.field), Err((*field).to_owned()));
        }
        for name in ["Host", "content-length", "webhook-id", "X-Webhook-Signature", "x-hookgate-y", "a b", ""]
        {
            let endpoint = Endpoint { headers: header(name), ..good() };
            assert_eq!(check(&endpoint).map_err(|invalid| invalid.field), Err(format!("headers.{name}")));
        }
    }
}
