//! What was answered 202 is delivered or visibly dead, whatever is killed, stopped, emptied or cut off meanwhile; twice
//! arrives only what was in flight then.
//!
//! Every run keeps an exact account (`account.rs`) and prints it as one line. `make test` runs a few rounds of each,
//! `make chaos` the long version. Random moments come from a seed, which is printed; `CHAOS_SEED` gives it again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails loudly, reads the clock and its environment"
)]

mod account;
mod chance;
mod comes_again;
mod failover;
mod producers;
mod redis_emptied;
mod redis_gone;
mod replicas;
mod scale;
mod sidecar_killed;
mod stage;
mod subscriber;
