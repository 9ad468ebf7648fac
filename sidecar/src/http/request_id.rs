//! The id of a request on the admin listener; on the data listener the policy decides it by the same rule.

use http::HeaderMap;

use crate::clock::Millis;
use crate::entropy::Entropy;

/// The header that carries it, in both directions.
pub(super) const HEADER: &str = "x-request-id";

/// The client's id if there is exactly one line of 1–128 of `A–Z a–z 0–9 . _ : / + = @ -`, else a new one.
pub(super) fn of(headers: &HeaderMap, now: Millis, entropy: Entropy) -> String {
    let mut lines = headers.get_all(HEADER).into_iter();
    let (first, second) = (lines.next(), lines.next());
    let text = first.and_then(|value| value.to_str().ok()).filter(|text| second.is_none() && is_sound(text));
    text.map_or_else(|| fresh(now, entropy), str::to_owned)
}

fn is_sound(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/+=@-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(sound)
}

fn fresh(now: Millis, entropy: Entropy) -> String {
    let [_, _, _, _, _, _, random @ ..] = entropy().to_be_bytes();
    uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usable_id_is_kept_and_any_other_replaced() {
        let table: [(&[&str], Option<&str>); 6] = [
            (&["abc-1"], Some("abc-1")),
            (&[], None),
            (&[""], None),
            (&["a b"], None),
            (&["a", "a"], None),
            (&["\"quoted\""], None),
        ];
        for (lines, kept) in table {
            let headers =
                lines.iter().map(|line| (http::HeaderName::from_static(HEADER), line.parse().unwrap()));
            let id = of(&headers.collect(), Millis(5), || 9);
            assert_eq!(Some(id.as_str()).filter(|id| id.len() < 36), kept, "{lines:?}");
        }
    }
}
