//! First in, first out: in which line of its endpoint a delivery stands. Pure; every store decides with this.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::InvalidId;

/// Which of an endpoint's deliveries wait for each other. Counts for what is accepted from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// None.
    #[default]
    None,
    /// All.
    Endpoint,
    /// Those whose events carry the same ordering key; one without a key waits for nobody.
    Key,
}

impl Ordering {
    /// The line in which a delivery of an event with this key stands, if in any.
    #[must_use]
    pub fn line(self, key: Option<&OrderingKey>) -> Option<Line> {
        match self {
            Self::None => None,
            Self::Endpoint => Some(Line::Endpoint),
            Self::Key => key.cloned().map(Line::Key),
        }
    }
}

/// What events have in common that must arrive in order, an account's number or the like: 1–256 bytes without control
/// characters, opaque to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrderingKey(Arc<str>);

impl OrderingKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderingKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId { expected: "an ordering key: 1–256 bytes, no control characters" })
        }
    }
}

impl Serialize for OrderingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OrderingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One of an endpoint's lines: of what stands in it one is tried at a time, in the order in which it came. A delivery
/// keeps its line for life, as text in the store: `=`, and the key if it is a key's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Line {
    /// The endpoint's own.
    Endpoint,
    /// That of a key.
    Key(OrderingKey),
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint => f.write_str("="),
            Self::Key(key) => write!(f, "={}", key.as_str()),
        }
    }
}

impl FromStr for Line {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.strip_prefix('=') {
            Some("") => Ok(Self::Endpoint),
            Some(key) => key.parse().map(Self::Key),
            None => Err(InvalidId { expected: "a line: = and perhaps a key" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_stands_in_the_line_that_its_endpoint_asks_for() {
        let key: OrderingKey = "a".parse().unwrap();
        let table = [
            (Ordering::None, Some(&key), None),
            (Ordering::Endpoint, None, Some(Line::Endpoint)),
            (Ordering::Endpoint, Some(&key), Some(Line::Endpoint)),
            (Ordering::Key, None, None),
            (Ordering::Key, Some(&key), Some(Line::Key(key.clone()))),
        ];
        for (ordering, key, expected) in table {
            assert_eq!(ordering.line(key), expected, "{ordering:?} with {key:?}");
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for key in ["=", "é=\u{1f980} ", &"k".repeat(256)] {
            let line = Line::Key(key.parse().unwrap());
            assert_eq!(line.to_string().parse(), Ok(line), "{key}");
        }
        assert_eq!(Line::Endpoint.to_string().parse(), Ok(Line::Endpoint));
        assert!("key".parse::<Line>().is_err() && "".parse::<Line>().is_err());
    }

    #[test]
    fn a_key_is_neither_empty_nor_long_nor_a_control_character() {
        for text in ["", &"k".repeat(257), "a\nb", "\0"] {
            assert!(text.parse::<OrderingKey>().is_err(), "{text:?}");
        }
    }
}
