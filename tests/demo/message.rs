//! What the tour's producer sends: an event, signed as the source `demo` demands (Standard Webhooks).

use std::time::{SystemTime, UNIX_EPOCH};

use hookgate_e2e::Request;
use hookgate_policy::{Key, Scheme};
use serde_json::{Value, json};

/// The producer, who knows the source's secret.
#[derive(Debug)]
pub(crate) struct Producer {
    scheme: Scheme,
    keys: [Key; 1],
}

/// A signed message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Its body, to the byte.
    pub(crate) body: String,
    signature: Vec<(String, String)>,
}

impl Producer {
    /// With the secret of the source.
    pub(crate) fn new(secret: &str) -> Self {
        let scheme = Scheme::preset("standard-webhooks").expect("a preset of the policy");
        let keys = [scheme.key(secret).expect("a secret as the tour makes them")];
        Self { scheme, keys }
    }

    /// An event of this type, signed `age_s` seconds ago.
    pub(crate) fn event(&self, id: &str, event_type: &str, data: &Value, age_s: u64) -> Message {
        let body = json!({ "type": event_type, "data": data }).to_string();
        let signature = self.scheme.sign(&self.keys, id, now_s().saturating_sub(age_s), body.as_bytes());
        Message { body, signature }
    }
}

impl Message {
    /// The same signature over another body.
    pub(crate) fn tampered(self, from: &str, to: &str) -> Self {
        Self { body: self.body.replace(from, to), ..self }
    }

    /// As a request to the gateway.
    pub(crate) fn request(&self) -> Request {
        let request = Request::post(PATH).header("content-type", "application/json");
        request.headers(self.signature.iter().map(|(name, value)| (name, value))).body(&self.body)
    }

    /// The headers that make it genuine.
    pub(crate) fn signature(&self) -> impl Iterator<Item = (&str, &str)> {
        self.signature.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Where the source `demo` listens.
pub(crate) const PATH: &str = "/in/demo";

/// Unix seconds.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
