//! How an endpoint is kept: with its secrets sealed, so that whoever gets the database does not get them.
//!
//! Sealed are signing secrets, header values, authorisations and client keys, together as one text: AES-256-GCM under a
//! random nonce, bound to the endpoint's tenant and id, so that it opens at no other one. The first key seals, every
//! key opens: a key is changed by putting a new one before it, and may go once [`Store::reseal`] has been everywhere.
//!
//! [`Store::reseal`]: crate::store::Store::reseal

mod key;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use key::{InvalidSealKey, SealKey};

use crate::entropy::{self, Entropy};
use crate::model::Endpoint;

/// The fields that are sealed, and the one that stands for them.
const HIDDEN: [&str; 4] = ["secrets", "headers", "auth", "client_certificate"];
const SEALED: &str = "sealed";

/// Why an endpoint cannot be read or written. Shows nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Somebody else sealed it, or the key was taken away too early. Passes once the key is back.
    #[error("the endpoint {endpoint} is sealed with the key {key}, which is not among HOOKGATE_SEAL_KEYS")]
    MissingKey {
        /// Which endpoint.
        endpoint: String,
        /// The key's id.
        key: String,
    },
    /// It was changed, or belongs to another endpoint.
    #[error(
        "what is sealed of the endpoint {endpoint} does not open with its key {key}: it is damaged or was moved"
    )]
    Damaged {
        /// Which endpoint.
        endpoint: String,
        /// The key's id.
        key: String,
    },
    /// It is no endpoint in JSON.
    #[error("an endpoint is not readable: {0}")]
    Unreadable(String),
    /// It could not be sealed.
    #[error("the endpoint {0} could not be sealed")]
    Unsealable(String),
}

impl SealError {
    /// Whether the same call may succeed later, with the key that is missing now.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::MissingKey { .. })
    }
}

/// The keys, newest first. Without any, endpoints are kept as they are.
#[derive(Debug, Clone)]
pub struct Seal {
    keys: Arc<[SealKey]>,
    entropy: Entropy,
}

impl Default for Seal {
    fn default() -> Self {
        Self::new(Vec::new(), entropy::system)
    }
}

impl Seal {
    /// The first key seals, all open. `entropy`: of nonces.
    #[must_use]
    pub fn new(keys: Vec<SealKey>, entropy: Entropy) -> Self {
        Self { keys: keys.into(), entropy }
    }

    /// An endpoint as it is kept.
    pub(crate) fn write(&self, endpoint: &Endpoint) -> Result<String, SealError> {
        let unsealable = || SealError::Unsealable(endpoint.id.to_string());
        let Some(key) = self.keys.first() else {
            return serde_json::to_string(endpoint).ok().ok_or_else(unsealable);
        };
        let Ok(Value::Object(mut fields)) = serde_json::to_value(endpoint) else { return Err(unsealable()) };
        let hidden = HIDDEN.into_iter().filter_map(|name| fields.remove_entry(name)).collect::<Map<_, _>>();
        let hidden = Value::Object(hidden).to_string().into_bytes();
        let whose = whose(endpoint.tenant.as_str(), endpoint.id.as_str());
        let sealed = key.seal(hidden, &whose, (self.entropy)()).ok_or_else(unsealable)?;
        fields.insert(SEALED.to_owned(), Value::String(sealed));
        Ok(Value::Object(fields).to_string())
    }

    /// The endpoint that [`Self::write`] wrote, or an earlier version of this program.
    pub(crate) fn read(&self, json: &[u8]) -> Result<Endpoint, SealError> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
        if let Some(sealed) = fields.remove(SEALED) {
            fields.extend(self.open(&fields, sealed.as_str().unwrap_or_default())?);
        }
        serde_json::from_value(Value::Object(fields)).map_err(|error| unreadable(&error))
    }

    /// Whether it is kept as [`Self::write`] would keep it now.
    pub(crate) fn is_current(&self, json: &[u8]) -> bool {
        let Some(first) = self.keys.first() else { return true };
        let fields = serde_json::from_slice::<Map<String, Value>>(json).unwrap_or_default();
        let sealed = fields.get(SEALED).and_then(Value::as_str);
        sealed.and_then(key::id_of).is_some_and(|id| id == first.id())
    }

    fn open(&self, fields: &Map<String, Value>, sealed: &str) -> Result<Map<String, Value>, SealError> {
        let text = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let endpoint = text("id").to_owned();
        let Some(key) = key::id_of(sealed).map(str::to_owned) else {
            return Err(SealError::Unreadable(format!("{endpoint} is sealed in a form that is not known")));
        };
        let Some(known) = self.keys.iter().find(|known| known.id() == key) else {
            return Err(SealError::MissingKey { endpoint, key });
        };
        let opened = known.open(sealed, &whose(text("tenant"), &endpoint));
        let hidden = opened.and_then(|hidden| serde_json::from_slice(&hidden).ok());
        hidden.ok_or(SealError::Damaged { endpoint, key })
    }
}

/// To whom a sealed text belongs. Neither name can hold the separator.
fn whose(tenant: &str, endpoint: &str) -> String {
    format!("endpoint\n{tenant}\n{endpoint}")
}

/// What kind of error and where, but never the text: it holds secrets.
fn unreadable(error: &serde_json::Error) -> SealError {
    SealError::Unreadable(format!("{:?} at column {}", error.classify(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::registry::Draft;

    fn endpoint(id: &str) -> Endpoint {
        let json = format!(
            r#"{{"url":"https://example.com","id":"{id}","headers":{{"x-key":"canary-header"}},
                "secret":"whsec_Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0",
                "auth":{{"type":"bearer","token":"canary-token"}},
                "client_certificate":{{"certificate_pem":"canary-pem","key_pem":"canary-key"}}}}"#
        );
        serde_json::from_str::<Draft>(&json).unwrap().endpoint(Millis(1), entropy::system)
    }

    fn seal(keys: &[u8]) -> Seal {
        Seal::new(keys.iter().map(|byte| SealKey::new(&[*byte; 32]).unwrap()).collect(), entropy::system)
    }

    fn kept(seal: &Seal) -> String {
        seal.write(&endpoint("e")).unwrap()
    }

    #[test]
    fn an_endpoint_is_read_as_it_was_written_and_shows_no_secret_between() {
        let written = kept(&seal(&[1]));
        assert_eq!(seal(&[1]).read(written.as_bytes()), Ok(endpoint("e")));
        for hidden in ["canary", "Y2FuYXJ5", "x-key", "whsec_"] {
            assert!(!written.contains(hidden), "{hidden} in {written}");
        }
        assert!(written.contains(r#""url":"https://example.com""#), "{written}");
        assert_ne!(written, kept(&seal(&[1])), "no two are sealed alike");
    }

    #[test]
    fn every_key_opens_and_the_first_one_seals() {
        for (promise, writers, readers, current) in [
            ("one key", &[1_u8][..], &[1_u8][..], true),
            ("a new one before it", &[1], &[2, 1], false),
            ("an old one behind it", &[2, 1], &[2], true),
            ("kept in the clear before", &[], &[1], false),
            ("kept in the clear", &[], &[], true),
        ] {
            let written = kept(&seal(writers));
            assert_eq!(seal(readers).read(written.as_bytes()), Ok(endpoint("e")), "{promise}");
            assert_eq!(seal(readers).is_current(written.as_bytes()), current, "{promise}");
        }
    }

    #[test]
    fn a_missing_key_is_named_with_its_endpoint() {
        let (written, id) = (kept(&seal(&[1])), SealKey::new(&[1; 32]).unwrap().id().to_owned());
        for keys in [&[][..], &[2]] {
            let error = seal(keys).read(written.as_bytes()).unwrap_err();
            assert_eq!(error, SealError::MissingKey { endpoint: "e".to_owned(), key: id.clone() });
            assert!(error.may_pass());
        }
    }

    #[test]
    fn what_is_sealed_opens_nowhere_else_and_never_when_changed() {
        let written = kept(&seal(&[1]));
        for (promise, moved) in [
            ("another endpoint", written.replace(r#""id":"e""#, r#""id":"f""#)),
            ("another tenant", written.replace(r#""tenant":"default""#, r#""tenant":"other""#)),
        ] {
            assert_ne!(moved, written, "{promise}");
            let error = seal(&[1]).read(moved.as_bytes()).unwrap_err();
            assert!(matches!(error, SealError::Damaged { .. }), "{promise}: {error:?}");
            assert!(!error.may_pass(), "{promise}");
        }
        let newer = written.replace(r#""sealed":"v1"#, r#""sealed":"v2"#);
        let error = seal(&[1]).read(newer.as_bytes()).unwrap_err();
        assert!(matches!(&error, SealError::Unreadable(_)), "a form not known yet: {error:?}");
        for broken in ["", "[]", "{}", r#"{"sealed":7}"#] {
            assert!(seal(&[1]).read(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
