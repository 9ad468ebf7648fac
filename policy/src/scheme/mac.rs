//! Keyed hashes: a key that is ready to use, and one that is being fed. A new algorithm is a variant here.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// How a scheme authenticates. Bound to the scheme; never read from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Algorithm {
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

impl Algorithm {
    /// The length of a signature, in bytes.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
        }
    }

    /// `None` for key bytes that the algorithm cannot take. An empty key is the caller's to refuse.
    pub(super) fn key(self, bytes: &[u8]) -> Option<Key> {
        match self {
            Self::HmacSha256 => Hmac::new_from_slice(bytes).ok().map(Mac::HmacSha256).map(Key),
        }
    }
}

/// A secret, ready to sign and verify with; made by [`Scheme::key`](crate::Scheme::key). Holds the keyed state of the
/// hash rather than the secret's text, never shows it, and wipes it when dropped.
#[derive(Clone)]
pub struct Key(Mac);

impl Key {
    pub(crate) fn start(&self) -> Mac {
        self.0.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// A hash in the making. One state for every key, fed as the body arrives.
#[derive(Clone)]
pub(crate) enum Mac {
    HmacSha256(Hmac<Sha256>),
}

impl Mac {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::HmacSha256(mac) => mac.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::HmacSha256(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}
