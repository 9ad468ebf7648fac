//! Signing secrets: made where one is missing, and changed over with a time in which the old one still signs.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use serde::Deserialize;

use super::limits::{Invalid, MAX_SECRETS, check_secret};
use crate::clock::Millis;
use crate::delivery::attempt::Ed25519Key;
use crate::entropy::Entropy;
use crate::model::{Endpoint, Secret, SecretKind, SigningScheme, SigningSecret, default_signing};

/// Longest grace, seconds: a week.
const MAX_GRACE_S: u32 = 7 * 86_400;

/// How secrets are changed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// How long the old ones go on signing beside the new ones, seconds, 0–604 800, default 86 400 (a day).
    pub grace_s: u32,
    /// The new one; without it a new one is made of each kind that the endpoint is signed with.
    pub secret: Option<Secret>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { grace_s: 86_400, secret: None }
    }
}

/// Puts new secrets first. Those before them end after the grace, unless they end sooner; of each kind the newest three
/// stay. Answers the new `whsec_` secret: a private key is shown to nobody.
///
/// # Errors
/// `grace_s` or `secret` out of bounds; the endpoint is then as it was.
pub fn rotate(
    endpoint: &mut Endpoint,
    rotation: Rotation,
    now: Millis,
    entropy: Entropy,
) -> Result<Option<Secret>, Invalid> {
    if rotation.grace_s > MAX_GRACE_S {
        return Err(Invalid::new("grace_s", "expected 0–604800"));
    }
    let kinds: BTreeSet<_> = endpoint.signing.iter().map(|scheme| scheme.kind()).collect();
    let new = match rotation.secret {
        Some(text) => vec![brought(text, &kinds)?],
        None => kinds.into_iter().filter_map(|kind| fresh(kind, entropy)).collect(),
    };
    let shown = new.iter().find(|secret| secret.kind() == SecretKind::Symmetric);
    let shown = shown.map(|secret| secret.text.clone());
    let end = now.plus(Duration::from_secs(rotation.grace_s.into()));
    for secret in new {
        succeed(&mut endpoint.secrets, secret, end, now);
    }
    endpoint.updated_at = now;
    Ok(shown)
}

/// A secret that somebody brings along: sound, and of a kind that is used.
fn brought(text: Secret, kinds: &BTreeSet<SecretKind>) -> Result<SigningSecret, Invalid> {
    let secret = SigningSecret::from(text);
    check_secret("secret", &secret)?;
    if kinds.contains(&secret.kind()) {
        Ok(secret)
    } else {
        Err(Invalid::new("secret", "expected a secret of a kind that the endpoint's signing uses"))
    }
}

/// Puts one secret before the others of its kind.
fn succeed(secrets: &mut Vec<SigningSecret>, new: SigningSecret, end: Millis, now: Millis) {
    let kind = new.kind();
    for old in secrets.iter_mut().filter(|old| old.kind() == kind) {
        old.expires_at = Some(old.expires_at.map_or(end, |sooner| sooner.min(end)));
    }
    secrets.insert(0, new);
    let mut room = MAX_SECRETS;
    secrets.retain(|secret| {
        if secret.kind() != kind {
            return true;
        }
        let kept = room > 0 && secret.is_live(now);
        room = room.saturating_sub(usize::from(kept));
        kept
    });
}

/// Makes a secret of each kind that the endpoint is to be signed with and has none of. Answers the new `whsec_` one.
pub fn complete(endpoint: &mut Endpoint, entropy: Entropy) -> Option<Secret> {
    let mut shown = None;
    for kind in endpoint.signing.iter().map(|scheme| scheme.kind()).collect::<BTreeSet<_>>() {
        if endpoint.secrets.iter().any(|secret| secret.kind() == kind) {
            continue;
        }
        let made = fresh(kind, entropy);
        shown =
            made.as_ref().filter(|_| kind == SecretKind::Symmetric).map(|made| made.text.clone()).or(shown);
        endpoint.secrets.extend(made);
    }
    shown
}

/// How to sign when nobody says: as these secrets allow.
pub fn signing_with<'a>(secrets: impl IntoIterator<Item = &'a SigningSecret>) -> BTreeSet<SigningScheme> {
    let kinds: BTreeSet<_> = secrets.into_iter().map(SigningSecret::kind).collect();
    let mut signing: BTreeSet<_> =
        kinds.contains(&SecretKind::Ed25519).then_some(SigningScheme::V1a).into_iter().collect();
    if signing.is_empty() || kinds.contains(&SecretKind::Symmetric) {
        signing.extend(default_signing());
    }
    signing
}

/// A new secret of 256 random bits. `None` never happens: every seed makes a key.
fn fresh(kind: SecretKind, entropy: Entropy) -> Option<SigningSecret> {
    let mut bits = [0; 32];
    let halves = [entropy().to_be_bytes(), entropy().to_be_bytes()];
    bits.as_chunks_mut::<16>().0.copy_from_slice(&halves);
    let text = match kind {
        SecretKind::Ed25519 => Ed25519Key::text(&bits)?,
        SecretKind::Symmetric => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(bits);
            Secret(format!("{}{encoded}", kind.prefix()))
        }
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Draft, check};

    const NOW: Millis = Millis(1_000_000);

    fn endpoint(json: &str) -> Endpoint {
        serde_json::from_str::<Draft>(json).unwrap().endpoint(Millis(1), crate::entropy::system)
    }

    fn rotated(endpoint: &mut Endpoint, json: &str, now: Millis) -> Result<Option<Secret>, Invalid> {
        rotate(endpoint, serde_json::from_str(json).unwrap(), now, crate::entropy::system)
    }

    fn ends(endpoint: &Endpoint) -> Vec<Option<u64>> {
        endpoint.secrets.iter().map(|secret| secret.expires_at.map(|end| end.0)).collect()
    }

    #[test]
    fn an_old_secret_ends_after_the_grace() {
        let day = 86_400_000;
        for (json, expected) in [
            ("{}", vec![None, Some(NOW.0 + day)]),
            (r#"{"grace_s": 60}"#, vec![None, Some(NOW.0 + 60_000)]),
            (r#"{"grace_s": 604800}"#, vec![None, Some(NOW.0 + 7 * day)]),
            (r#"{"grace_s": 0}"#, vec![None]),
        ] {
            let mut endpoint = endpoint(r#"{"url":"https://example.com"}"#);
            let old = endpoint.secrets[0].text.clone();
            let new = rotated(&mut endpoint, json, NOW).unwrap().unwrap();
            assert_eq!(ends(&endpoint), expected, "{json}");
            assert_eq!(endpoint.secrets[0].text, new, "{json}");
            assert_eq!(
                endpoint.secrets.iter().any(|secret| secret.text == old),
                expected.len() == 2,
                "{json}"
            );
            assert_eq!(check(&endpoint), Ok(()), "{json}");
        }
    }

    #[test]
    fn three_stay_and_none_lives_longer_for_a_later_rotation() {
        let mut endpoint = endpoint(r#"{"url":"https://example.com"}"#);
        rotated(&mut endpoint, r#"{"grace_s": 60}"#, NOW).unwrap();
        rotated(&mut endpoint, r#"{"grace_s": 30}"#, Millis(NOW.0 + 1_000)).unwrap();
        assert_eq!(ends(&endpoint), [None, Some(NOW.0 + 31_000), Some(NOW.0 + 31_000)]);
        rotated(&mut endpoint, r#"{"grace_s": 600}"#, Millis(NOW.0 + 2_000)).unwrap();
        assert_eq!(
            ends(&endpoint),
            [None, Some(NOW.0 + 602_000), Some(NOW.0 + 31_000)],
            "the oldest is gone"
        );
        rotated(&mut endpoint, r#"{"grace_s": 600}"#, Millis(NOW.0 + 31_000)).unwrap();
        assert_eq!(endpoint.secrets.len(), 3, "what ended is forgotten");
        assert!(endpoint.secrets.iter().all(|secret| secret.is_live(Millis(NOW.0 + 31_000))));
    }

    #[test]
    fn a_secret_of_each_kind_in_use_is_made_and_a_private_key_is_not_shown() {
        let json = r#"{"url":"https://example.com","signing":["v1","v1a"]}"#;
        let mut both = endpoint(json);
        assert_eq!((check(&both), both.secrets.len()), (Ok(()), 2));
        let shown = rotated(&mut both, "{}", NOW).unwrap().unwrap();
        assert!(shown.0.starts_with("whsec_"));
        assert_eq!((check(&both), both.secrets.len()), (Ok(()), 4));

        let mut private = endpoint(r#"{"url":"https://example.com","signing":["v1a"]}"#);
        assert_eq!(rotated(&mut private, "{}", NOW).unwrap(), None);
        assert_eq!((check(&private), private.secrets.len()), (Ok(()), 2));
    }

    #[test]
    fn a_secret_that_is_brought_along_replaces_its_kind() {
        const WHSK: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
        let mut both = endpoint(r#"{"url":"https://example.com","signing":["v1","v1a"]}"#);
        assert_eq!(rotated(&mut both, &format!(r#"{{"secret":"{WHSK}"}}"#), NOW).unwrap(), None);
        assert_eq!(both.secrets[0].text.0, WHSK);
        assert_eq!(both.live_secrets(SecretKind::Symmetric, NOW).count(), 1);
        assert_eq!(both.live_secrets(SecretKind::Ed25519, NOW).count(), 2);
    }

    #[test]
    fn a_rotation_out_of_bounds_changes_nothing() {
        for (json, field) in [
            (r#"{"grace_s": 604801}"#, "grace_s"),
            (r#"{"secret": "whsec_c2hvcnQ="}"#, "secret"),
            (r#"{"secret": "whsk_c2hvcnQ="}"#, "secret"),
            (r#"{"secret": "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="}"#, "secret"),
        ] {
            let mut endpoint = endpoint(r#"{"url":"https://example.com"}"#);
            let before = endpoint.clone();
            let refused = rotated(&mut endpoint, json, NOW).map_err(|invalid| invalid.field);
            assert_eq!(refused, Err(field.to_owned()), "{json}");
            assert_eq!(endpoint, before, "{json}");
        }
    }

    #[test]
    fn a_secret_tells_how_to_sign_when_nobody_does() {
        let whsec = SigningSecret::from(Secret("whsec_a".to_owned()));
        let whsk = SigningSecret::from(Secret("whsk_a".to_owned()));
        let v1a = BTreeSet::from([SigningScheme::V1a]);
        let all = default_signing().union(&v1a).copied().collect();
        assert_eq!(signing_with([]), default_signing());
        assert_eq!(signing_with([&whsec]), default_signing());
        assert_eq!(signing_with([&whsk]), v1a);
        assert_eq!(signing_with([&whsk, &whsec]), all);
    }
}
