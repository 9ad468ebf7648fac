//! Header names: tokens without regard to case, and their twins spelled with underscores, which backends fold into the
//! same variable.

use std::fmt;

/// A header name, kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderName(Box<str>);

impl HeaderName {
    /// The longest name, in bytes.
    const MAX: usize = 128;

    /// `None` for what cannot be a header name here: 1–128 of letters, digits and hyphens.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fine = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fine.then(|| Self(text.to_ascii_lowercase().into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How the name of a header line relates to this one.
    pub(crate) fn compare(&self, name: &[u8]) -> Likeness {
        Likeness::of(name, self.0.as_bytes())
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the name of a header line relates to a name we look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// It is this name.
    Same,
    /// Backends that turn hyphens into underscores would take it for this name.
    Twin,
    /// It is another name.
    Other,
}

impl Likeness {
    /// Compares `name` with `wanted`, which is in lower case and without underscores.
    pub(crate) fn of(name: &[u8], wanted: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(wanted) {
            return Self::Same;
        }
        let folds = name.len() == wanted.len() && name.iter().zip(wanted).all(|(a, b)| fold(*a) == *b);
        if folds { Self::Twin } else { Self::Other }
    }
}

/// One byte of a name as a folding backend sees it.
pub(crate) const fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_twins_are_noticed() {
        let name = HeaderName::parse("Webhook-Signature").unwrap();
        let table = [
            ("webhook-signature", Likeness::Same),
            ("WEBHOOK-SIGNATURE", Likeness::Same),
            ("webhook_signature", Likeness::Twin),
            ("Webhook_Signature", Likeness::Twin),
            ("webhook-signatures", Likeness::Other),
            ("webhook signature", Likeness::Other),
            ("", Likeness::Other),
        ];
        for (other, likeness) in table {
            assert_eq!(name.compare(other.as_bytes()), likeness, "{other}");
        }
    }

    #[test]
    fn only_plain_tokens_are_names() {
        for text in ["", "x_y", "x y", "x:y", "é", &"x".repeat(129)] {
            assert_eq!(HeaderName::parse(text), None, "{text}");
        }
    }
}
