//! By what an endpoint knows that an attempt is allowed: beyond the signature, what its own gateway asks for.

use std::fmt::{self, Debug, Formatter};

use serde::{Deserialize, Serialize};

use super::Secret;

/// What goes into `authorization`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A fixed token.
    Bearer {
        /// 1–4096 visible ASCII characters.
        token: Secret,
    },
    /// A user and a password, in UTF-8.
    Basic {
        /// 1–256 bytes without a colon.
        username: String,
        /// 1–1024 bytes.
        password: Secret,
    },
    /// A token that is fetched when it is needed.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
}

impl Auth {
    /// The same for everybody's eyes: secrets are one ellipsis, which no secret can be.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mask = || Secret(MASK.to_owned());
        match self {
            Self::Bearer { .. } => Self::Bearer { token: mask() },
            Self::Basic { username, .. } => Self::Basic { username: username.clone(), password: mask() },
            Self::OAuth2(client) => Self::OAuth2(OAuth2 { client_secret: mask(), ..client.clone() }),
        }
    }
}

/// What stands where a secret is not shown.
pub const MASK: &str = "…";

/// An OAuth 2.0 client that gets tokens for itself (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Where tokens are given out. Under the same guard as the endpoint's own URL.
    pub token_url: String,
    /// 1–256 bytes.
    pub client_id: String,
    /// 1–1024 bytes.
    pub client_secret: Secret,
    /// What the token shall be good for, at most 32; none to ask for the server's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whom the token shall be for, where the server wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How the client says who it is.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// How an OAuth 2.0 client says who it is (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In `authorization`; every server must take it.
    #[default]
    Basic,
    /// In the form beside the rest.
    Body,
}

/// A TLS client certificate with its key. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate, then those that lead from it towards a root; PEM.
    pub certificate_pem: String,
    /// Its private key, PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key_pem: Secret,
}

impl Debug for ClientCertificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_secret_is_in_debug_or_behind_the_mask() {
        let table = [
            json!({"type": "bearer", "token": "hidden"}),
            json!({"type": "basic", "username": "u", "password": "hidden"}),
            json!({"type": "oauth2", "token_url": "https://t.example", "client_id": "c", "client_secret": "hidden"}),
        ];
        for json in table {
            let auth: Auth = serde_json::from_value(json.clone()).unwrap();
            let shown = serde_json::to_value(auth.masked()).unwrap();
            assert_eq!(shown["type"], json["type"]);
            for text in [format!("{auth:?}"), shown.to_string()] {
                assert!(!text.contains("hidden"), "{text}");
            }
            assert_eq!(serde_json::from_value::<Auth>(serde_json::to_value(&auth).unwrap()).unwrap(), auth);
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        for json in [
            json!({"type": "bearer", "token": "t", "scope": "s"}),
            json!({"type": "oauth2", "token_url": "u", "client_id": "c", "client_secret": "s", "scope": "s"}),
            json!({"type": "digest"}),
        ] {
            assert!(serde_json::from_value::<Auth>(json.clone()).is_err(), "{json}");
        }
    }
}
