//! Endpoints declared in the configuration file, so that a deployment can live in git.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Formatter};
use std::num::NonZeroU16;

use serde::Deserialize;

use super::{Config, ConfigError, Surroundings};
use crate::clock::Millis;
use crate::delivery::egress::OwnListeners;
use crate::model::{
    Auth, BreakerRules, ClientCertificate, Endpoint, EndpointId, Filter, Glob, OAuth2, Ordering, Retry,
    Secret, SigningScheme, SigningSecret, Standing, Tenant,
};
use crate::registry;

/// One `[[endpoints]]` of the file. `Debug` shows which one it is and no more.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredEndpoint {
    /// Its name, 1–64 of `A–Z a–z 0–9 _ -`.
    pub id: EndpointId,
    /// Where it listens, `http` or `https`.
    pub url: String,
    /// Which event types it wants; default all.
    #[serde(default = "all")]
    pub event_types: Vec<Glob>,
    /// Which of their payloads it wants; default all.
    #[serde(default)]
    pub filter: Option<Filter>,
    /// Whose it is.
    #[serde(default)]
    pub tenant: Tenant,
    /// How attempts are signed: `v1`, `v1a`, `x-webhook-signature`; default all that the secrets allow.
    #[serde(default)]
    pub signing: Option<BTreeSet<SigningScheme>>,
    /// Signing secrets, `whsec_` or `whsk_`, newest first, 1–3 of each kind: references `env:NAME`.
    pub secrets: Vec<String>,
    /// Headers added to every attempt; a value that begins with `env:` is looked up.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What goes into `authorization`; its token, password or `client_secret` is a reference `env:NAME`.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// By what attempts prove who sends them; both texts are references `env:NAME`.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// Attempts at once, 1–65535, default 16.
    #[serde(default = "registry::default_in_flight")]
    pub max_in_flight: NonZeroU16,
    /// Attempts a second; default no limit.
    #[serde(default)]
    pub rate_limit: Option<NonZeroU16>,
    /// Whether deliveries wait for each other: `none`, all (`endpoint`), or those of one ordering key (`key`); default
    /// `none`.
    #[serde(default)]
    pub ordering: Ordering,
    /// The deadline of an attempt, milliseconds, 100–120 000, default 15 000.
    #[serde(default = "registry::default_timeout_ms")]
    pub timeout_ms: u32,
    /// When failed attempts are tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When it is left alone, where it differs from `breaker_…`.
    #[serde(default)]
    pub breaker: BreakerRules,
    /// Whether it gets new events; default true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Free text for people.
    #[serde(default)]
    pub description: String,
}

impl Debug for DeclaredEndpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredEndpoint").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A declared endpoint with its secrets; its times are set when it is written.
#[derive(Debug, Clone)]
pub struct Declared(pub Endpoint);

fn all() -> Vec<Glob> {
    "*".parse().into_iter().collect()
}

const fn yes() -> bool {
    true
}

/// Looks up what the declarations refer to and checks the whole.
pub(super) fn resolve(config: &Config, around: &Surroundings<'_>) -> Result<Vec<Declared>, ConfigError> {
    let mut seen = BTreeSet::new();
    let egress = config.egress(OwnListeners::default());
    let endpoints = &config.endpoints;
    endpoints
        .iter()
        .enumerate()
        .map(|(index, declared)| {
            let refuse = |field: &str, problem: &str| ConfigError::Endpoint {
                index,
                field: field.to_owned(),
                problem: problem.to_owned(),
            };
            if !seen.insert(&declared.id) {
                return Err(refuse("id", "another endpoint has it"));
            }
            let endpoint = declared.endpoint(around).map_err(|(field, problem)| refuse(&field, &problem))?;
            registry::check(&endpoint).map_err(|invalid| refuse(&invalid.field, &invalid.problem))?;
            registry::check_urls(&endpoint, &egress)
                .map_err(|invalid| refuse(&invalid.field, &invalid.problem))?;
            Ok(Declared(endpoint))
        })
        .collect()
}

impl DeclaredEndpoint {
    /// The endpoint; or the field whose reference leads nowhere, and why.
    fn endpoint(&self, around: &Surroundings<'_>) -> Result<Endpoint, (String, String)> {
        let look_up =
            |field: &str, text: &str| referred(text, around).map_err(|problem| (field.to_owned(), problem));
        let secrets = self.secrets.iter().enumerate();
        let secrets =
            secrets.map(|(index, text)| look_up(&format!("secrets[{index}]"), text).map(Into::into));
        let secrets: Vec<SigningSecret> = secrets.collect::<Result<_, _>>()?;
        let headers = self.headers.iter().map(|(name, value)| {
            let value = value
                .strip_prefix("env:")
                .map_or_else(|| Ok(value.clone()), |variable_name| variable(variable_name, around));
            value
                .map(|value| (name.to_ascii_lowercase(), value))
                .map_err(|problem| (format!("headers.{name}"), problem))
        });
        Ok(Endpoint {
            id: self.id.clone(),
            tenant: self.tenant.clone(),
            url: self.url.clone(),
            event_types: self.event_types.clone(),
            filter: self.filter.clone(),
            signing: self.signing.clone().unwrap_or_else(|| registry::signing_with(&secrets)),
            secrets,
            headers: headers.collect::<Result<_, _>>()?,
            auth: self.auth.as_ref().map(|auth| authorised(auth, &look_up)).transpose()?,
            client_certificate: self
                .client_certificate
                .as_ref()
                .map(|pair| identified(pair, &look_up))
                .transpose()?,
            max_in_flight: self.max_in_flight,
            rate_limit: self.rate_limit,
            ordering: self.ordering,
            timeout_ms: self.timeout_ms,
            retry: self.retry.clone(),
            breaker: self.breaker,
            enabled: self.enabled,
            standing: Standing::default(),
            declared: true,
            description: self.description.clone(),
            created_at: Millis(0),
            updated_at: Millis(0),
        })
    }
}

/// Finds what a field's reference leads to; or says which field's leads nowhere, and why.
type LookUp<'a> = &'a dyn Fn(&str, &str) -> Result<Secret, (String, String)>;

/// An authorisation with its secret.
fn authorised(auth: &Auth, look_up: LookUp<'_>) -> Result<Auth, (String, String)> {
    Ok(match auth {
        Auth::Bearer { token } => Auth::Bearer { token: look_up("auth.token", &token.0)? },
        Auth::Basic { username, password } => {
            Auth::Basic { username: username.clone(), password: look_up("auth.password", &password.0)? }
        }
        Auth::OAuth2(client) => {
            let client_secret = look_up("auth.client_secret", &client.client_secret.0)?;
            Auth::OAuth2(OAuth2 { client_secret, ..client.clone() })
        }
    })
}

/// A client certificate with its key.
fn identified(pair: &ClientCertificate, look_up: LookUp<'_>) -> Result<ClientCertificate, (String, String)> {
    let certificate = look_up("client_certificate.certificate_pem", &pair.certificate_pem)?;
    let key_pem = look_up("client_certificate.key_pem", &pair.key_pem.0)?;
    Ok(ClientCertificate { certificate_pem: certificate.0, key_pem })
}

/// What a reference `env:NAME` refers to.
fn referred(reference: &str, around: &Surroundings<'_>) -> Result<Secret, String> {
    let name = reference.strip_prefix("env:").ok_or("expected a reference, env:NAME")?;
    variable(name, around).map(Secret)
}

fn variable(name: &str, around: &Surroundings<'_>) -> Result<String, String> {
    around.variable(name).ok_or_else(|| format!("{name} is not set in the environment"))
}
