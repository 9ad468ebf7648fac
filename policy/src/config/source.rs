//! Where events come from: one source, checked and ready to verify with.

use std::sync::Arc;

use serde::Deserialize;

use crate::{Key, RateLimit, Scheme, headers::name::HeaderName};

use super::{
    Defaults, PolicyError,
    check::{At, is_method, is_name, is_path, is_tenant, is_visible},
    document::SourceDocument,
    secrets,
};

/// A source of events: its address, how its messages are signed, what they are.
#[derive(Debug)]
pub struct Source {
    name: Arc<str>,
    path: String,
    methods: Vec<String>,
    scheme: Scheme,
    keys: Vec<Key>,
    tolerance_s: u64,
    max_body_bytes: u64,
    rate_limit: Option<RateLimit>,
    tenant: String,
    event_type: EventTypeRule,
}

/// Where an event of a source names its type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventTypeRule {
    /// In the JSON body, at this pointer (RFC 6901).
    Json(String),
    /// In this header, a lower-case name. Not signed by any scheme: who can send a message can choose it.
    Header(String),
    /// Nowhere: all are of this type.
    Fixed(String),
}

impl Default for EventTypeRule {
    fn default() -> Self {
        Self::Json("/type".to_owned())
    }
}

impl EventTypeRule {
    /// Where events of a preset usually name their type.
    pub(super) fn of_preset(name: &str) -> Self {
        match name {
            "github" => Self::Header("x-github-event".to_owned()),
            _ => Self::default(),
        }
    }

    fn check(self) -> Result<Self, &'static str> {
        match self {
            Self::Json(pointer) if pointer.len() <= 256 && pointer.starts_with('/') => {
                Ok(Self::Json(pointer))
            }
            Self::Json(_) => Err("expected a JSON pointer such as /type"),
            Self::Header(name) => {
                let name = HeaderName::parse(&name).ok_or("expected a header name")?;
                Ok(Self::Header(name.to_string()))
            }
            Self::Fixed(text) if is_visible(&text) => Ok(Self::Fixed(text)),
            Self::Fixed(_) => Err("expected 1–128 visible ASCII characters"),
        }
    }
}

impl Source {
    /// Checks what was written at `at`.
    pub(super) fn new(
        document: SourceDocument,
        at: &At,
        defaults: &Defaults,
        resolve: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<Self, PolicyError> {
        at.field("name").expect(is_name(&document.name), "1–64 of a–z 0–9 -, and not \"passthrough\"")?;
        let path = document.path.unwrap_or_else(|| format!("/in/{}", document.name));
        at.field("path")
            .expect(is_path(&path), "a path as on the wire: /…, no query, at most 256 characters")?;
        at.field("methods").expect((1..=8).contains(&document.methods.len()), "1–8 methods")?;
        for (index, method) in document.methods.iter().enumerate() {
            at.field("methods")
                .index(index)
                .expect(is_method(method), "a method in capitals, not CONNECT")?;
        }
        at.field("tenant").expect(is_tenant(&document.tenant), "1–64 of A–Z a–z 0–9 _ - .")?;
        let rate_limit = document.rate_limit.map_or(Ok(defaults.rate_limit), |given| {
            given.map(|limit| at.field("rate_limit").rate_limit(limit)).transpose()
        })?;
        let event_type = document.event_type.unwrap_or(document.scheme.event_type);
        let scheme = document.scheme.scheme;
        Ok(Self {
            keys: secrets::read(&document.secrets, &scheme, &at.field("secrets"), resolve)?,
            tolerance_s: tolerance(document.tolerance_s, &scheme, &at.field("tolerance_s"))?,
            max_body_bytes: match document.max_body_bytes {
                Some(bytes) => at.field("max_body_bytes").body_limit(bytes)?,
                None => defaults.max_body_bytes,
            },
            event_type: event_type.check().map_err(|problem| at.field("event_type").wrong(problem))?,
            name: document.name.into(),
            methods: document.methods,
            tenant: document.tenant,
            path,
            scheme,
            rate_limit,
        })
    }

    /// `[a-z0-9-]{1,64}`, unique in the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path, exactly as on the wire.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The methods it takes.
    #[must_use]
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// How its messages are signed.
    #[must_use]
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// How far a timestamp may be from now, both ways, in seconds. Without meaning where messages carry none.
    #[must_use]
    pub const fn tolerance_s(&self) -> u64 {
        self.tolerance_s
    }

    /// The most bytes of a body.
    #[must_use]
    pub const fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    /// The limit for each client, if there is one.
    #[must_use]
    pub const fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }

    /// Whose events they are. Applied by the inner door.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Where they name their type. Applied by the inner door.
    #[must_use]
    pub const fn event_type(&self) -> &EventTypeRule {
        &self.event_type
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }
}

/// The tolerance of the scheme, or the source's own.
fn tolerance(own: Option<u64>, scheme: &Scheme, at: &At) -> Result<u64, PolicyError> {
    match (own, scheme.tolerance_s()) {
        (Some(_), None) => Err(at.wrong("this scheme has no timestamp: expected nothing here")),
        (Some(own), Some(_)) => {
            at.expect((1..=Scheme::MAX_TOLERANCE_S).contains(&own), "1–86400 seconds")?;
            Ok(own)
        }
        (None, preset) => Ok(preset.unwrap_or(0)),
    }
}
