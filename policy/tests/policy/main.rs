//! The policy from outside, as a host drives it: documents, heads, bodies, answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

mod body;
mod config;
mod head;
mod limits;
mod properties;
mod response;
mod support;
