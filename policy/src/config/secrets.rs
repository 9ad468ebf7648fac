//! Secrets of a source: references in the document, texts from the host. The texts, and whatever stands where a
//! reference should, are never shown.

use zeroize::Zeroizing;

use crate::{Key, Scheme};

use super::{PolicyError, check::At};

/// The most secrets of a source. Each costs a hash over every body.
const MAX: usize = 4;

/// What a list of secrets looks like; the problem of whatever else stands there.
pub(super) const EXPECTED: &str = "expected a list of 1–4 references such as \"env:HOOKGATE_SECRET_ACME\"";

/// The keys behind `references`, in their order.
pub(super) fn read(
    references: &[String],
    scheme: &Scheme,
    at: &At,
    resolve: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Vec<Key>, PolicyError> {
    if !(1..=MAX).contains(&references.len()) {
        return Err(at.wrong(EXPECTED));
    }
    let keys = references.iter().enumerate().map(|(index, reference)| {
        let at = at.index(index);
        at.expect(is_reference(reference), "a reference such as \"env:HOOKGATE_SECRET_ACME\"")?;
        let text = resolve(reference).map(Zeroizing::new);
        let text = text.ok_or_else(|| {
            at.wrong("the reference does not resolve: is the variable set for this process?")
        })?;
        scheme.key(&text).map_err(|error| at.wrong(error.to_string()))
    });
    keys.collect()
}

/// `env:` and the name of an environment variable.
fn is_reference(text: &str) -> bool {
    let Some(name) = text.strip_prefix("env:") else { return false };
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&name.len())
        && name.bytes().all(fine)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}
