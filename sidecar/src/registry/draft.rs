//! An endpoint as a caller asks for it, and a change to one. Unknown fields are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Formatter};
use std::num::NonZeroU16;

use serde::{Deserialize, Deserializer};

use super::limits::{default_in_flight, default_timeout_ms};
use super::secrets::{complete, signing_with};
use super::switch::{disable, enable};
use crate::clock::Millis;
use crate::entropy::Entropy;
use crate::model::{
    Auth, BreakerRules, ClientCertificate, DisabledReason, Endpoint, EndpointId, Filter, Glob, Ordering,
    Retry, Secret, SigningScheme, SigningSecret, Standing, Tenant,
};

/// What creates an endpoint: only `url` is needed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Its name; without one it gets `ep_…`.
    pub id: Option<EndpointId>,
    /// Where it listens.
    pub url: String,
    /// Whose it is; `default` when nobody says.
    #[serde(default)]
    pub tenant: Tenant,
    /// What it wants; without any, all.
    pub event_types: Option<Vec<Glob>>,
    /// Which of their payloads; without one, all.
    pub filter: Option<Filter>,
    /// How attempts are signed; default `v1` and `x-webhook-signature`, and `v1a` for a `whsk_` secret.
    pub signing: Option<BTreeSet<SigningScheme>>,
    /// A secret that there already is, `whsec_` or `whsk_`; of each kind that is needed and not here one is made.
    pub secret: Option<Secret>,
    /// Added to every attempt.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What goes into `authorization`.
    pub auth: Option<Auth>,
    /// By what attempts prove who sends them.
    pub client_certificate: Option<ClientCertificate>,
    /// Attempts at once.
    pub max_in_flight: Option<NonZeroU16>,
    /// Attempts a second.
    pub rate_limit: Option<NonZeroU16>,
    /// Which of its deliveries wait for each other.
    #[serde(default)]
    pub ordering: Ordering,
    /// The deadline of an attempt, milliseconds.
    pub timeout_ms: Option<u32>,
    /// When failed attempts are tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When it is left alone.
    #[serde(default)]
    pub breaker: BreakerRules,
    /// Whether it gets new events.
    pub enabled: Option<bool>,
    /// Free text.
    #[serde(default)]
    pub description: String,
}

impl Debug for Draft {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Draft {
    /// The endpoint it asks for, not yet checked.
    #[must_use]
    pub fn endpoint(self, now: Millis, entropy: Entropy) -> Endpoint {
        let secrets: Vec<SigningSecret> = self.secret.map(Into::into).into_iter().collect();
        let mut endpoint = Endpoint {
            id: self.id.unwrap_or_else(|| EndpointId::fresh(now, entropy(), &self.tenant)),
            tenant: self.tenant,
            url: self.url,
            event_types: self.event_types.unwrap_or_else(|| "*".parse().into_iter().collect()),
            filter: self.filter,
            signing: self.signing.unwrap_or_else(|| signing_with(&secrets)),
            secrets,
            headers: lower_case(self.headers),
            auth: self.auth,
            client_certificate: self.client_certificate,
            max_in_flight: self.max_in_flight.unwrap_or_else(default_in_flight),
            rate_limit: self.rate_limit,
            ordering: self.ordering,
            timeout_ms: self.timeout_ms.unwrap_or(default_timeout_ms()),
            retry: self.retry,
            breaker: self.breaker,
            enabled: self.enabled.unwrap_or(true),
            standing: Standing::default(),
            declared: false,
            description: self.description,
            created_at: now,
            updated_at: now,
        };
        complete(&mut endpoint, entropy);
        endpoint
    }
}

/// What changes an endpoint: the fields that are there; `null` takes a header, the filter, the rate limit or a
/// credential away.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    url: Option<String>,
    event_types: Option<Vec<Glob>>,
    #[serde(deserialize_with = "given")]
    filter: Option<Option<Filter>>,
    signing: Option<BTreeSet<SigningScheme>>,
    headers: BTreeMap<String, Option<String>>,
    #[serde(deserialize_with = "given")]
    auth: Option<Option<Auth>>,
    #[serde(deserialize_with = "given")]
    client_certificate: Option<Option<ClientCertificate>>,
    max_in_flight: Option<NonZeroU16>,
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<NonZeroU16>>,
    ordering: Option<Ordering>,
    timeout_ms: Option<u32>,
    retry: Option<Retry>,
    breaker: Option<BreakerRules>,
    enabled: Option<bool>,
    description: Option<String>,
}

/// A field that is there, be it `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Debug for Patch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Patch")
    }
}

impl Patch {
    /// Changes the endpoint, which is not yet checked then, nor [`complete`].
    pub fn apply(self, endpoint: &mut Endpoint, now: Millis) {
        set(&mut endpoint.url, self.url);
        set(&mut endpoint.event_types, self.event_types);
        set(&mut endpoint.filter, self.filter);
        set(&mut endpoint.signing, self.signing);
        set(&mut endpoint.auth, self.auth);
        set(&mut endpoint.client_certificate, self.client_certificate);
        set(&mut endpoint.max_in_flight, self.max_in_flight);
        set(&mut endpoint.rate_limit, self.rate_limit);
        set(&mut endpoint.ordering, self.ordering);
        set(&mut endpoint.timeout_ms, self.timeout_ms);
        set(&mut endpoint.retry, self.retry);
        set(&mut endpoint.breaker, self.breaker);
        match self.enabled {
            Some(true) => drop(enable(endpoint, now)),
            Some(false) => drop(disable(endpoint, DisabledReason::Operator, now)),
            None => {}
        }
        set(&mut endpoint.description, self.description);
        for (name, value) in lower_case(self.headers) {
            match value {
                Some(value) => endpoint.headers.insert(name, value),
                None => endpoint.headers.remove(&name),
            };
        }
        endpoint.updated_at = now;
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn lower_case<T>(headers: BTreeMap<String, T>) -> BTreeMap<String, T> {
    headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(json: &str) -> Endpoint {
        serde_json::from_str::<Draft>(json).unwrap().endpoint(Millis(1), || 7)
    }

    #[test]
    fn a_url_is_enough() {
        let endpoint = draft(r#"{"url":"https://example.com"}"#);
        assert_eq!(super::super::check(&endpoint), Ok(()));
        assert!(endpoint.enabled && !endpoint.declared);
        assert_eq!(endpoint.event_types[0].as_str(), "*");
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_takes_away() {
        let mut endpoint = draft(
            r#"{"url":"https://example.com","rate_limit":5,"headers":{"X-A":"1","X-B":"2"},"description":"d",
                "auth":{"type":"bearer","token":"t"}}"#,
        );
        let patch = r#"{"rate_limit":null,"auth":null,"headers":{"x-a":null,"x-c":"3"}}"#;
        serde_json::from_str::<Patch>(patch).unwrap().apply(&mut endpoint, Millis(2));
        assert_eq!((endpoint.rate_limit, &endpoint.auth), (None, &None));
        assert_eq!(endpoint.headers.keys().collect::<Vec<_>>(), ["x-b", "x-c"]);
        assert_eq!((endpoint.description.as_str(), endpoint.updated_at), ("d", Millis(2)));
        serde_json::from_str::<Patch>("{}").unwrap().apply(&mut endpoint, Millis(3));
        assert_eq!(endpoint.headers.len(), 2);
    }
}
