//! Texts that nobody may see, and those of them that sign.

use std::fmt::{self, Debug, Formatter};

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// A text that `Debug` does not show: a signing secret, a token, a password.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How an attempt may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SigningScheme {
    /// Standard Webhooks, HMAC-SHA256 with a `whsec_` secret that the subscriber has as well.
    #[serde(rename = "v1")]
    V1,
    /// Standard Webhooks, Ed25519 with a `whsk_` key; the subscriber has the public `whpk_` one.
    #[serde(rename = "v1a")]
    V1a,
    /// `X-Webhook-Signature`, in Stripe's form, with the same `whsec_` secret as `v1`.
    #[serde(rename = "x-webhook-signature")]
    XWebhookSignature,
}

impl SigningScheme {
    /// What it signs with.
    #[must_use]
    pub const fn kind(self) -> SecretKind {
        match self {
            Self::V1 | Self::XWebhookSignature => SecretKind::Symmetric,
            Self::V1a => SecretKind::Ed25519,
        }
    }
}

/// Which algorithm a signing secret is for. Its prefix tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// `whsec_` and base64.
    Symmetric,
    /// `whsk_` and base64.
    Ed25519,
}

impl SecretKind {
    /// What its texts begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Symmetric => "whsec_",
            Self::Ed25519 => "whsk_",
        }
    }
}

/// A secret that attempts are signed with, until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct SigningSecret {
    /// `whsec_` or `whsk_`, and base64.
    pub text: Secret,
    /// From when on it signs no more; `None` until a rotation.
    pub expires_at: Option<Millis>,
}

impl SigningSecret {
    /// Whether it signs at `now`.
    #[must_use]
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> SecretKind {
        if self.text.0.starts_with(SecretKind::Ed25519.prefix()) {
            SecretKind::Ed25519
        } else {
            SecretKind::Symmetric
        }
    }
}

impl From<Secret> for SigningSecret {
    fn from(text: Secret) -> Self {
        Self { text, expires_at: None }
    }
}

/// As it is kept: a secret without an end is its text alone, as it was when none had an end.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Lasting(Secret),
    Ending { text: Secret, expires_at: Millis },
}

impl From<Stored> for SigningSecret {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Lasting(text) => text.into(),
            Stored::Ending { text, expires_at } => Self { text, expires_at: Some(expires_at) },
        }
    }
}

impl From<SigningSecret> for Stored {
    fn from(SigningSecret { text, expires_at }: SigningSecret) -> Self {
        match expires_at {
            None => Self::Lasting(text),
            Some(expires_at) => Self::Ending { text, expires_at },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_with_its_end_and_without_one_as_it_always_was() {
        let lasting = SigningSecret::from(Secret("whsec_a".to_owned()));
        let ending = SigningSecret { expires_at: Some(Millis(7)), ..lasting.clone() };
        for (secret, json) in [(lasting, r#""whsec_a""#), (ending, r#"{"text":"whsec_a","expires_at":7}"#)] {
            assert_eq!(serde_json::to_string(&secret).unwrap(), json);
            assert_eq!(serde_json::from_str::<SigningSecret>(json).unwrap(), secret);
        }
    }

    #[test]
    fn a_secret_signs_up_to_its_end_and_not_at_it() {
        let secret = |expires_at| SigningSecret { text: Secret("whsec_a".to_owned()), expires_at };
        assert!(secret(None).is_live(Millis(u64::MAX)));
        for (now, live) in [(6, true), (7, false), (8, false)] {
            assert_eq!(secret(Some(Millis(7))).is_live(Millis(now)), live, "{now}");
        }
    }
}
