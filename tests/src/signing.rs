//! Signs as senders do, written down a second time: a mistake in the product's own signing would not show otherwise.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::client::Request;

/// The headers of one signed message.
pub type Headers = Vec<(&'static str, String)>;

/// Now, in unix seconds.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// Standard Webhooks: `secret` is `whsec_` and base64.
#[must_use]
pub fn standard_webhooks(secret: &str, id: &str, timestamp_s: u64, body: &[u8]) -> Headers {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("a base64 secret");
    let signature = mac(&key, &[format!("{id}.{timestamp_s}.").as_bytes(), body]);
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp_s.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
    ]
}

/// Stripe's header, and `X-Webhook-Signature`, which has its form: the whole secret is the key.
#[must_use]
pub fn timestamped(header: &'static str, secret: &str, timestamp_s: u64, body: &[u8]) -> Headers {
    let signature = mac(secret.as_bytes(), &[format!("{timestamp_s}.").as_bytes(), body]);
    vec![(header, format!("t={timestamp_s},v1={}", hex(&signature)))]
}

/// GitHub's header.
#[must_use]
pub fn github(secret: &str, body: &[u8]) -> Headers {
    vec![("x-hub-signature-256", format!("sha256={}", hex(&mac(secret.as_bytes(), &[body]))))]
}

/// A `POST` of `body`, signed with Standard Webhooks just now.
#[must_use]
pub fn signed(target: &str, secret: &str, id: &str, body: &[u8]) -> Request {
    Request::post(target)
        .header("content-type", "application/json")
        .headers(standard_webhooks(secret, id, now_s(), body))
        .body(body)
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
