//! A scheme as data: what a preset is written in, and what an operator writes for a provider of his own.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Algorithm, Encoding, Unit};

/// Text of a profile: built in for presets, read for custom ones.
pub(super) type Text = Cow<'static, str>;

/// The parameters of a scheme, as JSON has them; [`Scheme::new`](super::Scheme) checks that they fit together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) algorithm: Algorithm,
    pub(super) secret: SecretProfile,
    pub(super) signature: SignatureProfile,
    pub(super) timestamp: Option<TimestampProfile>,
    pub(super) id: Option<IdProfile>,
    /// A template such as `{id}.{timestamp}.{body}`.
    pub(super) signed: Text,
    pub(super) replay: Replay,
}

/// How an operator pastes a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretProfile {
    pub(super) encoding: SecretEncoding,
    /// Taken off if it is there. A label, not key material.
    #[serde(default)]
    pub(super) prefix: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SecretEncoding {
    /// The text itself, as UTF-8.
    Raw,
    Base64,
    Hex,
}

/// The signature's header, and its items.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureProfile {
    pub(super) header: Text,
    /// What separates items; absent: the whole value is one.
    pub(super) items: Option<Separator>,
    /// What a signature of this scheme begins with; items that begin otherwise are skipped.
    pub(super) tag: Text,
    pub(super) encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Separator {
    #[serde(rename = " ")]
    Space,
    #[serde(rename = ",")]
    Comma,
    #[serde(rename = ";")]
    Semicolon,
}

impl Separator {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Space => b' ',
            Self::Comma => b',',
            Self::Semicolon => b';',
        }
    }
}

/// Where the timestamp is: in a header, or in an item of the signature's header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimestampProfile {
    pub(super) header: Option<Text>,
    pub(super) item: Option<Text>,
    pub(super) unit: Unit,
    /// In seconds, both ways.
    pub(super) tolerance: u64,
}

/// The header of the message's id. An id that is not signed is good for logs only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdProfile {
    pub(super) header: Text,
    pub(super) signed: bool,
}

/// By what a message is known to have come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Replay {
    /// By its signed id.
    Id,
    /// By its signature: the decoded bytes, under every secret.
    Signature,
}
