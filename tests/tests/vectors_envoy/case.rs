//! One vector as a source of a policy and a request for it.

use std::path::Path;

use hookgate_e2e::envoy::Setup;
use hookgate_policy::Scheme;
use serde_json::{Value, json};

use crate::file::{Vector, read_folder};
use crate::send::Way;

/// A vector, and what it is here.
pub(crate) struct Case {
    /// Its place among all; names its source.
    pub(crate) number: usize,
    pub(crate) scheme: String,
    profile: Value,
    pub(crate) vector: Vector,
    pub(crate) body: Vec<u8>,
}

/// Every vector of the folder whose scheme the policy has.
pub(crate) fn read(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in read_folder(folder) {
        if serde_json::from_value::<Scheme>(file.profile.clone()).is_err() {
            println!("  {:<22} SKIPPED: the policy has no such scheme", file.scheme);
            continue;
        }
        for vector in file.typed() {
            let (number, body) = (cases.len(), vector.body());
            let (scheme, profile) = (file.scheme.clone(), file.profile.clone());
            cases.push(Case { number, scheme, profile, vector, body });
        }
    }
    cases
}

impl Case {
    /// Whether a policy with these secrets can be; those with others test that it cannot.
    pub(crate) fn has_usable_secrets(&self) -> bool {
        let scheme: Scheme = serde_json::from_value(self.profile.clone()).expect("a scheme");
        self.vector.secrets.iter().all(|secret| scheme.key(secret).is_ok())
    }

    /// The name of its source.
    pub(crate) fn source(&self) -> String {
        format!("v{}", self.number)
    }

    /// Its source, as a policy has it.
    pub(crate) fn document(&self) -> Value {
        let preset = Scheme::preset(&self.scheme).map(|_| json!(self.scheme));
        let secrets: Vec<_> = self.secrets().map(|(variable, _)| format!("env:{variable}")).collect();
        let scheme = preset.unwrap_or_else(|| self.profile.clone());
        json!({"name": self.source(), "scheme": scheme, "secrets": secrets, "max_body_bytes": 2_000_000})
    }

    /// Its secrets, each in a variable of its own.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (String, &str)> {
        let secrets = self.vector.secrets.iter().enumerate();
        secrets.map(|(at, text)| (format!("HOOKGATE_V{}_{at}", self.number), text.as_str()))
    }

    /// Why HTTP need not carry it this way, if so: whoever is on the way may refuse it.
    pub(crate) fn not_carried(&self, way: Way) -> Option<&'static str> {
        let trimmed = |(_, value): &(String, String)| value.trim_matches([' ', '\t']) == value;
        match way {
            Way::Http2Trailers if !self.vector.headers.iter().all(trimmed) => {
                Some("HTTP/2 has no white space around a value (RFC 9113, 8.2.1)")
            }
            Way::Http1 | Way::Http2Trailers => None,
        }
    }
}

/// A bootstrap whose policy has these cases as its sources.
pub(crate) fn setup(setup: Setup, mode: &str, cases: &[&Case]) -> Setup {
    let mode = if mode.contains("hold") { "hold" } else { "stream" };
    let sources: Vec<_> = cases.iter().map(|case| case.document()).collect();
    let policy = json!({"version": 1, "gateway": {"mode": mode}, "sources": sources});
    let secrets = cases.iter().flat_map(|case| case.secrets());
    secrets
        .fold(setup.with_policy(&policy.to_string()), |setup, (variable, text)| setup.secret(&variable, text))
}
