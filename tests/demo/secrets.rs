//! The secrets of one tour, made at its start and gone with it.

use std::fmt::{self, Debug, Formatter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One secret for each source of the shipped policy, by the variable that its reference names. Never shown by `Debug`.
pub(crate) struct Secrets([(&'static str, String); 4]);

impl Secrets {
    /// New ones, 256 bits each, from the system's source of randomness.
    pub(crate) fn generate() -> Self {
        let variables = [
            "HOOKGATE_SECRET_DEMO",
            "HOOKGATE_SECRET_STRIPE",
            "HOOKGATE_SECRET_GITHUB",
            "HOOKGATE_SECRET_SEED",
        ];
        Self(variables.map(|variable| {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).expect("the system's randomness");
            (variable, format!("whsec_{}", STANDARD.encode(bytes)))
        }))
    }

    /// The one of the source `demo`.
    pub(crate) fn demo(&self) -> &str {
        let [(_, secret), ..] = &self.0;
        secret
    }

    /// Variables and values, for the environment of both doors.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(variable, secret)| (*variable, secret.as_str()))
    }
}

impl Debug for Secrets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}
