//! The policy as an operator writes it: JSON, `version` 1, unknown fields refused with their path.

mod check;
mod document;
mod secrets;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

use crate::RateLimit;

use check::{At, is_path};
use document::{Document, SourceDocument, Version};

pub(crate) use document::RateLimitHeaders;
pub use source::{EventTypeRule, Source};

/// The name of the limit that passed-through paths share.
const PASSTHROUGH: &str = "passthrough";

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 1 << 20;

/// The most sources, and the most paths passed through.
const MAX_ROUTES: usize = 1_000;

/// A policy that cannot be. Names where; never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PolicyError {
    /// Where in the document: `sources[0].secrets[1]`; `.` for the whole.
    pub path: String,
    /// What is wrong there, and what was expected.
    pub problem: String,
}

/// What a door demands.
#[derive(Debug)]
pub struct Policy {
    gateway: Gateway,
    pub(crate) defaults: Defaults,
    pub(crate) rate_limit_headers: RateLimitHeaders,
    pub(crate) security_headers: bool,
    pub(crate) trust_request_id: bool,
    sources: Vec<Source>,
    routes: BTreeMap<String, Target>,
    passthrough: Arc<str>,
}

/// What the filter needs to know of its gateway; nothing to the sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// How bodies are held back.
    pub mode: Mode,
    /// Which gateway it is.
    pub host: Host,
}

/// How the filter holds bodies back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The head goes on, body bytes are held until the verdict.
    #[default]
    Stream,
    /// Nothing goes on before the verdict; the gateway must allow it.
    Hold,
}

/// Which gateway runs the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// Envoy, and what is built on it.
    #[default]
    Envoy,
    /// Kong.
    Kong,
}

/// What holds where a source says nothing, and for passed-through paths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) max_body_bytes: u64,
    pub(crate) rate_limit: Option<RateLimit>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// The source at this place.
    Source(usize),
    Passthrough,
}

/// What a path leads to, for who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route<'a> {
    Source(&'a Source),
    Passthrough(&'a Arc<str>),
}

impl Policy {
    /// How many shards the host must create before the first request.
    pub const SHARDS: u16 = 256;

    /// Reads a policy of at most 1 MiB. `resolve` is given each secret reference whole (`env:NAME`) and answers the
    /// text behind it, byte for byte, or `None`.
    ///
    /// # Errors
    /// What is wrong and where: not JSON, an unknown or missing field, a value out of range, a reference that does
    /// not resolve, a secret that cannot be one.
    pub fn from_json(
        json: &[u8],
        resolve: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<Self, PolicyError> {
        let whole = At::top(".");
        whole.expect(json.len() <= MAX_DOCUMENT, "at most 1048576 bytes")?;
        let Version { version } = parse(json)?;
        At::top("version").expect(version == 1, "1: the only version this door knows")?;
        let document: Document = parse(json)?;
        let defaults = Defaults {
            max_body_bytes: At::top("max_body_bytes").body_limit(document.max_body_bytes)?,
            rate_limit: document
                .rate_limit
                .map(|limit| At::top("rate_limit").rate_limit(limit))
                .transpose()?,
        };
        let sources = read_sources(document.sources, &defaults, resolve)?;
        let routes = routes(&sources, document.passthrough)?;
        whole.expect(!routes.is_empty(), "`sources` or `passthrough`")?;
        Ok(Self {
            gateway: document.gateway,
            rate_limit_headers: document.rate_limit_headers,
            security_headers: document.security_headers,
            trust_request_id: document.trust_request_id,
            passthrough: PASSTHROUGH.into(),
            defaults,
            sources,
            routes,
        })
    }

    /// For the filter.
    #[must_use]
    pub const fn gateway(&self) -> Gateway {
        self.gateway
    }

    /// Every source, in the order of the document.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// A source by name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name() == name)
    }

    /// What a target leads to: its path, byte for byte, without what follows a `?`.
    pub(crate) fn route(&self, target: &[u8]) -> Option<Route<'_>> {
        let path = target.split(|byte| *byte == b'?').next()?;
        match self.routes.get(str::from_utf8(path).ok()?)? {
            Target::Source(at) => self.sources.get(*at).map(Route::Source),
            Target::Passthrough => Some(Route::Passthrough(&self.passthrough)),
        }
    }
}

/// Reads JSON. What stands among secrets is never quoted: it may be one.
fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, PolicyError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let secret = path.contains(".secrets");
        let problem = if secret { secrets::EXPECTED.to_owned() } else { error.inner().to_string() };
        PolicyError { path, problem }
    })?;
    reader.end().map_err(|error| At::top(".").wrong(error.to_string()))?;
    Ok(read)
}

fn read_sources(
    documents: Vec<SourceDocument>,
    defaults: &Defaults,
    resolve: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Vec<Source>, PolicyError> {
    let at = At::top("sources");
    at.expect(documents.len() <= MAX_ROUTES, "at most 1000 sources")?;
    let mut names = BTreeSet::new();
    let sources = documents.into_iter().enumerate().map(|(index, document)| {
        let at = at.index(index);
        at.field("name").expect(names.insert(document.name.clone()), "a name of its own")?;
        Source::new(document, &at, defaults, resolve)
    });
    sources.collect()
}

/// Every path once.
fn routes(sources: &[Source], passthrough: Vec<String>) -> Result<BTreeMap<String, Target>, PolicyError> {
    let mut routes = BTreeMap::new();
    for (index, source) in sources.iter().enumerate() {
        let fresh = routes.insert(source.path().to_owned(), Target::Source(index)).is_none();
        At::top("sources").index(index).field("path").expect(fresh, "a path of its own")?;
    }
    let at = At::top("passthrough");
    at.expect(passthrough.len() <= MAX_ROUTES, "at most 1000 paths")?;
    for (index, path) in passthrough.into_iter().enumerate() {
        let at = at.index(index);
        at.expect(is_path(&path), "a path as on the wire: /…, no query, at most 256 characters")?;
        at.expect(routes.insert(path, Target::Passthrough).is_none(), "a path of its own")?;
    }
    Ok(routes)
}
