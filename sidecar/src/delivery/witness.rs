//! What a pool sees of endpoints beside its own work, and who is told.

use std::fmt::Debug;

use crate::clock::Millis;
use crate::store::News;

/// Who is told. The pool does not wait for it: what a witness does with it, it does elsewhere.
pub trait Witness: Debug + Send + Sync {
    /// An endpoint turned, by results that were settled at `at`.
    fn turned(&self, news: &News, at: Millis);
}
