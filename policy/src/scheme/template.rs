//! What is signed: `{id}.{timestamp}.{body}`, taken apart once. Only forms whose parts cannot be shifted into each
//! other are taken.

/// The text that is signed, up to the body. The body always comes last, so that it can be fed as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Id,
    Timestamp,
}

impl Template {
    /// The longest template, in bytes.
    const MAX: usize = 256;

    /// Takes `text` apart.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let before_body = text.strip_suffix("{body}").ok_or("expected `{body}` at the end")?;
        if text.len() > Self::MAX {
            return Err("expected at most 256 bytes");
        }
        let (mut parts, mut rest) = (Vec::new(), before_body);
        while let Some((part, after)) = next_part(rest)? {
            if part.is_variable() && parts.contains(&part) {
                return Err("expected each variable once");
            }
            parts.push(part);
            rest = after;
        }
        let template = Self(parts);
        template.refuse_shifting_boundaries()?;
        Ok(template)
    }

    pub(super) fn signs_id(&self) -> bool {
        self.0.contains(&Part::Id)
    }

    pub(super) fn signs_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }

    /// Whether the end of `id` could be read elsewhere: the literal that follows it begins inside it.
    pub(super) fn is_ambiguous(&self, id: &[u8]) -> bool {
        let Some(literal) = self.after(&Part::Id) else { return false };
        let text = [id, literal].concat();
        text.windows(literal.len().max(1)).position(|window| window == literal) != Some(id.len())
    }

    /// The signed bytes before the body.
    pub(super) fn opening(&self, id: &[u8], timestamp: &[u8]) -> Vec<u8> {
        let bytes = self.0.iter().map(|part| match part {
            Part::Literal(literal) => literal.as_slice(),
            Part::Id => id,
            Part::Timestamp => timestamp,
        });
        bytes.flatten().copied().collect()
    }

    /// An id ends at the literal behind it. A timestamp is digits only, so that anything but a digit ends it; directly
    /// before the body nothing does, and the window alone keeps it in place.
    fn refuse_shifting_boundaries(&self) -> Result<(), &'static str> {
        if self.signs_id() && self.after(&Part::Id).is_none() {
            return Err("expected literal text after `{id}`");
        }
        let digit_follows =
            self.after(&Part::Timestamp).and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit);
        if digit_follows || self.0.windows(2).any(|pair| pair == [Part::Timestamp, Part::Id]) {
            return Err("expected something that is no digit after `{timestamp}`");
        }
        Ok(())
    }

    fn after(&self, part: &Part) -> Option<&[u8]> {
        let mut parts = self.0.iter().skip_while(|candidate| *candidate != part).skip(1);
        match parts.next()? {
            Part::Literal(literal) => Some(literal),
            Part::Id | Part::Timestamp => None,
        }
    }
}

impl Part {
    const fn is_variable(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Id | Self::Timestamp => true,
        }
    }
}

/// The first part of `text` and what comes after it; `None` at the end.
fn next_part(text: &str) -> Result<Option<(Part, &str)>, &'static str> {
    let (literal, variable) = text.split_once('{').unwrap_or((text, ""));
    if !literal.is_empty() {
        let after = text.strip_prefix(literal).unwrap_or_default();
        return Ok(Some((Part::Literal(literal.as_bytes().to_vec()), after)));
    }
    if text.is_empty() {
        return Ok(None);
    }
    match variable.split_once('}') {
        Some(("id", after)) => Ok(Some((Part::Id, after))),
        Some(("timestamp", after)) => Ok(Some((Part::Timestamp, after))),
        Some(("url" | "form", _)) => Err("`{url}` and `{form}` are not supported"),
        _ => Err("expected only `{id}`, `{timestamp}`, `{body}` and literal text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_could_be_read_in_two_ways_are_refused() {
        let table = [
            ("{id}.{timestamp}.{body}", true),
            ("v0:{timestamp}:{body}", true),
            ("{timestamp}{body}", true),
            ("{body}", true),
            ("", false),
            ("{id}.{timestamp}", false),
            ("{body}.{timestamp}", false),
            ("{id}{timestamp}.{body}", false),
            ("{id}{body}", false),
            ("{timestamp}{id}.{body}", false),
            ("{timestamp}0{body}", false),
            ("{id}.{id}.{body}", false),
            ("{body}{body}", false),
            ("{url}{body}", false),
            ("{secret}{body}", false),
            ("{id{body}", false),
        ];
        for (text, fine) in table {
            assert_eq!(Template::parse(text).is_ok(), fine, "{text}");
        }
        assert!(Template::parse(&format!("{}{{body}}", "x".repeat(251))).is_err());
    }

    #[test]
    fn an_id_that_holds_the_separator_is_ambiguous() {
        let table = [
            ("{id}.{timestamp}.{body}", "msg_1", false),
            ("{id}.{timestamp}.{body}", "msg.1", true),
            ("{id}.{timestamp}.{body}", ".", true),
            ("{id}::{timestamp}.{body}", "a:b", false),
            ("{id}::{timestamp}.{body}", "a:", true),
            ("{id}::{timestamp}.{body}", "a::b", true),
            ("{timestamp}.{body}", "not.signed", false),
        ];
        for (text, id, ambiguous) in table {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.is_ambiguous(id.as_bytes()), ambiguous, "{text} with {id}");
        }
    }

    #[test]
    fn the_opening_is_what_comes_before_the_body() {
        let template = Template::parse("v0:{id}.{timestamp}|{body}").unwrap();
        assert_eq!(template.opening(b"msg", b"17"), b"v0:msg.17|");
    }
}
