//! The filter in a real Envoy, started from the shipped bootstraps, in both modes, before a recording upstream.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a suite fails loudly and reads the clock"
)]

mod configuration;
mod door;
mod early_answer;
mod framing;
mod headers;
mod hold;
mod limits;
mod load;
mod trap;
mod trouble;
