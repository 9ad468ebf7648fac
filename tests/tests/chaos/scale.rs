//! How much of everything a run does: a little in `make test`, a lot in `make chaos`.

use std::time::Duration;

/// Whether this is the long version: `CHAOS=long`.
fn is_long() -> bool {
    std::env::var("CHAOS").is_ok_and(|value| value == "long")
}

/// How often.
pub(crate) fn rounds(few: usize, many: usize) -> usize {
    if is_long() { many } else { few }
}

/// For how long.
pub(crate) fn seconds(few: u64, many: u64) -> Duration {
    Duration::from_secs(if is_long() { many } else { few })
}
