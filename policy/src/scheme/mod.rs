//! How a message is signed. One parametrised scheme covers every provider; presets and custom schemes are data for it.

mod encoding;
mod mac;
mod message;
mod preset;
mod profile;
mod secret;
mod sign;
mod template;
mod timestamp;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::headers::name::HeaderName;

use preset::PRESETS;
use profile::{Profile, SecretProfile, Separator, Text, TimestampProfile};
use template::Template;

pub use mac::Key;
pub use secret::SecretError;
pub(crate) use {
    encoding::{Encoding, hex_encode},
    mac::{Algorithm, Mac},
    message::Message,
    profile::Replay,
    timestamp::{Timestamp, Unit},
};

/// How a message is signed: the algorithm, where the signature, the timestamp and the id stand, and what is signed.
///
/// In JSON it is a preset's name (`"stripe"`) or an object with all parameters:
///
/// ```
/// # use hookgate_policy::Scheme;
/// let slack: Scheme = serde_json::from_str(r#"{
///     "algorithm": "hmac-sha256",
///     "secret": {"encoding": "raw"},
///     "signature": {"header": "X-Slack-Signature", "tag": "v0=", "encoding": "hex"},
///     "timestamp": {"header": "X-Slack-Request-Timestamp", "unit": "s", "tolerance": 300},
///     "signed": "v0:{timestamp}:{body}",
///     "replay": "signature"
/// }"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    algorithm: Algorithm,
    secret: SecretProfile,
    signature: SignatureRule,
    timestamp: Option<TimestampRule>,
    id: Option<IdRule>,
    signed: Template,
    replay: Replay,
}

/// Where signatures are, and how they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SignatureRule {
    header: HeaderName,
    items: Option<Separator>,
    tag: Text,
    encoding: Encoding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TimestampRule {
    place: Place,
    unit: Unit,
    tolerance_s: u64,
}

/// Where a timestamp is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In a header of its own.
    Header(HeaderName),
    /// In the item of the signature's header that begins so.
    Item(Text),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct IdRule {
    header: HeaderName,
    signed: bool,
}

impl Scheme {
    /// The largest tolerance, in seconds: a day.
    pub(crate) const MAX_TOLERANCE_S: u64 = 86_400;

    /// A scheme by name: `standard-webhooks`, `x-webhook-signature`, `stripe` or `github`.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let preset = PRESETS.iter().find(|preset| preset.name == name)?;
        Self::new(&preset.profile).ok()
    }

    /// The names that [`Self::preset`] knows.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// How far a timestamp may be from now, in seconds; `None` where messages carry none.
    pub(crate) fn tolerance_s(&self) -> Option<u64> {
        self.timestamp.as_ref().map(|rule| rule.tolerance_s)
    }

    pub(crate) const fn replay(&self) -> Replay {
        self.replay
    }

    /// The lower-case name of every header that the scheme reads.
    #[must_use]
    pub fn headers(&self) -> Vec<&str> {
        let timestamp = match self.timestamp.as_ref().map(|rule| &rule.place) {
            Some(Place::Header(name)) => Some(name),
            Some(Place::Item(_)) | None => None,
        };
        let id = self.id.as_ref().map(|rule| &rule.header);
        [Some(&self.signature.header), timestamp, id].into_iter().flatten().map(HeaderName::as_str).collect()
    }

    /// Checks that the parameters fit together. The error names the parameter.
    fn new(profile: &Profile) -> Result<Self, String> {
        let scheme = Self {
            algorithm: profile.algorithm,
            secret: profile.secret.clone(),
            signature: SignatureRule {
                header: header("signature.header", &profile.signature.header)?,
                items: profile.signature.items,
                tag: profile.signature.tag.clone(),
                encoding: profile.signature.encoding,
            },
            timestamp: profile.timestamp.as_ref().map(TimestampRule::new).transpose()?,
            id: match &profile.id {
                Some(id) => Some(IdRule { header: header("id.header", &id.header)?, signed: id.signed }),
                None => None,
            },
            signed: Template::parse(&profile.signed).map_err(|problem| format!("signed: {problem}"))?,
            replay: profile.replay,
        };
        scheme.check().map(|()| scheme).map_err(str::to_owned)
    }

    fn check(&self) -> Result<(), &'static str> {
        let signs_id = self.id.as_ref().is_some_and(|rule| rule.signed);
        let names = self.headers();
        let distinct = names
            .iter()
            .enumerate()
            .all(|(at, name)| !names.iter().skip(at.saturating_add(1)).any(|other| name == other));
        if !distinct {
            return Err("expected a header of its own for signature, timestamp and id");
        }
        if self.signed.signs_id() != signs_id {
            return Err("signed: expected `{id}` exactly where `id.signed` is true");
        }
        if self.signed.signs_timestamp() != self.timestamp.is_some() {
            return Err("signed: expected `{timestamp}` exactly where there is a `timestamp`");
        }
        if self.replay == Replay::Id && !signs_id {
            return Err("replay: expected \"signature\": an id that is not signed can be changed by anyone");
        }
        self.check_items()
    }

    /// A timestamp item and a signature must not be taken for each other.
    fn check_items(&self) -> Result<(), &'static str> {
        let Some(Place::Item(tag)) = self.timestamp.as_ref().map(|rule| &rule.place) else { return Ok(()) };
        if self.signature.items.is_none() {
            return Err("timestamp.item: expected `signature.items`");
        }
        if tag.starts_with(&*self.signature.tag) || self.signature.tag.starts_with(&**tag) {
            return Err("timestamp.item: expected another beginning than `signature.tag`");
        }
        Ok(())
    }
}

impl TimestampRule {
    fn new(profile: &TimestampProfile) -> Result<Self, String> {
        let place = match (&profile.header, &profile.item) {
            (Some(name), None) => Place::Header(header("timestamp.header", name)?),
            (None, Some(tag)) if !tag.is_empty() => Place::Item(tag.clone()),
            _ => return Err("timestamp: expected either `header` or `item`".to_owned()),
        };
        if !(1..=Scheme::MAX_TOLERANCE_S).contains(&profile.tolerance) {
            return Err(format!("timestamp.tolerance: expected 1–{} seconds", Scheme::MAX_TOLERANCE_S));
        }
        Ok(Self { place, unit: profile.unit, tolerance_s: profile.tolerance })
    }
}

fn header(parameter: &str, name: &str) -> Result<HeaderName, String> {
    HeaderName::parse(name)
        .ok_or_else(|| format!("{parameter}: expected a header name of letters, digits and hyphens"))
}

impl<'de> Deserialize<'de> for Scheme {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SchemeVisitor)
    }
}

struct SchemeVisitor;

impl<'de> Visitor<'de> for SchemeVisitor {
    type Value = Scheme;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scheme::presets().collect();
        write!(f, "an object, or one of {}", names.join(", "))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Scheme, E> {
        Scheme::preset(name).ok_or_else(|| E::invalid_value(de::Unexpected::Other("another name"), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scheme, A::Error> {
        let profile = Profile::deserialize(MapAccessDeserializer::new(map))?;
        Scheme::new(&profile).map_err(de::Error::custom)
    }
}
