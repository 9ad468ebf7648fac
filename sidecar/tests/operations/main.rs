//! What goes on beside delivering, over real stores: replays and who works at them, how endpoints
//! stand, and who is told of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
#![allow(clippy::indexing_slicing, reason = "tests fail loudly")]
#![allow(unreachable_pub, missing_docs, dead_code, reason = "the fixture is shared with another suite")]

#[path = "../conformance/fixture.rs"]
mod fixture;
mod gateway;
mod hand;
mod notices;
mod replays;
mod standing;
