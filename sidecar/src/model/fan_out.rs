//! Which endpoints an event goes to. Pure; every store decides with this.

use std::borrow::Borrow;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Endpoint, Event, EventType, InvalidId};

/// A pattern over event types: `*` stands for any run of characters, dots too; all else for itself. 1–128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `event_type` fits. Linear in both: `*` only ever moves forward.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| event_type.as_str().strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl FromStr for Glob {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:*".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(sound) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { expected: "a pattern: 1–128 of A–Z a–z 0–9 _ - . / : *" })
        }
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An event as its tenant's endpoints see it: its type, and its payload as JSON, which is read once, and only if one
/// of them has a filter.
#[derive(Debug)]
pub struct Sight<'a> {
    event: &'a Event,
    json: OnceLock<Option<Value>>,
}

impl<'a> Sight<'a> {
    /// Of this event.
    #[must_use]
    pub const fn of(event: &'a Event) -> Self {
        Self { event, json: OnceLock::new() }
    }

    /// Whether an endpoint of its tenant gets it.
    fn is_for(&self, endpoint: &Endpoint) -> bool {
        endpoint.accepts()
            && endpoint.event_types.iter().any(|glob| glob.matches(&self.event.event_type))
            && endpoint
                .filter
                .as_ref()
                .is_none_or(|filter| self.json().is_some_and(|json| filter.matches(json)))
    }

    fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.event.payload).ok()).as_ref()
    }
}

/// Those of one tenant's endpoints that get an event, in their given order.
pub fn matching<'a, E: Borrow<Endpoint> + 'a>(
    endpoints: impl IntoIterator<Item = &'a E>,
    sight: &Sight<'_>,
) -> impl Iterator<Item = &'a E> {
    endpoints.into_iter().filter(|endpoint| sight.is_for((*endpoint).borrow()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_fits_the_whole_type_or_not_at_all() {
        let table = [
            ("*", "order.created", true),
            ("order.*", "order.created", true),
            ("order.*", "order.", true),
            ("order.*", "order", false),
            ("order.*", "reorder.created", false),
            ("*.created", "order.item.created", true),
            ("*.created", "order.created.late", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("order.created", "order.created", true),
            ("order.created", "order.created2", false),
        ];
        for (pattern, event_type, expected) in table {
            let (glob, event_type): (Glob, EventType) =
                (pattern.parse().unwrap(), event_type.parse().unwrap());
            assert_eq!(glob.matches(&event_type), expected, "{pattern} over {event_type}");
        }
    }
}
