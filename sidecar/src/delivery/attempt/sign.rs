//! Signs an attempt in both ways that subscribers know, with every live secret, newest first.

use hookgate_policy::{Key, Scheme};

use crate::model::Secret;

/// The policy has no such preset: a build that should not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policy does not know the scheme {name}")]
pub struct UnknownScheme {
    /// Its name.
    pub name: &'static str,
}

/// A secret that cannot sign. Says which one, from 1, never shows it.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint's secret {number} is not usable")]
pub(super) struct BadSecret {
    number: usize,
}

/// The schemes of outgoing messages: Standard Webhooks, and `X-Webhook-Signature` (Stripe's form).
///
/// Keys are made anew for every attempt: that is two hash blocks a secret, less than looking them up would save.
#[derive(Debug)]
pub(super) struct Signer([Scheme; 2]);

impl Signer {
    pub(super) fn new() -> Result<Self, UnknownScheme> {
        let preset = |name| Scheme::preset(name).ok_or(UnknownScheme { name });
        Ok(Self([preset("standard-webhooks")?, preset("x-webhook-signature")?]))
    }

    /// The headers that make `body` believable as message `id`, sent at `timestamp_s`. Without a secret there are
    /// none: nothing is sent unsigned.
    pub(super) fn sign(
        &self,
        secrets: &[Secret],
        id: &str,
        timestamp_s: u64,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, BadSecret> {
        let mut headers = Vec::with_capacity(4);
        for scheme in &self.0 {
            let keys = keys(scheme, secrets)?;
            headers.extend(scheme.sign(&keys, id, timestamp_s, body));
        }
        Ok(headers)
    }
}

fn keys(scheme: &Scheme, secrets: &[Secret]) -> Result<Vec<Key>, BadSecret> {
    if secrets.is_empty() {
        return Err(BadSecret { number: 1 });
    }
    let numbered = secrets.iter().take(Scheme::MAX_SIGNATURES).zip(1..);
    numbered.map(|(secret, number)| scheme.key(&secret.0).ok().ok_or(BadSecret { number })).collect()
}
