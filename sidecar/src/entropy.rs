//! The only reader of the machine's randomness. Everything else takes bits.

use rand::RngExt;

/// Where random bits come from: 128 at a time, for ids and secrets. Passed in, so that a test can foresee them.
pub type Entropy = fn() -> u128;

/// The machine's randomness: a cryptographic generator, seeded by the system.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one reader")]
pub fn system() -> u128 {
    rand::rng().random()
}
