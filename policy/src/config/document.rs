//! The policy as an operator writes it, before it is checked. Unknown fields are refused everywhere.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{Scheme, limiter::RateLimitDocument};

use super::{EventTypeRule, Gateway};

/// Only the version, so that a document of another one is told so rather than of its unknown fields.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: u64,
}

/// The whole document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// Already read as [`Version`].
    #[serde(rename = "version")]
    _version: u64,
    #[serde(default)]
    pub(super) gateway: Gateway,
    #[serde(default = "one_mebibyte")]
    pub(super) max_body_bytes: u64,
    pub(super) rate_limit: Option<RateLimitDocument>,
    #[serde(default)]
    pub(super) rate_limit_headers: RateLimitHeaders,
    #[serde(default = "yes")]
    pub(super) security_headers: bool,
    #[serde(default = "yes")]
    pub(super) trust_request_id: bool,
    #[serde(default)]
    pub(super) passthrough: Vec<String>,
    #[serde(default)]
    pub(super) sources: Vec<SourceDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceDocument {
    pub(super) name: String,
    pub(super) path: Option<String>,
    #[serde(default = "post")]
    pub(super) methods: Vec<String>,
    pub(super) scheme: SchemeDocument,
    pub(super) secrets: Vec<String>,
    pub(super) tolerance_s: Option<u64>,
    pub(super) max_body_bytes: Option<u64>,
    /// Absent takes the document's, `null` switches it off.
    #[serde(default, deserialize_with = "given")]
    pub(super) rate_limit: Option<Option<RateLimitDocument>>,
    #[serde(default = "default_tenant")]
    pub(super) tenant: String,
    pub(super) event_type: Option<EventTypeRule>,
}

/// Which rate-limit headers responses carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RateLimitHeaders {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    XRatelimit,
    #[default]
    Both,
    Off,
}

/// A scheme, and where its events usually name their type.
#[derive(Debug)]
pub(super) struct SchemeDocument {
    pub(super) scheme: Scheme,
    pub(super) event_type: EventTypeRule,
}

impl<'de> Deserialize<'de> for SchemeDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SchemeVisitor)
    }
}

struct SchemeVisitor;

impl<'de> Visitor<'de> for SchemeVisitor {
    type Value = SchemeDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scheme: a preset's name or an object")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<SchemeDocument, E> {
        let scheme = Scheme::deserialize(de::value::StrDeserializer::new(name))?;
        Ok(SchemeDocument { scheme, event_type: EventTypeRule::of_preset(name) })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SchemeDocument, A::Error> {
        let scheme = Scheme::deserialize(MapAccessDeserializer::new(map))?;
        Ok(SchemeDocument { scheme, event_type: EventTypeRule::default() })
    }
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

const fn one_mebibyte() -> u64 {
    1_048_576
}

const fn yes() -> bool {
    true
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

fn default_tenant() -> String {
    "default".to_owned()
}
