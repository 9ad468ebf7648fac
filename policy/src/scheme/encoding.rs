//! Bytes as text, in exactly one way: lower-case hex, canonical padded base64. Any other spelling of the same bytes is
//! refused, so that a signature has one text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// Lower-case hex.
    Hex,
    /// The standard alphabet, padded, no set trailing bits.
    Base64,
}

impl Encoding {
    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex_decode(text),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex_encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }
}

pub(crate) fn hex_encode(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn hex_decode(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((hex_digit(*high)? << 4) | hex_digit(*low)?)).collect()
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_decodes() {
        let table: [(&str, Encoding, &str, Option<&[u8]>); 13] = [
            ("hex", Encoding::Hex, "00ff10", Some(&[0x00, 0xff, 0x10])),
            ("nothing is nothing", Encoding::Hex, "", Some(&[])),
            ("upper case", Encoding::Hex, "00FF10", None),
            ("odd", Encoding::Hex, "00f", None),
            ("a sign", Encoding::Hex, "+1", None),
            ("not hex", Encoding::Hex, "0g", None),
            ("not ASCII", Encoding::Hex, "é", None),
            ("base64", Encoding::Base64, "AAE=", Some(&[0, 1])),
            ("trailing bits", Encoding::Base64, "AAF=", None),
            ("no padding", Encoding::Base64, "AAE", None),
            ("more padding", Encoding::Base64, "AAE==", None),
            ("URL-safe letters", Encoding::Base64, "-_-_", None),
            ("a line break", Encoding::Base64, "AAE=\n", None),
        ];
        for (promise, encoding, text, bytes) in table {
            assert_eq!(encoding.decode(text.as_bytes()).as_deref(), bytes, "{promise}");
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Hex, Encoding::Base64] {
            assert_eq!(encoding.decode(encoding.encode(&bytes).as_bytes()), Some(bytes.clone()));
        }
    }
}
