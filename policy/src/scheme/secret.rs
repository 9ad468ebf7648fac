//! Secrets as operators paste them, turned into keys. What would verify for everyone, or for no one, is refused here.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    Encoding, Key, Scheme,
    profile::{SecretEncoding, SecretProfile},
};

/// A text that cannot be a secret of a scheme. Never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing, or nothing but the prefix: an HMAC with an empty key verifies for everyone.
    #[error("the secret is empty")]
    Empty,
    /// White space around it, such as the newline of a file: it would never verify.
    #[error("the secret begins or ends in white space")]
    WhiteSpace,
    /// The scheme wants it encoded, and it is not.
    #[error("the secret is not {0}")]
    Encoding(&'static str),
    /// The algorithm takes no such key.
    #[error("the secret has a length that the algorithm does not take")]
    Length,
}

impl Scheme {
    /// Reads a secret as the provider shows it: text, base64 or hex, with or without its prefix, as the scheme says.
    ///
    /// ```
    /// # use hookgate_policy::{Scheme, SecretError};
    /// let scheme = Scheme::preset("standard-webhooks").ok_or("no such preset")?;
    /// assert!(scheme.key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
    /// assert_eq!(scheme.key("whsec_").err(), Some(SecretError::Empty));
    /// # Ok::<(), &str>(())
    /// ```
    ///
    /// # Errors
    /// [`SecretError`]: what is wrong with it.
    pub fn key(&self, secret: &str) -> Result<Key, SecretError> {
        let bytes = self.secret.decode(secret)?;
        if bytes.is_empty() {
            return Err(SecretError::Empty);
        }
        self.algorithm.key(&bytes).ok_or(SecretError::Length)
    }
}

impl SecretProfile {
    fn decode(&self, secret: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        if secret.trim().len() != secret.len() {
            return Err(SecretError::WhiteSpace);
        }
        let text = secret.strip_prefix(&*self.prefix).unwrap_or(secret);
        let bytes = match self.encoding {
            SecretEncoding::Raw => Some(text.as_bytes().to_vec()),
            SecretEncoding::Base64 => STANDARD.decode(text).ok(),
            SecretEncoding::Hex => Encoding::Hex.decode(text.as_bytes()),
        };
        bytes.map(Zeroizing::new).ok_or(SecretError::Encoding(self.encoding.name()))
    }
}

impl SecretEncoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "text",
            Self::Base64 => "padded base64",
            Self::Hex => "lower-case hex",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_cannot_be_are_refused() {
        let (encoded, text) = ("standard-webhooks", "github");
        let table = [
            (encoded, "whsec_c2VjcmV0", Ok(())),
            (encoded, "c2VjcmV0", Ok(())),
            (encoded, "", Err(SecretError::Empty)),
            (encoded, "whsec_", Err(SecretError::Empty)),
            (encoded, "whsec_c2VjcmV", Err(SecretError::Encoding("padded base64"))),
            (encoded, "whsec_whsec_c2VjcmV0", Err(SecretError::Encoding("padded base64"))),
            (encoded, "whsec_c2VjcmV0\n", Err(SecretError::WhiteSpace)),
            (text, "It's a Secret to Everybody", Ok(())),
            (text, "pä$$wörd", Ok(())),
            (text, "", Err(SecretError::Empty)),
            (text, " ", Err(SecretError::WhiteSpace)),
            (text, "secret\r\n", Err(SecretError::WhiteSpace)),
            (text, "\u{a0}secret", Err(SecretError::WhiteSpace)),
        ];
        for (preset, secret, outcome) in table {
            let scheme = Scheme::preset(preset).unwrap();
            assert_eq!(scheme.key(secret).map(drop), outcome, "{preset}: {secret:?}");
        }
    }

    #[test]
    fn a_key_never_shows_its_secret() {
        let key = Scheme::preset("github").unwrap().key("hunter2").unwrap();
        assert_eq!(format!("{key:?}"), "Key(redacted)");
    }
}
