//! One text out of a JSON document, by pointer (RFC 6901), without building the document: memory stays that of the
//! text, whatever is sent.

use std::fmt::{self, Formatter};

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The text at `pointer`; `None` where there is none, or the document is not JSON up to there. Of two members of one
/// name the first counts.
pub(super) fn text_at(json: &[u8], pointer: &str) -> Option<String> {
    let tokens: Vec<String> =
        pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    let mut found = None;
    let walk = Walk { rest: &tokens, found: &mut found };
    // What follows the text may be anything: the signature was for the bytes, not for their form.
    match walk.deserialize(&mut serde_json::Deserializer::from_slice(json)) {
        Ok(()) | Err(_) => found,
    }
}

/// One step down: at the end of the pointer a text is taken, before it a member or element is entered.
struct Walk<'a> {
    rest: &'a [String],
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("what the pointer leads to")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.rest.is_empty() {
            *self.found = Some(text.to_owned());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut step = self.rest.split_first();
        while let Some(key) = map.next_key::<String>()? {
            match step.take_if(|(token, _)| **token == key) {
                Some((_, rest)) => map.next_value_seed(Walk { rest, found: &mut *self.found })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((token, rest)) = self.rest.split_first() else { return Ok(()) };
        let Ok(index) = token.parse::<usize>() else { return Ok(()) };
        for _before in 0..index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(Walk { rest, found: self.found })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_text_and_nothing_else() {
        let document = r#"{"n":1,"a":[{"x":"no"},{"x/y":"yes","~":"tilde"}],"type":"t","type":"second"}"#;
        let table = [
            ("/type", Some("t")),
            ("/a/1/x~1y", Some("yes")),
            ("/a/1/~0", Some("tilde")),
            ("/a/0/x", Some("no")),
            ("/a/2/x", None),
            ("/a/x", None),
            ("/a", None),
            ("/n", None),
            ("/none", None),
            ("", None),
        ];
        for (pointer, expected) in table {
            assert_eq!(text_at(document.as_bytes(), pointer).as_deref(), expected, "{pointer}");
        }
        assert_eq!(text_at(b"", "/type"), None);
        assert_eq!(text_at(b"[1", "/1"), None);
        assert_eq!(text_at("[".repeat(100_000).as_bytes(), "/0"), None);
    }
}
