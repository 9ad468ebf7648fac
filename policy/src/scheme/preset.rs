//! The schemes known by name. A preset is a row of data; no code anywhere asks for a provider's name.

use std::borrow::Cow::Borrowed;

use super::{
    Algorithm, Encoding, Unit,
    profile::{
        IdProfile, Profile, Replay, SecretEncoding, SecretProfile, Separator, SignatureProfile,
        TimestampProfile,
    },
};

/// A named scheme.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) profile: Profile,
}

/// Five minutes, as Standard Webhooks and Stripe have it.
const TOLERANCE_S: u64 = 300;

/// Stripe's form: the timestamp is an item beside the signatures. `whsec_` is part of the key.
const fn stripe_like(header: &'static str) -> Profile {
    Profile {
        algorithm: Algorithm::HmacSha256,
        secret: SecretProfile { encoding: SecretEncoding::Raw, prefix: Borrowed("") },
        signature: SignatureProfile {
            header: Borrowed(header),
            items: Some(Separator::Comma),
            tag: Borrowed("v1="),
            encoding: Encoding::Hex,
        },
        timestamp: Some(TimestampProfile {
            header: None,
            item: Some(Borrowed("t=")),
            unit: Unit::Seconds,
            tolerance: TOLERANCE_S,
        }),
        id: None,
        signed: Borrowed("{timestamp}.{body}"),
        replay: Replay::Signature,
    }
}

pub(super) static PRESETS: [Preset; 4] = [
    // Standard Webhooks 1.0.0, symmetric.
    Preset {
        name: "standard-webhooks",
        profile: Profile {
            algorithm: Algorithm::HmacSha256,
            secret: SecretProfile { encoding: SecretEncoding::Base64, prefix: Borrowed("whsec_") },
            signature: SignatureProfile {
                header: Borrowed("webhook-signature"),
                items: Some(Separator::Space),
                tag: Borrowed("v1,"),
                encoding: Encoding::Base64,
            },
            timestamp: Some(TimestampProfile {
                header: Some(Borrowed("webhook-timestamp")),
                item: None,
                unit: Unit::Seconds,
                tolerance: TOLERANCE_S,
            }),
            id: Some(IdProfile { header: Borrowed("webhook-id"), signed: true }),
            signed: Borrowed("{id}.{timestamp}.{body}"),
            replay: Replay::Id,
        },
    },
    Preset { name: "x-webhook-signature", profile: stripe_like("x-webhook-signature") },
    Preset { name: "stripe", profile: stripe_like("stripe-signature") },
    // GitHub signs the body alone: no timestamp, and a delivery id that anyone can change.
    Preset {
        name: "github",
        profile: Profile {
            algorithm: Algorithm::HmacSha256,
            secret: SecretProfile { encoding: SecretEncoding::Raw, prefix: Borrowed("") },
            signature: SignatureProfile {
                header: Borrowed("x-hub-signature-256"),
                items: None,
                tag: Borrowed("sha256="),
                encoding: Encoding::Hex,
            },
            timestamp: None,
            id: Some(IdProfile { header: Borrowed("x-github-delivery"), signed: false }),
            signed: Borrowed("{body}"),
            replay: Replay::Signature,
        },
    },
];

#[cfg(test)]
mod tests {
    use crate::Scheme;

    use super::*;

    #[test]
    fn every_preset_is_a_scheme() {
        for preset in &PRESETS {
            assert!(Scheme::preset(preset.name).is_some(), "{}", preset.name);
        }
        assert!(Scheme::preset("").is_none());
        assert!(Scheme::preset("Stripe").is_none());
    }

    #[test]
    fn a_preset_is_what_its_vectors_were_made_with() {
        for preset in &PRESETS {
            let file = format!("{}/../tests/vectors/{}.json", env!("CARGO_MANIFEST_DIR"), preset.name);
            let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
            let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let profile: Profile = serde_json::from_value(file["profile"].clone()).unwrap();
            assert_eq!(Scheme::new(&profile).ok(), Scheme::preset(preset.name), "{}", preset.name);
        }
    }
}
