//! A key that seals texts and opens them.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};

/// The form of a sealed text: this, the key's id, and base64 of nonce, text and tag, with dots between.
const FORM: &str = "v1";

/// A text that is no key. Never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the base64 of 32 random bytes")]
pub struct InvalidSealKey;

/// An AES-256-GCM key, and the id that what it sealed is known by: beginning of a hash, which tells nothing of the key.
/// Its `Debug` shows the id only.
#[derive(Clone)]
pub struct SealKey {
    id: String,
    key: LessSafeKey,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealKey {
    /// A key of 32 random bytes; `None` for another number.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let hash = digest(&SHA256, &[b"hookgate seal key\n", bytes].concat());
        let id = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, key })
    }

    /// Eight hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a text for `whose` eyes. `entropy`: 128 random bits, of which 96 become the nonce; a key is good for
    /// billions of texts.
    pub(super) fn seal(&self, mut text: Vec<u8>, whose: &str, entropy: u128) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        nonce.iter_mut().zip(entropy.to_be_bytes()).for_each(|(byte, random)| *byte = random);
        let unique = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(unique, Aad::from(whose.as_bytes()), &mut text).ok()?;
        let all = [nonce.as_slice(), &text].concat();
        Some(format!("{FORM}.{}.{}", self.id, STANDARD.encode(all)))
    }

    /// Opens what [`Self::seal`] made; `None` when it was changed or is somebody else's.
    pub(super) fn open(&self, sealed: &str, whose: &str) -> Option<Vec<u8>> {
        let (_, text) = parts(sealed)?;
        let all = STANDARD.decode(text).ok()?;
        let (nonce, text) = all.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.open_in_place(nonce, Aad::from(whose.as_bytes()), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

impl FromStr for SealKey {
    type Err = InvalidSealKey;

    fn from_str(text: &str) -> Result<Self, InvalidSealKey> {
        STANDARD.decode(text).ok().and_then(|bytes| Self::new(&bytes)).ok_or(InvalidSealKey)
    }
}

/// The id of the key that a text is sealed with.
pub(super) fn id_of(sealed: &str) -> Option<&str> {
    parts(sealed).map(|(id, _)| id)
}

fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(FORM)?.strip_prefix('.')?.split_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealKey {
        SealKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_key_is_the_base64_of_32_bytes() {
        for (length, sound) in [(0, false), (16, false), (31, false), (32, true), (33, false)] {
            let text = STANDARD.encode(vec![7; length]);
            assert_eq!(text.parse::<SealKey>().is_ok(), sound, "{length}");
        }
        assert!("not base64".parse::<SealKey>().is_err());
        let shown = format!("{:?}", key(7));
        assert!(shown.contains(key(7).id()) && !shown.contains(&STANDARD.encode([7; 32])), "{shown}");
        assert_ne!(key(7).id(), key(8).id());
    }

    #[test]
    fn a_sealed_text_opens_with_its_key_for_whom_it_was_sealed_and_only_unchanged() {
        let sealed = key(7).seal(b"text".to_vec(), "us", 1).unwrap();
        assert_eq!(id_of(&sealed), Some(key(7).id()));
        assert_eq!(key(7).open(&sealed, "us").as_deref(), Some(b"text".as_slice()));
        assert_eq!(key(7).open(&sealed, "them"), None);
        assert_eq!(key(8).open(&sealed, "us"), None);
        let (head, text) = sealed.rsplit_once('.').unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(key(7).open(&format!("{head}.{}", STANDARD.encode(changed)), "us"), None, "{at}");
        }
        for other in ["", "v1", "v1.id", "v1.id.", "v1.id.AAAA", "v1.id.***", "v2.id.AAAA"] {
            assert_eq!(key(7).open(other, "us"), None, "{other}");
        }
    }
}
