//! Signs an attempt in the ways its endpoint wants, with every secret that is live, newest first.

use hookgate_policy::{Key, Scheme};

use super::ed25519::Ed25519Key;
use crate::clock::Millis;
use crate::model::{Endpoint, SecretKind, SigningScheme, SigningSecret};

/// The policy has no such preset: a build that should not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policy does not know the scheme {name}")]
pub struct UnknownScheme {
    /// Its name.
    pub name: &'static str,
}

/// Why an attempt cannot be signed. Says which secret, from 1, never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsigned {
    #[error("the endpoint is to be signed in no way")]
    NoScheme,
    #[error("the endpoint has no live {prefix} secret")]
    NoSecret { prefix: &'static str },
    #[error("the endpoint's live {prefix} secret {number} is not usable")]
    BadSecret { prefix: &'static str, number: usize },
}

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// The schemes of outgoing messages: Standard Webhooks, and `X-Webhook-Signature` (Stripe's form).
///
/// Keys are made anew for every attempt: that is two hash blocks a secret, less than looking them up would save. Only
/// an Ed25519 key costs more, two multiplications, some 50 µs.
#[derive(Debug)]
pub(super) struct Signer {
    standard: Scheme,
    stripe_like: Scheme,
}

/// What is signed: as which message, when, and its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) now: Millis,
    pub(super) body: &'a [u8],
}

impl Signer {
    pub(super) fn new() -> Result<Self, UnknownScheme> {
        let preset = |name| Scheme::preset(name).ok_or(UnknownScheme { name });
        Ok(Self { standard: preset("standard-webhooks")?, stripe_like: preset("x-webhook-signature")? })
    }

    /// The headers that make a message believable. Id and time are always among them, whichever way it is signed: by
    /// the id a subscriber knows what it has seen. Nothing is sent unsigned.
    pub(super) fn sign(
        &self,
        endpoint: &Endpoint,
        message: Message<'_>,
    ) -> Result<Vec<(String, String)>, Unsigned> {
        let (mut standard, mut others) = (Vec::new(), Vec::new());
        for scheme in &endpoint.signing {
            match scheme {
                SigningScheme::V1 => {
                    let signed = symmetric(&self.standard, endpoint, message)?;
                    standard.extend(signed.into_iter().filter(|(name, _)| name == SIGNATURE));
                }
                SigningScheme::V1a => standard.push((SIGNATURE.to_owned(), ed25519(endpoint, message)?)),
                SigningScheme::XWebhookSignature => {
                    others.extend(symmetric(&self.stripe_like, endpoint, message)?);
                }
            }
        }
        if standard.is_empty() && others.is_empty() {
            return Err(Unsigned::NoScheme);
        }
        others.extend([(ID.to_owned(), message.id.to_owned()), (TIMESTAMP.to_owned(), stamp(message))]);
        others.extend(joined(standard));
        Ok(others)
    }
}

/// One header of several lists of signatures.
fn joined(lists: Vec<(String, String)>) -> Option<(String, String)> {
    lists.into_iter().reduce(|(name, list), (_, more)| (name, format!("{list} {more}")))
}

fn stamp(message: Message<'_>) -> String {
    message.now.seconds().to_string()
}

fn symmetric(
    scheme: &Scheme,
    endpoint: &Endpoint,
    message: Message<'_>,
) -> Result<Vec<(String, String)>, Unsigned> {
    let keys: Vec<Key> =
        keys(endpoint, SecretKind::Symmetric, message.now, |secret| scheme.key(&secret.text.0).ok())?;
    Ok(scheme.sign(&keys, message.id, message.now.seconds(), message.body))
}

/// Standard Webhooks' asymmetric form: `v1a,` and the signature of the same text that `v1` signs.
fn ed25519(endpoint: &Endpoint, message: Message<'_>) -> Result<String, Unsigned> {
    let keys = keys(endpoint, SecretKind::Ed25519, message.now, |secret| Ed25519Key::parse(&secret.text))?;
    let opening = format!("{}.{}.", message.id, stamp(message));
    let text = [opening.as_bytes(), message.body].concat();
    let signatures: Vec<_> = keys.iter().map(|key| format!("v1a,{}", key.sign(&text))).collect();
    Ok(signatures.join(" "))
}

/// The live keys of a kind, newest first, as many as a message may be signed with.
fn keys<K>(
    endpoint: &Endpoint,
    kind: SecretKind,
    now: Millis,
    key: impl Fn(&SigningSecret) -> Option<K>,
) -> Result<Vec<K>, Unsigned> {
    let prefix = kind.prefix();
    let numbered = endpoint.live_secrets(kind, now).take(Scheme::MAX_SIGNATURES).zip(1..);
    let keys: Vec<K> = numbered
        .map(|(secret, number)| key(secret).ok_or(Unsigned::BadSecret { prefix, number }))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(Unsigned::NoSecret { prefix }) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Secret, default_signing};

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const NOW: Millis = Millis(1_614_265_330_999);
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const WHSK: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    /// What the specification shows, and what the Svix server's own test expects of its `whsk_` key.
    const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const V1A: &str =
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

    fn secret(text: &str, expires_at: Option<Millis>) -> SigningSecret {
        SigningSecret { text: Secret(text.to_owned()), expires_at }
    }

    fn signed(
        signing: &[SigningScheme],
        secrets: Vec<SigningSecret>,
    ) -> Result<BTreeMap<String, String>, Unsigned> {
        let mut endpoint: Endpoint = serde_json::from_value(serde_json::json!({
            "id": "a", "tenant": "acme", "url": "https://a.example", "event_types": ["*"], "secrets": [],
            "headers": {}, "max_in_flight": 1, "rate_limit": null, "timeout_ms": 1000, "retry": {},
            "enabled": true, "declared": false, "description": "", "created_at": 0, "updated_at": 0,
        }))
        .unwrap();
        endpoint.signing = signing.iter().copied().collect();
        endpoint.secrets = secrets;
        let message = Message { id: ID, now: NOW, body: BODY };
        Signer::new().unwrap().sign(&endpoint, message).map(|headers| headers.into_iter().collect())
    }

    #[test]
    fn an_endpoint_is_signed_in_the_ways_it_wants_and_in_no_other() {
        use SigningScheme::{V1 as Hmac, V1a, XWebhookSignature as Stripe};
        let table: [(&[SigningScheme], String, bool); 5] = [
            (&[Hmac], V1.to_owned(), false),
            (&[V1a], V1A.to_owned(), false),
            (&[Hmac, V1a], format!("{V1} {V1A}"), false),
            (&[Hmac, V1a, Stripe], format!("{V1} {V1A}"), true),
            (&[Stripe], String::new(), true),
        ];
        for (signing, signature, stripe) in table {
            let headers = signed(signing, vec![secret(WHSK, None), secret(WHSEC, None)]).unwrap();
            let header = |name: &str| headers.get(name).map_or("", String::as_str);
            assert_eq!(
                (header("webhook-id"), header("webhook-timestamp")),
                (ID, "1614265330"),
                "{signing:?}"
            );
            assert_eq!(header("webhook-signature"), signature, "{signing:?}");
            assert_eq!(headers.contains_key("x-webhook-signature"), stripe, "{signing:?}");
        }
    }

    #[test]
    fn a_secret_signs_beside_its_successor_until_it_ends() {
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let until = |end| vec![secret(other, None), secret(WHSEC, Some(Millis(end)))];
        let old_signs = |end: u64| {
            let headers = signed(&default_signing().into_iter().collect::<Vec<_>>(), until(end)).unwrap();
            let counts = ["webhook-signature", "x-webhook-signature"]
                .map(|name| headers.get(name).map_or(0, |list| list.matches("v1").count()));
            (headers["webhook-signature"].ends_with(V1), counts)
        };
        assert_eq!(old_signs(NOW.0 + 1), (true, [2, 2]));
        assert_eq!(old_signs(NOW.0), (false, [1, 1]));
    }

    #[test]
    fn nothing_is_sent_unsigned() {
        use SigningScheme::{V1 as Hmac, V1a};
        let (whsec, whsk) = (secret(WHSEC, None), secret(WHSK, None));
        let table: [(&str, &[SigningScheme], Vec<SigningSecret>, Unsigned); 5] = [
            ("in no way", &[], vec![whsec.clone()], Unsigned::NoScheme),
            ("without a secret", &[Hmac], vec![whsk], Unsigned::NoSecret { prefix: "whsec_" }),
            ("in part only", &[Hmac, V1a], vec![whsec], Unsigned::NoSecret { prefix: "whsk_" }),
            (
                "with one that ended",
                &[Hmac],
                vec![secret(WHSEC, Some(NOW))],
                Unsigned::NoSecret { prefix: "whsec_" },
            ),
            (
                "with one that is none",
                &[V1a],
                vec![secret("whsk_***", None)],
                Unsigned::BadSecret { prefix: "whsk_", number: 1 },
            ),
        ];
        for (promise, signing, secrets, expected) in table {
            assert_eq!(signed(signing, secrets), Err(expected), "{promise}");
        }
    }
}
