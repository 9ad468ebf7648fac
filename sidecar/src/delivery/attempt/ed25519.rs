//! Ed25519 keys in the form of Standard Webhooks: `whsk_` signs, `whpk_` is for everybody who verifies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::model::{Secret, SecretKind};

const PUBLIC_PREFIX: &str = "whpk_";

/// A key that signs. Its `Debug` is ring's, which shows the public half only.
#[derive(Debug)]
pub struct Ed25519Key(Ed25519KeyPair);

impl Ed25519Key {
    /// Reads `whsk_` and the base64 of the 32 bytes of a seed, or of 64: the seed and the public key that belongs to
    /// it. `None` for any other text.
    #[must_use]
    pub fn parse(secret: &Secret) -> Option<Self> {
        let text = secret.0.strip_prefix(SecretKind::Ed25519.prefix())?;
        let bytes = STANDARD.decode(text).ok()?;
        match bytes.split_at_checked(32)? {
            (seed, []) => Ed25519KeyPair::from_seed_unchecked(seed),
            (seed, public) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
        }
        .ok()
        .map(Self)
    }

    /// The text of the key that grows from a seed of 256 random bits, with its public half.
    #[must_use]
    pub fn text(seed: &[u8; 32]) -> Option<Secret> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let both = [seed.as_slice(), pair.public_key().as_ref()].concat();
        Some(Secret(format!("{}{}", SecretKind::Ed25519.prefix(), STANDARD.encode(both))))
    }

    /// The key that subscribers verify with: `whpk_` and base64.
    #[must_use]
    pub fn public_text(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.0.public_key()))
    }

    /// The signature of a message, base64.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.0.sign(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The key pair that Svix publishes in its documentation.
    const PRIVATE: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const SEED: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    #[test]
    fn a_key_tells_its_public_half() {
        for text in [PRIVATE, SEED] {
            assert_eq!(Ed25519Key::parse(&secret(text)).unwrap().public_text(), PUBLIC, "{text}");
        }
        let made = Ed25519Key::text(&[7; 32]).unwrap();
        let (pair, seed) = (Ed25519Key::parse(&made).unwrap(), STANDARD.encode([7; 32]));
        let from_seed = Ed25519Key::parse(&secret(&format!("whsk_{seed}"))).unwrap();
        assert_eq!(pair.public_text(), from_seed.public_text());
    }

    #[test]
    fn other_texts_are_no_keys() {
        for (promise, text) in [
            ("the public half does not sign", PUBLIC),
            ("a public half of another key", &PRIVATE.replace("1SiA", "1SiB").replace("fVKI", "fVKJ")),
            ("nothing", "whsk_"),
            ("no prefix", PRIVATE.strip_prefix("whsk_").unwrap()),
            ("a byte short", "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMQ=="),
            ("no base64", "whsk_***"),
            ("a secret of the other kind", "whsec_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="),
        ] {
            assert!(Ed25519Key::parse(&secret(text)).is_none(), "{promise}");
        }
    }
}
